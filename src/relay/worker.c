#include "relay/worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/rng.h"
#include "relay/handover.h"
#include "relay/offload.h"
#include "relay/peer_socket.h"
#include "relay/relayed.h"
#include "relay/shared_ports.h"
#include "relay/tcp_relay.h"
#include "relay/udp_front.h"
#include "relay/udp_path.h"

#define WALL_EVERY_US USEC_PER_SEC

/* ---- user data ---- */

bool worker_try(struct relayed *r, bool up, size_t packets, size_t bytes)
{
	struct worker *w = r->worker;
	struct relay_flow_count *c = up ? &w->count.up[r->link.flow.transport]
					: &w->count.down[r->link.flow.transport];

	if (!quota_pass(r->quota, loop_now(w->loop), packets, bytes))
		return false;
	c->packets += packets;
	c->bytes += bytes;
	return true;
}

bool worker_pass(struct relayed *r, bool up, size_t packets, size_t bytes)
{
	bool passed = worker_try(r, up, packets, bytes);

	if (!passed)
		r->worker->count.over_quota += packets;
	return passed;
}

/* ---- log ---- */

static void log_opened(struct worker *w, const struct relayed *r)
{
	char client[ADDR_TEXT_MAX], v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];
	const struct turn_flow *flow = turn_alloc_flow(r->alloc);
	const struct addr *a = turn_alloc_relayed(r->alloc, ADDR_V4);
	const struct addr *b = turn_alloc_relayed(r->alloc, ADDR_V6);
	unsigned held;

	if (!log_enabled(LOG_LEVEL_INFO) || !log_limit_pass(&w->log_open, loop_now(w->loop), &held))
		return;
	log_info("allocated", "user=%s transport=%s client=%s relayed=%s%s%s held-back=%u",
		 turn_alloc_user(r->alloc), turn_transport_name(flow->transport),
		 addr_format(&flow->client, client), r->ports[0] ? addr_format(a, v4) : "",
		 r->ports[0] && r->ports[1] ? "," : "", r->ports[1] ? addr_format(b, v6) : "",
		 held);
}

static void log_closed(struct worker *w, const struct turn_event *e)
{
	const struct turn_flow *flow = turn_alloc_flow(e->alloc);
	char client[ADDR_TEXT_MAX];
	unsigned held;

	if (!log_enabled(LOG_LEVEL_INFO) ||
	    !log_limit_pass(&w->log_close, loop_now(w->loop), &held))
		return;
	log_info("closed", "user=%s client=%s reason=%s held-back=%u", turn_alloc_user(e->alloc),
		 addr_format(&flow->client, client), turn_close_reason_name(e->reason), held);
}

/* ---- events ---- */

static void on_event(struct worker *w, const struct turn_event *e)
{
	struct relayed *r = turn_alloc_data(e->alloc);

	switch (e->type) {
	case TURN_EVENT_CLOSED:
		log_closed(w, e);
		relayed_close(r);
		break;
	case TURN_EVENT_BINDING:
		offload_binding(r, e);
		break;
	case TURN_EVENT_MOVED:
		relayed_leave(r);
		relayed_set_link(r, turn_alloc_flow(e->alloc)->client.family == ADDR_NONE
					    ? NULL
					    : w->asking);
		relayed_join(r, w);
		break;
	case TURN_EVENT_RELEASED:
		relayed_release(r, e->peer.family == ADDR_V6);
		break;
	case TURN_EVENT_DISCONNECT:
		tcp_relay_disconnect(r->tcp, e->connection);
		break;
	case TURN_EVENT_SEND:
		if (!link_send(&r->link, (struct span){ 0 }, e->data))
			w->count.send_errors++;
		break;
	}
}

static void arm_timer(struct worker *w)
{
	usec_t at = turn_server_deadline(w->core);

	if (at == w->timer_at)
		return;
	w->timer_at = loop_timer_at(&w->timer, at) == 0 ? at : 0;
}

void worker_take_events(struct worker *w)
{
	struct turn_event e;

	while (turn_server_next_event(w->core, &e))
		on_event(w, &e);
	arm_timer(w);
}

static void on_ports_timer(void *arg)
{
	struct worker *w = arg;

	(void)loop_timer_at(&w->ports_timer,
			    shared_ports_expire(relay_ports(w->relay), loop_now(w->loop)));
}

static void on_timer(void *arg)
{
	struct worker *w = arg;

	w->timer_at = USEC_NEVER;
	worker_wake(w);
	turn_server_timeout(w->core, loop_now(w->loop));
	worker_take_events(w);
}

/* ---- messages ---- */

void worker_wake(struct worker *w)
{
	usec_t now = loop_now(w->loop);

	if (w->wall_at && now < w->wall_at + WALL_EVERY_US)
		return;
	w->wall_at = now;
	turn_server_set_wall(w->core, (int64_t)usec_realtime() - (int64_t)usec_monotonic());
}

static void reply(struct worker *w, const struct link *from, const struct turn_verdict *v)
{
	if (link_is_udp(from) && (v->origin != STUN_ORIGIN_SAME || v->reply_port))
		udp_front_reply(from->owner, from, v);
	else if (!link_send(from, v->head, v->data))
		w->count.send_errors++;
	if (v->close && from->ops->close)
		from->ops->close(from);
}

static void open_allocation(struct worker *w, const struct link *from, struct turn_verdict *v)
{
	struct turn_opened opened;
	struct relayed *r = relayed_open(w, from, &v->open, &opened);

	turn_server_opened(w->core, loop_now(w->loop), &opened, v);
	if (!v->alloc) {
		relayed_close(r);
	} else {
		r->alloc = v->alloc;
		relayed_join(r, w);
		log_opened(w, r);
	}
	reply(w, from, v);
}

static void carry_out(struct worker *w, const struct link *from, struct span message,
		      struct turn_verdict *v)
{
	struct relayed *r = v->alloc ? turn_alloc_data(v->alloc) : NULL;

	switch (v->type) {
	case TURN_VERDICT_DROP:
		break;
	case TURN_VERDICT_REPLY:
		reply(w, from, v);
		break;
	case TURN_VERDICT_TO_PEER:
		assert(r);
		peer_socket_send(r, &v->peer, v->data, v->dont_fragment);
		break;
	case TURN_VERDICT_TO_CLIENT:
		assert(r);
		if (!link_send(&r->link, v->head, v->data))
			w->count.send_errors++;
		break;
	case TURN_VERDICT_OPEN:
		open_allocation(w, from, v);
		break;
	case TURN_VERDICT_CONNECT:
		assert(r);
		tcp_relay_connect(r->tcp, v->connection, &v->peer);
		break;
	case TURN_VERDICT_JOIN:
		if (!link_send(from, v->head, v->data) || !from->ops->join)
			break;
		from->ops->join(from, v->alloc, v->connection);
		break;
	case TURN_VERDICT_ELSEWHERE:
		handover_message(w, from, message, v->worker);
		break;
	}
}

/* What the answer says is done when it arrives: whoever reads that an allocation is gone may have
 * its port and its place in the quota at once, also from another worker. */
static void events_before_reply(struct worker *w, const struct link *asking, struct turn_verdict *v)
{
	uint8_t answer[STUN_SERVER_ANSWER_MAX];
	size_t head = v->head.len, data = v->data.len;

	if (v->type != TURN_VERDICT_REPLY || head + data > sizeof(answer))
		return;
	if (head)
		memcpy(answer, v->head.ptr, head);
	if (data)
		memcpy(answer + head, v->data.ptr, data);
	w->asking = asking;
	worker_take_events(w);
	w->asking = NULL;
	v->head = span_of(answer, head);
	v->data = span_of(answer + head, data);
	reply(w, asking, v);
	*v = (struct turn_verdict){ .type = TURN_VERDICT_DROP };
}

void worker_message(struct worker *w, const struct link *from, struct span message)
{
	struct link asking = *from; /* the answer may end it, and events speak of it afterwards */
	struct turn_verdict v;

	worker_wake(w);
	turn_server_client(w->core, loop_now(w->loop), &asking.flow, message, &v);
	events_before_reply(w, &asking, &v);
	carry_out(w, &asking, message, &v);
	w->asking = &asking;
	worker_take_events(w);
	w->asking = NULL;
}

void worker_link_gone(struct worker *w, const struct link *l)
{
	handover_forget(w, l);
	turn_server_flow_gone(w->core, loop_now(w->loop), &l->flow);
	worker_take_events(w);
}

int worker_post(struct worker *w, void (*fn)(void *arg), void *arg)
{
	return loop_post(w->loop, fn, arg);
}

/* ---- life ---- */

static int create_core(struct worker *w)
{
	const struct settings *s = w->settings;
	struct turn_server_config c = { .worker = w->index,
					.relay_v4 = s->relay[0].bound.family != ADDR_NONE,
					.relay_v6 = s->relay[1].bound.family != ADDR_NONE,
					.tcp_relay = s->tcp_relay,
					.mobility = s->mobility,
					.lifetime_max_s = s->lifetime_max_s,
					.software = s->software,
					.auth = s->auth,
					.peers = s->peers,
					.behaviour = relay_behaviour(w->relay),
					.limit = w->limit };

	/* each has a port of one family at least */
	c.allocations_max = 2u * (s->port_last - s->port_first + 1u);
	memcpy(c.ticket_key, relay_ticket_key(w->relay), sizeof(c.ticket_key));
	w->core = turn_server_create(&c, rng_system());
	return w->core ? 0 : -ENOMEM;
}

int worker_create(struct relay *relay, unsigned index, struct settings *settings,
		  struct worker **out)
{
	static const struct turn_limit_config limits = { 0 }; /* its defaults */
	struct worker *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->relay = relay;
	w->index = index;
	w->settings = settings_ref(settings);
	w->timer_at = USEC_NEVER;
	list_init(&w->relayed);
	list_init(&w->handovers);
	err = loop_create(&w->loop);
	if (err == 0) {
		loop_timer_init(w->loop, &w->timer, on_timer, w);
		loop_timer_init(w->loop, &w->ports_timer, on_ports_timer, w);
		w->limit = turn_limit_create(&limits, rng_system());
		err = w->limit ? udp_path_create(&w->path) : -ENOMEM;
	}
	if (err == 0)
		err = create_core(w);
	if (err < 0) {
		worker_destroy(w);
		return err;
	}
	*out = w;
	return 0;
}

void worker_set(struct worker *w, struct settings *settings)
{
	struct settings *before = w->settings;
	struct relayed *r, *tmp;

	w->settings = settings_ref(settings);
	turn_server_set(w->core, loop_now(w->loop), settings->auth, settings->peers);
	worker_take_events(w);
	list_for_each (r, tmp, &w->relayed, node)
		offload_renew(r);
	settings_unref(before);
}

void worker_drain(struct worker *w)
{
	turn_server_drain(w->core, true);
}

void worker_destroy(struct worker *w)
{
	struct relayed *r, *tmp;

	if (!w)
		return;
	list_for_each (r, tmp, &w->relayed, node)
		relayed_close(r);
	handover_end_all(w);
	turn_server_destroy(w->core);
	turn_limit_destroy(w->limit);
	udp_path_destroy(w->path);
	loop_timer_stop(&w->timer);
	loop_timer_stop(&w->ports_timer);
	loop_destroy(w->loop);
	settings_unref(w->settings);
	free(w);
}
