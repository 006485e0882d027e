/*
 * The needs of a deployment as a list that a firewall, a filter or a person takes: text, JSON, CSV,
 * nftables, squid, proxy auto-configuration. Written into a buf; nothing here touches a network:
 * who wants addresses for names (nftables) brings a function that resolves them.
 */
#pragma once

#include "base/addr.h"
#include "base/buf.h"
#include "deploy/needs.h"

#define LISTS_MAX (1024 * 1024) /* bytes of a list */
#define LISTS_ADDRS_MAX 32	/* of one name */

enum list_format { LIST_TEXT, LIST_JSON, LIST_CSV, LIST_NFTABLES, LIST_SQUID, LIST_PAC };

extern const char *const list_format_names[]; /* ends with NULL */

struct list_options {
	enum list_format format;
	const char *region; /* "": all */
	bool wildcard;	    /* one label under the deployment's name stands as "*.name" */
	bool reserved;	    /* with the names that are kept for later */
	/* LIST_NFTABLES: the addresses of a name, at most cap; 0: it does not resolve */
	size_t (*resolve)(void *arg, const char *host, struct addr *out, size_t cap);
	void *arg;
};

/* 0, -ENOMEM, FL_EQUOTA; FL_EUNSUPPORTED: nftables knows no wildcards; -ENOENT with the name in
 * unresolved: it has no address, so a list would lack it. */
int list_write(const struct needs *needs, const struct list_options *options, struct buf *out,
	       char unresolved[NEED_TEXT_MAX + 1]) FL_WARN_UNUSED;
