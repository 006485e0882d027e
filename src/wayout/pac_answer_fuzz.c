#include "wayout/pac_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char shown[PAC_URL_CAP];
	struct pac_ways ways;
	unsigned bad;

	pac_answer_parse((const char *)data, size, &ways, &bad);
	for (size_t i = 0; i < ways.n; i++)
		if (!pac_way_format(&ways.list[i], shown)[0] ||
		    (ways.list[i].kind != PAC_DIRECT && !ways.list[i].port))
			abort();
	return 0;
}
