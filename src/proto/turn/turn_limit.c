#include "proto/turn/turn_limit.h"

#define REQUESTS_PER_S 400
#define PREFIX_BYTES 8192
#define PREFIX_BYTES_PER_S 512
#define ALL_BYTES 524288
#define ALL_BYTES_PER_S 65536

struct account {
	usec_t second;
	uint32_t requests; /* in that second */
	usec_t paid_at;	   /* until when time has paid back */
	uint64_t advanced; /* bytes answered beyond those brought, and not yet paid back */
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
	if (!l->config.prefix_bytes)
		l->config.prefix_bytes = PREFIX_BYTES;
	if (!l->config.prefix_bytes_per_s)
		l->config.prefix_bytes_per_s = PREFIX_BYTES_PER_S;
	if (!l->config.all_bytes)
		l->config.all_bytes = ALL_BYTES;
	if (!l->config.all_bytes_per_s)
		l->config.all_bytes_per_s = ALL_BYTES_PER_S;
	l->key = rng_u64(rng);
	return l;
}

void turn_limit_destroy(struct turn_limit *l)
{
	free(l);
}

static void pay(struct account *a, uint64_t bytes)
{
	a->advanced -= FL_MIN(a->advanced, bytes);
}

/* Whole bytes only; the rest of the time is kept for later. */
static struct account *at_time(struct account *a, usec_t now, unsigned bytes_per_s)
{
	usec_t second = now / USEC_PER_SEC, passed = usec_sub(now, a->paid_at);
	uint64_t bytes;

	if (a->second != second) {
		a->second = second;
		a->requests = 0;
	}
	if (a->advanced == 0 || passed > USEC_PER_SEC * 3600) {
		a->advanced = 0;
		a->paid_at = now;
		return a;
	}
	bytes = passed * bytes_per_s / USEC_PER_SEC;
	pay(a, bytes);
	a->paid_at += bytes * USEC_PER_SEC / bytes_per_s;
	return a;
}

static struct account *all_of(struct turn_limit *l, usec_t now)
{
	return at_time(&l->all, now, l->config.all_bytes_per_s);
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
	return at_time(&l->prefixes[addr_hash(&prefix, l->key) % TURN_LIMIT_SLOTS], now,
		       l->config.prefix_bytes_per_s);
}

/* What is brought beyond the advance is not saved up: it would be answered to somebody else. */
void turn_limit_proved(struct turn_limit *l, usec_t now, const struct addr *from, size_t len)
{
	pay(prefix_of(l, now, from), len);
	pay(all_of(l, now), len);
}

bool turn_limit_request(struct turn_limit *l, usec_t now, const struct addr *from, size_t len)
{
	struct account *prefix = prefix_of(l, now, from);

	if (prefix->requests >= l->config.requests_per_s)
		return false;
	prefix->requests++;
	turn_limit_proved(l, now, from, len);
	return true;
}

bool turn_limit_answer(struct turn_limit *l, usec_t now, const struct addr *from, size_t len)
{
	struct account *prefix = prefix_of(l, now, from), *all = all_of(l, now);

	if (prefix->advanced + len > l->config.prefix_bytes ||
	    all->advanced + len > l->config.all_bytes)
		return false;
	prefix->advanced += len;
	all->advanced += len;
	return true;
}
