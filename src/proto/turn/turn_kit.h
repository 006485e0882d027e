/*
 * For the tests of the TURN core: a client that can send every request, sealed or not, and a driver
 * that opens what it is told to, both in virtual time.
 */
#pragma once

#include "test.h"

#include "base/err.h"
#include "base/wire.h"
#include "proto/turn/turn_attr.h"
#include "proto/turn/turn_server.h"

#define SEC USEC_PER_SEC
#define KIT_UNIX_START 1900000000
#define KIT_REALM "relay.test"
#define KIT_SECRET "secret"
#define KIT_EVENTS_MAX 1000
#define KIT_NONE (-1) /* no answer */

struct kit {
	struct rng rng;
	struct turn_server *s;
	struct turn_auth *auth;
	struct turn_peers peers;
	struct turn_limit *limit;
	struct turn_server_config config;
	usec_t now;
	struct turn_flow flow;	     /* what the client sends from */
	char user[64], password[64]; /* what it seals with */
	char nonce[64];
	uint8_t tid[STUN_TID_LEN];
	uint16_t next_port;
	/* the request being written, and what came of it */
	uint8_t request[8192];
	size_t request_len;
	struct stun_out o;
	uint8_t answer_bytes[STUN_SERVER_ANSWER_MAX];
	struct stun_msg answer;
	struct turn_verdict v;
	struct turn_opened opened; /* what the driver answers to an OPEN */
	struct turn_open open;	   /* what it was asked */
	char open_user[64];
	struct turn_event events[KIT_EVENTS_MAX];
	uint8_t event_bytes[256]; /* of the last SEND */
	struct stun_msg sent;
	void *closed_data; /* of the allocation of the last CLOSED, which is freed by now */
	size_t n_events;
};

extern const struct turn_server_config kit_usual;

struct addr kit_addr(const char *text);
void kit_start(struct kit *k);
void kit_start_with(struct kit *k, const struct turn_server_config *config);
void kit_stop(struct kit *k);
/* Flows from "8.1.1.1:port". */
void kit_from(struct kit *k, enum turn_transport t, uint16_t port);
void kit_user(struct kit *k, const char *user, const char *password);
void kit_timed_user(struct kit *k, int64_t expires_s, const char *name);

/* ---- the client: begin, put attributes into k->o, send; then the outcome ---- */

void kit_begin(struct kit *k, uint16_t method);
void kit_begin_indication(struct kit *k, uint16_t method);
void kit_put_peer(struct kit *k, const char *peer);
void kit_send_bytes(struct kit *k, struct span bytes);
void kit_send_bare(struct kit *k);
void kit_send(struct kit *k); /* sealed */
/* The message as kit_send() would send it. */
struct span kit_seal(struct kit *k);
void kit_send_again(struct kit *k);   /* the last message */
int kit_outcome(const struct kit *k); /* 0: success; an error's code; KIT_NONE */
void kit_challenge(struct kit *k);    /* gets a nonce */
void kit_begin_allocate(struct kit *k, uint8_t protocol);
struct turn_alloc *kit_allocate(struct kit *k); /* a challenge and a usual one */
int kit_permit(struct kit *k, const char *peer);
int kit_bind(struct kit *k, uint16_t number, const char *peer);
int kit_refresh(struct kit *k, int64_t seconds); /* below 0: without LIFETIME */
uint32_t kit_lifetime(const struct kit *k);	 /* of the answer */
void kit_expect_sealed(const struct kit *k);

/* ---- the driver ---- */

void kit_take_events(struct kit *k);
/* Of a type, among those taken last; NULL: none. */
const struct turn_event *kit_event(const struct kit *k, enum turn_event_type type);
/* Lets time pass as a driver does: every deadline is met. */
void kit_pass(struct kit *k, usec_t us);
/* Whether data passes now, as ChannelData up, and down from that peer. */
bool kit_channel_works(struct kit *k, uint16_t number);
bool kit_peer_gets_in(struct kit *k, struct turn_alloc *a, const char *peer);
