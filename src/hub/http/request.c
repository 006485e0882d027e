#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "hub/api/api.h"
#include "hub/http/conn.h"
#include "hub/http/files.h"

static void take_credential(struct exchange *x, const struct http_request *r)
{
	static const char bearer[] = "bearer ";
	struct span auth = http_headers_get(&r->headers, "authorization");
	struct span cookie = http_cookie_get(&r->headers, "fairlead");
	char token[256];

	if (auth.ptr && auth.len > sizeof(bearer) - 1 &&
	    text_equal_nocase(span_of(auth.ptr, sizeof(bearer) - 1), span_str(bearer))) {
		x->credential = CREDENTIAL_KEY;
		secret_hash(span_of(auth.ptr + sizeof(bearer) - 1, auth.len - sizeof(bearer) + 1),
			    x->credential_hash);
	} else if ((r->upgrade || x->event_stream) &&
		   http_query_get(r->query, "access_token", token, sizeof(token)) > 0) {
		/* what SignalR clients do where a browser cannot be told headers to send */
		x->credential = CREDENTIAL_KEY;
		secret_hash(span_str(token), x->credential_hash);
		ct_wipe(token, sizeof(token));
	} else if (cookie.ptr) {
		x->credential = CREDENTIAL_COOKIE;
		secret_hash(cookie, x->credential_hash);
	}
}

/* A page of another site must not act with this browser's cookie. */
static bool origin_ok(const struct exchange *x, const struct http_request *r)
{
	struct span origin = http_headers_get(&r->headers, "origin");
	bool changes = r->method != HTTP_METHOD_GET && r->method != HTTP_METHOD_HEAD;
	bool cookie = http_cookie_get(&r->headers, "fairlead").ptr != NULL;

	if (!origin.ptr)
		return !(cookie && x->credential != CREDENTIAL_KEY && (changes || r->upgrade));
	return !(changes || r->upgrade) || headers_origin_fits(origin, r->host);
}

static void take_body(struct exchange *x, const struct http_request *r)
{
	static const char json[] = "application/json";
	struct span type = http_headers_get(&r->headers, "content-type");
	char why[SCHEMA_WHY_MAX];

	if (!x->route->body)
		return;
	/* also keeps forms of other sites out, which cannot send this type */
	if (type.len < sizeof(json) - 1 ||
	    !text_equal_nocase(span_of(type.ptr, sizeof(json) - 1), span_str(json))) {
		exchange_refuse(x, 415, "not-json", "Send content-type: application/json.");
		return;
	}
	x->body = schema_take_text(x->route->body, r->body, why);
	if (!x->body)
		exchange_refuse(x, 400, "bad-request", "%s", why);
}

/* Text of SignalR, not yet looked at. Its type keeps nothing out: the token in the query does. */
static void take_payload(struct exchange *x, const struct http_request *r)
{
	if (r->body.len == 0)
		return;
	x->extra = malloc(r->body.len);
	if (!x->extra) {
		exchange_refuse(x, 503, "busy", "The hub is out of memory; try again later.");
		return;
	}
	memcpy(x->extra, r->body.ptr, r->body.len);
	x->payload = span_of(x->extra, r->body.len);
}

/* Or the other transports, which name a connection; a WebSocket whose Upgrade a proxy took away is
 * told by its key. */
static bool is_websocket(const struct http_request *r)
{
	char token[4];

	return r->upgrade || http_headers_get(&r->headers, "sec-websocket-key").ptr ||
	       http_query_get(r->query, "id", token, sizeof(token)) == -ENOENT;
}

static void check_request(struct exchange *x, const struct http_request *r)
{
	int status;

	if (!origin_ok(x, r)) {
		exchange_refuse(x, 403, "wrong-origin", "This request comes from another site.");
	} else if (x->route->websocket && is_websocket(r)) {
		status = ws_server_check(r, NULL, &x->offer);
		x->upgrade = status == 0;
		if (status)
			exchange_refuse(x, (unsigned)status, "not-a-websocket",
					"Open this path as a WebSocket (version 13).");
	} else if (x->route->message) {
		take_payload(x, r);
	} else {
		take_body(x, r);
	}
}

static struct exchange *make_exchange(struct conn *c, const struct route *route,
				      const struct http_request *r)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->hub = c->server->hub;
	x->conn = c;
	x->route = route;
	x->from = c->from;
	addr_format_ip(&c->from, x->from_text);
	x->now = hub_now_ms();
	text_copy_span(x->query, sizeof(x->query), r->query);
	if (headers_host_valid(r->host))
		text_copy_span(x->host, sizeof(x->host), r->host);
	x->event_stream = r->method == HTTP_METHOD_GET &&
			  http_headers_has_token(&r->headers, "accept", "text/event-stream");
	take_credential(x, r);
	c->exchange = x;
	return x;
}

static void begin_exchange(struct conn *c, const struct route *route, const char *id,
			   const struct http_request *r)
{
	struct exchange *x = make_exchange(c, route, r);

	if (!x) {
		conn_kill(c);
		return;
	}
	text_copy(x->id, sizeof(x->id), id);
	check_request(x, r);
	if (x->code)
		exchange_answer(x);
	else if (route->begin)
		route->begin(x);
	else
		exchange_work(x);
}

static void answer_plain(struct conn *c, const struct http_request *r, unsigned status,
			 const char *code, const char *message)
{
	static const struct route none = { .path = "" };
	struct exchange *x = make_exchange(c, &none, r);

	if (!x) {
		conn_kill(c);
		return;
	}
	exchange_refuse(x, status, code, "%s", message);
	exchange_answer(x);
}

static void answer_file(struct conn *c, const struct http_request *r)
{
	static const char *const codings[] = {
		[HTTP_CODING_GZIP] = "gzip", [HTTP_CODING_BR] = "br"
	};
	struct headers h;
	struct file file;
	bool same;

	if (!files_get(c->server->hub->files, r->path, &r->headers, &file)) {
		answer_plain(c, r, 404, "not-found", "There is nothing under this address.");
		return;
	}
	same = http_etag_match(http_headers_get(&r->headers, "if-none-match"), file.etag);
	headers_init(&h, r->host);
	headers_add(&h, "etag", file.etag);
	headers_add(&h, "cache-control",
		    file.immutable ? "public, max-age=31536000, immutable" : "no-cache");
	if (file.varies)
		headers_add(&h, "vary", "accept-encoding");
	if (!same)
		headers_add(&h, "content-type", file.type);
	if (!same && file.coding != HTTP_CODING_IDENTITY)
		headers_add(&h, "content-encoding", codings[file.coding]);
	files_ref(file.set);
	c->body_set = file.set;
	conn_answer(c, same ? 304 : 200, &h, file.data);
}

static bool under_api(const char *path)
{
	static const char *const prefixes[] = { "/api/", "/id/", "/endpoint", "/realtime",
						"/health" };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(path, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* The relay asks who it is; the other side's Origin does not matter to it. */
static void take_turn(struct conn *c, const struct http_request *r)
{
	static const char *const protocols[] = { "turn", NULL };
	struct ws_offer offer;
	int status = r->upgrade ? ws_server_check(r, protocols, &offer) : 426;

	if (status == 0 && offer.protocol)
		conn_pass_turn(c, &offer);
	else
		answer_plain(c, r, status ? (unsigned)status : 400, "not-a-websocket",
			     "Open this path as a WebSocket (version 13), subprotocol \"turn\".");
}

void conn_request(struct conn *c, const struct http_request *r)
{
	char id[STORE_ID_CAP] = "";
	bool path_known = false;
	const struct route *route = api_find(r->method, r->path, id, &path_known);

	if (c->server->hub->config->relay_stream && strcmp(r->path, TURN_PASS_PATH) == 0)
		take_turn(c, r);
	else if (route)
		begin_exchange(c, route, id, r);
	else if (path_known)
		answer_plain(c, r, 405, "wrong-method", "This address does not know that method.");
	else if (under_api(r->path))
		answer_plain(c, r, 404, "not-found", "There is nothing under this address.");
	else if (r->method == HTTP_METHOD_GET || r->method == HTTP_METHOD_HEAD)
		answer_file(c, r);
	else
		answer_plain(c, r, 405, "wrong-method", "Pages are only for reading.");
}

/* How much of a body may come. */
void conn_request_head(struct conn *c, const struct http_request *r)
{
	char id[STORE_ID_CAP] = "";
	bool path_known;
	const struct route *route = api_find(r->method, r->path, id, &path_known);

	if (http_server_read_body(c->http, loop_now(c->server->hub->loop),
				  route && route->message ? SIGNALR_MESSAGE_MAX : HTTP_BODY_MAX) <
	    0)
		conn_kill(c);
}
