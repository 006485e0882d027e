#include "proto/turn/turn_limit.h"

#define REQUESTS_PER_S 400
#define PREFIX_BYTES_PER_S 8192
#define ALL_BYTES_PER_S 1048576

/* What happened in one second; a new second begins at zero. */
struct account {
	usec_t second;
	uint32_t requests;
	uint64_t brought, answered; /* bytes */
};

struct turn_limit {
	struct turn_limit_config config;
	uint64_t key; /* of the slots' hash, so that nobody can choose a neighbour */
	struct account all, prefixes[TURN_LIMIT_SLOTS];
};

struct turn_limit *turn_limit_create(const struct turn_limit_config *config, struct rng *rng)
{
	struct turn_limit *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	if (config)
		l->config = *config;
	if (!l->config.requests_per_s)
		l->config.requests_per_s = REQUESTS_PER_S;
	if (!l->config.prefix_bytes_per_s)
		l->config.prefix_bytes_per_s = PREFIX_BYTES_PER_S;
	if (!l->config.all_bytes_per_s)
		l->config.all_bytes_per_s = ALL_BYTES_PER_S;
	l->key = rng_u64(rng);
	return l;
}

void turn_limit_destroy(struct turn_limit *l)
{
	free(l);
}

static struct account *at_second(struct account *a, usec_t now)
{
	usec_t second = now / USEC_PER_SEC;

	if (a->second != second)
		*a = (struct account){ .second = second };
	return a;
}

/* IPv4 /24, IPv6 /48: what one owner of addresses has, or at least a site. */
static struct account *prefix_of(struct turn_limit *l, usec_t now, const struct addr *from)
{
	struct addr prefix = addr_unmap(from);

	prefix.port = 0;
	prefix.scope = 0;
	if (prefix.family == ADDR_V4)
		prefix.ip[3] = 0;
	else
		memset(prefix.ip + 6, 0, 10);
	return at_second(&l->prefixes[addr_hash(&prefix, l->key) % TURN_LIMIT_SLOTS], now);
}

bool turn_limit_request(struct turn_limit *l, usec_t now, const struct addr *from, size_t len)
{
	struct account *prefix = prefix_of(l, now, from), *all = at_second(&l->all, now);

	if (prefix->requests >= l->config.requests_per_s)
		return false;
	prefix->requests++;
	prefix->brought += len;
	all->brought += len;
	return true;
}

bool turn_limit_answer(struct turn_limit *l, usec_t now, const struct addr *from, size_t len)
{
	struct account *prefix = prefix_of(l, now, from), *all = at_second(&l->all, now);

	if (prefix->answered + len > prefix->brought + l->config.prefix_bytes_per_s ||
	    all->answered + len > all->brought + l->config.all_bytes_per_s)
		return false;
	prefix->answered += len;
	all->answered += len;
	return true;
}
