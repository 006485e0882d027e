/*
 * For the tests of the TURN client: a server that answers as the test says, and virtual time.
 * Requests are checked by proto/turn/turn_auth, as a server does it.
 */
#pragma once

#include "proto/turn/turn_auth.h"
#include "proto/turn/turn_client.h"
#include "test.h"

#define MS USEC_PER_MSEC
#define SEC USEC_PER_SEC
#define RIG_START (1000 * SEC)

struct rig {
	struct turn_client *c;
	struct turn_auth *auth;
	struct rng rng;
	usec_t now;
	uint8_t request[TURN_CLIENT_MESSAGE_MAX]; /* the latest, and what it says */
	struct stun_msg m;
	struct turn_credential credential; /* of the latest, when it had any */
	struct turn_client_event e;
	uint8_t answer[2048];
	struct stun_out o;
	unsigned lifetime_s;
	bool two_families, ticket;
};

extern const struct addr rig_client_addr, rig_relayed_v4, rig_relayed_v6, rig_peer_a, rig_peer_b,
	rig_peer_v6;

struct turn_auth *rig_make_auth(const char *password);
void rig_with(struct rig *r, const struct turn_client_config *config);
void rig_init(struct rig *r);
void rig_finish(struct rig *r);
/* The next output as a request, in m; false: there is none. */
bool rig_next_request(struct rig *r);
void rig_expect(struct rig *r, uint16_t method);
/* … with credentials that hold, which the answers are sealed with. */
void rig_expect_proved(struct rig *r, uint16_t method);
void rig_expect_silence(struct rig *r);
void rig_expect_event(struct rig *r, enum turn_client_event_type type);
void rig_expect_no_event(struct rig *r);
void rig_expect_failure(struct rig *r, enum turn_client_step step, unsigned code);
/* To the next deadline, which must move on; what becomes due waits for rig_next_request(). */
void rig_to_deadline(struct rig *r);
void rig_begin(struct rig *r, enum stun_class class);
/* What rig_begin() began, as a message of the server. */
bool rig_feed(struct rig *r, struct turn_client_data *data);
void rig_challenge(struct rig *r, uint16_t code);
void rig_answer_error(struct rig *r, uint16_t code, bool proved);
void rig_put_success(struct rig *r);
void rig_answer_success(struct rig *r);
/* The usual ways, with all their answers. */
void rig_allocate(struct rig *r);
void rig_permit(struct rig *r, const struct addr *peer);
uint16_t rig_bind_channel(struct rig *r, const struct addr *peer);
