/* Shared by the files of the TURN client; what it is, is told in turn_client.h. */
#pragma once

#include "proto/stun/stun.h"
#include "proto/stun/stun_client.h"
#include "proto/stun/stun_hash.h"
#include "proto/turn/turn_client.h"

#define MARGIN_US (60 * USEC_PER_SEC)	 /* before something ends it is asked for again */
#define AGAIN_US (2 * USEC_PER_SEC)	 /* after one that nobody answered */
#define REFUSED_US (60 * USEC_PER_SEC)	 /* before what the server refused is asked again */
#define HINT_US (500 * USEC_PER_MSEC)	 /* what an unproved error leaves of the wait */
#define RETRIES_MAX 4			 /* in a row, with a new nonce or other credentials */
#define RTO_MAX_US (500 * USEC_PER_MSEC) /* RFC 8489 §6.2.1 has it for all */
#define ALGORITHMS_MAX 64		 /* bytes of PASSWORD-ALGORITHMS */
#define DOMAIN_MAX 255

enum request_kind {
	REQUEST_ALLOCATE,
	REQUEST_REFRESH,
	REQUEST_MOVE,
	REQUEST_CLOSE,
	REQUEST_PERMISSION,
	REQUEST_CHANNEL,
};

struct request {
	enum request_kind kind;
	struct stun_client tr;
	bool send;	      /* due: goes out with the next outputs */
	unsigned retries;     /* new transactions because of 401 or 438 */
	uint32_t credentials; /* those it was last sent with; 0: without */
	uint16_t hint;	      /* an unproved error's code, 0: none */
};

struct peer {
	bool used;
	struct addr ip; /* port 0 */
	usec_t until;	/* permitted, as far as we know; 0: not */
	usec_t due;	/* when to ask (again) */
	usec_t refused; /* not asked before; 0: not refused */
	struct request r;
};

/* A number stays its peer's even when it is no longer wanted: the server remembers for longer. */
struct channel {
	bool wanted, renumbered;
	struct addr peer;
	uint16_t number;
	usec_t until, due, refused; /* as above */
	struct request r;
};

enum state {
	STATE_NEW,
	STATE_ALLOCATING,
	STATE_REDIRECTED,
	STATE_ALLOCATED,
	STATE_CLOSING,
	STATE_OVER, /* failed or closed */
};

/* Long-term credentials (RFC 8489 §9.2), and what the server said of them. */
struct credentials {
	char *username, *password;
	uint32_t serial; /* counts up from 1 with every change */
	bool challenged;
	char realm[TURN_CLIENT_REALM_MAX + 1];
	uint8_t nonce[TURN_CLIENT_NONCE_MAX], algorithms[ALGORITHMS_MAX];
	size_t nonce_len, algorithms_len;
	bool sha256, anonymous;
	uint8_t key[STUN_HASH_MAX], userhash[STUN_HASH_MAX];
	size_t key_len;
	/* of the ones before: answers to what was sent with them are still under way */
	uint8_t old_key[STUN_HASH_MAX];
	size_t old_key_len;
};

struct turn_client {
	struct turn_client_config config; /* its strings are not ours: see credentials */
	struct rng *rng;
	enum state state;
	struct credentials credentials;
	bool blocked; /* the credentials were refused: nothing is asked until there are others */
	bool no_mobility, moving, close_later;
	struct request main; /* Allocate, Refresh */
	usec_t rto_us;	     /* from the latest round trip; 0: none yet */
	usec_t until, refresh_due;
	struct addr relayed[2], mapped;
	uint8_t ticket[TURN_CLIENT_TICKET_MAX];
	size_t ticket_len;
	struct turn_client_failure hint,
		last; /* the latest unproved error; why no refresh worked */
	struct addr seen[TURN_CLIENT_REDIRECTS_MAX + 1];
	unsigned redirects;
	char domain[DOMAIN_MAX + 1];

	struct peer peers[TURN_CLIENT_PEERS_MAX];
	struct channel channels[TURN_CLIENT_CHANNELS_MAX];
	size_t n_peers, n_channels; /* places that were ever used */
	uint16_t next_number;
	uint8_t indication_tid[STUN_TID_LEN];

	struct turn_client_event events[TURN_CLIENT_EVENTS_MAX];
	size_t first_event, n_events;
	struct turn_client_stats stats;
	uint8_t out[TURN_CLIENT_MESSAGE_MAX];
};

/* ---- turn_client_auth.c ---- */

int credentials_init(struct credentials *k, const char *username, const char *password);
/* 0, -ENOMEM, FL_EMALFORMED; the old ones stay then. */
int credentials_change(struct credentials *k, const char *username, const char *password);
void credentials_finish(struct credentials *k);
void credentials_put(const struct credentials *k, struct stun_out *o);
bool credentials_prove(const struct credentials *k, const struct stun_msg *m);

enum challenge { CHALLENGE_BAD, CHALLENGE_SAME_REALM, CHALLENGE_NEW_REALM };
/* REALM, NONCE and PASSWORD-ALGORITHMS of a 401 or 438. */
enum challenge credentials_challenge(struct credentials *k, const struct stun_msg *m);

/* ---- turn_client.c ---- */

void client_ask(struct turn_client *c, struct request *r, enum request_kind kind, usec_t now);
/* Starts what is due, marks what is to be sent, gives up what has waited long enough. */
void client_run(struct turn_client *c, usec_t now);
/* The one that is under way and that m answers, or NULL. */
struct request *client_request_of(struct turn_client *c, const struct stun_msg *m);
enum turn_client_step client_step_of(const struct request *r);
void client_refresh_later(struct turn_client *c, usec_t now, const struct turn_client_failure *why);
void client_begin_close(struct turn_client *c, usec_t now);
void client_fail(struct turn_client *c, const struct turn_client_failure *why);
void client_fail_because(struct turn_client *c, enum turn_client_step step, const char *reason);
void client_over(struct turn_client *c); /* ends all that is under way and all clocks */
struct turn_client_event *client_event(struct turn_client *c, enum turn_client_event_type type);
bool client_holds(const struct turn_client *c); /* an allocation that can be used */

/* ---- turn_client_peer.c ---- */

struct peer *client_find_peer(struct turn_client *c, const struct addr *ip);
struct channel *client_find_channel(struct turn_client *c, const struct addr *peer);
void peers_ask(struct turn_client *c, usec_t now);  /* what is due */
void peers_hold(struct turn_client *c, usec_t now); /* what is under way is asked later */
usec_t peers_due(const struct turn_client *c);	    /* the earliest that is not under way */
void peers_put(struct turn_client *c, const struct request *r, struct stun_out *o);
void peers_granted(struct turn_client *c, struct request *r, usec_t asked);
void peers_refused(struct turn_client *c, struct request *r, usec_t now,
		   const struct turn_client_failure *why);
void peers_unanswered(struct turn_client *c, struct request *r, usec_t now);
bool peers_input(struct turn_client *c, const struct stun_msg *m, struct turn_client_data *data);
bool peers_channel_data(struct turn_client *c, struct span message, struct turn_client_data *data);
