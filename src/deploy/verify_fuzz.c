#include "deploy/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Any file at all, read as a list and compared; and the same bytes as /network.json. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct verify v;
	static struct needs needs;
	const struct need need = { .host = "hub.example.org", .port_min = 443, .port_max = 443 };
	struct addr at = { .family = ADDR_V4, .ip = { 192, 0, 2, 1 } };
	char why[160];

	if (verify_read((struct span){ data, len }, &v) == 0)
		(void)verify_covers(&v, &need, &at, 1);
	json_t *json = json_loadb((const char *)data, len, 0, NULL);
	if (json && needs_from_json(json, &needs, why) == 0)
		json_decref(needs_to_json(&needs));
	json_decref(json);
	return 0;
}
