/* Negotiation and the way into the two realtime hubs. */
#include "hub/api/api.h"
#include "hub/realtime/console.h"
#include "hub/realtime/endpoint.h"
#include "hub/realtime/link.h"

/* WebSockets carry their own credentials; the token is for the other transports. */
static void negotiate(struct exchange *x, enum link_kind kind)
{
	char id[SIGNALR_CONNECTION_ID_LEN], token[LINK_TOKEN_CAP] = "";
	struct buf answer = BUF_INIT(4096);

	signalr_connection_id(rng_system(), id);
	if (x->hub->links)
		link_token(x->hub->links, kind, token);
	if (signalr_negotiate_answer(signalr_negotiate_version(span_str(x->query)), id, token,
				     &answer) == 0)
		x->result = json_loadb((const char *)buf_span(&answer).ptr, answer.len, 0, NULL);
	buf_finish(&answer);
	if (!x->result)
		exchange_refuse(x, 503, "busy", "The hub is out of memory; try again later.");
	exchange_answer(x);
}

static void negotiate_console(struct exchange *x)
{
	negotiate(x, LINK_CONSOLE);
}

static void negotiate_endpoint(struct exchange *x)
{
	negotiate(x, LINK_ENDPOINT);
}

static void get(struct exchange *x, enum link_kind kind, exchange_make_fn *make)
{
	if (x->upgrade)
		exchange_upgrade(x, make);
	else
		link_get(x, kind, make);
}

static void get_console(struct exchange *x)
{
	get(x, LINK_CONSOLE, console_make);
}

static void get_endpoint(struct exchange *x)
{
	get(x, LINK_ENDPOINT, endpoint_make);
}

static void post_console(struct exchange *x)
{
	link_post(x, LINK_CONSOLE);
}

static void post_endpoint(struct exchange *x)
{
	link_post(x, LINK_ENDPOINT);
}

static void delete_console(struct exchange *x)
{
	link_delete(x, LINK_CONSOLE);
}

static void delete_endpoint(struct exchange *x)
{
	link_delete(x, LINK_ENDPOINT);
}

const struct route api_realtime_routes[] = {
	{ HTTP_METHOD_POST, "/realtime/negotiate", .access = ROUTE_SIGNED_IN,
	  .finish = negotiate_console },
	{ HTTP_METHOD_POST, "/endpoint/negotiate", .begin = negotiate_endpoint },
	{ HTTP_METHOD_GET, "/realtime", .access = ROUTE_SIGNED_IN, .finish = get_console,
	  .websocket = true },
	{ HTTP_METHOD_GET, "/endpoint", .begin = get_endpoint, .websocket = true },
	{ HTTP_METHOD_POST, "/realtime", .access = ROUTE_SIGNED_IN, .finish = post_console,
	  .message = true },
	{ HTTP_METHOD_POST, "/endpoint", .begin = post_endpoint, .message = true },
	{ HTTP_METHOD_DELETE, "/realtime", .access = ROUTE_SIGNED_IN, .finish = delete_console },
	{ HTTP_METHOD_DELETE, "/endpoint", .begin = delete_endpoint },
	{ 0 },
};
