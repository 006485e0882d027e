#include "proto/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_client_request requests[] = {
	{ .method = "GET", .target = "/", .host = "h" },
	{ .method = "HEAD", .target = "/", .host = "h" },
	{ .method = "GET", .target = "/", .host = "h", .upgrade = true },
};

static void drain(struct http_client *c, uint64_t *sum)
{
	struct http_client_event e;

	while (http_client_next_event(c, &e)) {
		if (e.type == HTTP_CLIENT_FAILED)
			continue;
		*sum = *sum * 31 + e.response->status + e.response->body.len;
	}
}

/* The answers that come out must not depend on how the bytes were cut. */
static uint64_t run(const uint8_t *data, size_t size, size_t step, unsigned which)
{
	const struct http_client_config config = { .body_max = 1000 };
	struct http_client *c = http_client_create(&config);
	uint64_t sum = 0;

	if (http_client_request(c, 0, &requests[which]) < 0)
		__builtin_trap();
	for (size_t i = 0; i < size; i += step) {
		struct span piece = span_of(data + i, size - i < step ? size - i : step);

		if (http_client_input(c, 0, piece) < 0)
			break;
		drain(c, &sum);
	}
	http_client_eof(c, 0);
	drain(c, &sum);
	http_client_destroy(c);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned which;
	uint64_t whole;

	if (size < 1 || size > 100000)
		return 0;
	which = data[0] % 3;
	whole = run(data + 1, size - 1, size, which);
	if (run(data + 1, size - 1, (size_t)(data[0] >> 2) + 1, which) != whole)
		__builtin_trap();
	return 0;
}
