/*
 * Clients over DTLS (RFC 7350): one UDP socket, a cookie before any state (RFC 6347 §4.2.1), then a
 * session per client address. Named limits on sessions and on handshakes under way.
 */
#pragma once

#include "relay/worker.h"

/* A session without an allocation has proved nothing but its address. More limits are in
 * proto/dtls/dtls_server.h. */
#define DTLS_FRONT_UNPROVED_MAX 1024 /* of one IPv4 /24 or IPv6 /48, without an allocation */
#define DTLS_FRONT_IDLE_S 60	     /* without an allocation and without a message */

struct dtls_front;

int dtls_front_create(struct worker *w, const struct settings_listener *at, int fd,
		      struct dtls_front **out) FL_WARN_UNUSED;
void dtls_front_destroy(struct dtls_front *f); /* NULL is fine */
struct addr dtls_front_addr(const struct dtls_front *f);
/* A reload: new sessions use this certificate. 0 or negative: the old one stays. */
int dtls_front_set(struct dtls_front *f, struct settings *s);
size_t dtls_front_count(const struct dtls_front *f);
