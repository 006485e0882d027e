/*
 * What a worker's UDP sockets share: where datagrams are read to, and what waits to be sent. Two
 * areas, because what peers sent waits for the listeners' flush at the end of the turn, while what
 * clients sent is done with at the end of each batch.
 */
#pragma once

#include "relay/area.h"
#include "relay/outbox.h"
#include "relay/worker.h"

#define UP_ENTRIES 1024

struct up_entry {
	struct span data;
	const struct addr *peer;
	uint16_t next; /* of the same socket; 0: the last */
};

struct udp_path {
	struct area *from_clients, *from_peers;
	struct outbox to_peers;
	struct up_entry up[UP_ENTRIES]; /* [0] stays free, so that 0 means none */
	unsigned n_up;
	struct peer_socket *queued, **queued_tail;
	struct list unsent; /* fronts with something in their outbox */
	struct loop_deferred flush;
	bool flush_pending;
};

int udp_path_create(struct udp_path **out) FL_WARN_UNUSED;
void udp_path_destroy(struct udp_path *p); /* NULL is fine */
