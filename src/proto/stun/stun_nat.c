#include "proto/stun/stun_nat.h"

#include <string.h>

#include "proto/stun/stun_server.h"

static void ask(struct stun_nat *n, usec_t now, enum stun_nat_test test, const struct addr *to,
		const struct addr *from, usec_t rto_us)
{
	struct stun_nat_ask *a = &n->asks[test];

	a->state = STUN_NAT_ASKED;
	a->to = *to;
	a->from = *from;
	stun_client_start(&a->client, n->rng, now, rto_us);
	a->client.tries_max = STUN_NAT_TRIES;
}

void stun_nat_start(struct stun_nat *n, struct rng *rng, usec_t now, const struct addr *server,
		    const struct addr local[2])
{
	*n = (struct stun_nat){ .rng = rng, .server = *server };
	n->local[0] = local[0];
	n->local[1] = local[1];
	ask(n, now, STUN_NAT_FIRST, server, server, 0);
}

static bool is_filter_test(enum stun_nat_test test)
{
	return test == STUN_NAT_CHANGE_BOTH || test == STUN_NAT_CHANGE_PORT;
}

/* RFC 5780 §7.4: both differ from where the answer came from. */
static bool plausible(const struct addr *server, const struct addr *other)
{
	return other->family == server->family && other->port != 0 && other->port != server->port &&
	       !addr_ip_equal(other, server) && addr_range(other) == addr_range(server);
}

/* The rest is asked side by side. Where nothing comes in, it is the filter or a loss: the wait is
 * a multiple of the round trip just seen. */
static void ask_rest(struct stun_nat *n, usec_t now, usec_t rtt_us)
{
	usec_t rto = FL_MAX(STUN_RTO_US, rtt_us * 3 / 2);
	struct addr mixed = n->other, own = n->server;

	mixed.port = n->server.port;
	own.port = n->other.port;
	ask(n, now, STUN_NAT_OTHER_ADDRESS, &mixed, &mixed, rto);
	ask(n, now, STUN_NAT_OTHER_BOTH, &n->other, &n->other, rto);
	ask(n, now, STUN_NAT_CHANGE_BOTH, &n->server, &n->other, rto);
	ask(n, now, STUN_NAT_CHANGE_PORT, &n->server, &own, rto);
}

static void take(struct stun_nat *n, usec_t now, enum stun_nat_test test, const struct stun_msg *m)
{
	struct stun_nat_ask *a = &n->asks[test];
	usec_t rtt = stun_client_end(&a->client, now);

	a->state = STUN_NAT_REFUSED;
	if (m->class != STUN_SUCCESS || !stun_get_xor_addr(m, STUN_XOR_MAPPED_ADDRESS, &a->mapped))
		return;
	a->state = STUN_NAT_ANSWERED;
	a->mapped = addr_unmap(&a->mapped);
	if (test == STUN_NAT_FIRST && stun_get_addr(m, STUN_OTHER_ADDRESS, &n->other) &&
	    plausible(&n->server, &n->other))
		ask_rest(n, now, rtt);
}

void stun_nat_input(struct stun_nat *n, usec_t now, const struct dgram *d)
{
	struct stun_msg m;

	if (d->data.len > STUN_INTEGRITY_MAX || stun_parse(d->data, &m) < 0 ||
	    m.method != STUN_BINDING || (m.class != STUN_SUCCESS && m.class != STUN_ERROR))
		return;
	for (int t = 0; t < STUN_NAT_TESTS; t++) {
		struct stun_nat_ask *a = &n->asks[t];

		if (a->state != STUN_NAT_ASKED || !stun_client_is(&a->client, &m) ||
		    d->local.port != n->local[is_filter_test(t)].port)
			continue;
		if (addr_equal(&d->remote, &a->from)) {
			take(n, now, t, &m);
		} else if (addr_equal(&d->remote, &a->to)) {
			/* it does not do what CHANGE-REQUEST asks for, or says so */
			(void)stun_client_end(&a->client, now);
			a->state = STUN_NAT_REFUSED;
		}
		return;
	}
}

static bool write(struct stun_nat *n, enum stun_nat_test test, struct dgram *out)
{
	struct stun_nat_ask *a = &n->asks[test];
	struct stun_out s;
	int len;

	stun_begin(&s, n->out, sizeof(n->out), STUN_REQUEST, STUN_BINDING, a->client.tid);
	if (is_filter_test(test))
		stun_put_u32(&s, STUN_CHANGE_REQUEST,
			     test == STUN_NAT_CHANGE_BOTH ? STUN_CHANGE_IP | STUN_CHANGE_PORT
							  : STUN_CHANGE_PORT);
	stun_put_fingerprint(&s);
	len = stun_end(&s);
	*out = (struct dgram){ n->local[is_filter_test(test)], a->to,
			       span_of(n->out, (size_t)FL_MAX(len, 0)), DGRAM_UDP };
	return len > 0;
}

bool stun_nat_next_output(struct stun_nat *n, usec_t now, struct dgram *out)
{
	for (int t = 0; t < STUN_NAT_TESTS; t++) {
		struct stun_nat_ask *a = &n->asks[t];

		if (a->state != STUN_NAT_ASKED)
			continue;
		switch (stun_client_due(&a->client, now)) {
		case STUN_CLIENT_SEND:
			return write(n, t, out);
		case STUN_CLIENT_GIVE_UP:
			a->state = STUN_NAT_SILENT;
			break;
		case STUN_CLIENT_WAIT:
			break;
		}
	}
	return false;
}

usec_t stun_nat_deadline(const struct stun_nat *n)
{
	usec_t at = USEC_NEVER;

	for (int t = 0; t < STUN_NAT_TESTS; t++)
		if (n->asks[t].state == STUN_NAT_ASKED)
			at = usec_min(at, stun_client_deadline(&n->asks[t].client));
	return at;
}

bool stun_nat_done(const struct stun_nat *n)
{
	return stun_nat_deadline(n) == USEC_NEVER;
}

/* §4.3 */
enum stun_nat_mapping stun_nat_mapping(const struct stun_nat *n)
{
	const struct stun_nat_ask *first = &n->asks[STUN_NAT_FIRST];
	const struct stun_nat_ask *address = &n->asks[STUN_NAT_OTHER_ADDRESS];
	const struct stun_nat_ask *both = &n->asks[STUN_NAT_OTHER_BOTH];

	if (first->state != STUN_NAT_ANSWERED)
		return STUN_NAT_MAPPING_UNKNOWN;
	if (addr_equal(&first->mapped, &n->local[0]))
		return STUN_NAT_MAPPING_NONE;
	if (address->state != STUN_NAT_ANSWERED)
		return STUN_NAT_MAPPING_UNKNOWN;
	if (addr_equal(&first->mapped, &address->mapped))
		return STUN_NAT_MAPPING_INDEPENDENT;
	if (both->state == STUN_NAT_ANSWERED && !addr_equal(&address->mapped, &both->mapped))
		return STUN_NAT_MAPPING_PORT;
	return STUN_NAT_MAPPING_ADDRESS;
}

/* §4.4. Silence counts only once it is over. */
enum stun_nat_filtering stun_nat_filtering(const struct stun_nat *n)
{
	const struct stun_nat_ask *both = &n->asks[STUN_NAT_CHANGE_BOTH];
	const struct stun_nat_ask *port = &n->asks[STUN_NAT_CHANGE_PORT];

	if (both->state == STUN_NAT_ANSWERED)
		return STUN_NAT_FILTERING_OPEN;
	if (both->state != STUN_NAT_SILENT)
		return STUN_NAT_FILTERING_UNKNOWN;
	if (port->state == STUN_NAT_ANSWERED)
		return STUN_NAT_FILTERING_ADDRESS;
	return port->state == STUN_NAT_SILENT ? STUN_NAT_FILTERING_PORT
					      : STUN_NAT_FILTERING_UNKNOWN;
}
