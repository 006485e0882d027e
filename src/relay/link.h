/*
 * A way back to one client: a value, copied freely. Behind it is a UDP listener's socket, or one
 * TCP, TLS, WSS or DTLS connection; who answers a client or relays to it need not know which.
 */
#pragma once

#include "proto/turn/turn_server.h"

struct worker;
struct link;

/* One message in two parts, so that a channel's header needs no copy of its data. */
struct link_msg {
	struct span head, data;
};

struct link_ops {
	/* Sends messages in order; returns how many were taken. What was not is lost, as on any
	 * full network. The bytes are the caller's again when it returns. */
	size_t (*send)(const struct link *l, const struct link_msg *msgs, size_t n);
	/* Ends the connection after what is queued. NULL where there is none (UDP). */
	void (*close)(const struct link *l);
	/* From within worker_message() only: moves the connection to another worker, which reads
	 * the present message again. NULL where the kernel decides which worker gets a datagram
	 * (UDP, DTLS). */
	void (*hand_over)(const struct link *l, struct worker *to);
	/* RFC 6062: from now on the connection carries the raw bytes of a peer's connection. NULL
	 * where there is no stream. */
	void (*join)(const struct link *l, struct turn_alloc *alloc, uint32_t connection);
};

struct link {
	const struct link_ops *ops;
	void *owner; /* of the ops: a listener's socket, a connection */
	struct turn_flow flow;
};
