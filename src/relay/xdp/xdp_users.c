#include "relay/xdp/xdp_users.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/map.h"
#include "relay/xdp/maps.h"

/* The program's clock may be a tick late, so a place is not given to another at once. */
#define LINGER_US USEC_PER_SEC

struct user {
	uint32_t id, place;
	usec_t until;
};

struct xdp_users {
	pthread_mutex_t lock;
	struct map *by_id; /* struct user */
	struct xdp_user *shared;
	size_t shared_len, max;
	uint32_t *free; /* places, as a stack */
	size_t n_free;
};

int xdp_users_create(int map, size_t max, struct xdp_users **out)
{
	struct xdp_users *u = calloc(1, sizeof(*u));
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *shared;

	*out = NULL;
	if (!u)
		return -ENOMEM;
	pthread_mutex_init(&u->lock, NULL);
	u->max = max;
	u->shared_len = (max * sizeof(struct xdp_user) + page - 1) / page * page;
	u->by_id = map_create(rng_system(), max);
	u->free = calloc(max, sizeof(*u->free));
	shared = mmap(NULL, u->shared_len, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	u->shared = shared == MAP_FAILED ? NULL : shared;
	if (!u->by_id || !u->free || !u->shared) {
		xdp_users_destroy(u);
		return -ENOMEM;
	}
	for (size_t i = 0; i < max; i++)
		if (max - 1 - i != XDP_ALL_USERS)
			u->free[u->n_free++] = (uint32_t)(max - 1 - i);
	*out = u;
	return 0;
}

void xdp_users_destroy(struct xdp_users *u)
{
	size_t cursor = 0;
	struct user *user;

	if (!u)
		return;
	while (u->by_id && (user = map_next(u->by_id, &cursor)))
		free(user);
	map_destroy(u->by_id);
	if (u->shared)
		munmap(u->shared, u->shared_len);
	free(u->free);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static int add(struct xdp_users *u, uint32_t id, struct user **out)
{
	struct user *user;
	int err;

	if (u->n_free == 0)
		return -E2BIG;
	user = calloc(1, sizeof(*user));
	if (!user)
		return -ENOMEM;
	user->id = id;
	user->place = u->free[u->n_free - 1];
	err = map_put(u->by_id, span_of(&user->id, sizeof(user->id)), user);
	if (err) {
		free(user);
		return err == FL_EQUOTA ? -E2BIG : err;
	}
	u->n_free--;
	u->shared[user->place] = (struct xdp_user){ 0 };
	*out = user;
	return 0;
}

/* Nanoseconds of one of so many a second, 16 bits after the point when shifted; 0 is no limit. */
static uint64_t cost(uint64_t per_s, unsigned shift)
{
	return per_s ? FL_MAX((UINT64_C(1000000000) << shift) / per_s, UINT64_C(1)) : 0;
}

static void set_rates(struct xdp_user *shared, uint64_t bytes_per_s, uint64_t packets_per_s)
{
	__atomic_store_n(&shared->byte_cost_ns_16, cost(bytes_per_s, 16), __ATOMIC_RELAXED);
	__atomic_store_n(&shared->packet_cost_ns, cost(packets_per_s, 0), __ATOMIC_RELAXED);
}

int xdp_users_put(struct xdp_users *u, const struct xdp_binding *b, uint32_t *place)
{
	struct user *user;
	int err = 0;

	pthread_mutex_lock(&u->lock);
	user = map_get(u->by_id, span_of(&b->user, sizeof(b->user)));
	if (!user)
		err = add(u, b->user, &user);
	if (!err) {
		user->until = FL_MAX(user->until, b->until);
		set_rates(&u->shared[user->place], b->bytes_per_s, b->packets_per_s);
		*place = user->place;
	}
	pthread_mutex_unlock(&u->lock);
	return err;
}

void xdp_users_put_all(struct xdp_users *u, const struct xdp_binding *b)
{
	set_rates(&u->shared[XDP_ALL_USERS], b->all_bytes_per_s, b->all_packets_per_s);
}

void xdp_users_sweep(struct xdp_users *u, usec_t now)
{
	size_t cursor = 0;
	struct user *user;

	pthread_mutex_lock(&u->lock);
	while ((user = map_next(u->by_id, &cursor)))
		if (usec_add(user->until, LINGER_US) < now) {
			map_remove(u->by_id, span_of(&user->id, sizeof(user->id)));
			u->free[u->n_free++] = user->place;
			free(user);
		}
	pthread_mutex_unlock(&u->lock);
}
