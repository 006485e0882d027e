/*
 * A PAC file, from a path or from the server it lies on: directly, without redirects, of a bounded
 * size, in a bounded time.
 */
#pragma once

#include "base/span.h"
#include "io/loop.h"

#define FETCH_US (4 * USEC_PER_SEC)	    /* name, connection and answer together */
#define FETCH_ADDRESS_US (2 * USEC_PER_SEC) /* one address */

struct fetch;

/*
 * cause NULL: script is the file, borrowed. Else a word, and why a sentence:
 *
 *	pac-address      that is no URL and no path
 *	pac-file         the file cannot be read
 *	pac-name         the server's name was not found
 *	pac-unreachable  the server takes no connection
 *	pac-slow         it did not answer in time
 *	pac-tls          its certificate is not trusted
 *	pac-status       it answered with something else than 200
 *	pac-too-large    over PAC_SCRIPT_MAX
 *	pac-broken       its answer was cut off or is no HTTP
 */
typedef void fetched(void *arg, const char *cause, const char *why, struct span script);

/* location: a URL, "file:///path" or "/path". Answered once and later. 0 or -ENOMEM. */
int fetch_start(struct loop *loop, const char *location, fetched *fn, void *arg,
		struct fetch **out) FL_WARN_UNUSED;
void fetch_cancel(struct fetch *f); /* NULL is fine; from inside fn too */
