/* The handshake until there is a pair that works: when it begins, which of the other side's packets
 * are taken, where ours go, and when they go once more. */
#include <errno.h>

#include "base/wire.h"
#include "peer/internal.h"

#define HEARD_GRACE_US (3 * USEC_PER_MSEC) /* an answer may be just behind the check */

int peer_make_dtls(struct peer *p, enum dtls_role role)
{
	dtls_destroy(p->dtls);
	p->dtls = NULL;
	p->role = role;
	p->dtls_started = false;
	return dtls_create(p->identity, role, &p->dtls);
}

/* The active side's ClientHello, once. */
void peer_start_dtls(struct peer *p, usec_t now)
{
	if (p->dtls_started || p->role != DTLS_ACTIVE)
		return;
	p->dtls_started = true;
	if (dtls_start(p->dtls, now) < 0)
		peer_fail(p, -ENOMEM, "DTLS: out of memory.");
}

/* Has the other side proved that it holds this address? */
static bool heard_from(const struct peer *p, const struct addr *remote)
{
	struct ice_pair_info pairs[ICE_PAIRS_MAX];
	size_t n = ice_pairs(p->ice, pairs, ICE_PAIRS_MAX);

	if (peer_policy_waits(p))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((pairs[i].received || pairs[i].answered) &&
		    addr_equal(&pairs[i].remote, remote))
			return true;
	return false;
}

/* A browser takes DTLS only after its own check was answered. */
static bool heard_from_any(const struct peer *p)
{
	struct ice_pair_info pairs[ICE_PAIRS_MAX];
	size_t n = ice_pairs(p->ice, pairs, ICE_PAIRS_MAX);

	for (size_t i = 0; i < n; i++)
		if (pairs[i].received)
			return true;
	return false;
}

static void consider_start(struct peer *p, usec_t now)
{
	if (p->state != PEER_STARTED || p->dtls_started || p->role != DTLS_ACTIVE)
		return;
	if (p->remote_native || heard_from_any(p))
		peer_start_dtls(p, now);
}

/*
 * A check of the other side shows a pair that works, up to a round trip before ours is answered.
 * What we said before, to pairs that were only guessed, may have ended at a NAT or a relay that did
 * not let it in yet.
 */
static void note_heard(struct peer *p, usec_t now)
{
	if (p->heard || p->state != PEER_STARTED || !heard_from_any(p))
		return;
	p->heard = true;
	if (p->role == DTLS_PASSIVE)
		p->heard_due = usec_add(now, HEARD_GRACE_US);
}

static void hold_early(struct peer *p, const struct dgram *d)
{
	uint8_t *dst = NULL;
	size_t len = sizeof(d->remote) + sizeof(d->local) + d->data.len;

	if (p->n_early < PEER_EARLY_MAX)
		dst = pktq_reserve(&p->early, len);
	if (!dst) {
		p->stats.early_dropped++;
		return;
	}
	memcpy(dst, &d->remote, sizeof(d->remote));
	memcpy(dst + sizeof(d->remote), &d->local, sizeof(d->local));
	memcpy(dst + sizeof(d->remote) + sizeof(d->local), d->data.ptr, d->data.len);
	pktq_commit(&p->early, d->via, len);
	p->n_early++;
	p->stats.early_held++;
}

static int take_dtls(struct peer *p, usec_t now, const struct dgram *d)
{
	int err;

	p->heard_due = USEC_NEVER;
	ice_note_data(p->ice, now, d);
	err = dtls_input(p->dtls, now, d->data);
	if (p->role == DTLS_PASSIVE)
		p->dtls_started = true;
	return err;
}

/* Handshake packets that waited for their address to be checked. */
void peer_use_early(struct peer *p, usec_t now)
{
	unsigned n = p->n_early;

	while (n--) {
		struct span kept;
		struct reader r;
		struct dgram d;
		uint32_t via;

		if (!pktq_pop(&p->early, &via, &kept))
			break;
		d.via = (enum dgram_via)via;
		r = reader_of(kept);
		reader_copy(&r, &d.remote, sizeof(d.remote));
		reader_copy(&r, &d.local, sizeof(d.local));
		d.data = reader_rest(&r);
		p->n_early--;
		if (heard_from(p, &d.remote)) {
			if (take_dtls(p, now, &d) < 0)
				peer_fail(p, -ENOMEM, "DTLS: out of memory.");
		} else {
			uint8_t copy[2048]; /* kept lies in the queue that it goes back to */

			if (d.data.len > sizeof(copy))
				continue;
			memcpy(copy, d.data.ptr, d.data.len);
			d.data.ptr = copy;
			hold_early(p, &d);
		}
	}
}

void peer_checked(struct peer *p, usec_t now)
{
	if (p->n_early && p->state == PEER_STARTED)
		peer_use_early(p, now);
	consider_start(p, now);
	note_heard(p, now);
}

int peer_input_dtls(struct peer *p, usec_t now, const struct dgram *d)
{
	if (!p->dtls || p->state == PEER_NEW || p->state == PEER_CLOSED)
		return 0;
	if (p->state == PEER_CONNECTED)
		return dtls_input(p->dtls, now, d->data);
	if (p->state == PEER_STARTED && heard_from(p, &d->remote))
		return take_dtls(p, now, d);
	hold_early(p, d);
	return 0;
}

static bool dtls_timer_on(const struct peer *p)
{
	return p->dtls && p->dtls_started && p->state >= PEER_STARTED && p->state <= PEER_CONNECTED;
}

/* OpenSSL gives up after a dozen repetitions: they are kept for the time when they can arrive, and
 * an address that has not answered yet gets few of them (RFC 7675 has the spirit). */
static usec_t dtls_timer_due(const struct peer *p)
{
	usec_t at;

	if (!dtls_timer_on(p) || p->path.level == ICE_PATH_NONE ||
	    (p->path.level < ICE_PATH_VALID &&
	     dtls_stats(p->dtls)->retransmissions >= PEER_EARLY_REPEATS))
		return USEC_NEVER;
	at = dtls_deadline(p->dtls);
	return at == USEC_NEVER ? at : FL_MAX(at, p->dtls_not_before);
}

usec_t peer_dtls_due(const struct peer *p)
{
	return usec_min(p->heard_due, dtls_timer_due(p));
}

int peer_dtls_timeout(struct peer *p, usec_t now)
{
	if (p->heard_due <= now) {
		p->heard_due = USEC_NEVER;
		if (p->dtls && p->state == PEER_STARTED)
			dtls_repeat(p->dtls);
	}
	return dtls_timer_due(p) <= now ? dtls_timeout(p->dtls, now) : 0;
}

/* Where a DTLS datagram goes: false when it must wait for an address. */
static bool choose_paths(struct peer *p)
{
	size_t cap = p->remote_native ? PEER_EARLY_PATHS : 1;

	p->n_early_paths = p->next_early_path = 0;
	if (peer_policy_waits(p))
		return false;
	if (p->path.level >= ICE_PATH_VALID)
		return true;
	if (p->n_fresh) {
		memcpy(p->early_paths, p->fresh, p->n_fresh * sizeof(p->fresh[0]));
		p->n_early_paths = p->n_fresh;
	} else {
		p->n_early_paths = ice_early_paths(p->ice, p->early_paths, cap);
	}
	return p->n_early_paths > 0;
}

static bool told(const struct peer *p, const struct ice_path *path)
{
	for (size_t i = 0; i < p->n_told; i++)
		if (same_path(&p->told[i], path))
			return true;
	return false;
}

static void note_told(struct peer *p)
{
	for (size_t i = 0; i < p->n_early_paths; i++)
		if (p->n_told < PEER_TOLD_MAX && !told(p, &p->early_paths[i]))
			p->told[p->n_told++] = p->early_paths[i];
}

/*
 * What was said to the best of the first pairs goes to new ones as well, together with their first
 * checks: which pair works is not known yet, and a relayed one, which is the least of all, may be
 * the only one.
 */
void peer_tell_fresh(struct peer *p)
{
	struct ice_path all[PEER_TOLD_MAX + PEER_EARLY_PATHS];
	size_t n;

	if (p->state != PEER_STARTED || p->role != DTLS_PASSIVE || !p->remote_native ||
	    p->n_told == 0 || p->path.level >= ICE_PATH_VALID || peer_policy_waits(p))
		return;
	p->n_fresh = 0;
	n = ice_early_paths(p->ice, all, ARRAY_LEN(all));
	for (size_t i = 0; i < n && p->n_fresh < PEER_EARLY_PATHS; i++)
		if (p->n_told + p->n_fresh < PEER_TOLD_MAX && !told(p, &all[i]))
			p->fresh[p->n_fresh++] = all[i];
	if (p->n_fresh)
		dtls_repeat(p->dtls);
}

static bool to_path(const struct ice_path *path, struct span data, struct dgram *out)
{
	*out = (struct dgram){ path->local, path->remote, data, path->via };
	return true;
}

bool peer_dtls_output(struct peer *p, struct dgram *out)
{
	struct span data;

	if (p->copies.len) { /* the same flight on the next early path */
		data = p->copies;
		if (p->next_early_path + 1 >= p->n_early_paths)
			p->copies = (struct span){ NULL, 0 };
		return to_path(&p->early_paths[p->next_early_path++], data, out);
	}
	if (!p->dtls || p->state < PEER_STARTED || !choose_paths(p))
		return false;
	if (!dtls_next_output(p->dtls, &data)) {
		p->n_fresh = 0;
		return false;
	}
	if (p->n_early_paths == 0)
		return to_path(&p->path, data, out);
	note_told(p);
	p->next_early_path = 1;
	if (p->n_early_paths > 1)
		p->copies = data;
	return to_path(&p->early_paths[0], data, out);
}
