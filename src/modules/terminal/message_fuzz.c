/* A terminal message, and the JSON of OPEN: what is accepted survives being written again. */
#include <assert.h>

#include "modules/terminal/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct terminal_message m;
	struct terminal_open open, again;
	uint8_t head[8];
	char why[128];

	if (terminal_message_get(span_of(data, size), &m) < 0)
		return 0;
	size_t n = terminal_message_head(&m, head);
	assert(n + m.bytes.len == size && memcmp(head, data, n) == 0);
	if (m.type != TERMINAL_OPEN || terminal_open_parse(m.bytes, &open, why) < 0)
		return 0;
	char *text = terminal_open_format(&open);
	assert(text);
	int err = terminal_open_parse(span_str(text), &again, why);
	assert(err == 0 && again.cols == open.cols && again.tty == open.tty);
	free(text);
	terminal_open_finish(&open);
	terminal_open_finish(&again);
	return 0;
}
