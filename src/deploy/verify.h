/*
 * Compares a list that exists already with what a deployment needs. Lists are read in the forms
 * that lists.h writes (text, JSON, CSV, nftables, squid) and as plain lines "[udp|tcp] NAME
 * [PORTS]" with # comments, as people keep them. "*.example.org" stands for names one label below,
 * as most filters take it; ".example.org" for the name and all below it (squid).
 *
 * A list file is hostile input: bounded, and what is not understood is told, not guessed.
 */
#pragma once

#include "base/addr.h"
#include "base/span.h"
#include "deploy/needs.h"

#define VERIFY_FILE_MAX (1024 * 1024)
#define VERIFY_ENTRIES_MAX 4096
#define VERIFY_NOTE_MAX 120

struct verify_entry {
	char host[NEED_TEXT_MAX + 1]; /* "*.example.org", ".example.org", an address; "*": any */
	bool udp, tcp;
	uint16_t port_min, port_max;
	uint16_t own_min, own_max; /* only from these ports of the client; 0: from any */
	unsigned line;
	bool used;
};

struct verify {
	struct verify_entry list[VERIFY_ENTRIES_MAX];
	size_t n;
	unsigned bad_line; /* the first that was not understood, from 1; 0: none */
	char bad[VERIFY_NOTE_MAX];
};

/* 0; FL_EMALFORMED: bad_line and bad say where; FL_EQUOTA: too many entries or bytes. */
int verify_read(struct span text, struct verify *out) FL_WARN_UNUSED;

/*
 * Whether the list lets the need pass. Marks what it used, so that entries with used false after
 * all needs were asked are more than the deployment needs. addrs: what the need's name resolves to,
 * for lists of addresses; all of them have to be covered.
 */
bool verify_covers(struct verify *v, const struct need *need, const struct addr *addrs,
		   size_t n_addrs);
