/*
 * TLS certificates of a hub that was given none: a local certificate authority (ECDSA P-256, its
 * key 0600) and a server certificate from it, both in the data folder. The server certificate is
 * made anew before it expires and when the names change; the authority stays, because people may
 * have trusted it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define CERTIFICATE_NAMES_MAX 64
#define CERTIFICATE_DAYS 397	   /* what browsers accept at most from public ones */
#define CERTIFICATE_RENEW_DAYS 100 /* left; then it is renewed */
#define CERTIFICATE_AUTHORITY_DAYS (20 * 365)

struct certificate_names {
	const char *names[CERTIFICATE_NAMES_MAX]; /* DNS names and IP literals */
	size_t count;
};

/* folder/ca.pem, ca.key, hub.pem (certificate, then the authority), hub-tls.key. 1: something new
 * was made; 0: all is well; negative with a sentence. now: seconds since 1970. */
int certificate_ensure(const char *folder, const struct certificate_names *names, int64_t now,
		       char why[256]) FL_WARN_UNUSED;

/* Does key belong to the first certificate of the file, and is that valid now? 0 or negative with
 * a sentence. A certificate whose time has not come or is over gives -ETIME and a sentence. */
int certificate_check(const char *cert_file, const char *key_file, int64_t now,
		      char why[256]) FL_WARN_UNUSED;
