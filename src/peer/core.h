/*
 * One peer connection as a core: it composes ICE, DTLS, SCTP, DCEP, SDP and the video sender, and
 * has no socket and no clock. Local addresses, datagrams, descriptions and time come in; datagrams,
 * events (those of the public header) and one deadline come out. After every call the driver takes
 * outputs and events until there are none, then asks for the deadline. The impurities of
 * proto/dtls and proto/sctp are its own too.
 *
 * How a set-up is made short:
 * - An offer to another libfairlead carries our ClientHello; the answerer's first flight then
 * leaves together with its first checks, and keys are there one round trip after the answer.
 * - Otherwise the answerer is active. Toward another libfairlead its ClientHello goes with the
 * first checks. Toward a browser it waits until the browser's own check was answered: browsers drop
 *   DTLS that comes earlier, and the repetition would cost more than the wait.
 * - The active side sends SCTP's INIT behind its own Finished (RFC 7918), and both send it as soon
 *   as they can. Channels asked for early are opened in the packet that ends SCTP's handshake.
 *
 * Handshake packets are taken only from addresses whose ICE check has been seen; those that come
 * first are kept (EARLY_MAX) until then.
 */
#pragma once

#include <fairlead/peer.h>

#include "base/addr.h"
#include "base/dgram.h"
#include "base/rng.h"
#include "base/usec.h"
#include "base/util.h"
#include "proto/dtls/dtls.h"
#include "proto/ice/ice.h"

#define PEER_CHANNEL_QUEUE_MAX (1 << 20) /* bytes queued per channel */
#define PEER_EVENTS_MAX 256		 /* queued events, beside data */
#define PEER_EARLY_MAX 8		 /* handshake packets kept from addresses not checked yet */
#define PEER_EARLY_REPEATS 4 /* of a handshake flight, before a pair has been answered */
#define PEER_REPEAT_MAX 1500 /* bytes of an SCTP packet kept for another path */
#define PEER_EARLY_PATHS 3   /* unanswered pairs that an early flight to a native peer uses */
#define PEER_TOLD_MAX 8	     /* … and all its repeats to new pairs */

struct peer;

/* Of struct fl_route_policy what a core keeps to; addresses and sockets are the driver's. */
struct peer_policy {
	bool no_local, no_punched, no_relayed;
	bool relay_last; /* relays only after 5 s without a direct pair */
	uint32_t max_kbit;
	struct {
		struct addr base;
		unsigned bits;
	} excluded[FL_POLICY_LIST_MAX]; /* subnets, of both ends' own addresses */
	size_t n_excluded;
};

bool peer_policy_excludes(const struct peer_policy *policy, const struct addr *a);

struct peer_config {
	struct dtls_identity *identity;
	const enum fl_video_codec *video_codecs; /* copied */
	size_t n_video_codecs;
	uint32_t video_max_bps; /* 0: the sender's own maximum */
	bool loopback;
	struct peer_policy policy;
};

int peer_create(const struct peer_config *config, struct rng *rng,
		struct peer **out) FL_WARN_UNUSED;
void peer_destroy(struct peer *p); /* NULL is fine; sends nothing */

#define PEER_ORIGIN_MAX 95 /* bytes; what is longer is cut */

struct peer_local {
	struct ice_local ice;
	unsigned prefix_bits;		  /* of the network it is on; 0: not known */
	char origin[PEER_ORIGIN_MAX + 1]; /* for the report: interface, or the relay's URL */
};

/* Before or after the start. 0, -EEXIST, FL_EQUOTA, FL_EUNSUPPORTED. */
int peer_add_local(struct peer *p, usec_t now, const struct peer_local *local) FL_WARN_UNUSED;
void peer_remove_local(struct peer *p, usec_t now, const struct addr *addr, enum dgram_via via);
int peer_add_stun_server(struct peer *p, usec_t now, const struct addr *server) FL_WARN_UNUSED;
/* No more addresses or servers to come for now. */
void peer_end_of_locals(struct peer *p, usec_t now);
void peer_note_error(struct peer *p, const struct addr *local, const struct addr *remote,
		     enum dgram_via via, int err);

int peer_offer(struct peer *p, usec_t now) FL_WARN_UNUSED;
int peer_answer(struct peer *p, usec_t now, const char *offer_sdp) FL_WARN_UNUSED;
int peer_accept(struct peer *p, usec_t now, const char *answer_sdp) FL_WARN_UNUSED;
/* One that came by itself; a name instead of an address is not of use: see peer_next_name(). */
int peer_candidate(struct peer *p, usec_t now, const char *text) FL_WARN_UNUSED;
int peer_restart(struct peer *p, usec_t now) FL_WARN_UNUSED;
void peer_close(struct peer *p, usec_t now);

/* A candidate whose address is a host name (".local"): the driver resolves it and hands the
 * candidate back with its address. Borrowed until the next call. */
bool peer_next_name(struct peer *p, struct ice_candidate *out);
void peer_resolved(struct peer *p, usec_t now, const struct ice_candidate *candidate);
/* It has no address; why is static, for the report. */
void peer_unresolved(struct peer *p, const struct ice_candidate *candidate, const char *why);

/* Reasons for which candidates are dropped, as the report counts them. */
enum peer_ignored {
	PEER_IGNORED_MALFORMED,	  /* not a candidate line */
	PEER_IGNORED_UNSUPPORTED, /* a transport or type that is not spoken */
	PEER_IGNORED_COMPONENT,	  /* of another component than the one used */
	PEER_IGNORED_ADDRESS,	  /* nothing can be sent there */
	PEER_IGNORED_LOOPBACK,	  /* another machine's loopback */
	PEER_IGNORED_SELF,	  /* our own address: a loop */
	PEER_IGNORED_DUPLICATE,
	PEER_IGNORED_PRIVATE, /* more than PEER_PRIVATE_MAX */
	PEER_IGNORED_NAME,    /* a name that is not looked up, or has no address in this network */
	PEER_IGNORED_LIMIT,   /* over another named limit */
	PEER_IGNORED_POLICY,
	PEER_IGNORED_REASONS
};

/*
 * A candidate that somebody outside the core leaves out, such as a rule of the administrator: into
 * the report, and counted when it is the other side's. Of an interface's address without a socket
 * the port is 0. origin: of a local one, else NULL. why is static.
 */
void peer_left_out(struct peer *p, usec_t now, bool remote, const struct ice_candidate *c,
		   const char *origin, enum peer_ignored reason, const char *why);
/* What tests of their own told about the NAT in front of us; goes before what the session saw. */
void peer_note_nat(struct peer *p, enum fl_nat_mapping mapping, enum fl_nat_filtering filtering);
/* Which of our addresses the STUN servers were asked from, and what they said. */
size_t peer_stun_servers(const struct peer *p, struct ice_server_info *out, size_t cap);

/* False while relays are not allowed, or the last resort is not needed yet: the driver asks for no
 * allocation then. Looked at after every call. */
bool peer_relay_open(const struct peer *p);
/* Kilobits a second that this end may send from now on; 0: no limit. */
void peer_limit(struct peer *p, usec_t now, uint32_t kbit);

/* Adds to a counter of the report; word is at most 23 bytes. */
void peer_report_ignored(struct fl_route *out, const char *word, uint64_t count);

#define PEER_STUN_ASKED_MAX 64 /* servers times addresses */
#define PEER_PRIVATE_MAX                                                                           \
	16 /* addresses of the other side in private networks that are not ours                    \
	    */

int peer_input(struct peer *p, usec_t now, const struct dgram *d) FL_WARN_UNUSED;
int peer_timeout(struct peer *p, usec_t now) FL_WARN_UNUSED;
bool peer_next_output(struct peer *p, usec_t now, struct dgram *out);
/* Strings and bytes are borrowed until the next call on p. */
bool peer_next_event(struct peer *p, usec_t now, struct fl_event *out);
usec_t peer_deadline(const struct peer *p);

int peer_channel_open(struct peer *p, usec_t now, const char *label,
		      const struct fl_channel_options *options) FL_WARN_UNUSED;
int peer_channel_send(struct peer *p, usec_t now, int channel, struct span data,
		      bool text) FL_WARN_UNUSED;
size_t peer_channel_buffered(const struct peer *p, int channel);
void peer_channel_close(struct peer *p, usec_t now, int channel);
int peer_video_send(struct peer *p, usec_t now, struct span frame, bool keyframe,
		    usec_t capture_us) FL_WARN_UNUSED;

void peer_route(const struct peer *p, struct fl_route *out);
/* The path is under suspicion, or lost: other local candidates may be needed soon. */
bool peer_suspicious(const struct peer *p);
/*
 * How long this machine has slept since its start (usec_asleep()), told as often as the driver
 * likes. True when that has grown by a second or more since it was last told: our clock stood
 * still, the networks did not. The path is looked at now; addresses and relays are for the driver
 * to look at. The first word is where it counts from.
 */
bool peer_note_asleep(struct peer *p, usec_t now, usec_t asleep);
/* The addresses of the other side that a relay of ours may have to reach. How many. */
size_t peer_relay_targets(const struct peer *p, struct addr *out, size_t cap);
/* Where data goes now; level ICE_PATH_NONE before there is an agent. */
void peer_path(const struct peer *p, struct ice_path *out);

struct peer_stats {
	uint64_t early_held, early_dropped; /* handshake packets from addresses not checked */
	uint64_t unknown_packets;	    /* neither STUN, DTLS nor SRTP (RFC 7983) */
	uint64_t bad_locals;		    /* addresses and servers that the agent does not take */
	uint64_t unsent;		    /* SCTP packets that DTLS did not take */
	uint64_t rtp_refused;		    /* SRTP or SRTCP that did not authenticate */
};
const struct peer_stats *peer_stats(const struct peer *p);
