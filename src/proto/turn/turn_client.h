/*
 * A TURN client's core (RFC 8656; mobility: RFC 8016): one UDP allocation at one server, over
 * datagrams or over a stream. It allocates with long-term credentials (RFC 8489 §9.2), keeps the
 * allocation, the permissions of the peers that were named and the channels that were asked for,
 * wraps what goes to peers, unwraps what comes from them, and gives the allocation back.
 *
 * Sans-IO. Whole messages come in (over a stream cut by turn_stream.h) and go out, each as one
 * datagram or one piece of the stream, to the server. After every call that takes now the driver
 * takes outputs and events until there are none, then asks for the deadline.
 *
 *	struct turn_client *c = turn_client_create(&config, rng);
 *	turn_client_start(c, now);
 *	…
 *	TURN_CLIENT_ALLOCATED: relayed[] are candidates; turn_client_permit() each remote candidate
 *	to send:  turn_client_wrap(c, now, &peer, len, &f); take outputs; send f.head, data, padding
 *	received: turn_client_input(c, now, message, &data) == 1: data.payload came from data.peer
 *	turn_client_close(c, now), until TURN_CLIENT_CLOSED
 *
 * Time is saved where the protocol allows it: a peer may be sent to as soon as it is named, behind
 * the request for its permission and not a round trip later. (What overtakes the request is lost,
 * as on any network.)
 *
 * A request that nobody answers is given up after 6.3 s over datagrams (stun_client.h; up to 9.5 s
 * where round trips are long), 10 s over a stream, where nothing is sent twice. If it was one that
 *only keeps what we have, it is tried again while that lasts. An error that should carry a proof of
 *the credentials and does not may be forged; it shortens the wait for the real answer to half a
 *second and then counts.
 *
 * Ownership: strings and bytes that come out are borrowed until the next call on the object.
 * Left to the driver: sockets, streams, TLS, names; that what it hands in came from the server; a
 * new socket and a new object after a failure (the old 5-tuple may be in use: 437).
 */
#pragma once

#include "base/addr.h"
#include "base/rng.h"
#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"
#include "proto/turn/turn.h"
#include "proto/turn/turn_attr.h"

#define TURN_CLIENT_PEERS_MAX 64    /* addresses (IPs) with a permission */
#define TURN_CLIENT_CHANNELS_MAX 16 /* at one time */
#define TURN_CLIENT_EVENTS_MAX 32   /* what is beyond is dropped, but for the last one */
#define TURN_CLIENT_MESSAGE_MAX 2048
#define TURN_CLIENT_DATA_MAX 65000 /* of one datagram of user data */
#define TURN_CLIENT_HEAD_MAX 48	   /* bytes before user data */
#define TURN_CLIENT_STREAM_TIMEOUT_US (10 * USEC_PER_SEC)
#define TURN_CLIENT_REDIRECTS_MAX 3

/* The longest that we take; the RFC's limits are higher, but nobody's are longer than these. */
#define TURN_CLIENT_REALM_MAX 255
#define TURN_CLIENT_NONCE_MAX 512
#define TURN_CLIENT_TICKET_MAX 512

struct turn_client_config {
	bool stream; /* TCP, TLS, WSS */
	/* What the relayed address shall be. Both: whichever the server has, two if it has both. */
	bool v4, v6;
	bool mobility;			 /* ask for a ticket, so that turn_client_moved() works */
	unsigned lifetime_s;		 /* to ask for; 0: the server's default */
	struct addr server;		 /* so that a redirection to it is known as a circle */
	const char *username, *password; /* copied */
};

struct turn_client;

/* NULL: no memory, or a name longer than STUN_USERNAME_MAX. rng is kept, not owned. */
struct turn_client *turn_client_create(const struct turn_client_config *config, struct rng *rng);
void turn_client_destroy(struct turn_client *c); /* NULL is fine; sends nothing; wipes */

/*
 * Begins; once, and again after TURN_CLIENT_REDIRECTED, when the way to the other server is there.
 * 0 or FL_ESTATE.
 */
int turn_client_start(struct turn_client *c, usec_t now) FL_WARN_UNUSED;

/*
 * New credentials, at any time. With an allocation they are shown to the server at once, so that
 * the session outlives the old ones. 0, -ENOMEM or FL_EMALFORMED (name too long): the old ones
 * stay.
 */
int turn_client_set_credentials(struct turn_client *c, usec_t now, const char *username,
				const char *password) FL_WARN_UNUSED;

/* A peer that is to be reachable, both ways; its port does not matter. 0 (also when it is known
 * already); FL_ESTATE without an allocation; FL_EUNSUPPORTED when there is no relayed address of
 * its family; FL_EQUOTA. */
int turn_client_permit(struct turn_client *c, usec_t now, const struct addr *peer) FL_WARN_UNUSED;
/* A channel to it: 4 bytes per datagram instead of 36 or 48. Names it too. The same errors. */
int turn_client_bind(struct turn_client *c, usec_t now, const struct addr *peer) FL_WARN_UNUSED;
/* No longer kept fresh: channels to it and its permission end with their time at the server. */
void turn_client_forget(struct turn_client *c, const struct addr *peer);

enum turn_client_reach {
	TURN_CLIENT_UNKNOWN,
	TURN_CLIENT_ASKED,     /* permission asked for */
	TURN_CLIENT_PERMITTED, /* by indication */
	TURN_CLIENT_BOUND,     /* by channel */
	TURN_CLIENT_REFUSED,   /* the server will not; asked again after a minute if it is used */
};
enum turn_client_reach turn_client_reach(const struct turn_client *c, usec_t now,
					 const struct addr *peer);

/* What goes around user data: head, then the data, then pad zero bytes, all in one message. */
struct turn_client_wrap {
	uint8_t head[TURN_CLIENT_HEAD_MAX];
	uint8_t head_len, pad;
};

/*
 * For len bytes to peer: by channel when one is bound, else by Send indication; names the peer if
 * it is not. Outputs go before it. 0; FL_ESTATE, FL_EUNSUPPORTED, FL_EQUOTA as above (FL_EQUOTA
 * also for len over TURN_CLIENT_DATA_MAX); -EACCES when the server refuses to reach it.
 */
int turn_client_wrap(struct turn_client *c, usec_t now, const struct addr *peer, size_t len,
		     struct turn_client_wrap *out) FL_WARN_UNUSED;

struct turn_client_data {
	struct addr peer;
	struct span payload; /* borrowed from the message */
};

/* A message from the server. True: it carries user data, in *data. */
bool turn_client_input(struct turn_client *c, usec_t now, struct span message,
		       struct turn_client_data *data) FL_WARN_UNUSED;

/*
 * Our own address has changed, or the stream is a new one: from now on messages leave from there.
 * The server is shown the ticket; TURN_CLIENT_MOVED follows. 0; FL_EUNSUPPORTED when it gave none:
 * then only a new allocation helps; FL_ESTATE.
 */
int turn_client_moved(struct turn_client *c, usec_t now) FL_WARN_UNUSED;

/* Gives the allocation back. TURN_CLIENT_CLOSED follows, at once or after an answer or the wait for
 * one; whoever has no time for that destroys the object after one round of outputs. */
void turn_client_close(struct turn_client *c, usec_t now);

void turn_client_timeout(struct turn_client *c, usec_t now);
usec_t turn_client_deadline(const struct turn_client *c); /* USEC_NEVER: none */
bool turn_client_next_output(struct turn_client *c, struct span *message);

enum turn_client_event_type {
	TURN_CLIENT_ALLOCATED,
	TURN_CLIENT_CHANGED, /* a peer's reach: see there */
	TURN_CLIENT_ICMP,    /* what went to peer met an ICMP error (RFC 8656 §11.5) */
	TURN_CLIENT_MOVED,
	/* The credentials are no longer taken: give others before the allocation ends */
	TURN_CLIENT_CREDENTIALS,
	/* 300: reach server in the same way, over TLS with domain's certificate if it names one,
	 * then start again */
	TURN_CLIENT_REDIRECTED,
	TURN_CLIENT_FAILED, /* the last one: see failure */
	TURN_CLIENT_CLOSED, /* the last one */
};

enum turn_client_step {
	TURN_CLIENT_STEP_ALLOCATE,     /* reaching the server, and its answer to who we are not */
	TURN_CLIENT_STEP_AUTHENTICATE, /* … to who we are */
	TURN_CLIENT_STEP_REFRESH,
	TURN_CLIENT_STEP_MOVE,
	TURN_CLIENT_STEP_PERMISSION,
	TURN_CLIENT_STEP_CHANNEL,
	TURN_CLIENT_STEP_CLOSE,
};
/* "allocate" …; never NULL. */
const char *turn_client_step_name(enum turn_client_step step);

#define TURN_CLIENT_REASON_MAX 127

struct turn_client_failure {
	enum turn_client_step step;
	uint16_t code; /* the server's; 0: there is none, the reason is ours */
	bool unproved; /* the error carried no proof, and nothing better came */
	char reason[TURN_CLIENT_REASON_MAX + 1]; /* printable */
};

struct turn_client_event {
	enum turn_client_event_type type;
	/* ALLOCATED, MOVED: [0] IPv4, [1] IPv6; family ADDR_NONE: none. mapped is how the server
	 * sees us: over UDP a server-reflexive candidate. */
	struct addr relayed[2], mapped;
	usec_t until;	  /* ALLOCATED, CREDENTIALS: when it ends if nothing more happens */
	struct addr peer; /* CHANGED, ICMP */
	enum turn_client_reach reach;
	struct turn_icmp icmp;
	struct addr server; /* REDIRECTED */
	const char *domain; /* REDIRECTED; NULL: the same */
	/* FAILED, CREDENTIALS, CHANGED to REFUSED, CLOSED without an answer; else empty */
	struct turn_client_failure failure;
};

bool turn_client_next_event(struct turn_client *c, struct turn_client_event *e);

struct turn_client_stats {
	uint64_t requests, repeated; /* sent, of these again */
	uint64_t answers, unproved;  /* taken; without proof of the credentials */
	uint64_t malformed, strays;  /* no TURN; nothing we asked for, or a peer we do not know */
	uint64_t sent, received;     /* datagrams of user data */
	usec_t round_trip_us;	     /* of the last request answered at its first try */
};
const struct turn_client_stats *turn_client_stats(const struct turn_client *c);
