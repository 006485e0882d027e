/*
 * The TURN server's core: allocations, permissions, channels, TCP connections and mobility
 * (RFC 8656, RFC 6062, RFC 8016), and STUN Binding with behaviour discovery (RFC 5780) through
 * proto/stun/stun_server.h. One per worker thread; workers share nothing but what is immutable.
 *
 * Sans-IO. A message goes in, a verdict comes out: drop, reply, forward this span there. What only
 * the driver can do (bind a relayed port, connect to a peer) is a verdict too; the driver does it
 * and reports, which yields the next verdict, the reply. Nothing is queued on the fast path and no
 * byte of user data is copied, but for a Data indication whose length is no multiple of four: STUN
 * wants it padded, so it comes whole in head.
 *
 *	client ── turn_server_client() ──► TURN_TO_PEER        (Send indication, ChannelData)
 *	peer   ── turn_server_peer()   ──► TURN_TO_CLIENT      (head: ChannelData header or
 *	                                                        indication)
 *
 * For batches there are turn_server_find(), turn_alloc_channel() and turn_alloc_from_peer(), which
 * are the same decisions without the verdict around them.
 *
 * Ownership: an allocation belongs to the core from turn_server_opened() until its
 * TURN_EVENT_CLOSED has been taken; the driver hangs its own data on it. Spans in verdicts and
 * events are borrowed until the next call on the object. Credentials are checked against the struct
 * turn_auth that was set last, which the driver keeps alive.
 *
 * Left to the driver: sockets and ports (turn_ports.h), quotas (it answers an OPEN with 486), which
 * worker owns what, TLS, framing (turn_stream.h) and with it the padding of ChannelData on streams.
 */
#pragma once

#include "base/addr.h"
#include "base/rng.h"
#include "base/span.h"
#include "base/usec.h"
#include "proto/stun/stun_server.h"
#include "proto/turn/turn.h"
#include "proto/turn/turn_auth.h"
#include "proto/turn/turn_limit.h"
#include "proto/turn/turn_peers.h"

#define TURN_PERMISSIONS_MAX 256 /* per allocation; more is 508 */
#define TURN_CHANNELS_MAX 256	 /* per allocation; more is 508 */
#define TURN_CONNECTIONS_MAX 32	 /* TCP connections of one allocation */
#define TURN_REPLY_MAX 1280	 /* bytes of a reply or an indication's head */
#define TURN_WORKERS_MAX 256

/* A client's 5-tuple. */
struct turn_flow {
	enum turn_transport transport;
	struct addr client, server;
};

struct turn_server;
struct turn_alloc;

struct turn_server_config {
	unsigned worker; /* our index, put into tickets and connection ids */
	bool relay_v4, relay_v6;
	bool tcp_relay;			     /* RFC 6062, for clients over a stream */
	bool mobility;			     /* RFC 8016 */
	unsigned lifetime_s, lifetime_max_s; /* 0: TURN_LIFETIME_S, TURN_LIFETIME_MAX_S */
	size_t allocations_max;		     /* of this worker */
	const char *software;		     /* SOFTWARE of authenticated answers; NULL: none */
	uint8_t ticket_key[16];		     /* the same in all workers */
	/* Borrowed, replaceable: */
	const struct turn_auth *auth; /* NULL: no TURN, Binding only */
	const struct turn_peers *peers;
	const struct stun_behaviour *behaviour; /* RFC 5780; NULL: not offered */
	struct turn_limit *limit;		/* this worker's own */
};

/* NULL when there is no memory. The config's pointers are borrowed until replaced. */
struct turn_server *turn_server_create(const struct turn_server_config *config, struct rng *rng);
void turn_server_destroy(
	struct turn_server *s); /* NULL is fine; frees allocations without events */
/* What a reload changes. Existing allocations live on; permissions whose peer is no longer allowed
 * end. */
void turn_server_set(struct turn_server *s, usec_t now, const struct turn_auth *auth,
		     const struct turn_peers *peers);
/* Unix time in microseconds minus now; credentials expire by it. The driver keeps it true. */
void turn_server_set_wall(struct turn_server *s, int64_t unix_us_minus_now);
/* No new allocations (they get 508 and go elsewhere); the present ones live on and may be
 * refreshed. */
void turn_server_drain(struct turn_server *s, bool drain);

enum turn_verdict_type {
	TURN_VERDICT_DROP,
	TURN_VERDICT_REPLY,	/* data, to the flow it came from (source: see origin) */
	TURN_VERDICT_TO_PEER,	/* data, from alloc's relayed address of peer's family to peer */
	TURN_VERDICT_TO_CLIENT, /* head and then data, to alloc's flow, as one message */
	TURN_VERDICT_OPEN,	/* do open, then turn_server_opened() before anything else */
	TURN_VERDICT_CONNECT,	/* begin a TCP connection from alloc's relayed address to peer, then
				   turn_server_connected() with connection, at any time */
	TURN_VERDICT_JOIN, /* data is the reply; after it this client connection carries the raw
			      bytes of connection (of alloc) both ways */
	TURN_VERDICT_ELSEWHERE, /* worker owns what this message is about: hand it message and flow
				 */
};

struct turn_open {
	bool v4, v6;	  /* both: ADDITIONAL-ADDRESS-FAMILY; then one of them suffices */
	uint8_t protocol; /* TURN_PROTOCOL_UDP or TURN_PROTOCOL_TCP */
	bool even, reserve_next;
	bool by_token;
	uint8_t token[TURN_RESERVATION_TOKEN_LEN];
	const char *user; /* whose quota it is */
};

/* What became of an OPEN. */
struct turn_opened {
	/* 0, or the code that the client gets: 486 quota, 508 nothing free, 440 no such family */
	unsigned code;
	struct addr
		relayed[2]; /* as clients see it; [0] IPv4, [1] IPv6; family ADDR_NONE: not bound */
	bool reserved;
	uint8_t token[TURN_RESERVATION_TOKEN_LEN];
	void *data; /* the driver's, for turn_alloc_data() */
};

struct turn_verdict {
	enum turn_verdict_type type;
	struct span head, data;
	struct turn_alloc *alloc;
	struct addr peer;
	bool dont_fragment;	 /* TO_PEER: set DF for this one (RFC 8656 §11.1) */
	enum stun_origin origin; /* REPLY: which of the two addresses and ports answers */
	uint16_t reply_port;	 /* REPLY: RESPONSE-PORT of RFC 5780; 0: where it came from */
	uint32_t connection;	 /* CONNECT, JOIN */
	unsigned worker;	 /* ELSEWHERE */
	struct turn_open open;
	bool close; /* after the reply a stream is to be closed: it cannot go on */
};

/*
 * One message of a client (a STUN message or ChannelData; a datagram, or a stream's element).
 * Streams and DTLS have proved their address; UDP does it with a nonce.
 */
void turn_server_client(struct turn_server *s, usec_t now, const struct turn_flow *flow,
			struct span message, struct turn_verdict *v);
/* Right after TURN_VERDICT_OPEN. The verdict is a REPLY with alloc, or with alloc NULL: then
 * nothing was kept (an error code, or no memory here), and data and the bound ports stay the
 * driver's. */
void turn_server_opened(struct turn_server *s, usec_t now, const struct turn_opened *opened,
			struct turn_verdict *v);
/* A datagram of a peer at alloc's relayed address. TO_CLIENT or DROP (no permission). */
void turn_server_peer(struct turn_server *s, usec_t now, struct turn_alloc *a,
		      const struct addr *peer, struct span data, struct turn_verdict *v);
/* An ICMP error for what went to peer (RFC 8656 §11.5). TO_CLIENT or DROP. info: MTU or pointer. */
void turn_server_icmp(struct turn_server *s, usec_t now, struct turn_alloc *a,
		      const struct addr *peer, uint8_t type, uint8_t code, uint32_t info,
		      struct turn_verdict *v);
/* The client's stream ended, or its DTLS: ends what was on it; events tell. An allocation with
 * mobility stays until its time is over, without a flow (TURN_EVENT_MOVED). */
void turn_server_flow_gone(struct turn_server *s, usec_t now, const struct turn_flow *flow);

/* ---- the same decisions for batches ---- */

struct turn_alloc *turn_server_find(const struct turn_server *s, const struct turn_flow *flow);
/* The peer of a channel whose binding and permission hold at now, or NULL. */
const struct addr *turn_alloc_channel(const struct turn_alloc *a, usec_t now, uint16_t number);
/* False: no permission. *number is the channel bound to that peer or 0: then the datagram goes as a
 * Data indication, by turn_server_peer(). */
bool turn_alloc_from_peer(const struct turn_alloc *a, usec_t now, const struct addr *peer,
			  uint16_t *number);

/* ---- TCP (RFC 6062) ---- */

/*
 * What became of TURN_VERDICT_CONNECT; code 0 or 447. The answer comes as TURN_EVENT_SEND, because
 * it may be late.
 */
void turn_server_connected(struct turn_server *s, usec_t now, struct turn_alloc *a,
			   uint32_t connection, unsigned code);
/* A peer connected to the relayed address. False: close it (no permission, too many); else
 * *connection, and TURN_EVENT_SEND has the ConnectionAttempt. */
bool turn_server_accepted(struct turn_server *s, usec_t now, struct turn_alloc *a,
			  const struct addr *peer, uint32_t *connection);
/* The peer's side ended, or the joined pair did. */
void turn_server_disconnected(struct turn_server *s, struct turn_alloc *a, uint32_t connection);

/* ---- moving an allocation to another worker (RFC 8016) ---- */

/*
 * A message that another worker got and that is ours to judge (its ELSEWHERE named us). A Refresh
 * with a good ticket detaches the allocation: *moved is it, without place in any table, and the
 * verdict is the reply that the new worker sends after turn_server_attach(). A ConnectionBind
 * yields TURN_VERDICT_JOIN. Everything else: REPLY or DROP, *moved NULL.
 */
void turn_server_foreign(struct turn_server *s, usec_t now, unsigned from_worker,
			 const struct turn_flow *flow, struct span message, struct turn_verdict *v,
			 struct turn_alloc **moved);
/* In the new worker; no event is made of it. 0, FL_EQUOTA, -EEXIST or -ENOMEM: then
 * turn_alloc_destroy() it. */
int turn_server_attach(struct turn_server *s, usec_t now, struct turn_alloc *a) FL_WARN_UNUSED;
void turn_alloc_destroy(struct turn_alloc *a);

/* ---- time and events ---- */

enum turn_event_type {
	TURN_EVENT_CLOSED,     /* alloc is over; its driver's data is the driver's again */
	TURN_EVENT_BINDING,    /* a channel was bound, refreshed or ended: for offloading */
	TURN_EVENT_MOVED,      /* alloc has another flow now (mobility): that of the message just
				  handed in; or none, client.family ADDR_NONE: its stream is gone */
	TURN_EVENT_RELEASED,   /* the relayed address in peer, one of a pair, was given up */
	TURN_EVENT_DISCONNECT, /* close connection of alloc; CLOSED ends all without it */
	TURN_EVENT_SEND,       /* data to alloc's flow */
};

enum turn_close_reason {
	TURN_CLOSE_EXPIRED,	/* not refreshed */
	TURN_CLOSE_REFRESHED_0, /* by its client */
	TURN_CLOSE_CREDENTIALS, /* their time is over and they were not renewed */
	TURN_CLOSE_FLOW,	/* the stream ended */
	TURN_CLOSE_REASONS,
};
const char *turn_close_reason_name(enum turn_close_reason r);

struct turn_event {
	enum turn_event_type type;
	struct turn_alloc *alloc;
	enum turn_close_reason reason;
	uint16_t channel;
	struct addr peer;
	usec_t until; /* BINDING: when channel, permission or allocation ends, whichever is first;
			 0: it ended now */
	uint32_t connection;
	struct span data;
};

/* Expires what is due. Permissions and channels expire by themselves when asked for. */
void turn_server_timeout(struct turn_server *s, usec_t now);
usec_t turn_server_deadline(const struct turn_server *s);
/* Until false. After a CLOSED event the allocation is freed by the next call on the server. */
bool turn_server_next_event(struct turn_server *s, struct turn_event *e);

/* ---- looking at an allocation ---- */

const struct turn_flow *turn_alloc_flow(const struct turn_alloc *a);
const struct addr *turn_alloc_relayed(const struct turn_alloc *a, enum addr_family family);
const char *turn_alloc_user(const struct turn_alloc *a);
usec_t turn_alloc_until(const struct turn_alloc *a);
void *turn_alloc_data(const struct turn_alloc *a);

struct turn_server_stats {
	uint64_t allocations; /* alive */
	uint64_t allocated, refreshed, closed[TURN_CLOSE_REASONS];
	uint64_t requests[16];		/* by method, above 15 in [0] */
	uint64_t bindings;		/* STUN Binding requests answered */
	uint64_t errors[8];		/* answered, by enum turn_error_kind */
	uint64_t malformed, unanswered; /* dropped; unproved and over a limit */
	uint64_t no_permission, no_allocation;
};
enum turn_error_kind {				   /* rows of errors[] */
		       TURN_ERROR_BAD,		   /* 400, 420 and others of the client's making */
		       TURN_ERROR_UNAUTHENTICATED, /* 401, 441 */
		       TURN_ERROR_STALE_NONCE,	   /* 438 */
		       TURN_ERROR_FORBIDDEN,	   /* 403 */
		       TURN_ERROR_QUOTA,	   /* 486 */
		       TURN_ERROR_CAPACITY,	   /* 508 */
		       TURN_ERROR_FAMILY,	   /* 440, 443 */
		       TURN_ERROR_MISMATCH,	   /* 437 */
};
const struct turn_server_stats *turn_server_stats(const struct turn_server *s);
