/* The opening handshake, RFC 6455 §4. The HTTP around it is proto/http's. */
#include <errno.h>
#include <openssl/evp.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/ws/ws.h"

#define KEY_BYTES 16
#define SHA1_BYTES 20
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 §1.3 */

int ws_accept_value(struct span key, char out[WS_ACCEPT_LEN])
{
	char joined[WS_KEY_LEN - 1 + sizeof(GUID)];
	uint8_t bytes[KEY_BYTES + 2], digest[EVP_MAX_MD_SIZE];

	if (key.len != WS_KEY_LEN - 1 || text_b64_decode(key, bytes, sizeof(bytes)) != KEY_BYTES)
		return FL_EMALFORMED;
	memcpy(joined, key.ptr, key.len);
	memcpy(joined + key.len, GUID, sizeof(GUID));
	if (!EVP_Digest(joined, strlen(GUID) + key.len, digest, NULL, EVP_sha1(), NULL))
		return -ENOMEM; /* nothing else can go wrong here */
	text_b64_encode(span_of(digest, SHA1_BYTES), out, WS_ACCEPT_LEN);
	return 0;
}

static unsigned count_fields(const struct http_headers *headers, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; i < headers->count; i++)
		n += span_is(headers->fields[i].name, name);
	return n;
}

int ws_server_check(const struct http_request *request, const char *const *protocols,
		    struct ws_offer *out)
{
	const struct http_headers *h = &request->headers;

	if (request->method != HTTP_METHOD_GET)
		return 405;
	if (!request->upgrade || !http_headers_has_token(h, "upgrade", "websocket") ||
	    !span_is(http_headers_get(h, "sec-websocket-version"), "13"))
		return 426;
	if (count_fields(h, "sec-websocket-key") != 1 || request->body.len ||
	    ws_accept_value(http_headers_get(h, "sec-websocket-key"), out->accept) < 0)
		return 400;
	out->protocol = NULL;
	for (; protocols && *protocols; protocols++)
		if (http_headers_has_token(h, "sec-websocket-protocol", *protocols)) {
			out->protocol = *protocols;
			break;
		}
	return 0;
}

size_t ws_server_fields(const struct ws_offer *offer, struct http_field fields[3])
{
	fields[0] = (struct http_field){ "upgrade", "websocket" };
	fields[1] = (struct http_field){ "sec-websocket-accept", offer->accept };
	if (!offer->protocol)
		return 2;
	fields[2] = (struct http_field){ "sec-websocket-protocol", offer->protocol };
	return 3;
}

void ws_client_key(struct rng *rng, char key[WS_KEY_LEN])
{
	uint8_t bytes[KEY_BYTES];

	rng_bytes(rng, bytes, sizeof(bytes));
	text_b64_encode(span_of(bytes, sizeof(bytes)), key, WS_KEY_LEN);
}

size_t ws_client_fields(const char *key, const char *protocols, struct http_field fields[4])
{
	fields[0] = (struct http_field){ "upgrade", "websocket" };
	fields[1] = (struct http_field){ "sec-websocket-version", "13" };
	fields[2] = (struct http_field){ "sec-websocket-key", key };
	if (!protocols)
		return 3;
	fields[3] = (struct http_field){ "sec-websocket-protocol", protocols };
	return 4;
}

static bool was_offered(struct span protocol, const char *protocols)
{
	struct http_header offered = { span_str("p"), span_str(protocols ? protocols : "") };
	const struct http_headers list = { &offered, 1 };
	char name[64];

	return text_copy_span(name, sizeof(name), protocol) &&
	       http_headers_has_token(&list, "p", name);
}

int ws_client_check(const struct http_response *response, const char *key, const char *protocols)
{
	const struct http_headers *h = &response->headers;
	struct span protocol = http_headers_get(h, "sec-websocket-protocol");
	char expected[WS_ACCEPT_LEN];
	int r;

	if (response->status != 101 || !response->upgraded)
		return FL_EUNSUPPORTED;
	r = ws_accept_value(span_str(key), expected);
	if (r < 0)
		return r;
	if (!http_headers_has_token(h, "upgrade", "websocket") ||
	    !http_headers_has_token(h, "connection", "upgrade") ||
	    count_fields(h, "sec-websocket-accept") != 1 ||
	    !span_is(http_headers_get(h, "sec-websocket-accept"), expected) ||
	    http_headers_get(h, "sec-websocket-extensions").ptr ||
	    (protocol.ptr && !was_offered(protocol, protocols)))
		return FL_EMALFORMED;
	return 0;
}
