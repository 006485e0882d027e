/*
 * What of an administrator's policy (struct fl_route_policy) the driver keeps to: which addresses
 * get sockets and in which order they are preferred, which servers are asked. What depends on how
 * addresses pair is the core's (policy.c).
 */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/text.h"
#include "peer/driver.h"

#define PREFERRED                                                                                  \
	255 /* the first pattern; the next one less. 128 and more go before the family             \
	     */

static int parse_subnet(const char *text, struct addr *base, unsigned *bits)
{
	char ip[ADDR_TEXT_MAX], *end;
	const char *slash = strchr(text, '/');
	unsigned long n;

	if (!slash || !text_copy_span(ip, sizeof(ip), span_of(text, (size_t)(slash - text))) ||
	    addr_parse_ip(ip, base) < 0)
		return -EINVAL;
	n = strtoul(slash + 1, &end, 10);
	if (slash[1] < '0' || slash[1] > '9' || *end || n > (base->family == ADDR_V4 ? 32 : 128))
		return -EINVAL;
	*bits = (unsigned)n;
	return 0;
}

static int take_patterns(const char *const *from, struct driver_patterns *to)
{
	for (; from[to->n]; to->n++)
		if (to->n == FL_POLICY_LIST_MAX ||
		    !text_copy(to->text[to->n], sizeof(to->text[0]), from[to->n]))
			return -EINVAL;
	return 0;
}

static int take_subnets(struct driver_rules *r, const struct fl_route_policy *policy)
{
	struct peer_policy *core = &r->core;
	int err = 0;

	for (size_t i = 0; err == 0 && i < FL_POLICY_LIST_MAX && policy->exclude_subnets[i]; i++) {
		err = parse_subnet(policy->exclude_subnets[i], &core->excluded[i].base,
				   &core->excluded[i].bits);
		core->n_excluded = i + 1;
	}
	for (size_t i = 0; err == 0 && i < FL_POLICY_LIST_MAX && policy->prefer_subnets[i]; i++) {
		err = parse_subnet(policy->prefer_subnets[i], &r->preferred[i].base,
				   &r->preferred[i].bits);
		r->n_preferred = i + 1;
	}
	return err;
}

int driver_rules_init(struct driver_rules *r, const struct fl_peer_config *config)
{
	const struct fl_route_policy *policy = config->policy;
	int err;

	*r = (struct driver_rules){ .ports = { config->port_min, config->port_max } };
	if (!policy)
		return 0;
	if (policy->dscp > 63)
		return -EINVAL;
	r->dscp = policy->dscp;
	r->no_turn[TURN_UDP] = r->no_turn[TURN_DTLS] = policy->no_turn_udp;
	r->no_turn[TURN_TCP] = policy->no_turn_tcp;
	r->no_turn[TURN_TLS] = policy->no_turn_tls;
	r->no_turn[TURN_WSS] = policy->no_turn_wss;
	r->core = (struct peer_policy){
		.no_local = policy->no_local,
		.no_punched = policy->no_punched,
		.no_relayed = policy->no_relayed || policy->relay == FL_RELAY_FORBIDDEN,
		.relay_last = policy->relay == FL_RELAY_LAST_RESORT,
		.max_kbit = policy->max_kbit,
	};
	err = take_patterns(policy->prefer_interfaces, &r->prefer);
	if (err == 0)
		err = take_patterns(policy->exclude_interfaces, &r->exclude);
	return err < 0 ? err : take_subnets(r, policy);
}

static size_t match(const struct driver_patterns *patterns, const char *name)
{
	size_t i = 0;

	while (i < patterns->n && fnmatch(patterns->text[i], name, FNM_NOESCAPE) != 0)
		i++;
	return i;
}

const char *driver_rules_exclude(const struct driver_rules *r, const struct iface *i)
{
	if (match(&r->exclude, i->name) < r->exclude.n)
		return "the policy excludes its interface";
	if (peer_policy_excludes(&r->core, &i->addr))
		return "the policy excludes its subnet";
	return NULL;
}

uint8_t driver_rules_preference(const struct driver_rules *r, const struct iface *i)
{
	size_t at = match(&r->prefer, i->name);

	if (at < r->prefer.n)
		return (uint8_t)(PREFERRED - at);
	for (at = 0; at < r->n_preferred; at++)
		if (addr_same_prefix(&r->preferred[at].base, &i->addr, r->preferred[at].bits))
			return (uint8_t)(PREFERRED - at);
	return 0;
}

const char *driver_rules_relay(const struct driver_rules *r, enum turn_transport transport)
{
	if (r->core.no_relayed)
		return "the policy allows no relayed route";
	if (r->no_turn[transport])
		return "the policy does not allow this way to a relay";
	return NULL;
}
