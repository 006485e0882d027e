/*
 * Errors. A function that can fail returns 0 or a count, or a negative number: a negative errno
 * value, or one of the codes below. What a peer does (refuses, stays silent, sends nonsense) is an
 * event or a counter of the module, not an error of the call.
 */
#pragma once

enum {
	FL_EMALFORMED = -1000,	     /* bytes that break the format's rules */
	FL_EUNAUTHENTICATED = -1001, /* a signature, tag or password that does not fit */
	FL_EQUOTA = -1002,	     /* a named limit was reached */
	FL_EUNSUPPORTED = -1003,     /* well formed, but not something we do */
	FL_ESTATE = -1004,	     /* not possible in the object's present state */
	FL_ECLOSED = -1005,	     /* the other side closed in good order */
	FL_ETLS = -1006,	     /* OpenSSL failed; the module's error text says how */
	FL_EPROXY = -1007, /* the proxy on the way does not let us through; its text says why */
	FL_ELAST = FL_EPROXY,
};

/* A short name such as "ENOMEM" or "malformed"; never NULL. */
const char *err_name(int err);

/* A sentence for people ("Permission denied"); never NULL. Takes negative codes. */
const char *err_text(int err);
