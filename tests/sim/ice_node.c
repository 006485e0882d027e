#include "ice_node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/stun/stun.h"

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "ice_node: %s\n", what);
	abort();
}

static void signal_to(struct ice_node *n, void (*fn)(void *, usec_t, struct span), const char *text)
{
	usec_t at = sim_now(n->sim) + n->signal_min;

	if (n->signal_spread)
		at += rng_below(sim_rng(n->sim), (uint32_t)n->signal_spread);
	if (n->ordered)
		at = n->last_signal = FL_MAX(at, n->last_signal);
	sim_after(n->sim, at - sim_now(n->sim), fn, n->other, span_of(text, strlen(text) + 1));
}

static void got_candidate(void *arg, usec_t now, struct span data)
{
	struct ice_node *n = arg;
	struct ice_candidate c;

	if (data.len == 1) {
		ice_end_of_remotes(n->ice, now);
	} else {
		check(ice_candidate_parse(span_of(data.ptr, data.len - 1), &c) == 0,
		      "own candidate text does not parse");
		ice_add_remote(n->ice, now, &c);
	}
	ice_node_turn(n);
}

static void got_description(void *arg, usec_t now, struct span data)
{
	struct ice_node *n = arg;
	char ufrag[64], pwd[64];
	struct ice_remote remote = { .ufrag = ufrag, .pwd = pwd, .renomination = n->renomination };
	int err;

	check(sscanf((const char *)data.ptr, "%63s %63s", ufrag, pwd) == 2, "bad description");
	err = ice_set_remote(n->ice, now, &remote);
	if (err == FL_ESTATE) {
		ice_restart(n->ice, now);
		ice_node_describe(n);
		err = ice_set_remote(n->ice, now, &remote);
	}
	check(err == 0, "credentials refused");
	ice_node_turn(n);
}

void ice_node_describe(struct ice_node *n)
{
	char text[128];

	snprintf(text, sizeof(text), "%s %s", ice_local_ufrag(n->ice), ice_local_pwd(n->ice));
	signal_to(n, got_description, text);
}

void ice_node_restart(struct ice_node *n)
{
	ice_restart(n->ice, sim_now(n->sim));
	ice_node_describe(n);
	ice_node_turn(n);
}

static void on_event(struct ice_node *n, const struct ice_event *e)
{
	char text[ICE_CANDIDATE_TEXT_MAX];

	switch (e->type) {
	case ICE_EVENT_CANDIDATE:
		n->candidates++;
		check(ice_candidate_format(&e->candidate, text, sizeof(text)) > 0, "no text");
		if (n->other && !n->mute && !(n->hides_hosts && e->candidate.type == ICE_HOST))
			signal_to(n, got_candidate, text);
		break;
	case ICE_EVENT_GATHERED:
		n->gathered++;
		/* late enough to come after the candidates */
		if (n->other) {
			usec_t spread = n->signal_spread, min = n->signal_min;

			n->signal_min += spread;
			signal_to(n, got_candidate, "");
			n->signal_min = min;
		}
		break;
	case ICE_EVENT_STATE:
		if (n->n_states < ARRAY_LEN(n->states))
			n->states[n->n_states++] = e->state;
		if (e->state == ICE_CONNECTED && !n->connected_at)
			n->connected_at = sim_now(n->sim);
		break;
	case ICE_EVENT_PATH:
		n->paths++;
		break;
	case ICE_EVENT_ROLE:
		n->roles++;
		break;
	}
}

void ice_node_turn(struct ice_node *n)
{
	struct ice_event e;
	struct dgram d;

	while (ice_next_output(n->ice, &d)) {
		check(d.data.len > 0 && stun_is_message(d.data), "output is no STUN");
		stack_send(&n->stack, &d);
	}
	while (ice_next_event(n->ice, &e))
		on_event(n, &e);
}

static void on_dgram(void *arg, usec_t now, const struct dgram *d)
{
	struct ice_node *n = arg;

	if (stun_is_message(d->data)) {
		ice_input(n->ice, now, d);
	} else {
		n->data++;
		n->data_at = now;
		ice_note_data(n->ice, now, d);
	}
	ice_node_turn(n);
}

static void on_relayed(void *arg, usec_t now, const struct addr *relayed, enum dgram_via way)
{
	struct ice_node *n = arg;
	struct ice_local l = { .type = ICE_RELAY,
			       .addr = *relayed,
			       .preference = way == DGRAM_UDP ? 200 : 150 };

	check(ice_add_local(n->ice, now, &l) == 0, "relayed address refused");
	ice_node_turn(n);
}

static void on_wire(void *arg, usec_t now, const struct dgram *d)
{
	struct ice_node *n = arg;

	stack_input(&n->stack, now, d);
}

static usec_t deadline(void *arg)
{
	return ice_deadline(((struct ice_node *)arg)->ice);
}

static void timeout(void *arg, usec_t now)
{
	struct ice_node *n = arg;

	ice_timeout(n->ice, now);
	ice_node_turn(n);
	check(ice_deadline(n->ice) > now, "the deadline does not move on");
}

void ice_node_init(struct ice_node *n, struct sim *sim, int segment, bool controlling)
{
	static const struct sim_ops ops = { on_wire, deadline, timeout };
	static const struct stack_ops stack_ops = { on_dgram, on_relayed };
	struct ice_config config = { .controlling = controlling };

	*n = (struct ice_node){ .sim = sim, .next_port = 50000 };
	rng_seed(&n->rng, rng_u64(sim_rng(sim)));
	n->ice = ice_create(&config, &n->rng);
	check(n->ice != NULL, "no memory");
	n->host = sim_host(sim, segment, &ops, n);
	stack_init(&n->stack, sim, n->host, &stack_ops, n);
}

void ice_node_finish(struct ice_node *n)
{
	ice_destroy(n->ice);
	n->ice = NULL;
}

void ice_node_link(struct ice_node *a, struct ice_node *b, usec_t signal_min, usec_t spread)
{
	a->other = b;
	b->other = a;
	a->signal_min = b->signal_min = signal_min;
	a->signal_spread = b->signal_spread = spread;
}

void ice_node_addr(struct ice_node *n, const char *ip, enum ice_net net)
{
	struct ice_local l = { .type = ICE_HOST, .net = net };

	sim_host_addr(n->host, ip);
	check(addr_parse_ip(ip, &l.addr) == 0, "bad address");
	l.addr.port = n->next_port++;
	check(ice_add_local(n->ice, sim_now(n->sim), &l) == 0, "local address refused");
	ice_node_turn(n);
}

void ice_node_addr_on(struct ice_node *n, int segment, const char *ip, enum ice_net net, bool tcp)
{
	static const enum ice_transport over[] = { ICE_UDP, ICE_TCP_ACTIVE, ICE_TCP_PASSIVE };
	struct ice_local l = { .type = ICE_HOST, .net = net };

	sim_host_addr_on(n->host, segment, ip);
	check(addr_parse_ip(ip, &l.addr) == 0, "bad address");
	for (size_t i = 0; i < (tcp ? ARRAY_LEN(over) : 1); i++) {
		l.transport = over[i];
		l.addr.port = over[i] == ICE_TCP_ACTIVE ? ICE_TCP_ACTIVE_PORT : n->next_port++;
		check(ice_add_local(n->ice, sim_now(n->sim), &l) == 0, "local address refused");
	}
	ice_node_turn(n);
}

void ice_node_relay(struct ice_node *n, const char *ip, const char *relay, enum dgram_via way)
{
	struct addr base, server;

	check(addr_parse_ip(ip, &base) == 0 && addr_parse_ip(relay, &server) == 0, "bad address");
	server.port = RELAY_PORT;
	stack_allocate(&n->stack, &base, &server, way);
}

void ice_node_stun(struct ice_node *n, const char *server)
{
	struct addr a;

	check(addr_parse(server, &a) == 0, "bad server");
	check(ice_add_stun_server(n->ice, sim_now(n->sim), &a) == 0, "server refused");
	ice_node_turn(n);
}

void ice_node_ready(struct ice_node *n)
{
	ice_end_of_locals(n->ice, sim_now(n->sim));
	ice_node_turn(n);
}

bool ice_node_send(struct ice_node *n)
{
	struct ice_path path;
	struct dgram d = { .data = span_of("\x80 data", 6) };

	if (ice_path(n->ice, &path) < ICE_PATH_VALID)
		return false;
	d.local = path.local;
	d.remote = path.remote;
	d.via = path.via;
	stack_send(&n->stack, &d);
	return true;
}

bool ice_node_was(const struct ice_node *n, enum ice_state state)
{
	for (size_t i = 0; i < n->n_states; i++)
		if (n->states[i] == state)
			return true;
	return false;
}

bool ice_node_selected(const struct ice_node *n, struct ice_pair_info *out)
{
	return ice_pairs(n->ice, out, 1) == 1 && out->selected;
}

/* An active TCP candidate stands for all connections from its IP. */
static bool same_end(const struct ice_pair_info *ours, const struct ice_pair_info *theirs)
{
	if (ours->via != theirs->via)
		return false;
	if (ours->via == DGRAM_TCP && ours->local.port == ICE_TCP_ACTIVE_PORT)
		return addr_ip_equal(&ours->local, &theirs->remote);
	return addr_equal(&ours->local, &theirs->remote);
}

bool ice_nodes_agree(const struct ice_node *a, const struct ice_node *b)
{
	struct ice_pair_info pa, pb;

	return ice_state(a->ice) == ICE_CONNECTED && ice_state(b->ice) == ICE_CONNECTED &&
	       ice_node_selected(a, &pa) && ice_node_selected(b, &pb) && same_end(&pa, &pb) &&
	       same_end(&pb, &pa);
}
