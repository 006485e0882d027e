/* One console's connection to /realtime (docs/protocol.md §2.1). */
#pragma once

#include "hub/http/server.h"
#include "hub/realtime/broker.h"
#include "hub/realtime/rt.h"

struct console {
	struct hub *hub;
	struct rt *rt;
	struct watcher watcher;
	struct list node;     /* of all consoles of the hub */
	struct list sessions; /* struct session.console_node */
	size_t n_sessions;
	char user[STORE_ID_CAP], user_name[STORE_TITLE_CAP];
	char host[256];
	bool by_cookie;
	uint8_t cookie[32]; /* its hash */
	struct loop_deferred end;
};

struct rt *console_make(struct exchange *x, const struct rt_carrier *carrier);

/* Sign-out: connections of this cookie, or (cookie NULL) of the user but those of keep. */
void console_signed_out(struct hub *h, const uint8_t *cookie, const char *user,
			const uint8_t *keep);
