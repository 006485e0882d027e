/* Config text through the relay's own table: its values' parsers, and what they leave behind. */
#include "relay/settings_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct settings_options *o)
{
	if (o->n_listeners > SETTINGS_LISTENERS_MAX || o->n_secrets > TURN_AUTH_SECRETS_MAX ||
	    o->n_users > TURN_AUTH_USERS_MAX || o->n_allow > TURN_PEERS_NETWORKS_MAX ||
	    o->n_deny > TURN_PEERS_NETWORKS_MAX)
		__builtin_trap();
	for (size_t i = 0; i < o->n_listeners; i++)
		if (o->listeners[i].at.family == ADDR_NONE ||
		    (o->listeners[i].proxy_protocol &&
		     !turn_transport_is_stream(o->listeners[i].transport)))
			__builtin_trap();
	for (size_t i = 0; i < o->n_users; i++)
		if (!*o->users[i].name || !*o->users[i].password)
			__builtin_trap();
	for (size_t i = 0; i < SETTINGS_RELAY_ADDRESSES_MAX; i++)
		if (o->relay[i].told.family != o->relay[i].bound.family)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings_options *o = calloc(1, sizeof(*o));
	struct opt_error error;

	if (!o || opt_defaults(settings_table, o) < 0)
		__builtin_trap();
	atomic_init(&o->refs, 1);
	/* names of files are only kept here, nothing is opened */
	if (opt_parse_text(settings_table, o, "fuzz", size ? (const char *)data : "", size,
			   &error) == 0)
		check(o);
	settings_options_unref(o);
	return 0;
}
