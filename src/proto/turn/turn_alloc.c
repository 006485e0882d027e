#include <errno.h>

#include "base/ct.h"
#include "base/err.h"
#include "proto/turn/turn_internal.h"

struct turn_alloc *turn_alloc_create(const char *user, struct rng *rng)
{
	size_t user_size = strlen(user) + 1;
	struct turn_alloc *a = calloc(1, sizeof(*a) + user_size);

	if (!a)
		return NULL;
	rng_bytes(rng, a->key, sizeof(a->key));
	memcpy(a->user, user, user_size);
	a->heap_at = TURN_HEAP_NONE;
	a->permissions = a->first_permissions;
	a->channels = a->first_channels;
	a->cap_permissions = a->cap_channels = TURN_INLINE;
	list_init(&a->dirty);
	list_init(&a->connections);
	return a;
}

void turn_alloc_destroy(struct turn_alloc *a)
{
	struct turn_connection *c, *tmp;

	if (!a)
		return;
	list_for_each (c, tmp, &a->connections, in_alloc) {
		ct_wipe(&c->credential, sizeof(c->credential));
		free(c);
	}
	if (a->permissions != a->first_permissions)
		free(a->permissions);
	if (a->channels != a->first_channels)
		free(a->channels);
	free(a->permission_index);
	free(a->channel_index);
	free(a->mobility);
	free(a);
}

/* ---- the index of permissions and channels ---- */

static size_t slots_of(size_t cap)
{
	return 2 * cap;
}

static uint64_t hash_ip(const struct turn_alloc *a, const struct addr *ip)
{
	struct addr bare = *ip;

	bare.port = 0;
	return turn_hash_addr(&bare, 0, a->key);
}

static uint64_t hash_number(const struct turn_alloc *a, uint16_t number)
{
	return turn_hash_pair(number ^ a->key[0], a->key[1] | 1);
}

static void index_put(uint16_t *slots, size_t n_slots, uint64_t hash, size_t place)
{
	size_t at = hash & (n_slots - 1);

	while (slots[at])
		at = (at + 1) & (n_slots - 1);
	slots[at] = (uint16_t)(place + 1);
}

static void index_permission(struct turn_alloc *a, size_t place)
{
	if (a->permission_index)
		index_put(a->permission_index, slots_of(a->cap_permissions),
			  hash_ip(a, &a->permissions[place].ip), place);
}

static void index_channel(struct turn_alloc *a, size_t place)
{
	const struct turn_channel *c = &a->channels[place];
	size_t n = slots_of(a->cap_channels);

	if (!a->channel_index)
		return;
	index_put(a->channel_index, n, hash_number(a, c->number), place);
	index_put(a->channel_index + n, n, turn_hash_addr(&c->peer, 0, a->key), place);
}

static void reindex_permissions(struct turn_alloc *a)
{
	if (!a->permission_index)
		return;
	memset(a->permission_index, 0, slots_of(a->cap_permissions) * sizeof(uint16_t));
	for (size_t i = 0; i < a->n_permissions; i++)
		index_permission(a, i);
}

static void reindex_channels(struct turn_alloc *a)
{
	if (!a->channel_index)
		return;
	memset(a->channel_index, 0, 2 * slots_of(a->cap_channels) * sizeof(uint16_t));
	for (size_t i = 0; i < a->n_channels; i++)
		index_channel(a, i);
}

struct turn_permission *turn_alloc_permission(const struct turn_alloc *a, const struct addr *ip)
{
	if (!a->permission_index) {
		for (size_t i = 0; i < a->n_permissions; i++)
			if (turn_same_ip(&a->permissions[i].ip, ip))
				return &a->permissions[i];
		return NULL;
	}
	for (uint64_t at = hash_ip(a, ip);; at++) {
		size_t place = a->permission_index[at & (slots_of(a->cap_permissions) - 1)];

		if (!place)
			return NULL;
		if (turn_same_ip(&a->permissions[place - 1].ip, ip))
			return &a->permissions[place - 1];
	}
}

struct turn_channel *turn_alloc_find_number(const struct turn_alloc *a, uint16_t number)
{
	if (!a->channel_index) {
		for (size_t i = 0; i < a->n_channels; i++)
			if (a->channels[i].number == number)
				return &a->channels[i];
		return NULL;
	}
	for (uint64_t at = hash_number(a, number);; at++) {
		size_t place = a->channel_index[at & (slots_of(a->cap_channels) - 1)];

		if (!place)
			return NULL;
		if (a->channels[place - 1].number == number)
			return &a->channels[place - 1];
	}
}

struct turn_channel *turn_alloc_find_peer(const struct turn_alloc *a, const struct addr *peer)
{
	const uint16_t *slots;
	size_t mask;

	if (!a->channel_index) {
		for (size_t i = 0; i < a->n_channels; i++)
			if (turn_same_addr(&a->channels[i].peer, peer))
				return &a->channels[i];
		return NULL;
	}
	slots = a->channel_index + slots_of(a->cap_channels);
	mask = slots_of(a->cap_channels) - 1;
	for (uint64_t at = turn_hash_addr(peer, 0, a->key);; at++) {
		size_t place = slots[at & mask];

		if (!place)
			return NULL;
		if (turn_same_addr(&a->channels[place - 1].peer, peer))
			return &a->channels[place - 1];
	}
}

/* ---- the fast path ---- */

const struct addr *turn_alloc_channel(const struct turn_alloc *a, usec_t now, uint16_t number)
{
	const struct turn_channel *c = turn_alloc_find_number(a, number);

	return c && c->works_until > now ? &c->peer : NULL;
}

bool turn_alloc_from_peer(const struct turn_alloc *a, usec_t now, const struct addr *peer,
			  uint16_t *number)
{
	const struct turn_channel *c = turn_alloc_find_peer(a, peer);
	const struct turn_permission *p;

	*number = 0;
	if (a->flow.client.family == ADDR_NONE)
		return false;
	if (c && c->works_until > now) {
		*number = c->number;
		return true;
	}
	p = turn_alloc_permission(a, peer);
	return p && p->until > now && a->until[turn_family_row(peer)] > now && peer->port != 0;
}

/* ---- changes ---- */

/* Doubles *items from first[] or earlier memory. */
static void *grow_items(void *items, const void *first, size_t size, size_t cap)
{
	void *more = malloc(2 * cap * size);

	if (!more)
		return NULL;
	memcpy(more, items, cap * size);
	if (items != first)
		free(items);
	return more;
}

static int grow_permissions(struct turn_alloc *a)
{
	size_t cap = a->cap_permissions;
	uint16_t *index = NULL;
	void *more;

	if (cap >= TURN_PERMISSIONS_MAX)
		return FL_EQUOTA;
	if (2 * cap > TURN_LINEAR) {
		index = malloc(slots_of(2 * cap) * sizeof(*index));
		if (!index)
			return -ENOMEM;
	}
	more = grow_items(a->permissions, a->first_permissions, sizeof(*a->permissions), cap);
	if (!more) {
		free(index);
		return -ENOMEM;
	}
	a->permissions = more;
	a->cap_permissions = (uint16_t)(2 * cap);
	free(a->permission_index);
	a->permission_index = index;
	reindex_permissions(a);
	return 0;
}

static int grow_channels(struct turn_alloc *a)
{
	size_t cap = a->cap_channels;
	uint16_t *index = NULL;
	void *more;

	if (cap >= TURN_CHANNELS_MAX)
		return FL_EQUOTA;
	if (2 * cap > TURN_LINEAR) {
		index = malloc(2 * slots_of(2 * cap) * sizeof(*index));
		if (!index)
			return -ENOMEM;
	}
	more = grow_items(a->channels, a->first_channels, sizeof(*a->channels), cap);
	if (!more) {
		free(index);
		return -ENOMEM;
	}
	a->channels = more;
	a->cap_channels = (uint16_t)(2 * cap);
	free(a->channel_index);
	a->channel_index = index;
	reindex_channels(a);
	return 0;
}

static usec_t drop_permissions(struct turn_alloc *a, usec_t now)
{
	usec_t next = USEC_NEVER;
	size_t kept = 0;

	for (size_t i = 0; i < a->n_permissions; i++) {
		if (a->permissions[i].until <= now)
			continue;
		next = usec_min(next, a->permissions[i].until);
		a->permissions[kept++] = a->permissions[i];
	}
	if (kept != a->n_permissions) {
		a->n_permissions = (uint16_t)kept;
		reindex_permissions(a);
	}
	return next;
}

static bool channel_is_free(const struct turn_channel *c, usec_t now)
{
	return c->over && !c->changed && usec_add(c->until, TURN_CHANNEL_HOLD_US) <= now;
}

static usec_t drop_channels(struct turn_alloc *a, usec_t now)
{
	usec_t next = USEC_NEVER;
	size_t kept = 0;

	for (size_t i = 0; i < a->n_channels; i++) {
		struct turn_channel *c = &a->channels[i];

		if (channel_is_free(c, now))
			continue;
		if (!c->over)
			next = usec_min(next, c->works_until);
		else if (c->changed)
			next = usec_min(next, now + USEC_PER_SEC); /* its event first */
		else
			next = usec_min(next, usec_add(c->until, TURN_CHANNEL_HOLD_US));
		a->channels[kept++] = *c;
	}
	if (kept != a->n_channels) {
		a->n_channels = (uint16_t)kept;
		a->event_at = 0;
		reindex_channels(a);
	}
	return next;
}

static void change_channel(struct turn_alloc *a, struct turn_channel *c)
{
	c->changed = true;
	a->event_at = FL_MIN(a->event_at, (uint16_t)(c - a->channels));
}

static void update_channel(struct turn_alloc *a, usec_t now, struct turn_channel *c)
{
	const struct turn_permission *p = turn_alloc_permission(a, &c->peer);
	usec_t until = p ? usec_min(c->until, p->until) : 0;

	until = usec_min(until, a->until[turn_family_row(&c->peer)]);
	if (until == c->works_until || (until <= now && c->over))
		return;
	c->works_until = until;
	c->over = until <= now;
	change_channel(a, c);
}

void turn_alloc_channels_update(struct turn_alloc *a, usec_t now, const struct addr *ip)
{
	for (size_t i = 0; i < a->n_channels; i++)
		if (!ip || turn_same_ip(&a->channels[i].peer, ip))
			update_channel(a, now, &a->channels[i]);
}

size_t turn_alloc_permission_room(struct turn_alloc *a, usec_t now)
{
	if (a->n_permissions == TURN_PERMISSIONS_MAX)
		(void)drop_permissions(a, now);
	return TURN_PERMISSIONS_MAX - a->n_permissions;
}

int turn_alloc_permit(struct turn_alloc *a, usec_t now, const struct addr *ip)
{
	struct turn_permission *p = turn_alloc_permission(a, ip);
	int err;

	if (!p) {
		if (a->n_permissions == a->cap_permissions) {
			(void)drop_permissions(a, now);
			err = a->n_permissions == a->cap_permissions ? grow_permissions(a) : 0;
			if (err < 0)
				return err;
		}
		p = &a->permissions[a->n_permissions++];
		p->ip = *ip;
		p->ip.port = 0;
		index_permission(a, a->n_permissions - 1u);
	}
	p->until = now + TURN_PERMISSION_S * USEC_PER_SEC;
	turn_alloc_channels_update(a, now, ip);
	return 0;
}

static int channel_room(struct turn_alloc *a, usec_t now)
{
	if (a->n_channels == a->cap_channels)
		(void)drop_channels(a, now);
	return a->n_channels == a->cap_channels ? grow_channels(a) : 0;
}

int turn_alloc_bind(struct turn_alloc *a, usec_t now, uint16_t number, const struct addr *peer)
{
	bool known = turn_alloc_find_number(a, number) != NULL;
	int err = known ? 0 : channel_room(a, now);
	struct turn_channel *c;

	if (err == 0)
		err = turn_alloc_permit(a, now, peer);
	if (err < 0)
		return err;
	if (!known) {
		a->channels[a->n_channels++] =
			(struct turn_channel){ .peer = *peer, .number = number, .over = true };
		index_channel(a, a->n_channels - 1u);
	}
	c = turn_alloc_find_number(a, number);
	c->until = now + TURN_CHANNEL_S * USEC_PER_SEC;
	update_channel(a, now, c);
	return 0;
}

bool turn_alloc_may_bind(struct turn_alloc *a, usec_t now, uint16_t number, const struct addr *peer)
{
	for (int pass = 0; pass < 2; pass++) {
		const struct turn_channel *c = turn_alloc_find_number(a, number);

		if (c == turn_alloc_find_peer(a, peer))
			return true; /* the same one, or both free */
		if (pass == 0)
			(void)drop_channels(a, now); /* what stands in the way may be over */
	}
	return false;
}

void turn_alloc_refuse(struct turn_alloc *a, usec_t now,
		       bool (*refused)(const void *arg, const struct addr *peer), const void *arg)
{
	for (size_t i = 0; i < a->n_permissions; i++)
		if (refused(arg, &a->permissions[i].ip))
			a->permissions[i].until = 0;
	(void)drop_permissions(a, now);
	turn_alloc_channels_update(a, now, NULL);
}

void turn_alloc_end(struct turn_alloc *a, usec_t now)
{
	a->until[TURN_V4] = a->until[TURN_V6] = 0;
	a->n_permissions = 0;
	reindex_permissions(a);
	turn_alloc_channels_update(a, now, NULL);
}

usec_t turn_alloc_tick(struct turn_alloc *a, usec_t now)
{
	usec_t next = drop_permissions(a, now);

	for (size_t i = 0; i < a->n_channels; i++) {
		struct turn_channel *c = &a->channels[i];

		if (!c->over && c->works_until <= now) {
			c->over = true;
			change_channel(a, c);
		}
	}
	return usec_min(next, drop_channels(a, now));
}

bool turn_alloc_has_events(const struct turn_alloc *a)
{
	return a->moved || a->closed || a->family_gone || a->connections_changed ||
	       a->event_at < a->n_channels;
}

struct turn_channel *turn_alloc_changed_channel(struct turn_alloc *a)
{
	while (a->event_at < a->n_channels) {
		struct turn_channel *c = &a->channels[a->event_at++];

		if (c->changed) {
			c->changed = false;
			return c;
		}
	}
	return NULL;
}

/* ---- looking at it ---- */

const struct turn_flow *turn_alloc_flow(const struct turn_alloc *a)
{
	return &a->flow;
}

const struct addr *turn_alloc_relayed(const struct turn_alloc *a, enum addr_family family)
{
	const struct addr *at = &a->relayed[family == ADDR_V6 ? TURN_V6 : TURN_V4];

	return at->family == family && family != ADDR_NONE ? at : NULL;
}

const char *turn_alloc_user(const struct turn_alloc *a)
{
	return a->user;
}

usec_t turn_alloc_until(const struct turn_alloc *a)
{
	return FL_MAX(a->until[TURN_V4], a->until[TURN_V6]);
}

void *turn_alloc_data(const struct turn_alloc *a)
{
	return a->data;
}
