#include "base/text.h"
#include "proto/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the helper. What was encoded must decode to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_header field = { .value = { data + 1, size ? size - 1 : 0 } };
	const struct http_headers h = { &field, 1 };
	char text[1024], back[1024];
	int n;

	if (size < 1)
		return 0;
	switch (data[0] % 5) {
	case 0:
		field.name = span_str("accept-encoding");
		(void)http_choose_coding(&h, 3);
		break;
	case 1:
		field.name = span_str("cookie");
		(void)http_cookie_get(&h, "fairlead");
		break;
	case 2:
		(void)http_etag_match(field.value, "\"x\"");
		break;
	case 3:
		n = http_percent_decode(field.value, true, text, 300);
		if (n >= 0 && (http_percent_encode(span_of(text, (size_t)n), back, 1024) < 0 ||
			       http_percent_decode(span_str(back), false, back, 1024) != n ||
			       memcmp(text, back, (size_t)n) != 0))
			__builtin_trap();
		break;
	case 4:
		(void)!http_query_get(field.value, "id", text, sizeof(text));
		break;
	}
	return 0;
}
