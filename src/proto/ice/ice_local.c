/* Local candidates, and what STUN servers say about them. */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "proto/ice/ice_internal.h"

/* RFC 8445 §5.1.2.1 with the type preferences recommended in §5.1.2.2, over TCP those that others
 * have too (below every direct UDP candidate); component 1. */
uint32_t ice__priority(enum ice_type type, enum ice_transport transport, uint16_t preference)
{
	static const uint32_t type_preference[][2] = {
		[ICE_HOST] = { 126, 90 },
		[ICE_PRFLX] = { 110, 80 },
		[ICE_SRFLX] = { 100, 70 },
		[ICE_RELAY] = { 0, 0 },
	};

	return type_preference[type][transport != ICE_UDP] << 24 | (uint32_t)preference << 8 | 255;
}

/* Kind of network first, then what is preferred by order (128 and more), IPv6 before IPv4, what the
 * driver prefers otherwise, then order. Over TCP
 * the direction comes before all (RFC 6544 §4.2): active 6, passive 4. Of relayed addresses the way
 * to the relay tells more than the family. */
static uint16_t local_preference(const struct ice_local *l, int index)
{
	if (l->transport != ICE_UDP)
		return (uint16_t)((l->transport == ICE_TCP_ACTIVE ? 6 : 4) << 13 |
				  (3 - l->net) << 11 | (l->preference >> 7) << 10 |
				  (l->addr.family == ADDR_V6) << 9 |
				  FL_MIN(l->preference & 127, 15) << 5 | (31 - FL_MIN(index, 31)));
	if (l->type == ICE_RELAY)
		return (uint16_t)((3 - l->net) << 14 | l->preference << 6 |
				  (l->addr.family == ADDR_V6) << 5 | (31 - FL_MIN(index, 31)));
	return (uint16_t)((3 - l->net) << 14 | (l->preference >> 7) << 13 |
			  (l->addr.family == ADDR_V6) << 12 | (l->preference & 127) << 5 |
			  (31 - FL_MIN(index, 31)));
}

/* Same type, base and server, same foundation (§5.1.1.3). Keyed, so it tells nothing else. */
static void set_foundation(const struct ice *ice, struct lcand *l, const struct addr *server)
{
	struct addr base = l->base, from = server ? *server : (struct addr){ 0 };
	uint64_t key = ice->foundation_key + (uint64_t)l->type + 8 * (uint64_t)l->transport;

	base.port = 0;
	from.port = 0;
	snprintf(l->foundation, sizeof(l->foundation), "%u",
		 addr_hash(&base, key + ((uint64_t)addr_hash(&from, key) << 8)));
}

int ice__local_of_base(const struct ice *ice, const struct addr *base, enum dgram_via via)
{
	for (int i = 0; i < ICE_LOCALS_MAX; i++)
		if (ice->locals[i].used &&
		    (ice->locals[i].type == ICE_HOST || ice->locals[i].type == ICE_RELAY) &&
		    ice_via(ice->locals[i].transport) == via &&
		    addr_equal(&ice->locals[i].addr, base))
			return i;
	return -1;
}

static int find_local(const struct ice *ice, const struct addr *addr, const struct addr *base,
		      enum dgram_via via)
{
	for (int i = 0; i < ICE_LOCALS_MAX; i++) {
		const struct lcand *l = &ice->locals[i];

		if (l->used && ice_via(l->transport) == via && addr_equal(&l->addr, addr) &&
		    addr_equal(&l->base, base))
			return i;
	}
	return -1;
}

/* Many interfaces must not keep out what reaches further than they do. */
static int free_local(struct ice *ice, enum ice_type type)
{
	int slot = -1, hosts = 0, others = 0;

	for (int i = 0; i < ICE_LOCALS_MAX; i++) {
		if (!ice->locals[i].used)
			slot = slot < 0 ? i : slot;
		else if (ice->locals[i].type == ICE_HOST)
			hosts++;
		else if (ice->locals[i].type != ICE_RELAY)
			others++;
	}
	if (slot < 0 || (type == ICE_HOST && hosts >= ICE_HOSTS_MAX) ||
	    (type != ICE_RELAY && hosts + others >= ICE_LOCALS_MAX - RELAYS_KEPT)) {
		ice->stats.over_limit++;
		return -1;
	}
	return slot;
}

/* A reflexive candidate on a base that is there; -1 at the limit. */
static int add_reflexive(struct ice *ice, const struct lcand *base, const struct addr *addr,
			 enum ice_type type, const struct addr *server)
{
	int i = free_local(ice, type);
	struct lcand *l;

	if (i < 0)
		return -1;
	l = &ice->locals[i];
	*l = (struct lcand){
		.used = true,
		.type = type,
		.addr = *addr,
		.base = base->addr,
		.related = base->addr,
		.transport = base->transport,
		.net = base->net,
		.preference = base->preference,
		.priority = ice__priority(type, base->transport, base->preference),
		.announce = type == ICE_SRFLX,
	};
	set_foundation(ice, l, server);
	ice->stats.reflexive += type == ICE_PRFLX;
	return i;
}

/*
 * The candidate that a check from base showed itself as; a new one is peer-reflexive (§7.2.5.3.1).
 * The other side could make up any number of them: beyond a limit another reflexive one of the base
 * stands for it, else the base itself.
 */
int ice__local_mapped(struct ice *ice, const struct lcand *base, const struct addr *mapped)
{
	struct addr addr = *mapped;
	int i, reflexive = 0, stand_in = (int)(base - ice->locals);

	addr.scope = base->addr.scope;
	if (base->transport == ICE_TCP_ACTIVE && addr_ip_equal(&addr, &base->addr))
		return stand_in; /* each connection has a port of its own */
	i = find_local(ice, &addr, &base->addr, ice_via(base->transport));
	if (i >= 0)
		return i;
	for (i = 0; i < ICE_LOCALS_MAX; i++) {
		if (!ice->locals[i].used || ice->locals[i].type != ICE_PRFLX)
			continue;
		reflexive++;
		if (ice->locals[i].transport == base->transport &&
		    addr_equal(&ice->locals[i].base, &base->addr))
			stand_in = i;
	}
	i = reflexive < PRFLX_LOCALS_MAX ? add_reflexive(ice, base, &addr, ICE_PRFLX, NULL) : -1;
	return i < 0 ? stand_in : i;
}

/* Those that no pair stands for any more. */
void ice__local_forget_mapped(struct ice *ice, int keep)
{
	for (int i = 0; i < ICE_LOCALS_MAX; i++)
		if (ice->locals[i].type == ICE_PRFLX && i != keep)
			ice->locals[i].used = false;
}

static bool usable(const struct ice *ice, const struct addr *a)
{
	enum addr_range range = addr_range(a);

	return a->family != ADDR_NONE && a->port != 0 && range != ADDR_UNSPECIFIED &&
	       range != ADDR_MULTICAST && (range != ADDR_LOOPBACK || ice->config.loopback);
}

/* Whether a server at to can say anything about from. */
static bool worth_asking(const struct lcand *from, const struct addr *to)
{
	bool loop_from = addr_range(&from->addr) == ADDR_LOOPBACK;
	bool loop_to = addr_range(to) == ADDR_LOOPBACK;

	return from->used && from->type == ICE_HOST && from->transport == ICE_UDP &&
	       from->addr.family == to->family && loop_from == loop_to &&
	       addr_range(&from->addr) != ADDR_LINK_LOCAL;
}

static void probe_add(struct ice *ice, usec_t now, int local, int server)
{
	if (!worth_asking(&ice->locals[local], &ice->servers[server]))
		return;
	for (int i = 0; i < PROBES_MAX; i++)
		if (!ice->probes[i].used) {
			ice->probes[i] = (struct probe){
				.used = true,
				.local = local,
				.server = server,
				.refresh = USEC_NEVER,
			};
			stun_client_start(&ice->probes[i].client, ice->rng, now, 0);
			ice->gathered = false;
			return;
		}
	ice->stats.over_limit++;
}

static int add_host(struct ice *ice, usec_t now, const struct ice_local *local)
{
	int i = free_local(ice, local->type);
	struct lcand *l;

	if (i < 0)
		return FL_EQUOTA;
	l = &ice->locals[i];
	*l = (struct lcand){
		.used = true,
		.announce = true,
		.type = local->type,
		.addr = local->addr,
		.base = local->addr,
		.transport = local->transport,
		.net = local->net,
		.preference = local_preference(local, i),
	};
	if (local->type == ICE_RELAY)
		l->related = local->related;
	l->priority = ice__priority(l->type, l->transport, l->preference);
	set_foundation(ice, l, NULL);
	ice__pair_local(ice, i);
	for (int s = 0; s < (int)ice->n_servers; s++)
		probe_add(ice, now, i, s);
	return 0;
}

int ice_add_local(struct ice *ice, usec_t now, const struct ice_local *local)
{
	int base, err = 0;

	if (!usable(ice, &local->addr) || local->type == ICE_PRFLX ||
	    local->transport == ICE_TCP_SO ||
	    (local->transport != ICE_UDP && local->type != ICE_HOST))
		return FL_EUNSUPPORTED;
	if (local->type == ICE_SRFLX) {
		base = ice__local_of_base(ice, &local->base, DGRAM_UDP);
		if (base < 0)
			return -ENOENT;
		if (find_local(ice, &local->addr, &local->base, DGRAM_UDP) >= 0)
			return -EEXIST;
		if (add_reflexive(ice, &ice->locals[base], &local->addr, ICE_SRFLX, NULL) < 0)
			err = FL_EQUOTA;
	} else if (ice__local_of_base(ice, &local->addr, ice_via(local->transport)) >= 0) {
		return -EEXIST;
	} else {
		err = add_host(ice, now, local);
	}
	ice__turn_end(ice, now);
	return err;
}

int ice_remove_local(struct ice *ice, usec_t now, const struct addr *addr, enum dgram_via via)
{
	int base = ice__local_of_base(ice, addr, via);
	bool lost = false;

	if (base < 0)
		return -ENOENT;
	for (int i = 0; i < ICE_PAIRS_MAX; i++)
		if (ice->pairs[i].used && ice->pairs[i].local == base) {
			lost = lost || ice->selected == i;
			ice__pair_drop(ice, i);
		}
	for (int i = 0; i < PROBES_MAX; i++)
		if (ice->probes[i].used && ice->probes[i].local == base)
			ice->probes[i].used = false;
	for (int i = 0; i < ICE_LOCALS_MAX; i++)
		if (ice->locals[i].used && ice_via(ice->locals[i].transport) == via &&
		    addr_equal(&ice->locals[i].base, addr))
			ice->locals[i].used = false;
	if (lost)
		ice__revive(ice, now);
	ice__turn_end(ice, now);
	return 0;
}

int ice_add_stun_server(struct ice *ice, usec_t now, const struct addr *server)
{
	int s = (int)ice->n_servers;

	for (size_t i = 0; i < ice->n_servers; i++)
		if (addr_equal(&ice->servers[i], server))
			return -EEXIST;
	if (ice->n_servers == ICE_STUN_SERVERS_MAX)
		return FL_EQUOTA;
	if (!usable(ice, server))
		return FL_EUNSUPPORTED;
	ice->servers[ice->n_servers++] = *server;
	for (int i = 0; i < ICE_LOCALS_MAX; i++)
		probe_add(ice, now, i, s);
	ice__turn_end(ice, now);
	return 0;
}

void ice_end_of_locals(struct ice *ice, usec_t now)
{
	ice->locals_done = true;
	ice__turn_end(ice, now);
}

/* A mapping on the same public address that differs only by port comes from a NAT that maps per
 * destination: no peer can use it, one such candidate is enough. */
static bool adds_something(const struct ice *ice, const struct lcand *base,
			   const struct addr *mapped)
{
	for (int i = 0; i < ICE_LOCALS_MAX; i++) {
		const struct lcand *l = &ice->locals[i];

		if (!l->used || l->type == ICE_PRFLX || l->transport != ICE_UDP)
			continue;
		if (addr_equal(&l->addr, mapped))
			return false;
		if (l->type == ICE_SRFLX && addr_equal(&l->base, &base->addr) &&
		    addr_ip_equal(&l->addr, mapped))
			return false;
	}
	return true;
}

/* The NAT gave the base another address since the server was last asked. */
static bool moved(struct ice *ice, const struct lcand *base, const struct addr *was,
		  const struct addr *mapped)
{
	int i = was->family == ADDR_NONE ? -1 : find_local(ice, was, &base->addr, DGRAM_UDP);

	if (i < 0 || ice->locals[i].type != ICE_SRFLX || addr_equal(was, mapped))
		return false;
	ice->locals[i].addr = *mapped;
	ice->locals[i].announce = true;
	return true;
}

static void probe_mapped(struct ice *ice, usec_t now, struct probe *p, const struct stun_msg *m)
{
	const struct lcand *base = &ice->locals[p->local];
	struct addr mapped, was = p->mapped;

	p->rtt_us = (uint32_t)stun_client_end(&p->client, now);
	p->refresh = usec_add(now, REFRESH_US);
	if (m->class != STUN_SUCCESS ||
	    (!stun_get_xor_addr(m, STUN_XOR_MAPPED_ADDRESS, &mapped) &&
	     !stun_get_addr(m, STUN_MAPPED_ADDRESS, &mapped)) ||
	    !usable(ice, &mapped)) {
		p->gave_up = true;
		return;
	}
	p->answered = true;
	p->gave_up = false;
	p->mapped = addr_unmap(&mapped);
	if (!moved(ice, base, &was, &p->mapped) && adds_something(ice, base, &p->mapped))
		add_reflexive(ice, base, &p->mapped, ICE_SRFLX, &ice->servers[p->server]);
}

/* Believed only from the server's address to the address that asked, with our transaction id. */
bool ice__probe_answer(struct ice *ice, usec_t now, const struct dgram *d, const struct stun_msg *m)
{
	for (int i = 0; i < PROBES_MAX; i++) {
		struct probe *p = &ice->probes[i];

		if (p->used && d->via == DGRAM_UDP && stun_client_is(&p->client, m) &&
		    addr_equal(&d->remote, &ice->servers[p->server]) &&
		    addr_equal(&d->local, &ice->locals[p->local].addr)) {
			probe_mapped(ice, now, p, m);
			return true;
		}
	}
	return false;
}

static void probe_send(struct ice *ice, struct probe *p)
{
	struct out *o = ice__output(ice, &ice->locals[p->local].addr, &ice->servers[p->server],
				    DGRAM_UDP);
	struct stun_out s;
	int len;

	if (!o)
		return;
	stun_begin(&s, o->data, sizeof(o->data), STUN_REQUEST, STUN_BINDING, p->client.tid);
	stun_put_fingerprint(&s);
	len = stun_end(&s);
	o->len = (uint16_t)FL_MAX(len, 0);
	p->sent++;
}

/* Bindings are kept open only as long as the other side may still come to them; who never answered
 * is asked on only while somebody waits for it. */
static bool refreshes(const struct ice *ice, const struct probe *p)
{
	if (p->client.running)
		return false;
	return ice->state == ICE_CHECKING || (ice->state == ICE_NEW && p->answered);
}

void ice__probe_timeout(struct ice *ice, usec_t now)
{
	bool busy = false;

	for (int i = 0; i < PROBES_MAX; i++) {
		struct probe *p = &ice->probes[i];

		if (!p->used)
			continue;
		if (refreshes(ice, p) && now >= p->refresh)
			stun_client_start(&p->client, ice->rng, now, STUN_RTO_MAX_US / 2);
		switch (stun_client_due(&p->client, now)) {
		case STUN_CLIENT_SEND:
			probe_send(ice, p);
			break;
		case STUN_CLIENT_GIVE_UP:
			/* all lost, perhaps: asked on as long as it would help */
			p->gave_up = !p->answered;
			p->refresh = usec_add(now, ASK_AGAIN_US);
			break;
		case STUN_CLIENT_WAIT:
			break;
		}
		busy = busy || (p->client.running && !p->answered && !p->gave_up);
	}
	if (ice->locals_done && !busy && !ice->gathered) {
		ice->gathered = true;
		ice->event_gathered = true;
	}
}

/* Servers that never answered, once each: UDP may pass by now. */
void ice__probe_again(struct ice *ice, usec_t now)
{
	for (int i = 0; i < PROBES_MAX; i++) {
		struct probe *p = &ice->probes[i];

		if (p->used && !p->answered && !p->client.running)
			stun_client_start_once(&p->client, ice->rng, now, ASK_AGAIN_US);
	}
}

usec_t ice__probe_deadline(const struct ice *ice)
{
	usec_t at = USEC_NEVER;

	for (int i = 0; i < PROBES_MAX; i++) {
		const struct probe *p = &ice->probes[i];

		if (!p->used)
			continue;
		at = usec_min(at, stun_client_deadline(&p->client));
		if (refreshes(ice, p))
			at = usec_min(at, p->refresh);
	}
	return at;
}

/*
 * The path is in doubt. What the NAT gave us may be another one by now; and one candidate that the
 * other side knows is announced anew, so that it begins to check as well: ours alone may not come
 * through its NAT.
 */
void ice__tell_again(struct ice *ice, usec_t now)
{
	int tell = -1;

	for (int i = 0; i < ICE_LOCALS_MAX; i++) {
		const struct lcand *l = &ice->locals[i];

		if (l->used && l->type != ICE_PRFLX && l->transport != ICE_TCP_ACTIVE &&
		    (tell < 0 || (l->type == ICE_SRFLX && ice->locals[tell].type != ICE_SRFLX)))
			tell = i;
	}
	if (tell >= 0)
		ice->locals[tell].announce = true;
	for (int i = 0; i < PROBES_MAX; i++)
		if (ice->probes[i].used && ice->probes[i].answered)
			stun_client_start(&ice->probes[i].client, ice->rng, now, 0);
}

/* After a restart all is announced again, and the servers are asked again. */
void ice__probe_restart(struct ice *ice, usec_t now)
{
	for (int i = 0; i < ICE_LOCALS_MAX; i++)
		ice->locals[i].announce = ice->locals[i].used && ice->locals[i].type != ICE_PRFLX;
	for (int i = 0; i < PROBES_MAX; i++)
		if (ice->probes[i].used) {
			ice->probes[i].answered = ice->probes[i].gave_up = false;
			stun_client_start(&ice->probes[i].client, ice->rng, now, 0);
		}
	ice->gathered = false;
}
