/*
 * libfairlead: one peer connection (WebRTC's transport and media, without a browser).
 *
 * A peer finds the best route to another one (ICE, RFC 8445, with trickle, RFC 8838), protects it
 * (DTLS-SRTP, RFC 5763 and 5764), and carries data channels (RFC 8831, 8832) and at most one
 * outgoing video track (RTP/SAVPF). How descriptions and candidates reach the other side is the
 * embedder's business.
 *
 * Threads: all peers of a process belong to one thread (the SCTP library's state is of the
 * process), which is also where they are created. A peer has sockets of its own; the embedder
 * watches one descriptor, fl_peer_fd(), calls fl_peer_dispatch() when it is readable, and then
 * takes events until there are none. Nothing calls back.
 *
 * Ownership: strings and bytes in an event are borrowed until the next call on the same peer.
 * Everything passed in is copied. Times are in microseconds unless a name says otherwise.
 * Errors: 0 or a count, else negative; fl_error_text() makes a sentence of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fl_peer;
struct fl_identity;

#define FL_LABEL_MAX 255	     /* bytes of a channel's label */
#define FL_CHANNEL_MESSAGE_MAX 65536 /* bytes of one message; what is longer is refused */
#define FL_CHANNELS_MAX 64	     /* per peer */

/* A DTLS key and self-signed certificate (ECDSA P-256), made once and shared by any number of
 * peers. */
int fl_identity_create(struct fl_identity **out);
void fl_identity_destroy(
	struct fl_identity *identity); /* NULL is fine; peers keep what they need */
/* "sha-256 AB:CD:…" as in an SDP fingerprint attribute (RFC 8122); lives as long as the identity.
 */
const char *fl_identity_fingerprint(const struct fl_identity *identity);

struct fl_ice_server {
	/* "stun:host:port", "turn:host:port?transport=udp|tcp", "turns:host:port", and for our own
	 * relay "turns:host:port?transport=wss" (TURN in WebSocket frames) */
	const char *url;
	const char *username, *credential;
};

enum fl_video_codec { FL_VIDEO_H264, FL_VIDEO_VP8 };

/*
 * The way out that relays over a stream may also be reached by: an HTTP proxy's CONNECT
 * (RFC 9110 §9.3.6), tried beside the direct way, which has a small head start. Authentication is
 * what the proxy asks for: Basic, Digest, NTLM or Negotiate. A password that the proxy refused is
 * not shown again while a peer with it lives. Needs libcurl at run time.
 */
struct fl_proxy {
	const char *url;	     /* "http://host:port", "https://…", "socks5h://…" */
	const char *user, *password; /* NULL: none. Negotiate takes the ticket of the environment */
	const char *ca_file; /* PEM: who may have signed an https:// proxy's certificate; or NULL */
	const char *except;  /* relays that it is not for: "example.org,10.0.0.0/8"; or NULL */
};

enum fl_relay_use { FL_RELAY_ALLOWED, FL_RELAY_LAST_RESORT, FL_RELAY_FORBIDDEN };

#define FL_POLICY_LIST_MAX 16

/* What an administrator allows (docs/protocol.md §1.2). Holds for our own candidates and for those
 * of the other side. All zero allows everything. */
struct fl_route_policy {
	bool no_local, no_punched, no_relayed;
	enum fl_relay_use relay;
	bool no_turn_udp, no_turn_tcp, no_turn_tls, no_turn_wss;
	/* shell patterns of interface names, and "address/bits"; NULL ends a list */
	const char *prefer_interfaces[FL_POLICY_LIST_MAX + 1];
	const char *exclude_interfaces[FL_POLICY_LIST_MAX + 1];
	const char *prefer_subnets[FL_POLICY_LIST_MAX + 1];
	const char *exclude_subnets[FL_POLICY_LIST_MAX + 1];
	uint8_t dscp;	   /* 0 to 63 (RFC 2474), of every packet of the session */
	uint32_t max_kbit; /* per second, what this end sends in all; 0: no limit */
};

struct fl_peer_config {
	const struct fl_identity *identity; /* needed */
	const struct fl_ice_server *ice_servers;
	size_t n_ice_servers;
	/* Outgoing video: codecs in order of preference; 0: no video. Used when answering an offer
	 * that wants to receive video. */
	const enum fl_video_codec *video_codecs;
	size_t n_video_codecs;
	uint32_t video_max_bps; /* 0: 8,000,000 */
	bool loopback;		/* offer and use loopback addresses too (tests, same machine) */
	uint16_t port_min, port_max;	      /* local UDP ports; 0, 0: any */
	const struct fl_route_policy *policy; /* NULL: everything is allowed */
	const struct fl_proxy *proxy; /* for relays over TCP, TLS and WSS; NULL: direct only */
};

/* -EADDRINUSE: no UDP port from port_min to port_max is free. -EINVAL: a subnet, DSCP or server of
 * the configuration cannot be read. */
int fl_peer_create(const struct fl_peer_config *config, struct fl_peer **out);
void fl_peer_destroy(struct fl_peer *peer); /* NULL is fine; sends DTLS close_notify */

/* Readable (poll, epoll) when fl_peer_dispatch() has work. Belongs to the peer. */
int fl_peer_fd(const struct fl_peer *peer);
/* Handles what is due without waiting. 0, or negative when the peer is unusable. */
int fl_peer_dispatch(struct fl_peer *peer);

/* Starts as offerer: FL_EVENT_DESCRIPTION carries the offer at once, candidates trickle after it.
 */
int fl_peer_offer(struct fl_peer *peer);
/* Starts as answerer, or, on a running peer, takes a restart offer: FL_EVENT_DESCRIPTION carries
 * the answer. -EINVAL (FL_EMALFORMED inside) when the SDP cannot be used. */
int fl_peer_answer(struct fl_peer *peer, const char *offer_sdp);
/* The offerer's second step. */
int fl_peer_accept(struct fl_peer *peer, const char *answer_sdp);
/* One "candidate:…" line (with or without "a="); "" is end-of-candidates. Unusable ones are counted
 * and ignored: 0. */
int fl_peer_candidate(struct fl_peer *peer, const char *candidate);
/* Kilobits a second that this end may send in all from now on, in place of the policy's max_kbit;
 * 0: no limit. Video and messages keep to it; acknowledgements and checks are counted, and go out.
 */
void fl_peer_limit(struct fl_peer *peer, uint32_t kbit);
/* The offerer asks for an ICE restart: FL_EVENT_DESCRIPTION carries a new offer. */
int fl_peer_restart(struct fl_peer *peer);
/* Closes in order: FL_EVENT_CLOSED follows. */
void fl_peer_close(struct fl_peer *peer);

/* Only the fingerprint of the DTLS certificate in a description: "sha-256 AB:…" into dst. 0 or
 * negative. */
int fl_sdp_fingerprint(const char *sdp, char *dst, size_t cap);

struct fl_channel_options {
	bool unordered;
	bool limited; /* then one of the two below applies (RFC 8831 §6.1) */
	uint16_t max_retransmits;
	uint16_t max_lifetime_ms; /* used when max_retransmits is 0 */
};

/* The channel's id (0…65534), usable at once: messages are queued until it is open. Negative:
 * FL_EQUOTA … */
int fl_channel_open(struct fl_peer *peer, const char *label,
		    const struct fl_channel_options *options);
/* 0, -EAGAIN when the channel's queue is full (FL_EVENT_WRITABLE follows), -EMSGSIZE, -ENOENT. */
int fl_channel_send(struct fl_peer *peer, int channel, const void *data, size_t len, bool text);
size_t fl_channel_buffered(const struct fl_peer *peer,
			   int channel); /* bytes queued, not yet acknowledged to the queue */
void fl_channel_close(struct fl_peer *peer, int channel); /* FL_EVENT_CHANNEL_CLOSED follows */

/* One encoded frame: H.264 as Annex B, VP8 as is. capture_us: CLOCK_MONOTONIC. 0, -EAGAIN when the
 * send queue is over its limit (the frame is dropped, a keyframe will be asked for), FL_ESTATE
 * without video. */
int fl_video_send(struct fl_peer *peer, const void *frame, size_t len, bool keyframe,
		  uint64_t capture_us);

enum fl_event_type {
	FL_EVENT_NONE,
	FL_EVENT_DESCRIPTION,  /* text: SDP to bring to the other side */
	FL_EVENT_CANDIDATE,    /* text: "candidate:…"; "" when there are no more */
	FL_EVENT_CONNECTED,    /* DTLS done: channels and video can flow */
	FL_EVENT_ROUTE,	       /* the selected pair is new or changed: fl_peer_route() */
	FL_EVENT_DISCONNECTED, /* the route fell silent; still trying. FL_EVENT_ROUTE when it is
				  back */
	FL_EVENT_CHANNEL_OPEN, /* channel, text: its label; opened by the other side, or our own is
				  open now */
	FL_EVENT_CHANNEL_DATA, /* channel, data, len, is_text */
	FL_EVENT_CHANNEL_CLOSED, /* channel */
	FL_EVENT_WRITABLE,	 /* channel: its queue fell below half */
	FL_EVENT_VIDEO_READY,	 /* codec: negotiated, frames may be sent */
	FL_EVENT_VIDEO_KEYFRAME, /* the next frame must be a key frame (PLI, FIR, loss) */
	FL_EVENT_VIDEO_RATE,	 /* rate_bps: aim at this */
	FL_EVENT_CLOSED,	 /* the other side closed, or fl_peer_close() finished */
	FL_EVENT_FAILED,	 /* text: which step failed, as a sentence; err: the code. After
				    -EHOSTUNREACH (no route, or a lost one) a restart by either side may
				    still bring the peer back; after others only fl_peer_destroy() is left
				  */
};

struct fl_event {
	enum fl_event_type type;
	int channel;
	bool is_text, remote; /* remote: the channel was opened by the other side */
	const char *text;
	const uint8_t *data;
	size_t len;
	enum fl_video_codec codec;
	uint32_t rate_bps;
	int err;
};

/* True and *event, or false when there are none. */
bool fl_peer_next_event(struct fl_peer *peer, struct fl_event *event);

enum fl_route_method { FL_ROUTE_NONE, FL_ROUTE_LOCAL, FL_ROUTE_PUNCHED, FL_ROUTE_RELAYED };
enum fl_candidate_type {
	FL_CANDIDATE_HOST,
	FL_CANDIDATE_SRFLX,
	FL_CANDIDATE_PRFLX,
	FL_CANDIDATE_RELAY
};
enum fl_pair_state {
	FL_PAIR_FROZEN,
	FL_PAIR_WAITING,
	FL_PAIR_IN_PROGRESS,
	FL_PAIR_SUCCEEDED,
	FL_PAIR_FAILED
};

struct fl_candidate {
	enum fl_candidate_type type;
	char address[64]; /* IP as text */
	uint16_t port;
};

struct fl_pair {
	struct fl_candidate local, remote;
	bool tcp; /* between the two ends; else UDP */
	enum fl_pair_state state;
	uint32_t sent, answered; /* our checks */
	uint32_t received;	 /* the other side's */
	uint32_t rtt_us;	 /* of the latest check, 0: none answered */
	char error[96];		 /* why it failed or does not work now, for people; else "" */
};

/* What kind of network a local address belongs to; of the other side's nothing is known. */
enum fl_net {
	FL_NET_UNKNOWN,
	FL_NET_PHYSICAL,
	FL_NET_TEMPORARY, /* an IPv6 privacy address (RFC 8981) of a physical network */
	FL_NET_VIRTUAL,	  /* VPN, container, virtual machine */
	FL_NET_LINK_LOCAL
};

enum fl_candidate_use {
	FL_USE_UNUSED,	 /* good, but in no pair; why says it */
	FL_USE_TRIED,	 /* in at least one pair that was checked */
	FL_USE_SELECTED, /* carries the session */
	FL_USE_IGNORED,	 /* not of use, refused by a rule or a limit; why says it */
	FL_USE_GONE	 /* the address was lost since */
};

/* A candidate of either end, as this end knows it. */
struct fl_found {
	bool remote; /* the other side's */
	bool tcp;    /* else UDP */
	enum fl_candidate_type type;
	char address[64]; /* IP as text, or the name that was offered instead (cut) */
	uint16_t port;
	/* local: the interface, the STUN server's address or the relay's URL it came from; remote:
	 * "description", "trickle" or "check" (peer-reflexive) */
	char origin[96];
	enum fl_net net;
	uint32_t since_us; /* found so long after this end began to gather */
	enum fl_candidate_use use;
	char why[96]; /* of those not in use; "": nothing to say */
};

enum fl_server_state {
	FL_SERVER_ASKING,
	FL_SERVER_ANSWERED,
	FL_SERVER_SILENT,  /* nothing came back */
	FL_SERVER_REFUSED, /* answered with an error: code */
	FL_SERVER_FAILED,  /* not reached: name, connection or certificate */
	FL_SERVER_UNUSED   /* not asked: policy, limit, or nothing to ask from */
};

/* A STUN or TURN server, by one transport and one way. */
struct fl_server {
	char url[272];	   /* as configured */
	char transport[8]; /* "udp", "tcp", "tls", "wss" */
	bool proxy;	   /* by way of the HTTP proxy; else direct */
	enum fl_server_state state;
	uint32_t took_us; /* from the first question to the answer; 0: none */
	char mapped[72];  /* our address as it saw it, "ip:port" or "[ip]:port"; else "" */
	uint16_t code;	  /* STUN error code or HTTP status of a refusal; else 0 */
	char error[128];  /* what went wrong, for people; else "" */
};

/* RFC 4787 §4.1: does the address that others see depend on where a packet goes? */
enum fl_nat_mapping {
	FL_MAPPING_UNKNOWN,
	FL_MAPPING_NONE, /* no translation */
	FL_MAPPING_INDEPENDENT,
	FL_MAPPING_ADDRESS, /* a new one for each address */
	FL_MAPPING_PORT	    /* for each address and port ("symmetric") */
};

/* RFC 4787 §5: whose packets come in on a mapping? */
enum fl_nat_filtering {
	FL_FILTERING_UNKNOWN,
	FL_FILTERING_OPEN,    /* anybody's */
	FL_FILTERING_ADDRESS, /* of addresses that were spoken to */
	FL_FILTERING_PORT     /* of addresses and ports that were spoken to */
};

/* Candidates and packets that were dropped for one reason. */
struct fl_ignored {
	char word[24]; /* stable: "malformed", "unauthenticated", … (docs/peer.md has all) */
	uint64_t count;
};

#define FL_ROUTE_PAIRS_MAX 64
#define FL_ROUTE_CANDIDATES_MAX 64
#define FL_ROUTE_SERVERS_MAX 32
#define FL_ROUTE_IGNORED_MAX 32

/* The route report. Some 50 KB: not for the stack of a small thread. */
struct fl_route {
	enum fl_route_method method;
	uint32_t rtt_us, setup_us; /* setup: from offer or answer to the selected pair */
	char reason[256];	   /* one sentence for people */
	/* how we reach our relay, when it carries the session: "udp", "tcp", "tls", "wss"; else ""
	 */
	char relay_transport[8];
	bool relay_proxy;    /* by way of the proxy */
	struct fl_pair pair; /* the selected one */
	struct fl_pair tried[FL_ROUTE_PAIRS_MAX];
	size_t n_tried;
	struct fl_found candidates[FL_ROUTE_CANDIDATES_MAX]; /* ours first, in order of time */
	size_t n_candidates;
	struct fl_server servers[FL_ROUTE_SERVERS_MAX];
	size_t n_servers;
	enum fl_nat_mapping mapping; /* of the NAT in front of this end, as far as seen */
	enum fl_nat_filtering filtering;
	struct fl_ignored ignored[FL_ROUTE_IGNORED_MAX]; /* counts above 0 only */
	size_t n_ignored;
};

/* What is known now; method FL_ROUTE_NONE while there is no pair: then pair is not set, and the
 * rest says what was tried. */
void fl_peer_route(const struct fl_peer *peer, struct fl_route *out);

const char *fl_route_method_name(enum fl_route_method method);	 /* "local" … */
const char *fl_candidate_type_name(enum fl_candidate_type type); /* "host" … */
const char *fl_pair_state_name(enum fl_pair_state state);	 /* "in-progress" … */
const char *fl_net_name(enum fl_net net);			 /* "physical" …; unknown: "" */
const char *fl_candidate_use_name(enum fl_candidate_use use);	 /* "selected" … */
const char *fl_server_state_name(enum fl_server_state state);	 /* "answered" … */
const char *fl_nat_mapping_name(enum fl_nat_mapping mapping);	 /* "independent" … */
const char *fl_nat_filtering_name(enum fl_nat_filtering filtering);
const char *fl_error_text(int err);

#ifdef __cplusplus
}
#endif
