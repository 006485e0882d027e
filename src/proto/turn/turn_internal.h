/*
 * Inside of the TURN server's core: what turn_server.c, turn_request.c, turn_allocate.c,
 * turn_alloc.c, turn_tcp.c, turn_move.c and turn_table.c share. Nobody else includes it.
 */
#pragma once

#include "base/list.h"
#include "proto/turn/turn_attr.h"
#include "proto/turn/turn_server.h"

/* ---- turn_table.c: tables and timers ---- */

/*
 * Open addressing with linear probing from a 64-bit keyed hash to a pointer; several values may
 * have the same hash, the user compares. At most half full, and removal closes the gap, so a look-
 * up that misses ends early.
 */
struct turn_table {
	struct turn_slot {
		uint64_t hash;
		void *value; /* NULL: free */
	} * slots;
	size_t mask, used;
};

int turn_table_init(struct turn_table *t) FL_WARN_UNUSED;
void turn_table_finish(struct turn_table *t);
int turn_table_add(struct turn_table *t, uint64_t hash, void *value) FL_WARN_UNUSED; /* -ENOMEM */
void turn_table_remove(struct turn_table *t, uint64_t hash, const void *value);

/* Values with that hash, one after the other; start with *at = hash, until NULL. */
static inline void *turn_table_next(const struct turn_table *t, uint64_t hash, uint64_t *at)
{
	for (;;) {
		const struct turn_slot *slot = &t->slots[(*at)++ & t->mask];

		if (!slot->value || slot->hash == hash)
			return slot->value;
	}
}

/*
 * Multiply and fold of keyed words (the sum of such products is a universal hash): who does not
 * know the keys cannot choose collisions, and it costs a few multiplications.
 */
#define TURN_HASH_KEYS 8

static inline uint64_t turn_hash_pair(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t turn_hash_addr(const struct addr *a, uint64_t more, const uint64_t key[4])
{
	uint64_t w[2];

	memcpy(w, a->ip, sizeof(w));
	more = more << 32 | (uint64_t)a->family << 16 | a->port;
	return turn_hash_pair(w[0] ^ key[0], w[1] ^ key[1]) +
	       turn_hash_pair(more ^ key[2], a->scope ^ key[3]);
}

static inline uint64_t turn_hash_flow(const struct turn_flow *f, const uint64_t key[TURN_HASH_KEYS])
{
	uint64_t h = turn_hash_addr(&f->client, (uint64_t)f->transport, key) +
		     turn_hash_addr(&f->server, 0, key + 4);

	return turn_hash_pair(h ^ key[1], key[6] | 1);
}

static inline bool turn_same_ip(const struct addr *a, const struct addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0 && a->family == b->family &&
	       a->scope == b->scope;
}

static inline bool turn_same_addr(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && turn_same_ip(a, b);
}

static inline bool turn_same_flow(const struct turn_flow *a, const struct turn_flow *b)
{
	return a->transport == b->transport && turn_same_addr(&a->client, &b->client) &&
	       turn_same_addr(&a->server, &b->server);
}

/* A heap of allocations by the time at which one has something to do. */
struct turn_heap {
	struct turn_due {
		usec_t at;
		struct turn_alloc *alloc;
	} * items;
	size_t n, cap;
};

#define TURN_HEAP_NONE SIZE_MAX

int turn_heap_add(struct turn_heap *h, struct turn_alloc *a, usec_t at) FL_WARN_UNUSED;
void turn_heap_remove(struct turn_heap *h, struct turn_alloc *a);
void turn_heap_set(struct turn_heap *h, struct turn_alloc *a, usec_t at);

/* ---- turn_alloc.c: an allocation, its permissions and channels ---- */

/* RFC 8656 §12: a number or a peer is free for another partner five minutes after its end. */
#define TURN_CHANNEL_HOLD_US (300 * USEC_PER_SEC)
#define TURN_INLINE 2 /* permissions and channels without memory of their own */
#define TURN_LINEAR 4 /* so many are looked through; above there is an index */
#define TURN_V4 0     /* rows of relayed[] and until[] */
#define TURN_V6 1

struct turn_permission {
	struct addr ip; /* port 0 */
	usec_t until;
};

struct turn_channel {
	struct addr peer;
	uint16_t number;
	bool changed;	    /* an event is due */
	bool over;	    /* its end was told, or is about to be */
	usec_t until;	    /* of the binding itself */
	usec_t works_until; /* binding, permission and allocation together */
};

struct turn_mobility {
	uint64_t id;	     /* random: the allocation's name in tickets */
	uint32_t generation; /* of the ticket handed out last */
	bool has_next; /* the client showed a ticket at next, but sent nothing from there yet */
	struct turn_flow next;
};

enum turn_connection_state { TURN_CONNECTING, TURN_WAITS_FOR_BIND, TURN_JOINED };

struct turn_connection {
	struct turn_alloc *alloc;
	struct list in_alloc;
	uint32_t id;
	enum turn_connection_state state;
	struct addr peer;
	usec_t until;	       /* USEC_NEVER once joined */
	bool send, disconnect; /* events that are due, in this order */
	bool over;	       /* to be freed when they were taken; in no table any more */
	bool fingerprint;      /* as the Connect had one */
	bool asked; /* by the client's Connect, which is answered; else a ConnectionAttempt */
	uint16_t code;
	uint8_t tid[STUN_TID_LEN];
	struct turn_credential credential; /* of the Connect */
};

struct turn_alloc {
	struct turn_flow flow; /* client.family ADDR_NONE: gone, may come back with its ticket */
	uint8_t protocol;
	bool moved, closed, by_credentials;
	bool connections_changed; /* one of them has an event due */
	uint8_t family_gone;	  /* bits: events that are due */
	enum turn_close_reason reason;
	uint64_t key[4]; /* of the indexes below; moves with the allocation */
	struct addr relayed[2];
	usec_t until[2]; /* 0: there is none of that family */
	void *data;
	struct list dirty; /* in the server's list while events are due */
	size_t heap_at;
	/* permissions[n], channels[n]; the index has 2 * cap entries, place + 1, 0: free. That of
	 * channels has two parts: by number, by peer. */
	struct turn_permission *permissions;
	struct turn_channel *channels;
	uint16_t *permission_index, *channel_index;
	uint16_t n_permissions, cap_permissions, n_channels, cap_channels;
	uint16_t event_at; /* no channel before it has changed */
	uint16_t n_connections;
	struct list connections;
	struct turn_mobility *mobility; /* NULL: none was asked for */
	/* what its Allocate was answered, to answer a retransmission with the same (§7.2) */
	uint32_t lifetime_s;
	uint8_t tid[STUN_TID_LEN];
	bool reserved;
	uint8_t token[TURN_RESERVATION_TOKEN_LEN];
	uint8_t refused_family; /* of a pair: TURN_FAMILY_…, 0: none */
	uint16_t refused_code;
	struct turn_permission first_permissions[TURN_INLINE];
	struct turn_channel first_channels[TURN_INLINE];
	char user[]; /* with the 0 */
};

static inline size_t turn_family_row(const struct addr *a)
{
	return a->family == ADDR_V6 ? TURN_V6 : TURN_V4;
}

static inline bool turn_alloc_has(const struct turn_alloc *a, const struct addr *peer)
{
	return a->until[turn_family_row(peer)] != 0;
}

struct turn_alloc *turn_alloc_create(const char *user, struct rng *rng); /* NULL: no memory */
struct turn_permission *turn_alloc_permission(const struct turn_alloc *a, const struct addr *ip);
struct turn_channel *turn_alloc_find_number(const struct turn_alloc *a, uint16_t number);
struct turn_channel *turn_alloc_find_peer(const struct turn_alloc *a, const struct addr *peer);
/* How many permissions can be added; entries that are over are thrown out when it is full. */
size_t turn_alloc_permission_room(struct turn_alloc *a, usec_t now);
/* 0, -ENOMEM, FL_EQUOTA. */
int turn_alloc_permit(struct turn_alloc *a, usec_t now, const struct addr *ip) FL_WARN_UNUSED;
/* Neither is bound to another (§12.2), or was within the hold-off. */
bool turn_alloc_may_bind(struct turn_alloc *a, usec_t now, uint16_t number,
			 const struct addr *peer);
/* Binds or refreshes, with the permission. For a pair that may_bind allowed. */
int turn_alloc_bind(struct turn_alloc *a, usec_t now, uint16_t number,
		    const struct addr *peer) FL_WARN_UNUSED;
/* Works out what channels to ip (NULL: all) still hold, after something they rest on changed. */
void turn_alloc_channels_update(struct turn_alloc *a, usec_t now, const struct addr *ip);
/* All permissions and channels end. */
void turn_alloc_end(struct turn_alloc *a, usec_t now);
/* Ends permissions and channels that fn refuses. */
void turn_alloc_refuse(struct turn_alloc *a, usec_t now,
		       bool (*refused)(const void *arg, const struct addr *peer), const void *arg);
/* Throws out what is over, marks channels that ended; returns when there is something to do next.
 */
usec_t turn_alloc_tick(struct turn_alloc *a, usec_t now);
bool turn_alloc_has_events(const struct turn_alloc *a);
/* The next changed channel, then unmarked; NULL: none. */
struct turn_channel *turn_alloc_changed_channel(struct turn_alloc *a);

/* ---- turn_server.c ---- */

/* An Allocate between TURN_VERDICT_OPEN and turn_server_opened(). */
struct turn_pending {
	bool waits;
	struct turn_flow flow;
	uint8_t tid[STUN_TID_LEN];
	struct turn_credential credential;
	bool fingerprint;
	uint8_t protocol;
	uint32_t lifetime_s;
	bool by_credentials, mobile;
	bool by_token; /* then one family is enough, and the other one not missed */
	uint8_t refused_family;
	uint16_t refused_code;
	bool v4, v6;
};

struct turn_server {
	struct turn_server_config config;
	struct rng *rng;
	usec_t now; /* of the latest call */
	int64_t wall_us;
	bool draining;
	uint64_t hash_key[TURN_HASH_KEYS];
	struct turn_table flows, tickets, connections;
	struct turn_heap heap;
	struct list dirty;
	struct turn_alloc *taken; /* its CLOSED was taken: to be freed */
	uint64_t indications;	  /* made so far: for their transaction ids */
	struct turn_pending pending;
	struct turn_server_stats stats;
	uint8_t out[TURN_REPLY_MAX > STUN_SERVER_ANSWER_MAX ? TURN_REPLY_MAX
							    : STUN_SERVER_ANSWER_MAX];
	uint8_t *indication; /* STUN_MESSAGE_MAX: made for a client */
};

struct turn_alloc *turn_server_look_up(const struct turn_server *s, const struct turn_flow *flow,
				       bool *next);
void turn_server_mark(struct turn_server *s, struct turn_alloc *a); /* events may be due */
/* There is something to do at that time. */
void turn_server_due(struct turn_server *s, struct turn_alloc *a, usec_t at);
void turn_server_close(struct turn_server *s, struct turn_alloc *a, enum turn_close_reason reason);
/* Gives up one relayed address of a pair. */
void turn_server_close_family(struct turn_server *s, struct turn_alloc *a, size_t row);
/* Into all tables; 0, -EEXIST, FL_EQUOTA, -ENOMEM. */
int turn_server_enter(struct turn_server *s, struct turn_alloc *a) FL_WARN_UNUSED;
/* Out of all tables. */
void turn_server_leave(struct turn_server *s, struct turn_alloc *a);
/* Frees what the driver has been told the end of. */
void turn_server_reap(struct turn_server *s);

static inline void turn_server_tell_time(struct turn_server *s, usec_t now)
{
	if (now > s->now)
		s->now = now;
}

/* ---- turn_request.c: a request being answered ---- */

struct turn_request {
	struct turn_server *s;
	usec_t now;
	const struct turn_flow *flow;
	const struct stun_msg *m;
	struct turn_verdict *v;
	struct turn_credential credential;
	bool sealed;	  /* the credential is good: the answer is sealed with it */
	bool proved;	  /* its sender can receive at its address */
	bool fingerprint; /* as the request, so the answer */
	uint16_t method;
	const uint8_t *tid;
	struct stun_out out;
};

void turn_request_handle(struct turn_server *s, usec_t now, const struct turn_flow *flow,
			 const struct stun_msg *m, struct turn_verdict *v);
/* What is no message of RFC 8489 may be a Binding request of RFC 3489. */
void turn_request_classic(struct turn_server *s, usec_t now, const struct turn_flow *flow,
			  struct span message, struct turn_verdict *v);
/* Authenticates and looks for unknown attributes; false: it was answered or dropped. */
bool turn_request_admit(struct turn_request *r);
void turn_answer_begin(struct turn_request *r, enum stun_class class);
void turn_answer_end(struct turn_request *r);
void turn_answer_error(struct turn_request *r, uint16_t code);
void turn_answer_empty(struct turn_request *r);
void turn_request_begin(struct turn_request *r, struct turn_server *s, usec_t now,
			const struct turn_flow *flow, const struct stun_msg *m,
			struct turn_verdict *v);
/* LIFETIME as asked for (0 when absent: *asked false). False: it has the wrong shape. */
bool turn_request_lifetime(const struct turn_request *r, bool *asked, uint32_t *seconds);
/* 0, or the code to answer: the peer is not for this allocation. */
uint16_t turn_request_peer(const struct turn_request *r, const struct turn_alloc *a,
			   const struct addr *peer, bool with_port);
const char *turn_error_reason(uint16_t code);
/* Bounds it by default, maximum and the credential's end (*by_credential). */
uint32_t turn_request_grant(const struct turn_request *r, uint32_t seconds, bool *by_credential);
/* The allocation of this flow and user; NULL: it was answered 437 or 441. */
struct turn_alloc *turn_request_alloc(struct turn_request *r);
/* True: belongs to the request's user; else answered 441. */
bool turn_request_owns(struct turn_request *r, const struct turn_alloc *a);
/* Refreshes or ends it and writes the answer but for its end; false: an error was answered. */
bool turn_refresh(struct turn_request *r, struct turn_alloc *a) FL_WARN_UNUSED;
/* False: wrong length. *family: TURN_FAMILY_… or another; 0: absent. */
bool turn_request_family(const struct turn_request *r, uint16_t attr, uint8_t *family);

/* ---- turn_allocate.c ---- */

void turn_allocate(struct turn_request *r);

/* ---- turn_tcp.c (RFC 6062) ---- */

void turn_connect(struct turn_request *r);
/* foreign: another worker got it. */
void turn_connection_bind(struct turn_request *r, bool foreign);
void turn_connections_drop(struct turn_server *s, struct turn_alloc *a);
usec_t turn_connections_tick(struct turn_server *s, struct turn_alloc *a, usec_t now);
bool turn_connection_event(struct turn_server *s, struct turn_alloc *a, struct turn_event *e);
/* Ends connections to peers that are no longer allowed. */
void turn_connections_refuse(struct turn_server *s, struct turn_alloc *a);

/* ---- turn_move.c (RFC 8016) ---- */

int turn_mobility_create(struct turn_server *s, struct turn_alloc *a) FL_WARN_UNUSED;
/* MOBILITY-TICKET for an answer. worker: which will own the allocation. */
void turn_put_ticket(const struct turn_server *s, struct stun_out *o, const struct turn_alloc *a,
		     unsigned worker);
/* A Refresh with a ticket. from_worker: who asked us, or our own index. */
void turn_refresh_with_ticket(struct turn_request *r, unsigned from_worker,
			      struct turn_alloc **moved);
/* The client sent something from the flow it announced. */
void turn_move_complete(struct turn_server *s, struct turn_alloc *a);
void turn_move_forget_next(struct turn_server *s, struct turn_alloc *a);
uint64_t turn_ticket_hash(const struct turn_server *s, uint64_t id);
