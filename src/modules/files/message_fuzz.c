/* A files message, and the JSON of requests: what is accepted survives being written again. */
#include <assert.h>

#include "modules/files/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const struct files_message *m)
{
	struct files_request request, again;
	char why[128];

	if (files_request_parse(m, &request, why) < 0)
		return;
	char *text = files_request_format(&request);
	assert(text);
	struct files_message copy = { .type = m->type, .bytes = span_str(text) };
	int err = files_request_parse(&copy, &again, why);
	assert(err == 0 && again.n_paths == request.n_paths && again.force == request.force);
	assert(strcmp(again.paths[0], request.paths[0]) == 0);
	free(text);
	files_request_finish(&request);
	files_request_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[70000];
	struct files_message m;
	struct files_failure failure;
	bool into;

	if (size > sizeof(bytes) || files_message_get(span_of(data, size), &m) < 0)
		return 0;
	int n = files_message_put(&m, bytes, sizeof(bytes));
	assert(n == (int)size && memcmp(bytes, data, size) == 0);
	if (m.type == FILES_PUT || m.type == FILES_GET || m.type == FILES_LIST)
		check_request(&m);
	if (m.type == FILES_FAILED) {
		files_failure_parse(m.bytes, &failure);
		char *text = files_failure_format(&failure);
		assert(text);
		free(text);
	}
	if (m.type == FILES_BEGUN && files_begun_parse(m.bytes, &into) < 0)
		return 0;
	return 0;
}
