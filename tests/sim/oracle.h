/*
 * What is possible in a scenario, found without ICE: both ends know all of each other's addresses
 * at once and call each from each of their own, over and over, in a copy of the network that loses
 * nothing. An address pair works when a call was answered over it. Classes are those of
 * docs/ice.md, decided here anew from where the addresses come from.
 */
#pragma once

#include "plan.h"

enum oracle_class {
	ORACLE_NONE, /* nothing works */
	ORACLE_RELAYED_TWICE,
	ORACLE_RELAYED,
	ORACLE_VIRTUAL,
	ORACLE_PUNCHED_TCP,
	ORACLE_PUNCHED,
	ORACLE_LOCAL_TCP,
	ORACLE_LOCAL,
};

const char *oracle_class_name(enum oracle_class class);

/* The best that works, as each end sees it (which of its own interfaces are virtual, only it
 * knows). */
void oracle_best(const struct plan *plan, enum oracle_class best[2]);

/* The class of a pair: what is known of either side. */
struct oracle_view {
	bool local_relay, remote_relay, tcp, virtual_net;
	bool local_untranslated;
	bool remote_host;    /* one of the other end's own addresses, as it was told */
	bool remote_unknown; /* an address that was only seen */
	struct addr remote;
};

enum oracle_class oracle_classify(const struct oracle_view *v);
