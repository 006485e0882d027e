/*
 * A message that another worker is to judge (TURN_VERDICT_ELSEWHERE): a Refresh with a ticket whose
 * allocation lives there (RFC 8016), from a client whose datagrams the kernel gives to us. It goes
 * there by worker_post() and comes back with the answer and, when the ticket was good, with the
 * allocation and its sockets, which are ours from then on.
 *
 * Connections that can move (streams) go to the other worker themselves instead.
 */
#pragma once

#include "relay/worker.h"

void handover_message(struct worker *w, const struct link *from, struct span message,
		      unsigned to_worker);
/* The link is gone: an answer that is under way has nobody to go to. */
void handover_forget(struct worker *w, const struct link *l);
/* The worker ends; what it asked of others was answered before. */
void handover_end_all(struct worker *w);
