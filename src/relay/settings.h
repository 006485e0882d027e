/*
 * What the relay was told to do: the option table, a config file, and what follows from both,
 * checked as a whole. Immutable once made and reference counted, because workers use it while a
 * reload makes the next one.
 */
#pragma once

#include <stdatomic.h>

#include "base/addr.h"
#include "base/opt.h"
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
};

/* A relayed address: what clients are told, and what we bind (another one behind a 1:1 NAT). */
struct settings_relay_address {
	struct addr told, bound;
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
	unsigned threads;	       /* 0: one per CPU we may use */
	unsigned busy_poll_us;
	char *xdp_interface; /* NULL: none */
	struct addr metrics; /* family ADDR_NONE: none */
	unsigned drain_s;
};

/* Options, flags over file. 0, or negative with the sentence for people (with file and line where
 * it came from a file) in error. */
int settings_read(int argc, char **argv, struct settings **out,
		  struct opt_error *error) FL_WARN_UNUSED;
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s); /* NULL is fine */

/* Names of what differs and cannot be changed without a restart ("listen, threads"), or "". */
const char *settings_frozen_difference(const struct settings *now, const struct settings *next,
				       char *buf, size_t cap);
