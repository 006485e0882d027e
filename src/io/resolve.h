/*
 * Names to addresses by the system's resolver (getaddrinfo) in a worker thread, so /etc/hosts,
 * search domains and mDNS plugins behave as for every other program.
 */
#pragma once

#include "base/addr.h"
#include "io/loop.h"

#define RESOLVE_MAX 16 /* addresses handed out for one name */

struct resolve;

/* fn exactly once, unless cancelled: err 0 and addresses in the system's order (RFC 6724), or a
 * negative error with why as a sentence. An address literal is answered without the thread, but
 * still later. */
int resolve_start(struct loop *loop, const char *host, uint16_t port,
		  void (*fn)(void *arg, int err, const char *why, const struct addr *addrs,
			     size_t n),
		  void *arg, struct resolve **out) FL_WARN_UNUSED;
void resolve_cancel(struct resolve *r); /* NULL is fine; fn is not called after this */
