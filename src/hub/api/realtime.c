/* Negotiation and the way into the two realtime hubs. */
#include "hub/api/api.h"
#include "hub/realtime/console.h"
#include "hub/realtime/endpoint.h"

/* WebSockets carry their own credentials, so the ids only have to be there. */
static void finish_negotiate(struct exchange *x)
{
	char id[SIGNALR_CONNECTION_ID_LEN], token[SIGNALR_CONNECTION_ID_LEN];
	struct buf answer = BUF_INIT(4096);

	signalr_connection_id(rng_system(), id);
	signalr_connection_id(rng_system(), token);
	if (signalr_negotiate_answer(signalr_negotiate_version(span_str(x->query)), id, token,
				     &answer) == 0)
		x->result = json_loadb((const char *)buf_span(&answer).ptr, answer.len, 0, NULL);
	buf_finish(&answer);
	if (!x->result)
		exchange_refuse(x, 503, "busy", "The hub is out of memory; try again later.");
	exchange_answer(x);
}

static void finish_console(struct exchange *x)
{
	exchange_upgrade(x, console_make);
}

static void begin_endpoint(struct exchange *x)
{
	exchange_upgrade(x, endpoint_make);
}

const struct route api_realtime_routes[] = {
	{ HTTP_METHOD_POST, "/realtime/negotiate", .access = ROUTE_SIGNED_IN,
	  .finish = finish_negotiate },
	{ HTTP_METHOD_POST, "/endpoint/negotiate", .begin = finish_negotiate },
	{ HTTP_METHOD_GET, "/realtime", .access = ROUTE_SIGNED_IN, .finish = finish_console,
	  .websocket = true },
	{ HTTP_METHOD_GET, "/endpoint", .begin = begin_endpoint, .websocket = true },
	{ 0 },
};
