/* The first byte chooses the message; what is taken must pass the same table again, unchanged. */
#include "hub/json/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct schema *const tables[] = {
	message_prove,	      message_status,	       message_answer,	  message_refuse,
	message_connect,      message_trickle,	       message_route,	  message_restart,
	message_end,	      message_session,	       message_enrol,	  message_link,
	message_sign_in,      message_enrolment_token, message_place_add, message_place_change,
	message_device_place, message_ice_servers,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct schema *table;
	char why[SCHEMA_WHY_MAX];
	json_t *once, *twice;

	if (size == 0)
		return 0;
	table = tables[(data[0] - 'A') % ARRAY_LEN(tables)];
	once = schema_take_text(table, span_of(data + 1, size - 1), why);
	if (!once) {
		if (!why[0])
			__builtin_trap();
		return 0;
	}
	twice = schema_take(table, once, why);
	if (!twice || !json_equal(once, twice))
		__builtin_trap();
	json_decref(once);
	json_decref(twice);
	return 0;
}
