#include <assert.h>

#include "proto/dtls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello h, again;

	if (!hello_parse(span_of(data, size), &h))
		return 0;
	/* what is told was there, and what follows the record does not matter */
	assert(size >= 13 + 12 + 2 + HELLO_RANDOM_LEN && data[0] == 22 && data[13] == 1);
	assert(memcmp(h.random, data + 27, HELLO_RANDOM_LEN) == 0);
	assert(!hello_parse(span_of(data, 13 + 12 + 2 + HELLO_RANDOM_LEN - 1), &again));
	return 0;
}
