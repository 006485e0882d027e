/*
 * The console's side of one session (docs/protocol.md §2.1, §3, §4): asks the hub, makes the offer,
 * checks the device's signature over its answer, trickles both ways, finds a new route when the old
 * one falls silent, and lives on when the hub goes away.
 */
#pragma once

#include <fairlead/peer.h>

#include "cli/cli.h"

enum session_route { SESSION_AUTO, SESSION_LOCAL, SESSION_PUNCHED, SESSION_RELAYED };
extern const char *const session_route_names[];

struct console_session;

struct console_handler {
	void (*on_connected)(void *arg);
	/* Channel events of the peer, FL_EVENT_ROUTE and FL_EVENT_DISCONNECTED (the session looks
	 * for another route by itself). */
	void (*on_event)(void *arg, const struct fl_event *event);
	/* Once, unless console_session_end() came first. why: a sentence without "fairlead:". */
	void (*on_failed)(void *arg, const char *why);
};

struct console_config {
	const struct target *target; /* must outlive the session */
	const char *device;	     /* name or id */
	enum session_route route;
	const char *module; /* the one that is asked for; NULL: "terminal" */
};

int console_session_create(struct loop *loop, const struct console_config *config,
			   const struct console_handler *handler, void *arg,
			   struct console_session **out) FL_WARN_UNUSED;
struct fl_peer *console_session_peer(struct console_session *s);
/* The route report now; to be freed. NULL: there is no peer yet, or no memory. */
struct fl_route *console_session_report(const struct console_session *s);
json_t *console_session_route(const struct console_session *s); /* the same as Route of §1.1 */
/* To the hub, as it is now. False: it cannot be told. */
bool console_session_tell_route(struct console_session *s);
enum fl_route_method console_session_method(const struct console_session *s);
/* What the hub made of the reports of both ends (§1.1), borrowed; NULL: nothing yet. */
const json_t *console_session_verdict(const struct console_session *s);
/* After calls on the peer from outside the session's own functions. */
void console_session_pump(struct console_session *s);
/* Ends it in good order, waiting a little for both sides to hear of it; turns the loop. */
void console_session_end(struct console_session *s);
void console_session_destroy(struct console_session *s); /* NULL is fine */
