/*
 * What the files of the agent share. Slots of the fixed tables are referred to by index; -1 is
 * none. A generation is one set of credentials: the present one and, after a restart, the one of
 * the selected pair that still carries data.
 */
#pragma once

#include "base/ct.h"
#include "base/err.h"
#include "proto/ice/ice.h"
#include "proto/stun/stun.h"
#include "proto/stun/stun_client.h"

#define MSEC USEC_PER_MSEC

/*
 * Pacing (RFC 8445 §14.2 has Ta 50 ms and at least 5 ms). A pair just formed is checked at once as
 * long as BURST allows; after EARLY_CHECKS the pace slows, because then nobody waits for the first
 * answer any more.
 */
#define TA_EARLY_US (5 * MSEC)
#define TA_LATE_US (20 * MSEC)
#define EARLY_CHECKS 100
#define BURST 10

/*
 * Each sending of a check is a transaction of its own, so an answer tells its exact round trip. A
 * pair's checks go out at 0, 50, 150, 350, 750, 1550, 3150 and 4750 ms and fail at 6350 ms. The RFC
 * starts at 500 ms; then one lost packet costs half a second, and so does every hole whose other
 * side was opened a moment too late.
 */
#define RTO_US (50 * MSEC)
#define RTO_MAX_US STUN_RTO_MAX_US
#define TRIES_MAX 8
#define CHECKS_KEPT 8 /* outstanding ones that an answer is looked for in */

/* A second check of a pair within this time tells nothing the first does not. */
#define RECHECK_US (20 * MSEC)

/* Nomination waits this long after the first valid pair for one of a better rank. */
#define GRACE_US (100 * MSEC)
#define GRACE_RELAY_US (400 * MSEC)

/* Consent (RFC 7675 §5.1): every 4 to 6 s, gone after 30 s. An unanswered check is repeated at
 * REPEAT; after MISSES of them the pair counts as disconnected. */
#define CONSENT_MIN_US (4000 * MSEC)
#define CONSENT_SPREAD_US (2000 * MSEC)
#define CONSENT_LOST_US (30000 * MSEC)
#define CONSENT_REPEAT_US (500 * MSEC)
#define CONSENT_MISSES 4
/* The pace when there is a reason for suspicion; 3/2 of the round trip where that is longer. */
#define SUSPECT_REPEAT_US (200 * MSEC)
/* So many of them unanswered, and the other pairs are checked beside the selected one. One that
 * answers is used after one more. */
#define DOUBT_MISSES 2
#define DOUBT_MISSES_SUSPECT 1
/* A check that the other side sends elsewhere makes us suspicious, if ours was answered longer ago
 * than this. */
#define FRESH_US (300 * MSEC)

#define FAIL_AFTER_US (30000 * MSEC)
/* All known pairs failed: how long the other side's checks are still waited for (RFC 8863). */
#define PATIENCE_US (10000 * MSEC)
#define REFRESH_US (15000 * MSEC)  /* of server-reflexive bindings until there is a pair */
#define ASK_AGAIN_US (1600 * MSEC) /* a STUN server that never answered, until there is a pair */

/* While a better rank than the selected pair's is thinkable, such pairs that failed get one check
 * each from time to time: the best ones, and of the others a few by turns. A direct session does it
 * at growing distances. */
#define SEEK_US (2000 * MSEC)
#define SEEK_MAX_US (30000 * MSEC)
#define SEEK_BEST 4
#define SEEK_TURNS 4

/* Nominating checks that come closer together are one nomination; a check without one that comes so
 * much later was sent later. Longer than RTO_MAX_US. */
#define ASKED_US (2000 * MSEC)

#define PRFLX_LOCALS_MAX 12
#define PRFLX_REMOTES_KEPT 12 /* slots of remote candidates that only these get */
#define RELAYS_KEPT 8	      /* slots of local candidates that only a relayed one gets */
#define EARLY_MAX 32
#define PROBES_MAX (ICE_STUN_SERVERS_MAX * 16)
#define UFRAG_LEN 8 /* 48 random bits; RFC 8445 §5.3 wants 24 */
#define PWD_LEN 24  /* 144 random bits; RFC 8445 §5.3 wants 128 */
#define GENERATIONS 2

/* Which of two working pairs is taken, the higher one; docs/ice.md says why. Within a rank the
 * priority decides. */
enum ice_rank {
	RANK_RELAYED_TWICE, /* a relay at each end, where one would do */
	RANK_RELAYED,
	RANK_VIRTUAL,	  /* over a VPN, a virtual or a link-local network of ours */
	RANK_PUNCHED_TCP, /* through address translation */
	RANK_PUNCHED,
	RANK_LOCAL_TCP, /* by untranslated addresses on physical networks */
	RANK_LOCAL,
	RANKS,
};

struct lcand {
	bool used, announce;
	enum ice_type type;
	struct addr addr, base, related; /* base: what we send from; host and relay: addr itself */
	enum ice_transport transport;
	enum ice_net net;
	uint32_t priority;
	uint16_t preference; /* the "local preference" of RFC 8445 §5.1.2 */
	char foundation[ICE_FOUNDATION_MAX + 1];
};

struct rcand {
	bool used;
	unsigned gen;
	enum ice_type type;
	enum ice_transport transport;
	struct addr addr; /* scope 0 */
	uint32_t priority;
	char foundation[ICE_FOUNDATION_MAX + 1];
};

/* A candidate that came before the description it belongs to. */
struct early {
	struct rcand candidate;
	char ufrag[ICE_UFRAG_MAX + 1];
};

struct check {
	bool open;
	uint8_t tid[STUN_TID_LEN];
	usec_t sent;
	bool controlling, nominating;
};

struct pair {
	bool used;
	unsigned gen;
	int local;  /* host or relay candidate */
	int remote; /* rcand */
	int mapped; /* local candidate as the other side sees it, once valid; else -1 */
	struct addr remote_addr; /* the remote candidate's, with our scope */
	enum ice_pair_state state;
	bool valid;
	bool triggered;	 /* to be checked before others */
	bool wanted;	 /* controlled: nominated by the other side, waits for our own check */
	bool nominating; /* controlling: checks carry USE-CANDIDATE */
	bool nominated;
	bool heard; /* authenticated check or data from there */
	uint32_t nomination;
	struct check checks[CHECKS_KEPT];
	unsigned next_check;
	unsigned tries; /* of the present series; due and rto belong to it */
	usec_t due, rto, last_sent, last_answer;
	usec_t asked, asked_last; /* controlled: the last nomination's first and last check */
	uint32_t sent, answered, received, rtt_us;
	enum ice_unasked unasked;
	enum ice_pair_error error;
	uint16_t error_code;
	int send_error;
};

struct probe {
	bool used;
	int server, local;
	struct stun_client client;
	struct addr mapped;
	usec_t refresh;
	uint32_t rtt_us, sent;
	bool answered, gave_up;
};

struct creds {
	char ufrag[UFRAG_LEN + 1], pwd[PWD_LEN + 1];
	bool have_remote, lite, renomination;
	char remote_ufrag[ICE_UFRAG_MAX + 1], remote_pwd[ICE_PWD_MAX + 1];
};

struct out {
	struct addr local, remote;
	enum dgram_via via;
	uint16_t len;
	uint8_t data[STUN_SHORT_MAX];
};

struct ice {
	struct ice_config config;
	struct rng *rng;
	bool controlling;
	uint64_t tie, foundation_key;
	enum ice_state state;

	struct creds creds[GENERATIONS];
	unsigned gen;

	struct lcand locals[ICE_LOCALS_MAX];
	struct rcand remotes[ICE_REMOTES_MAX];
	struct pair pairs[ICE_PAIRS_MAX];
	struct addr servers[ICE_STUN_SERVERS_MAX];
	size_t n_servers;
	struct probe probes[PROBES_MAX];
	struct early early[EARLY_MAX]; /* n_early counts on past it: the oldest give way */
	size_t n_early;
	bool locals_done, remotes_done, gathered;

	int selected; /* pair */
	usec_t consent_due;
	unsigned misses;
	bool suspect;	 /* consent checks at the quick pace */
	bool hinted;	 /* by the other side, who need not be told */
	usec_t doubt_at; /* when the first check went out that is still unanswered */
	bool was_connected;
	bool failed;
	bool chooses;	      /* controlled: the peer nominates what it uses, not every pair */
	uint32_t nominations; /* highest NOMINATION sent or taken */
	bool renominate;  /* controlling: the other side may have taken a nomination that came to
			     nothing here, so it is told again which pair is selected */
	usec_t fail_at;	  /* without a selected pair */
	usec_t revive_at; /* while disconnected */
	usec_t seek_at, seek_interval;

	usec_t pace;	       /* when the next check fits into the pace, see pace_ready() */
	unsigned checks_paced; /* of this generation */

	struct out outputs[ICE_OUTPUT_MAX];
	size_t out_first, out_count;

	bool event_gathered, event_state, event_path, event_role;
	struct ice_path path; /* as last told */
	struct ice_stats stats;
};

/* ice_local.c: local candidates and STUN servers */
uint32_t ice__priority(enum ice_type type, enum ice_transport transport, uint16_t preference);
int ice__local_of_base(const struct ice *ice, const struct addr *base, enum dgram_via via);
int ice__local_mapped(struct ice *ice, const struct lcand *base, const struct addr *mapped);
void ice__local_forget_mapped(struct ice *ice, int keep);
bool ice__probe_answer(struct ice *ice, usec_t now, const struct dgram *d,
		       const struct stun_msg *m);
void ice__probe_timeout(struct ice *ice, usec_t now);
void ice__probe_again(struct ice *ice, usec_t now);
usec_t ice__probe_deadline(const struct ice *ice);
void ice__probe_restart(struct ice *ice, usec_t now);
void ice__tell_again(struct ice *ice, usec_t now);

/* ice_pair.c: remote candidates and the checklist */
void ice__pair_local(struct ice *ice, int local);
int ice__remote_add(struct ice *ice, const struct rcand *r);
int ice__pair_find(const struct ice *ice, unsigned gen, int local, const struct addr *remote);
int ice__pair_add(struct ice *ice, int local, int remote, bool heard);
void ice__pair_drop(struct ice *ice, int pair);
void ice__pair_restart(struct ice *ice, usec_t now, struct pair *p);
uint64_t ice__pair_priority(const struct ice *ice, const struct pair *p);
enum ice_rank ice__pair_rank(const struct ice *ice, const struct pair *p);
bool ice__pair_better(const struct ice *ice, const struct pair *a, const struct pair *b);
/* Worth leaving s, which works, for p. */
bool ice__pair_exceeds(const struct ice *ice, const struct pair *p, const struct pair *s);
void ice__remote_take_early(struct ice *ice);
void ice__remote_forget(struct ice *ice, int remote);

/* ice_check.c: sending and answering checks */
void ice__check_send(struct ice *ice, usec_t now, struct pair *p);
void ice__check_timeout(struct ice *ice, usec_t now);
usec_t ice__check_deadline(const struct ice *ice);
void ice__trigger(struct ice *ice, usec_t now, struct pair *p);

/* ice_input.c */
struct out *ice__output(struct ice *ice, const struct addr *local, const struct addr *remote,
			enum dgram_via via);

/* ice_select.c: nomination, consent, path, state */
void ice__valid(struct ice *ice, usec_t now, int pair);
void ice__nominated(struct ice *ice, usec_t now, int pair);
void ice__answered(struct ice *ice, usec_t now, int pair);
bool ice__stale(const struct ice *ice, usec_t now, int pair);
void ice__want(struct ice *ice, usec_t now, struct pair *p);
void ice__set_role(struct ice *ice, bool controlling);
void ice__revive(struct ice *ice, usec_t now);
/* The selected pair is silent for longer than it should: the others are checked, too. */
bool ice__doubtful(const struct ice *ice);
/* p was checked by the other side. */
void ice__heard_elsewhere(struct ice *ice, usec_t now, const struct pair *p);
/* The other side seems to have lost the selected pair; sure: it says so. */
void ice__hint(struct ice *ice, usec_t now, bool sure);
void ice__select_timeout(struct ice *ice, usec_t now);
usec_t ice__select_deadline(const struct ice *ice);
void ice__turn_end(struct ice *ice, usec_t now);
