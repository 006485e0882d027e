/*
 * What the relay was told to do: the option table, a config file, and what follows from both,
 * checked as a whole. Immutable once made and reference counted, because workers use it while a
 * reload makes the next one.
 *
 * Flags stand over the file's keys; an option that may be repeated and is given on the command line
 * replaces all of the file's. What a restart alone can change is taken over from the settings
 * before (settings_reread()), so workers see one truth.
 */
#pragma once

#include <stdatomic.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/opt.h"
#include "io/sd.h"
#include "io/tls.h"
#include "proto/turn/turn.h"
#include "proto/turn/turn_auth.h"
#include "proto/turn/turn_peers.h"

#define SETTINGS_LISTENERS_MAX 32
#define SETTINGS_RELAY_ADDRESSES_MAX 2 /* one of each family */

struct settings_listener {
	enum turn_transport transport;
	struct addr at;
	bool proxy_protocol; /* PROXY v2 comes first on every connection (streams only) */
	int inherited;	     /* a bound socket from systemd, the relay's to close; -1: none */
};

/* A relayed address: what clients are told, and what we bind (another one behind a 1:1 NAT). */
struct settings_relay_address {
	struct addr told, bound;
	bool found; /* by us, on an interface */
};

/* Zero is no limit. Bandwidth counts user data of both directions. */
struct settings_quota {
	unsigned allocations;
	uint64_t bytes_per_s, packets_per_s;
};

struct settings {
	atomic_uint refs;
	struct settings_listener listeners[SETTINGS_LISTENERS_MAX];
	size_t n_listeners;
	struct settings_relay_address
		relay[SETTINGS_RELAY_ADDRESSES_MAX]; /* [0] IPv4, [1] IPv6;
							family ADDR_NONE: none */
	uint16_t port_first, port_last;
	char *realm, *software;
	struct turn_auth *auth; /* NULL: no users and no secret, so STUN only */
	struct turn_peers *peers;
	struct settings_quota per_user, total;
	unsigned lifetime_max_s;
	bool tcp_relay, mobility;
	struct tls_context *tls, *wss; /* NULL without such listeners; they differ in ALPN */
	char *cert_file, *key_file;    /* for DTLS, which has a context of its own */
	int64_t cert_until_s;	       /* Unix time of the certificate's end; 0: no certificate */
	unsigned threads;	       /* 0: one per CPU we may use */
	unsigned busy_poll_us;
	char *xdp_interface; /* NULL: none */
	struct addr metrics; /* family ADDR_NONE: none */
	unsigned drain_s;
	enum log_level log_level;

	struct opt_asked asked; /* with any of them nothing else was looked at */
	bool check_config;
	struct settings_options *options; /* what it was made from */
	struct settings_options *started; /* and what the process was started with */
};

extern const struct opt_program settings_program;

/*
 * The first settings of a process. Listeners that match a handed-over socket get it; without any
 * --listen the sockets are the listeners (inherited may be NULL). 0, or negative with sentences for
 * people in error, one a line, each with file and line where it came from a file.
 */
int settings_read(int argc, char **argv, struct sd_sockets *inherited, struct settings **out,
		  struct opt_error *error) FL_WARN_UNUSED;

/*
 * A reload: everything read again. What cannot change without a restart stays as it was; frozen
 * gets the names of what would have changed ("listen, threads"), or "".
 */
int settings_reread(const struct settings *before, int argc, char **argv, struct settings **out,
		    char *frozen, size_t frozen_cap, struct opt_error *error) FL_WARN_UNUSED;

/* The same options once more, because certificate files or the interfaces' addresses changed. */
int settings_renew(const struct settings *before, struct settings **out,
		   struct opt_error *error) FL_WARN_UNUSED;

struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s); /* NULL is fine */

/* Names of what differs and cannot be changed without a restart ("listen, threads"), or "". */
const char *settings_frozen_difference(const struct settings *now, const struct settings *next,
				       char *buf, size_t cap);

/* "500k", "10M", "1.5G": bits a second, here in bytes a second. For the tests. */
int settings_parse_rate(const char *text, uint64_t *bytes_per_s, char why[128]) FL_WARN_UNUSED;
