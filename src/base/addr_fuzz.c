#include <string.h>

#include "base/addr.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Text that parses must format to text that parses to the same address. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[128], out[ADDR_TEXT_MAX], safe[256];
	struct addr a, b;

	text_copy_span(text, sizeof(text), span_of(data, size));
	if (addr_parse(text, &a) == 0 &&
	    (addr_parse(addr_format(&a, out), &b) < 0 || !addr_equal(&a, &b)))
		__builtin_trap();
	if (addr_parse_ip(text, &a) == 0)
		(void)addr_range(&a);
	if (!text_utf8_valid(span_str(text_printable(safe, sizeof(safe), span_of(data, size)))))
		__builtin_trap();
	return 0;
}
