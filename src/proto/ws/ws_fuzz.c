#include "base/text.h"
#include "proto/ws/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A number that tells what came out; it must not depend on how the bytes were cut. */
static uint64_t run(const uint8_t *data, size_t size, size_t step, enum ws_role role)
{
	const struct ws_config config = { .role = role, .message_max = 1000 };
	struct rng rng;
	struct ws *ws;
	struct ws_event e;
	uint64_t sum = 0;

	rng_seed(&rng, 1);
	ws = ws_create(&config, &rng);
	for (size_t i = 0; i < size; i += step) {
		struct span piece = span_of(data + i, size - i < step ? size - i : step);

		if (ws_input(ws, 0, piece) < 0)
			break;
		while (ws_next_event(ws, &e)) {
			sum = sum * 31 + e.type + e.code + e.data.len;
			if (e.type == WS_EVENT_TEXT && !text_utf8_valid(e.data))
				__builtin_trap();
			if (e.type < WS_EVENT_PONG && e.data.len > 1000)
				__builtin_trap();
			if (e.type == WS_EVENT_TEXT && ws_send_text(ws, e.data) < 0)
				__builtin_trap();
		}
	}
	sum = sum * 31 + ws_output(ws).len;
	ws_destroy(ws);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum ws_role role;
	uint64_t whole;

	if (size < 1 || size > 30000) /* so that neither queue meets its maximum */
		return 0;
	role = data[0] & 1 ? WS_CLIENT : WS_SERVER;
	whole = run(data + 1, size - 1, size, role);
	if (run(data + 1, size - 1, (size_t)(data[0] >> 1) + 1, role) != whole)
		__builtin_trap();
	return 0;
}
