/* What stands in the config file and on the command line, as it was written: settings.c's own. */
#pragma once

#include "relay/settings.h"

struct settings_user {
	char *name, *password;
};

struct settings_options {
	atomic_uint refs;
	struct opt_asked asked;
	bool check_config;
	int log_level;
	char *config;
	struct settings_listener listeners[SETTINGS_LISTENERS_MAX];
	size_t n_listeners;
	struct settings_relay_address relay[SETTINGS_RELAY_ADDRESSES_MAX];
	int64_t port_first, port_last, threads, busy_poll_us, drain_s, lifetime_max_s;
	char *realm, *xdp, *cert, *key;
	struct settings_user *users;
	size_t n_users;
	char *secrets[TURN_AUTH_SECRETS_MAX];
	size_t n_secrets;
	struct opt_list user_files, secret_files;
	struct turn_network allow[TURN_PEERS_NETWORKS_MAX], deny[TURN_PEERS_NETWORKS_MAX];
	size_t n_allow, n_deny;
	struct addr metrics;
	struct settings_quota per_user, total;
	bool tcp_relay, mobility, software;
	uint8_t nonce_key[TURN_AUTH_NONCE_KEY_LEN]; /* of the process: a reload knows its nonces */

	/* for the line numbers of errors that show only when all is known */
	char *text; /* of the config file */
	size_t text_len;
	int argc;
	char **argv; /* borrowed while reading */
};

extern const struct opt settings_table[];

/* Arguments, config file, users' and secrets' files. 0, or negative with *error. */
int settings_options_read(int argc, char **argv, struct settings_options **out,
			  struct opt_error *error) FL_WARN_UNUSED;
/* No more settings_fail(): drops what only that needs. */
void settings_options_read_done(struct settings_options *o);
struct settings_options *settings_options_ref(struct settings_options *o);
void settings_options_unref(struct settings_options *o); /* NULL is fine; wipes secrets */

/* "NAME:PASSWORD" and a secret; why gets what is wrong with it. */
int settings_add_user(struct settings_options *o, const char *value, char why[128]) FL_WARN_UNUSED;
int settings_add_secret(struct settings_options *o, const char *value,
			char why[128]) FL_WARN_UNUSED;

/* Adds "FILE:LINE: key: …", or "--key: …" when the key does not come from the file. */
void settings_fail(const struct settings_options *o, struct opt_error *error, const char *key,
		   const char *fmt, ...) FL_PRINTF(4, 5);
