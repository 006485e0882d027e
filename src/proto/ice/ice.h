/*
 * A full ICE agent (RFC 8445) with trickle (RFC 8838), consent freshness (RFC 7675) and restart:
 * one data stream, one component. Sans-IO: datagrams, time and randomness come in; datagrams,
 * events and one deadline come out. After every call that changes something the driver drains
 * ice_next_output() and ice_next_event(), then asks ice_deadline().
 *
 * The driver owns sockets and names. It tells the agent its local addresses (ice_add_local), hands
 * it every datagram that stun_is_message() accepts (RFC 7983; all others are the peer's data) and
 * sends what comes out from the address in dgram.local. A relayed candidate is a local address
 * like any other: output whose dgram.local is the relayed address goes through the TURN core.
 * `.local` and other host names in candidates are resolved by the caller, who then adds the
 * candidate with its address.
 *
 * TCP (RFC 6544): a passive local candidate is a listening address; an active one has the discard
 * port, 9, and stands for all connections that go out from its IP. In a dgram over TCP, local is
 * that candidate's address and remote the other end of the connection; the driver opens a
 * connection when output asks for one that is not there.
 *
 * Left to others: SDP, TURN, mDNS, and data. Where data should go is asked with ice_path().
 *
 * Addresses are values. Strings that come out are borrowed until the next call on the agent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/dgram.h"
#include "base/rng.h"
#include "base/usec.h"
#include "base/util.h"

/* Limits. What is beyond one of them is refused or dropped, and counted. */
#define ICE_LOCALS_MAX 64      /* local candidates: host, reflexive and relayed together */
#define ICE_HOSTS_MAX 44       /* host candidates; the rest is for those that reach further */
#define ICE_REMOTES_MAX 64     /* remote candidates, peer-reflexive included */
#define ICE_PAIRS_MAX 128      /* of the checklist; the lowest priorities give way */
#define ICE_STUN_SERVERS_MAX 4 /* asked in parallel from every host address */
#define ICE_OUTPUT_MAX 96      /* datagrams waiting for the driver */
#define ICE_UFRAG_MAX 256      /* RFC 8839 §5.4 */
#define ICE_PWD_MAX 256
#define ICE_FOUNDATION_MAX 32	    /* RFC 8839 §5.1 */
#define ICE_HOST_MAX 255	    /* a name in place of an address */
#define ICE_CANDIDATE_TEXT_MAX 1024 /* a candidate line */

enum ice_type { ICE_HOST, ICE_SRFLX, ICE_PRFLX, ICE_RELAY };

enum ice_transport { ICE_UDP, ICE_TCP_ACTIVE, ICE_TCP_PASSIVE, ICE_TCP_SO };
#define ICE_TCP_ACTIVE_PORT 9 /* of an active candidate (RFC 6544 §4.1) */

static inline enum dgram_via ice_via(enum ice_transport t)
{
	return t == ICE_UDP ? DGRAM_UDP : DGRAM_TCP;
}

/* A candidate as it is written in SDP (RFC 8839 §5.1). */
struct ice_candidate {
	enum ice_type type;
	enum ice_transport transport;
	char foundation[ICE_FOUNDATION_MAX + 1];
	uint16_t component; /* 1…256; only 1 is used */
	uint32_t priority;
	struct addr addr;	       /* family ADDR_NONE: host is a name; addr.port is set */
	char host[ICE_HOST_MAX + 1];   /* the name, or "" */
	struct addr related;	       /* raddr, rport; ADDR_NONE when absent */
	char ufrag[ICE_UFRAG_MAX + 1]; /* "ufrag" extension (RFC 8838 §4.1), or "" */
};

/*
 * "candidate:…", with or without "a=" before it. 0; FL_EMALFORMED; FL_EUNSUPPORTED for another
 * transport than UDP and TCP or a type that is not known. Extensions that are not known are
 * skipped.
 */
int ice_candidate_parse(struct span text, struct ice_candidate *out) FL_WARN_UNUSED;
/* "candidate:…" without "a=", terminated. The length, or FL_EQUOTA when cap is too small. */
int ice_candidate_format(const struct ice_candidate *c, char *dst, size_t cap) FL_WARN_UNUSED;

const char *ice_type_name(enum ice_type type); /* "host", "srflx", "prflx", "relay" */

struct ice_config {
	bool controlling;     /* the offerer; a conflict is settled by the agents (§7.3.1.1) */
	bool loopback;	      /* loopback addresses are used, not ignored */
	usec_t fail_after_us; /* from the remote credentials to ICE_FAILED without a valid pair;
				 0: 30 s */
};

struct ice;

/* Local credentials exist at once. NULL: no memory. rng is kept, not owned. */
struct ice *ice_create(const struct ice_config *config, struct rng *rng);
void ice_destroy(struct ice *ice); /* NULL is fine; wipes the passwords */

const char *ice_local_ufrag(const struct ice *ice);
const char *ice_local_pwd(const struct ice *ice);
bool ice_controlling(const struct ice *ice); /* may change by a role conflict */

/* What kind of network a local address belongs to. The later ones get lower priorities, and
 * nomination never waits for ICE_NET_VIRTUAL and ICE_NET_LINK_LOCAL. */
enum ice_net { ICE_NET_PHYSICAL, ICE_NET_TEMPORARY, ICE_NET_VIRTUAL, ICE_NET_LINK_LOCAL };

struct ice_local {
	enum ice_type type;  /* ICE_HOST; ICE_RELAY; ICE_SRFLX when learned elsewhere (TURN) */
	struct addr addr;    /* where it is reached; a bound port, not 0 */
	struct addr base;    /* ICE_SRFLX: the host address behind it; else ignored */
	struct addr related; /* ICE_RELAY: the mapped address, for raddr; else ignored */
	enum ice_transport transport; /* ICE_UDP; of a host also ICE_TCP_ACTIVE and _PASSIVE */
	enum ice_net net;
	uint8_t preference; /* among addresses of the same kind, higher is better (relay: UDP before
			       TCP before TLS). Of others 128 and more also go before the family */
};

/*
 * Each new local address is announced by ICE_EVENT_CANDIDATE and paired at once. 0; -EEXIST;
 * FL_EQUOTA; FL_EUNSUPPORTED (loopback without config.loopback, multicast, unspecified, port 0),
 * -ENOENT (ICE_SRFLX without its base).
 */
int ice_add_local(struct ice *ice, usec_t now, const struct ice_local *local) FL_WARN_UNUSED;
/* The address is gone: its candidates and pairs go too, and a selected pair over it is given up.
 * -ENOENT when unknown. */
int ice_remove_local(struct ice *ice, usec_t now, const struct addr *addr, enum dgram_via via);
/* Asked from every host address of its family, the present ones and those to come. 0, -EEXIST,
 * FL_EQUOTA. */
int ice_add_stun_server(struct ice *ice, usec_t now, const struct addr *server) FL_WARN_UNUSED;
/* No further ice_add_local() for now: ICE_EVENT_GATHERED follows when the STUN servers answered or
 * were given up. Local addresses may still be added later. */
void ice_end_of_locals(struct ice *ice, usec_t now);

struct ice_remote {
	const char *ufrag, *pwd;
	bool lite;	   /* a=ice-lite: we control, it only answers (§6.1.1) */
	bool renomination; /* ice-options: renomination (draft-thatcher-ice-renomination) */
};

/* Checks begin. Copied. FL_EMALFORMED: not ice-char or of a wrong length (RFC 8839 §5.4);
 * FL_ESTATE: already set for this generation and different (restart first). After a restart
 * others may take their place until a pair has worked: the answer to the restart before may have
 * come late. */
int ice_set_remote(struct ice *ice, usec_t now, const struct ice_remote *remote) FL_WARN_UNUSED;
/* Whether these are the credentials in use: a description with others asks for a restart. */
bool ice_is_remote(const struct ice *ice, const char *ufrag, const char *pwd);
/*
 * May come before ice_set_remote(); one that names a ufrag waits for the credentials it belongs to,
 * also when they come with a restart. 1: taken; 0: of no use (active TCP, a name, a duplicate,
 * another component, a limit), counted and ignored.
 */
int ice_add_remote(struct ice *ice, usec_t now, const struct ice_candidate *candidate);
void ice_end_of_remotes(struct ice *ice, usec_t now);

/*
 * Restart (§9): new local credentials, an empty checklist, local candidates stay and are announced
 * again. The selected pair goes on carrying data under consent of the old credentials until a pair
 * of the new generation is selected. ice_set_remote() with the new remote credentials must follow.
 */
void ice_restart(struct ice *ice, usec_t now);

/* One datagram for which stun_is_message() is true. Bad ones are dropped and counted. 0, -ENOMEM.
 */
int ice_input(struct ice *ice, usec_t now, const struct dgram *d);
/* Optional: data that is not STUN came this way. Makes an early path better known. */
void ice_note_data(struct ice *ice, usec_t now, const struct dgram *d);
/* Optional: the driver could not send from local to remote (-ENETUNREACH …). Goes into the report.
 */
void ice_note_error(struct ice *ice, const struct addr *local, const struct addr *remote,
		    enum dgram_via via, int err);
/* Optional: data is not getting through (SCTP retransmits). The path is checked now and at a quick
 * pace, and after a second check the others beside it, so that another one carries data half a
 * second later when it is dead. */
void ice_suspect(struct ice *ice, usec_t now);
/* The selected pair is under suspicion, or lost: the time to get other local candidates. */
bool ice_suspicious(const struct ice *ice);

/* When due. 0 always. */
int ice_timeout(struct ice *ice, usec_t now);
usec_t ice_deadline(const struct ice *ice); /* USEC_NEVER: nothing to wait for */

/* False when there is none. The bytes are borrowed until the next call. */
bool ice_next_output(struct ice *ice, struct dgram *out);

enum ice_state {
	ICE_NEW,	  /* no remote credentials yet */
	ICE_CHECKING,	  /* no selected pair yet (there may be a valid one: ice_path()) */
	ICE_CONNECTED,	  /* a pair is selected and under consent */
	ICE_DISCONNECTED, /* the selected pair fell silent; all pairs are checked again */
	ICE_FAILED,	  /* no pair works, or consent expired; only ice_restart() helps */
};

const char *ice_state_name(enum ice_state state);
enum ice_state ice_state(const struct ice *ice);

enum ice_event_type {
	ICE_EVENT_CANDIDATE, /* candidate: a local one to bring to the other side */
	ICE_EVENT_GATHERED,  /* end-of-candidates */
	ICE_EVENT_STATE,     /* state; edges that were not fetched in time are merged */
	ICE_EVENT_PATH,	     /* ice_path() says something else than before */
	ICE_EVENT_ROLE,	     /* ice_controlling() changed */
};

struct ice_event {
	enum ice_event_type type;
	enum ice_state state;
	struct ice_candidate candidate;
};

bool ice_next_event(struct ice *ice, struct ice_event *out);

/* How sure it is that data arrives. */
enum ice_path_level {
	ICE_PATH_NONE,
	ICE_PATH_EARLY,	   /* a remote address is known, nothing was answered yet */
	ICE_PATH_VALID,	   /* a check succeeded; good for DTLS and data (RFC 8445 §12.1) */
	ICE_PATH_SELECTED, /* nominated */
};

struct ice_path {
	enum ice_path_level level;
	struct addr local, remote; /* send from local to remote */
	enum dgram_via via;
	enum ice_type local_type, remote_type;
	uint32_t rtt_us; /* 0: not measured */
};

/* Where data goes now: selected, else best valid, else early. Returns out->level. */
enum ice_path_level ice_path(const struct ice *ice, struct ice_path *out);
/*
 * Pairs on which nothing was answered yet, for a first DTLS flight beside the first checks: those
 * the other side was heard on come first, then by priority. To be used sparingly (a few paths, a
 * few packets), because the other address has not consented (RFC 7675). The number written.
 */
size_t ice_early_paths(const struct ice *ice, struct ice_path *out, size_t cap);

/* For the route report. */

enum ice_pair_state {
	ICE_PAIR_FROZEN,
	ICE_PAIR_WAITING,
	ICE_PAIR_IN_PROGRESS,
	ICE_PAIR_SUCCEEDED,
	ICE_PAIR_FAILED
};

const char *ice_pair_state_name(enum ice_pair_state state);

enum ice_pair_error {
	ICE_PAIR_OK,
	ICE_PAIR_TIMEOUT,    /* checks unanswered */
	ICE_PAIR_CONSENT,    /* worked once, then fell silent */
	ICE_PAIR_REFUSED,    /* answered with error_code */
	ICE_PAIR_ASYMMETRIC, /* the answer came from another address (§7.2.5.2.1) */
	ICE_PAIR_SEND,	     /* the driver could not send: send_error */
};

/* Whether the other side's first check came in although we had sent nothing that lets it in: what
 * this tells of the filtering in front of us (RFC 4787 §5). */
enum ice_unasked {
	ICE_UNASKED_NO,
	ICE_UNASKED_PORT,    /* only to another port of that address */
	ICE_UNASKED_ADDRESS, /* nothing to that address */
};

struct ice_pair_info {
	enum ice_type local_type, remote_type; /* local: as the other side sees it */
	struct addr local, base, remote;       /* base: our own address of the pair */
	enum dgram_via via;
	enum ice_pair_state state;
	bool valid, nominated, selected;
	uint64_t priority;
	uint32_t sent, answered, received; /* checks; received: from the other side */
	uint32_t rtt_us;		   /* of the latest answered check, 0: none */
	enum ice_unasked unasked;
	enum ice_pair_error error;
	uint16_t error_code; /* STUN error code */
	int send_error;	     /* negative errno */
};

/* Every pair tried, best first; the selected one of an earlier generation included. The number
 * written. */
size_t ice_pairs(const struct ice *ice, struct ice_pair_info *out, size_t cap);

/* What a STUN server said to one of our addresses; two servers tell the NAT's mapping. */
struct ice_server_info {
	struct addr server, base;
	struct addr mapped; /* ADDR_NONE: no answer */
	uint32_t rtt_us;
	uint32_t sent;
	bool gave_up;
};

size_t ice_servers(const struct ice *ice, struct ice_server_info *out, size_t cap);

struct ice_stats {
	uint64_t checks_sent, checks_answered, checks_received, consents_lost;
	usec_t began_us, valid_us, selected_us; /* first remote credentials, first valid pair, first
						   selected pair of this generation; 0: not yet */
	/* dropped datagrams and candidates, by reason */
	uint64_t malformed;	    /* not STUN, or broken */
	uint64_t fingerprint;	    /* FINGERPRINT missing or wrong */
	uint64_t unauthenticated;   /* unknown user name or wrong MESSAGE-INTEGRITY */
	uint64_t unexpected;	    /* a response to nothing, another method or class */
	uint64_t unknown_attribute; /* answered with 420 */
	uint64_t wrong_local;	    /* came to an address that is not ours */
	uint64_t candidates_ignored;
	uint64_t over_limit;	  /* candidates, pairs or output beyond a maximum */
	uint64_t candidates_full; /* of over_limit: signalled candidates beyond ICE_REMOTES_MAX */
	uint64_t reflexive;	  /* peer-reflexive candidates learned, of both sides */
};

const struct ice_stats *ice_stats(const struct ice *ice);
