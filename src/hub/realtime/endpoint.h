/* One device's connection to /endpoint (docs/protocol.md §2.3). */
#pragma once

#include "hub/http/server.h"
#include "hub/realtime/broker.h"
#include "hub/realtime/rt.h"

#define ENDPOINT_PROVE_US (10 * USEC_PER_SEC)

struct endpoint {
	struct hub *hub;
	struct rt *rt;
	struct device *device; /* NULL until it proved its key */
	char nonce[HUBKEY_TEXT_CAP];
	char client_nonce[HUBKEY_TEXT_CAP]; /* of Prove */
	char host[256];
	char from[ADDR_TEXT_MAX];
	struct loop_timer prove_timer;
	struct loop_deferred end;
};

struct rt *endpoint_make(struct exchange *x, const struct rt_carrier *carrier);

/* The device was removed: tells it and closes. */
void endpoint_forget(struct endpoint *e);
