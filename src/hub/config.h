/* What a hub can be told: one table gives flags, file keys, --help, manual and checks. */
#pragma once

#include "base/addr.h"
#include "base/opt.h"

#define CONFIG_LISTEN_MAX 8
#define CONFIG_STORES_MAX 60

struct hub_config {
	struct opt_asked asked;
	bool sign_in_link;
	char *config_file;
	char *data;
	uint16_t port;
	struct opt_list listen;
	struct opt_list names;
	char *certificate, *key;
	char *console;
	struct opt_list stun, turn, stores;
	char *turn_secret_file;
	char *relay_stream;
	char *metrics;
	int log_level;

	/* made by hub_config_load() */
	struct addr metrics_addr; /* family ADDR_NONE: none */
	struct addr relay_addr;	  /* where TURN on our own port goes; the same */
	struct addr listen_addrs[CONFIG_LISTEN_MAX];
	size_t n_listen;
	bool listen_all; /* nothing was given: IPv4 and, where there is one, IPv6 */
};

extern const struct opt_program hub_program;

/*
 * Arguments, then the file they name (the command line wins), then checks across options. 0;
 * negative with *error: say it and exit 2. With help, version, manual or completion set nothing
 * else was looked at.
 */
int hub_config_load(struct hub_config *c, int argc, char **argv,
		    struct opt_error *error) FL_WARN_UNUSED;
void hub_config_finish(struct hub_config *c);

/* "stun.example:3478", "192.0.2.1:3478", "[2001:db8::1]:3478", ":3478" (the hub's own name). */
bool hub_config_stun_valid(const char *text);
/* A DNS name as it may stand in a certificate. */
bool hub_config_name_valid(const char *text);
