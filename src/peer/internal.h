/* Inside peer/: the core's struct, shared by its files. core.c: life, packets, time; handshake.c:
 * DTLS until a pair works; describe.c: descriptions and candidates; channels.c: SCTP and DCEP;
 * media.c: video; found.c: the candidates of both ends; route.c and report.c: the route and the
 * rest of the report. */
#pragma once

#include "base/pktq.h"
#include "peer/bucket.h"
#include "peer/core.h"
#include "proto/dcep/dcep.h"
#include "proto/rtp/srtp.h"
#include "proto/rtp/video.h"
#include "proto/sctp/assoc.h"
#include "proto/sdp/sdp.h"

#define LOCALS_MAX ICE_LOCALS_MAX
#define NAMES_MAX 32
#define CANDIDATE_TEXTS_MAX 64
#define FOUND_MAX 128 /* candidates for the report; the oldest that are of no use give way */

enum peer_state {
	PEER_NEW,
	PEER_OFFERED,	/* waits for the answer */
	PEER_STARTED,	/* both descriptions are there */
	PEER_CONNECTED, /* DTLS is through */
	PEER_CLOSED,
	PEER_FAILED, /* DTLS or SCTP gave up; a failed route alone can be restarted */
};

struct event {
	struct fl_event ev;
	char *text; /* owned, or NULL */
};

/* A name among the remote candidates, until it is resolved; then remembered for its port. */
struct remote_name {
	struct ice_candidate candidate;
	bool fetched;
};

/* Whence the report has a remote candidate. */
enum found_from { FOUND_DESCRIPTION, FOUND_TRICKLE, FOUND_CHECK };

/* A candidate of either end, as the report tells of it; kept when it is dropped or gone. */
struct found {
	bool remote, gone, ignored;
	enum ice_type type;
	enum ice_transport transport;
	struct addr addr, base; /* addr: ADDR_NONE for a name; base: of local reflexive ones */
	char host[64];		/* the name, cut */
	char origin[PEER_ORIGIN_MAX + 1];
	enum ice_net net;
	usec_t at;
	const char *why; /* static; NULL: the pairs tell */
};

struct channel_queue {
	int id;		      /* -1: free */
	struct pktq messages; /* tag: text or not */
	bool refused;	      /* a send got -EAGAIN: say when there is room */
	bool announced;	      /* FL_EVENT_CHANNEL_OPEN is out */
	bool closing;	      /* to be closed when the queue is empty */
};

struct peer {
	enum peer_state state;
	struct rng *rng;
	struct dtls_identity *identity;
	struct ice_config ice_config;
	struct ice *ice;
	struct dtls *dtls;
	struct assoc *assoc;
	struct dcep *dcep;

	/* addresses, kept for agents to come and for the route rule */
	struct peer_local locals[LOCALS_MAX];
	size_t n_locals;
	struct addr servers[ICE_STUN_SERVERS_MAX];
	size_t n_servers;
	bool locals_ended;

	/* descriptions */
	uint64_t session_id;
	unsigned version;
	bool offerer, restarting;
	bool remote_native; /* the other side is this library */
	bool hello_offered; /* our offer carries our ClientHello */
	char *offer_text;   /* the last offer of the other side, which video points into */
	struct sdp *offer;
	char hello[SDP_HELLO_MAX];
	size_t hello_len;
	char *candidate_texts[CANDIDATE_TEXTS_MAX]; /* for the next description */
	size_t n_candidate_texts;
	bool describing; /* local candidates go into the description, not into events */
	bool gathered;
	struct remote_name names[NAMES_MAX];
	size_t n_names;

	/* DTLS */
	enum dtls_role role;
	bool dtls_started;
	usec_t dtls_not_before; /* its timer is not looked at before */
	bool heard;		/* a check of the other side came through */
	usec_t heard_due;	/* when our flight goes out once more for that; USEC_NEVER */
	struct pktq early;	/* tag: via; data: addresses and packet, see core.c */
	unsigned n_early;
	struct ice_path path;
	usec_t asleep; /* of peer_note_asleep(); when asleep_known */
	bool asleep_known;
	struct ice_path early_paths[PEER_EARLY_PATHS]; /* where the present output also goes */
	size_t n_early_paths, next_early_path;
	struct ice_path fresh[PEER_EARLY_PATHS]; /* these alone, while there are some */
	size_t n_fresh;
	struct ice_path told[PEER_TOLD_MAX]; /* where our flight went before a pair was answered */
	size_t n_told;
	struct span copies; /* the datagram that still goes to early_paths[next…] */

	/* channels */
	usec_t unanswered_us; /* data went out then, and nothing has come in since; 0: none */
	usec_t suspect_at;    /* when ICE is to be told of it */
	uint8_t repeat[PEER_REPEAT_MAX]; /* SCTP's last packet with data since */
	size_t repeat_len;
	struct channel_queue queues[DCEP_CHANNELS_MAX];
	bool channels_up;
	bool assoc_full;		   /* until ASSOC_WRITABLE */
	size_t turn;			   /* whose queue is served next */
	uint8_t control[DCEP_MESSAGE_MAX]; /* a DCEP message that did not fit yet */
	size_t control_len;
	uint16_t control_stream;

	/* policy.c */
	struct peer_policy policy;
	bool relay_open;	      /* the last resort is allowed now */
	usec_t relay_due;	      /* when it is decided; 0: 5 s after the checks began */
	struct ice_candidate held[8]; /* relayed ones of the other side, until then */
	size_t n_held;
	bool path_denied; /* the present path is of a kind that is not allowed … */
	usec_t denied_us; /* … since then */
	struct bucket bucket;
	bool bucket_waits; /* messages wait for it */

	/* video */
	enum sdp_video_codec video_prefs[2];
	size_t n_video_prefs;
	uint32_t video_max_bps;
	const struct sdp_media *video_media;
	struct sdp_video video_choice;
	bool have_video;
	uint32_t ssrc, rtx_ssrc;
	char cname[17];
	struct srtp_session *srtp;
	struct video *video;
	struct video_output video_out;
	usec_t feedback_due; /* when ICE is to be told that none came to what we sent; 0: none is
			      * waited for */

	/* events */
	struct event events[PEER_EVENTS_MAX];
	size_t event_head, n_events;
	char *event_text; /* of the event given out last */
	bool ever_connected, route_told;
	usec_t began_us, selected_us;
	struct peer_stats stats;

	/* the report, found.c */
	struct found found[FOUND_MAX];
	size_t n_found;
	uint64_t reflexive_seen;
	usec_t gather_us; /* 0: not begun */
	uint64_t ignored[PEER_IGNORED_REASONS];
	enum fl_nat_mapping nat_mapping; /* of peer_note_nat() */
	enum fl_nat_filtering nat_filtering;
};

static inline bool same_path(const struct ice_path *a, const struct ice_path *b)
{
	return a->via == b->via && addr_equal(&a->local, &b->local) &&
	       addr_equal(&a->remote, &b->remote);
}

/* core.c */
void peer_emit(struct peer *p, struct fl_event ev, const char *text);
void peer_fail(struct peer *p, int err, const char *text);
void peer_closed(struct peer *p); /* in good order, by either side */
int peer_make_ice(struct peer *p, usec_t now);
void peer_pump(struct peer *p, usec_t now);

/* handshake.c */
int peer_make_dtls(struct peer *p, enum dtls_role role);
void peer_start_dtls(struct peer *p, usec_t now);
void peer_use_early(struct peer *p, usec_t now);
void peer_checked(struct peer *p, usec_t now); /* a check or an answer to one came in */
void peer_tell_fresh(struct peer *p);	       /* candidates of the other side came */
int peer_input_dtls(struct peer *p, usec_t now, const struct dgram *d);
usec_t peer_dtls_due(const struct peer *p);
int peer_dtls_timeout(struct peer *p, usec_t now);
bool peer_dtls_output(struct peer *p, struct dgram *out);

/* describe.c */
void peer_local_candidate(struct peer *p, const struct ice_candidate *c);
void peer_forget_description(struct peer *p);

/* policy.c */
/* NULL, or why a candidate of the other side is of no use. */
const char *peer_policy_judge(const struct peer *p, const struct ice_candidate *c);
/* True: it waits; the agent gets it later. */
bool peer_policy_hold(struct peer *p, const struct ice_candidate *c);
bool peer_policy_lets(struct peer *p, const struct dgram *d, bool out);
/* Where kinds of routes are forbidden, nothing but checks goes out before a pair has shown what it
 * is: the handshake, too, would be traffic on a route that is not allowed. */
bool peer_policy_waits(const struct peer *p);
void peer_policy_path(struct peer *p, usec_t now); /* p->path has changed */
void peer_policy_lost(struct peer *p, usec_t now); /* the route fell silent, or begins anew */
usec_t peer_policy_deadline(const struct peer *p);
void peer_policy_timeout(struct peer *p, usec_t now);
/* "the policy allows only local routes"; false: it allows all. */
bool peer_policy_text(const struct peer *p, char *dst, size_t cap);
const char *peer_no_route(const struct peer *p, char *dst, size_t cap); /* a sentence; dst */

/* describe.c */
void peer_to_agent(struct peer *p, usec_t now, const struct ice_candidate *c);

/* channels.c */
int peer_start_channels(struct peer *p, usec_t now);
void peer_flush_channels(struct peer *p, usec_t now);
enum peer_step { PEER_NOTHING, PEER_PROGRESS, PEER_EVENT };
/* Does one thing; PEER_EVENT: *out is filled. */
enum peer_step peer_channel_step(struct peer *p, usec_t now, struct fl_event *out);
struct channel_queue *peer_queue(const struct peer *p, int id);

/* media.c */
void peer_start_video(struct peer *p, usec_t now);
void peer_input_rtcp(struct peer *p, usec_t now, struct span packet);
bool peer_video_event(struct peer *p, struct fl_event *out);
bool peer_video_output(struct peer *p, usec_t now, struct dgram *out);
void peer_video_path(struct peer *p, usec_t now);
void peer_video_limit(struct peer *p, usec_t now);

/* found.c */
void peer_found_begin(struct peer *p, usec_t now);
void peer_found_local(struct peer *p, usec_t now, const struct peer_local *local);
void peer_found_gone(struct peer *p, const struct addr *addr, enum dgram_via via);
/* A server-reflexive one of ours, as the agent announces it. */
void peer_found_mapped(struct peer *p, usec_t now, const struct ice_candidate *c);
/* Peer-reflexive ones that checks have shown. */
void peer_found_checked(struct peer *p, usec_t now);
/* The other side's. NULL: it is of use to the agent; else it was dropped for this reason. */
const char *peer_found_remote(struct peer *p, usec_t now, const struct ice_candidate *c,
			      enum found_from from);
/* The same for one with a name that has an address now. */
const char *peer_found_resolved(struct peer *p, usec_t now, const struct ice_candidate *c);
void peer_found_dropped(struct peer *p, const struct ice_candidate *c, enum peer_ignored reason,
			const char *why);
void peer_found_restart(struct peer *p); /* the other side's are told anew */

/* report.c */
/* Candidates, NAT and counters. selected: one of pairs, or NULL. */
void peer_report(const struct peer *p, const struct ice_pair_info *pairs, size_t n,
		 const struct ice_pair_info *selected, struct fl_route *out);
struct fl_pair peer_pair_of(const struct ice_pair_info *i);

/* route.c */
enum fl_route_method peer_method(const struct peer *p, enum ice_type local_type,
				 enum ice_type remote_type, const struct addr *local,
				 const struct addr *remote);
