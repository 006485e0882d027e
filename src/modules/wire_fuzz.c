/* Both directions of the module protocol: what is read comes out the same when written again. */
#include <assert.h>

#include "modules/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct span in, enum module_side from)
{
	struct module_message m;
	size_t used;

	while (module_wire_get(in, from, &m, &used) > 0) {
		struct buf again = BUF_INIT(MODULE_MESSAGE_MAX + 4);
		assert(used >= MODULE_HEADER_LEN && used <= in.len);
		int err = module_wire_put(&again, &m);
		assert(err == 0);
		assert(span_equal(buf_span(&again), span_of(in.ptr, used)));
		buf_finish(&again);
		in = span_of(in.ptr + used, in.len - used);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	run(span_of(data, size), MODULE_FROM_CLIENT);
	run(span_of(data, size), MODULE_FROM_MODULE);
	return 0;
}
