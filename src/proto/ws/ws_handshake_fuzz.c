#include "proto/ws/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An even first byte: the rest is a request; odd: an answer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const protocols[] = { "a", "b", NULL };
	static const struct http_client_request ask = {
		.method = "GET", .target = "/", .host = "h", .upgrade = true
	};
	struct http_server *s = http_server_create(&(struct http_server_config){ 0 }, 0);
	struct http_client *c = http_client_create(&(struct http_client_config){ 0 });
	struct http_server_event se;
	struct http_client_event ce;
	struct http_field fields[3];
	struct ws_offer offer;

	if (size > 0 && size < 30000 && !(data[0] & 1)) {
		if (http_server_input(s, 0, span_of(data + 1, size - 1)) == 0 &&
		    http_server_next_event(s, &se) && se.type == HTTP_SERVER_REQUEST &&
		    ws_server_check(se.request, protocols, &offer) == 0 &&
		    http_server_upgrade(s, 0, fields, ws_server_fields(&offer, fields)) < 0)
			__builtin_trap();
	} else if (size > 0 && size < 30000) {
		if (http_client_request(c, 0, &ask) == 0 &&
		    http_client_input(c, 0, span_of(data + 1, size - 1)) == 0 &&
		    http_client_next_event(c, &ce) && ce.type == HTTP_CLIENT_RESPONSE)
			(void)!ws_client_check(ce.response, "dGhlIHNhbXBsZSBub25jZQ==", "a, b");
	}
	http_server_destroy(s);
	http_client_destroy(c);
	return 0;
}
