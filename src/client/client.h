/*
 * The client program: one connection to the hub, sessions with consoles, their modules.
 *
 *	main.c ── options, identity, enrolment, signals
 *	uplink.c ── the realtime connection: challenge, proof, what the hub calls, coming back
 *	session.c ── one console: grant, peer, channels, modules, route
 *
 * Everything belongs to the one loop's thread.
 */
#pragma once

#include <jansson.h>

#include <fairlead/peer.h>

#include "base/list.h"
#include "base/log.h"
#include "client/grant.h"
#include "client/identity.h"
#include "client/modulehost/modulehost.h"
#include "hublink/backoff.h"
#include "hublink/hub_url.h"
#include "hublink/realtime.h"
#include "hublink/way.h"
#include "io/loop.h"

#define CLIENT_SESSIONS_MAX 16
#define CLIENT_CLOCK_TOLERANCE_S 300
#define CLIENT_PING_US (2 * USEC_PER_SEC)
#define CLIENT_SILENCE_US (5 * USEC_PER_SEC)

struct client {
	struct loop *loop;
	struct identity identity;
	struct hub_url url;
	struct way *way;		      /* out of here */
	char way_said[300], problem_said[32]; /* said when they change */
	struct tls_context *tls;
	struct fl_identity *dtls;
	struct modulehost *modules;
	struct list sessions;
	size_t n_sessions;
	struct grant_used used;

	/* uplink */
	struct realtime *rt;
	struct backoff backoff;
	struct loop_timer retry;
	struct loop_timer status_timer;
	struct loop_timer trim; /* gives free memory back after the last session */
	char *last_status;	/* JSON as the hub knows it */
	char nonce[SIGN_KEY_TEXT], hub_nonce[SIGN_KEY_TEXT];
	bool challenged, proved;
	bool loopback;	       /* the hub is on this machine */
	int64_t clock_ahead_s; /* the hub's clock minus ours */
	bool clock_told, tls_told;
	bool refuse_inspection;
	char inspected_by[256]; /* whose TLS it is instead of the hub's; "": nobody's, or unknown */
	char last_why[512];	/* said once, not at every attempt */
	usec_t last_why_at;
	json_t *ice_servers;
	int exit_status;
};

/* ---- uplink.c ---- */

void uplink_start(struct client *c);
void uplink_stop(struct client *c);
/* What is wrong with the settings for the way out is logged. */
void uplink_watch_way(struct client *c);
/* Calls a method if the hub is there; object is taken over. What is lost while it is away is made
 * good by Prove, which names the running sessions. */
void uplink_call(struct client *c, const char *method, json_t *object);
/* The clocks differ by more than CLIENT_CLOCK_TOLERANCE_S, as far as is known. */
bool uplink_clock_is_off(const struct client *c);
int64_t uplink_hub_seconds(const struct client *c); /* Unix seconds by the hub's clock */

/* ---- status.c ---- */

json_t *status_json(const struct client *c);

/* ---- session.c ---- */

struct session;

/* The hub's connect. Refuses to the hub by itself when something is wrong. */
void session_connect(struct client *c, json_t *args);
void session_restart(struct client *c, json_t *args);
void session_trickle(struct client *c, json_t *args);
void session_limit(struct client *c, json_t *args);
void session_end(struct client *c, json_t *args);
/* After a reconnect: tells the routes again. */
void sessions_report(struct client *c);
json_t *sessions_list(const struct client *c); /* [{"id"}…] */
void sessions_end_all(struct client *c);
