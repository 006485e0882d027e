#include "proto/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const struct http_request *r)
{
	char value[64];

	if (r->path[0] != '/' && r->path[0] != '*')
		__builtin_trap();
	if (strstr(r->path, "/../") || strstr(r->path, "//"))
		__builtin_trap();
	for (size_t i = 0; i < r->headers.count; i++)
		for (size_t k = 0; k < r->headers.fields[i].value.len; k++)
			if (r->headers.fields[i].value.ptr[k] == '\n')
				__builtin_trap();
	(void)!http_query_get(r->query, "id", value, sizeof(value));
	(void)http_cookie_get(&r->headers, "fairlead");
	(void)http_choose_coding(&r->headers, 3);
}

static void drain(struct http_server *s, usec_t now, unsigned *answers)
{
	struct http_server_event e;

	while (http_server_next_event(s, &e)) {
		if (e.type == HTTP_SERVER_HEAD) {
			(void)!http_server_read_body(s, now, 1000);
		} else if (e.type == HTTP_SERVER_REQUEST) {
			check_request(e.request);
			if (http_server_respond(s, now, 200, NULL, 0, e.request->body) < 0)
				__builtin_trap();
			++*answers;
		}
	}
	http_server_sent(s, http_server_output(s).len);
}

/* The first byte says into pieces of what size the rest is cut; whole or cut, the same requests
 * must come out. */
static unsigned run(const uint8_t *data, size_t size, size_t step, bool ask)
{
	const struct http_server_config config = { .ask_body = ask, .body_max = 1000 };
	struct http_server *s = http_server_create(&config, 0);
	unsigned answers = 0;
	usec_t now = 0;

	for (size_t i = 0; i < size; i += step) {
		struct span piece = span_of(data + i, size - i < step ? size - i : step);

		if (http_server_input(s, now, piece) < 0)
			break;
		drain(s, now, &answers);
	}
	now = http_server_deadline(s);
	if (now != USEC_NEVER)
		http_server_timeout(s, now);
	drain(s, now, &answers);
	http_server_destroy(s);
	return answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned whole;

	if (size < 1 || size > 100000)
		return 0;
	whole = run(data + 1, size - 1, size, data[0] & 0x80);
	if (run(data + 1, size - 1, (size_t)(data[0] & 0x7f) + 1, data[0] & 0x80) != whole)
		__builtin_trap();
	return 0;
}
