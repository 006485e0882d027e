/*
 * What is known about one proxy: where it is, for which hosts, who we are to it, and what it said
 * to our password. Shared by all tunnels through it (tunnel.h), in one thread.
 *
 * A wrong password is never tried twice, because directories lock accounts after a few: one tunnel
 * alone asks first, the others wait for its answer, and a password that was refused stays refused
 * while anybody holds the object. Whoever makes the same proxy with the same password gets the same
 * object; another password is another object.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/util.h"

#define PROXY_HOST_MAX 256
#define PROXY_CREDENTIAL_MAX 256 /* bytes of a user name, of a password */

enum proxy_kind { PROXY_HTTP, PROXY_HTTPS, PROXY_SOCKS5 };

struct proxy_config {
	/* "http://host:port", "https://host[:port]" (TLS to the proxy itself),
	 * "socks5h://host[:port]". "socks5://" means the same: the proxy resolves the names. A user
	 * and password may stand in it, percent-encoded. */
	const char *url;
	const char *user, *password; /* NULL: those of the URL, or none */
	const char *ca_file; /* of an HTTPS proxy's certificate, beside the system's; or NULL */
	/* Hosts that it is not for, separated by commas or spaces: a name (with all below it),
	 * an IP, "10.0.0.0/8", "*". NULL: none. */
	const char *except;
};

struct proxy;

/* 0; FL_EMALFORMED with a sentence in why (never with the password); -ENOMEM. */
int proxy_create(const struct proxy_config *config, struct proxy **out,
		 char why[256]) FL_WARN_UNUSED;
struct proxy *proxy_ref(struct proxy *p);
void proxy_unref(struct proxy *p); /* NULL is fine; the last one wipes */

const char *proxy_text(const struct proxy *p); /* "http://host:port", for people */
bool proxy_is_for(const struct proxy *p, const char *host);
/* The password was refused: nothing gets through until there is another one. */
bool proxy_is_refused(const struct proxy *p);

/* "*", "example.org,10.0.0.0/8": whether host is among them. For no_proxy. */
bool proxy_list_has(const char *list, const char *host);

/* ---- for tunnel.c ---- */

struct proxy_inside {
	enum proxy_kind kind;
	char host[PROXY_HOST_MAX]; /* without brackets */
	uint16_t port;
	const char *user, *password, *ca_file; /* NULL: none */
	unsigned long
		scheme; /* libcurl's bit of the authentication it asked for last; 0: unknown */
};
struct proxy_inside *proxy_inside(struct proxy *p);

/* A tunnel that wants to show the password. wake: another one's answer is there; ask again, but not
 * from inside. */
struct proxy_asker {
	struct list node;
	void (*wake)(void *arg);
	void *arg;
};
enum proxy_leave { PROXY_GO, PROXY_WAIT, PROXY_NO };
enum proxy_leave proxy_ask(struct proxy *p, struct proxy_asker *a);

enum proxy_answer {
	PROXY_ACCEPTED,
	PROXY_REFUSED,
	PROXY_UNCLEAR, /* it ended before there was an answer */
};
/* Once for each proxy_ask() that said PROXY_GO. Who no longer waits takes its node off the list. */
void proxy_answered(struct proxy *p, struct proxy_asker *a, enum proxy_answer answer);
