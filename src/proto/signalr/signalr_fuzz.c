#include "base/text.h"
#include "proto/signalr/signalr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct signalr *s, const struct signalr_event *e)
{
	uint64_t call;

	if (e->type == SIGNALR_CONNECTED) {
		if (signalr_invoke(s, 0, "challenge", NULL, &call) < 0)
			__builtin_trap();
	} else if (e->type == SIGNALR_INVOCATION) {
		if (!text_utf8_valid(span_str(e->target)) || !json_is_array(e->args))
			__builtin_trap();
		if (signalr_complete(s, 0, e->invocation_id, e->args) < 0)
			__builtin_trap();
	}
}

/* A number that tells what came out; it must not depend on how the text was cut. */
static uint64_t run(const uint8_t *data, size_t size, size_t step, enum signalr_role role)
{
	const struct signalr_config config = { .role = role };
	struct signalr *s = signalr_create(&config, 0);
	struct signalr_event e;
	struct span out;
	uint64_t sum = 0, text = 0;

	for (size_t i = 0; i < size; i += step) {
		struct span piece = span_of(data + i, size - i < step ? size - i : step);

		if (signalr_input(s, 0, piece) < 0)
			__builtin_trap();
		while (signalr_next_event(s, &e)) {
			sum = sum * 31 + e.type + e.why + e.call + json_array_size(e.args);
			answer(s, &e);
		}
		while (signalr_next_output(s, &out)) {
			if (out.ptr[out.len - 1] != 0x1e || !text_utf8_valid(out))
				__builtin_trap();
			for (size_t k = 0; k < out.len; k++)
				text = text * 31 + out.ptr[k];
		}
	}
	signalr_timeout(s, signalr_deadline(s));
	signalr_destroy(s);
	return sum ^ text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum signalr_role role;
	uint64_t whole;

	if (size < 1 || size > 100000)
		return 0;
	role = data[0] & 1 ? SIGNALR_CLIENT : SIGNALR_SERVER;
	whole = run(data + 1, size - 1, size, role);
	if (run(data + 1, size - 1, (size_t)(data[0] >> 1) + 1, role) != whole)
		__builtin_trap();
	return 0;
}
