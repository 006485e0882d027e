#include <assert.h>

#include "base/err.h"
#include "base/util.h"
#include "proto/proxy2/proxy2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whole, and byte by byte as it could arrive: both must say the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy2 whole, part;
	size_t need, need_part, n = 0;
	int ret = proxy2_parse(span_of(data, size), &whole, &need), ret_part;

	if (size > PROXY2_MAX)
		return 0;
	assert(ret == FL_EMALFORMED || need <= PROXY2_MAX);
	assert(ret != 1 || need <= size);
	assert(ret != 0 || need > size);
	do {
		ret_part = proxy2_parse(span_of(data, n), &part, &need_part);
		if (ret_part != 0)
			break;
		assert(need_part > n);
		n = FL_MIN(need_part, size); /* as a reader that takes no more than is needed */
	} while (n < size || need_part <= size);
	assert(ret != 1 || ret_part == 1);
	if (ret == 1) {
		assert(need == need_part && whole.local == part.local);
		assert(whole.source.family == whole.destination.family);
		assert(addr_equal(&whole.source, &part.source));
		assert(!whole.local || whole.source.family == ADDR_NONE);
	}
	return 0;
}
