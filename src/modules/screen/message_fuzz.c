/* The first byte says text or binary; the rest is one message from a console. */
#include <assert.h>

#include "base/text.h"
#include "modules/screen/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct screen_message m;

	if (size == 0)
		return 0;
	if (screen_message_parse(span_of(data + 1, size - 1), data[0] & 1, &m) < 0)
		return 0;
	if (m.type == SCREEN_CLIPBOARD) {
		assert(m.text_len <= SCREEN_CLIPBOARD_MAX && strlen(m.text) == m.text_len);
		assert(text_utf8_valid(span_of(m.text, m.text_len)));
	}
	assert(strlen(m.code) <= SCREEN_CODE_MAX);
	screen_message_finish(&m);
	return 0;
}
