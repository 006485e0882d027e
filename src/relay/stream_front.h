/*
 * Clients over TCP, TLS and WSS: accepts connections, takes a PROXY v2 header where one is due,
 * cuts messages out of the bytes (proto/turn/turn_stream.h) and hands them to the worker; writes
 * back what the worker sends. Over WSS each TURN message is the payload of one binary frame,
 * subprotocol "turn" (any cut is understood on the way in). ALPN: "stun.turn" and
 * "stun.nat-discovery" (RFC 7443) on tls, "http/1.1" on wss.
 */
#pragma once

#include "relay/worker.h"

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
