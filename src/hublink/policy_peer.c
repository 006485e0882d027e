#include "hublink/policy_peer.h"

#include <stdio.h>

static void put_list(const struct policy_list *l, const char **out)
{
	for (unsigned i = 0; i < l->n; i++)
		out[i] = l->items[i];
}

void policy_to_console(const struct policy *p, struct fl_route_policy *out,
		       struct fl_peer_config *config)
{
	static const enum fl_relay_use uses[] = {
		[POLICY_RELAY_ALLOWED] = FL_RELAY_ALLOWED,
		[POLICY_RELAY_LAST_RESORT] = FL_RELAY_LAST_RESORT,
		[POLICY_RELAY_FORBIDDEN] = FL_RELAY_FORBIDDEN,
	};

	*out = (struct fl_route_policy){
		.no_local = !p->methods[POLICY_LOCAL],
		.no_punched = !p->methods[POLICY_PUNCHED],
		.no_relayed = !p->methods[POLICY_RELAYED],
		.relay = uses[p->relay],
		.no_turn_udp = !p->turn[POLICY_UDP],
		.no_turn_tcp = !p->turn[POLICY_TCP],
		.no_turn_tls = !p->turn[POLICY_TLS],
		.no_turn_wss = !p->turn[POLICY_WSS],
		.dscp = p->dscp,
		/* until the hub tells this session's share */
		.max_kbit = policy_kbit(p),
	};
	config->policy = out;
}

void policy_to_peer(const struct policy *p, struct fl_route_policy *out,
		    struct fl_peer_config *config)
{
	policy_to_console(p, out, config);
	put_list(&p->prefer_interfaces, out->prefer_interfaces);
	put_list(&p->exclude_interfaces, out->exclude_interfaces);
	put_list(&p->prefer_subnets, out->prefer_subnets);
	put_list(&p->exclude_subnets, out->exclude_subnets);
	config->port_min = p->port_min;
	config->port_max = p->port_max;
}

const char *policy_limits(const struct policy *p, char dst[100])
{
	const char *names[POLICY_METHOD_COUNT];
	size_t n = 0;

	dst[0] = 0;
	for (int i = 0; i < POLICY_METHOD_COUNT; i++)
		if (i == POLICY_RELAYED ? policy_relays(p) : p->methods[i])
			names[n++] = policy_method_names[i];
	if (n == 0)
		snprintf(dst, 100, " The policy allows no kind of route.");
	else if (n < POLICY_METHOD_COUNT)
		snprintf(dst, 100, " The policy allows only %s%s%s routes.", names[0],
			 n > 1 ? " and " : "", n > 1 ? names[1] : "");
	return dst;
}

const char *policy_ports_full(const struct policy *p, char dst[200])
{
	snprintf(dst, 200,
		 "No UDP port of %u-%u is free on this device: running sessions have them. Widen "
		 "udpPorts in the policy, or end a session.",
		 p->port_min, p->port_max);
	return dst;
}
