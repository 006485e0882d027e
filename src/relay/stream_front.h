/*
 * Clients over TCP, TLS and WSS: accepts connections, takes a PROXY v2 header where one is due,
 * cuts messages out of the bytes (proto/turn/turn_stream.h) and hands them to the worker; writes
 * back what the worker sends. Over WSS each TURN message is the payload of one binary frame,
 * subprotocol "turn" (any cut is understood on the way in). ALPN: "stun.turn" and
 * "stun.nat-discovery" (RFC 7443) on tls, "http/1.1" on wss.
 */
#pragma once

#include "relay/worker.h"

/* Limits. A connection without an allocation has proved nothing but its address. */
#define STREAM_FRONT_CONNECTIONS_MAX 65536 /* of one worker */
#define STREAM_FRONT_UNPROVED_MAX 4096	   /* of one IPv4 /24 or IPv6 /48, without an allocation */
#define STREAM_FRONT_FIRST_MESSAGE_S 10	   /* from accept to the first whole message */
#define STREAM_FRONT_IDLE_S 60		   /* without an allocation and without a message */
#define STREAM_FRONT_UNPROVED_MESSAGE_MAX                                                          \
	4096 /* bytes of a message before there is an allocation */
/*
 * Bytes that wait for a client that reads too slowly. User data beyond the first is dropped, as on
 * any full network; what signals stays in order, and beyond the second the connection ends.
 */
#define STREAM_FRONT_DATA_QUEUE_MAX (128 * 1024)
#define STREAM_FRONT_QUEUE_MAX (320 * 1024)

struct stream_front;

/* fd: an inherited listening socket, or -1. */
int stream_front_create(struct worker *w, const struct settings_listener *at, int fd,
			struct stream_front **out) FL_WARN_UNUSED;
void stream_front_destroy(struct stream_front *f); /* NULL is fine; ends its connections */
struct addr stream_front_addr(const struct stream_front *f);
/* A reload: new connections use these. */
void stream_front_set(struct stream_front *f, struct settings *s);
/* Connections that exist, for limits and figures. */
size_t stream_front_count(const struct stream_front *f);
