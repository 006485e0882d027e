#include "relay/handover.h"

#include "relay/peer_socket.h"
#include "relay/relayed.h"
#include "relay/udp_front.h"

#define HANDOVERS_MAX 256 /* of one worker at a time; a client repeats what is not answered */

struct handover {
	struct list node; /* of from */
	struct worker *from, *to;
	struct link link;
	bool gone; /* the link */
	struct relayed *moved;
	size_t message_len, answer_len;
	uint8_t answer[TURN_REPLY_MAX];
	uint8_t message[];
};

static void end(struct handover *h)
{
	list_remove(&h->node);
	h->from->n_handovers--;
	free(h);
}

static void drop_moved(struct handover *h)
{
	turn_alloc_destroy(h->moved->alloc);
	h->moved->worker = h->from;
	relayed_close(h->moved);
	h->moved = NULL;
}

static void settle(struct handover *h)
{
	struct worker *w = h->from;
	struct relayed *r = h->moved;

	r->worker = w;
	relayed_set_link(r, &h->link);
	/* attached last: what the core has in its tables is not ours to destroy */
	if ((r->udp && peer_sockets_start(r->udp) < 0) ||
	    turn_server_attach(w->core, loop_now(w->loop), r->alloc) < 0) {
		drop_moved(h);
		return;
	}
	relayed_join(r, w);
}

/* Back in the worker that asked. */
static void answered(void *arg)
{
	struct handover *h = arg;
	struct worker *w = h->from;
	bool moved = h->moved != NULL;

	if (moved)
		settle(h);
	if (moved && !h->moved)
		h->answer_len = 0;
	if (h->answer_len && !h->gone)
		(void)link_send(&h->link, (struct span){ 0 }, span_of(h->answer, h->answer_len));
	if (h->moved && h->gone)
		turn_server_flow_gone(w->core, loop_now(w->loop), &h->link.flow);
	worker_take_events(w);
	end(h);
}

/* In the worker that knows. */
static void judge(void *arg)
{
	struct handover *h = arg;
	struct worker *w = h->to;
	struct turn_alloc *moved = NULL;
	struct turn_verdict v;

	worker_wake(w);
	turn_server_foreign(w->core, loop_now(w->loop), h->from->index, &h->link.flow,
			    span_of(h->message, h->message_len), &v, &moved);
	if (v.type == TURN_VERDICT_REPLY && v.head.len + v.data.len <= sizeof(h->answer)) {
		if (v.head.len)
			memcpy(h->answer, v.head.ptr, v.head.len);
		memcpy(h->answer + v.head.len, v.data.ptr, v.data.len);
		h->answer_len = v.head.len + v.data.len;
	}
	if (moved) {
		h->moved = turn_alloc_data(moved);
		if (h->moved->udp)
			peer_sockets_stop(h->moved->udp);
		relayed_leave(h->moved);
	}
	worker_take_events(w);
	if (worker_post(h->from, answered, h) == 0)
		return;
	/* no memory: the client asks again and finds nothing; h stays listed until its worker ends
	 */
	if (h->moved)
		drop_moved(h);
}

/* It names a worker that there is not: nobody knows more about it than we do. */
static void refuse(struct worker *w, const struct link *from, struct span message)
{
	struct turn_alloc *moved;
	struct turn_verdict v;

	turn_server_foreign(w->core, loop_now(w->loop), w->index, &from->flow, message, &v, &moved);
	if (v.type == TURN_VERDICT_REPLY && !moved)
		(void)link_send(from, v.head, v.data);
}

/* A repetition of what is under way: judged after it, it would find the allocation gone from there
 * and be refused, though its client has moved. */
static bool is_under_way(const struct worker *w, const struct link *from, struct span message)
{
	struct handover *h, *tmp;

	list_for_each (h, tmp, &w->handovers, node)
		if (!h->gone && h->link.ops == from->ops && h->link.owner == from->owner &&
		    addr_equal(&h->link.flow.client, &from->flow.client) &&
		    span_equal(span_of(h->message, h->message_len), message))
			return true;
	return false;
}

void handover_message(struct worker *w, const struct link *from, struct span message,
		      unsigned to_worker)
{
	struct worker *to = relay_worker(w->relay, to_worker);
	struct handover *h;

	if (!to || to == w) {
		refuse(w, from, message);
		return;
	}
	if (from->ops->hand_over) {
		from->ops->hand_over(from, to);
		return;
	}
	if (w->n_handovers == HANDOVERS_MAX || is_under_way(w, from, message))
		return;
	h = malloc(sizeof(*h) + message.len);
	if (!h)
		return;
	*h = (struct handover){ .from = w, .to = to, .link = *from, .message_len = message.len };
	memcpy(h->message, message.ptr, message.len);
	list_push_back(&w->handovers, &h->node);
	w->n_handovers++;
	if (worker_post(to, judge, h) < 0)
		end(h);
}

void handover_forget(struct worker *w, const struct link *l)
{
	struct handover *h, *tmp;

	list_for_each (h, tmp, &w->handovers, node)
		if (h->link.owner == l->owner && h->link.ops == l->ops &&
		    addr_equal(&h->link.flow.client, &l->flow.client))
			h->gone = true;
}

void handover_end_all(struct worker *w)
{
	while (!list_empty(&w->handovers))
		end(list_entry(w->handovers.next, struct handover, node));
}
