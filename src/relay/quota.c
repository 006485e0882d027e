#include "relay/quota.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"

#define QUOTA_IDLE_MAX 1024 /* users without allocations whose rate is still remembered */
#define BURST_US USEC_PER_SEC
#define STEPS 65536u /* of a bucket's clock in a microsecond: a cost is exact to 15 ps */

/*
 * A token bucket as one number (the generic cell rate algorithm): the time at which all that passed
 * would have passed at exactly the rate. Ahead of now by more than a burst: over the rate. Time is
 * in STEPS of a microsecond, from the first use of these quotas; 64 bits hold eight years.
 */
struct bucket {
	_Atomic uint64_t until;
};

struct rates {
	_Atomic uint64_t bytes, packets; /* a second; 0: no limit */
};

struct quota_user {
	struct quotas *owner;
	struct list node;     /* of the idle ones */
	unsigned allocations; /* under the lock */
	uint32_t id;
	struct bucket bytes, packets;
	size_t name_len;
	char name[];
};

struct quotas {
	pthread_mutex_t lock;
	struct map *users;
	struct list idle; /* longest idle first */
	size_t n_idle;
	uint32_t last_id;
	uint64_t allocations;
	unsigned per_user_max, total_max; /* 0: no limit */
	atomic_bool limited;		  /* any rate */
	_Atomic uint64_t epoch;		  /* plus one; 0: not begun */
	struct rates per_user, total;
	struct bucket total_bytes, total_packets;
};

int quotas_create(struct quotas **out)
{
	struct quotas *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->users = map_create(rng_system(), QUOTA_USERS_MAX);
	if (!q->users || pthread_mutex_init(&q->lock, NULL) != 0) {
		map_destroy(q->users);
		free(q);
		return -ENOMEM;
	}
	list_init(&q->idle);
	*out = q;
	return 0;
}

void quotas_destroy(struct quotas *q)
{
	size_t cursor = 0;
	struct quota_user *u;

	if (!q)
		return;
	while ((u = map_next(q->users, &cursor)))
		free(u);
	map_destroy(q->users);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static void set_rates(struct rates *r, const struct settings_quota *from)
{
	atomic_store(&r->bytes, from->bytes_per_s);
	atomic_store(&r->packets, from->packets_per_s);
}

void quotas_set(struct quotas *q, const struct settings_quota *per_user,
		const struct settings_quota *total)
{
	pthread_mutex_lock(&q->lock);
	q->per_user_max = per_user->allocations;
	q->total_max = total->allocations;
	set_rates(&q->per_user, per_user);
	set_rates(&q->total, total);
	atomic_store(&q->limited, per_user->bytes_per_s || per_user->packets_per_s ||
					  total->bytes_per_s || total->packets_per_s);
	pthread_mutex_unlock(&q->lock);
}

/* ---- allocations ---- */

static void forget(struct quotas *q, struct quota_user *u)
{
	if (!list_empty(&u->node)) {
		list_remove(&u->node);
		q->n_idle--;
	}
	(void)map_remove(q->users, span_of(u->name, u->name_len));
	free(u);
}

static struct quota_user *add_user(struct quotas *q, struct span name)
{
	struct quota_user *u = calloc(1, sizeof(*u) + name.len + 1);

	if (!u)
		return NULL;
	u->owner = q;
	list_init(&u->node);
	u->id = ++q->last_id;
	u->name_len = name.len;
	memcpy(u->name, name.ptr, name.len);
	if (map_count(q->users) >= QUOTA_USERS_MAX && !list_empty(&q->idle))
		forget(q, list_entry(q->idle.next, struct quota_user, node));
	if (map_put(q->users, name, u) < 0) {
		free(u);
		return NULL;
	}
	return u;
}

static int take_locked(struct quotas *q, struct span name, struct quota_user **out)
{
	struct quota_user *u = map_get(q->users, name);

	if (u && q->per_user_max && u->allocations >= q->per_user_max)
		return 486;
	if (q->total_max && q->allocations >= q->total_max)
		return 508;
	if (!u)
		u = add_user(q, name);
	if (!u)
		return 508;
	if (!list_empty(&u->node)) {
		list_remove(&u->node);
		q->n_idle--;
	}
	u->allocations++;
	q->allocations++;
	*out = u;
	return 0;
}

int quota_take(struct quotas *q, const char *user, struct quota_user **out)
{
	int code;

	pthread_mutex_lock(&q->lock);
	code = take_locked(q, span_str(user), out);
	pthread_mutex_unlock(&q->lock);
	return code;
}

/* A user who ends and begins allocations anew must not get a full bucket each time. */
static void idle_locked(struct quotas *q, struct quota_user *u)
{
	if (!atomic_load(&q->limited)) {
		forget(q, u);
		return;
	}
	list_push_back(&q->idle, &u->node);
	q->n_idle++;
	if (q->n_idle > QUOTA_IDLE_MAX)
		forget(q, list_entry(q->idle.next, struct quota_user, node));
}

void quota_put(struct quotas *q, struct quota_user *u)
{
	pthread_mutex_lock(&q->lock);
	q->allocations--;
	if (--u->allocations == 0)
		idle_locked(q, u);
	pthread_mutex_unlock(&q->lock);
}

/* ---- rates ---- */

static uint64_t steps_now(struct quotas *q, usec_t now)
{
	uint64_t epoch = atomic_load_explicit(&q->epoch, memory_order_relaxed), none = 0;

	if (epoch == 0) {
		epoch = now + 1;
		if (!atomic_compare_exchange_strong(&q->epoch, &none, epoch))
			epoch = none;
	}
	/* a burst ahead, so that what is full lies before now */
	return (usec_sub(now + 1, epoch) + BURST_US) * STEPS;
}

/* Rounded up: a limit may be missed downwards by that much, never upwards. */
static uint64_t cost_of(size_t n, uint64_t rate)
{
	unsigned __int128 steps = (unsigned __int128)n * USEC_PER_SEC * STEPS;

	return (uint64_t)((steps + rate - 1) / rate);
}

/* Passes while less than a burst is owed; what passes may be owed, so a large batch is only late.
 */
static bool take(struct bucket *b, uint64_t now, uint64_t rate, size_t n)
{
	uint64_t was, from, cost;

	if (rate == 0)
		return true;
	cost = cost_of(n, rate);
	was = atomic_load_explicit(&b->until, memory_order_relaxed);
	do {
		if (was >= now)
			return false;
		from = FL_MAX(was, now - BURST_US * STEPS);
	} while (!atomic_compare_exchange_weak_explicit(
		&b->until, &was, from + cost, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* Another bucket refused. */
static void give_back(struct bucket *b, uint64_t rate, size_t n)
{
	if (rate)
		atomic_fetch_sub_explicit(&b->until, cost_of(n, rate), memory_order_relaxed);
}

static uint64_t rate_of(_Atomic uint64_t *rate)
{
	return atomic_load_explicit(rate, memory_order_relaxed);
}

bool quota_pass(struct quota_user *u, usec_t now, size_t packets, size_t bytes)
{
	struct quotas *q = u->owner;
	struct {
		struct bucket *bucket;
		uint64_t rate;
		size_t n;
	} all[4];
	uint64_t at;

	if (!atomic_load_explicit(&q->limited, memory_order_relaxed))
		return true;
	at = steps_now(q, now);
	all[0].bucket = &u->packets, all[0].rate = rate_of(&q->per_user.packets);
	all[1].bucket = &u->bytes, all[1].rate = rate_of(&q->per_user.bytes);
	all[2].bucket = &q->total_packets, all[2].rate = rate_of(&q->total.packets);
	all[3].bucket = &q->total_bytes, all[3].rate = rate_of(&q->total.bytes);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		all[i].n = i % 2 ? bytes : packets;
		if (take(all[i].bucket, at, all[i].rate, all[i].n))
			continue;
		while (i-- > 0)
			give_back(all[i].bucket, all[i].rate, all[i].n);
		return false;
	}
	return true;
}

void quota_rates(const struct quota_user *u, uint64_t *bytes_per_s, uint64_t *packets_per_s)
{
	*bytes_per_s = rate_of(&u->owner->per_user.bytes);
	*packets_per_s = rate_of(&u->owner->per_user.packets);
}

void quotas_rates(struct quotas *q, uint64_t *bytes_per_s, uint64_t *packets_per_s)
{
	*bytes_per_s = rate_of(&q->total.bytes);
	*packets_per_s = rate_of(&q->total.packets);
}

uint32_t quota_id(const struct quota_user *u)
{
	return u->id;
}
