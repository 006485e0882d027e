/*
 * The hub's TLS files: given ones, or those of the local authority, which it makes and renews. It
 * looks at them every second or so and puts a new context before new connections when they changed;
 * while the new ones are unusable the old stay.
 */
#pragma once

#include "hub/hub.h"
#include "io/tls.h"

struct hub_tls;

/* Makes or checks the files; *context is the first one, the caller's. 0 or negative with why. */
int hub_tls_create(struct hub *hub, struct hub_tls **out, struct tls_context **context,
		   char why[256]) FL_WARN_UNUSED;
void hub_tls_destroy(struct hub_tls *t);

/* Begins to watch, once hub.server is there. */
int hub_tls_watch(struct hub_tls *t) FL_WARN_UNUSED;
/* SHA-256 of the SubjectPublicKeyInfo of the certificate that new connections get. */
void hub_tls_key(const struct hub_tls *t, uint8_t spki[32]);
void hub_tls_reload(struct hub_tls *t); /* now, changed or not */
