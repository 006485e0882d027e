#include "proto/sctp/assoc.h"

#include <errno.h>
#include <sys/socket.h>
#include <usrsctp.h>

#include "base/err.h"
#include "base/pktq.h"
#include "base/wire.h"
#include "proto/sctp/crc32c.h"

#define PORT 5000
#define HEADER_LEN 12		      /* SCTP's common header; the checksum lies at 8 */
#define EVENTS_MAX 8192		      /* bytes of queued events other than messages */
#define RESETS_MAX 64		      /* streams waiting for their reset to be sent */
#define LONGEST_MS ((usec_t)3600000)  /* that usrsctp's clock is moved at once */
#define BUSY_US (300 * USEC_PER_MSEC) /* how long after traffic timers are looked after closely */

struct assoc {
	uintptr_t handle;
	struct socket *so;
	enum { ST_NEW, ST_CONNECTING, ST_UP, ST_LOST } state;
	struct pktq out;
	struct pktq events; /* tag: type; data: the stream, two bytes */
	uint8_t *message;   /* being put together: ASSOC_MESSAGE_MAX bytes */
	size_t message_len;
	bool overlong;
	bool blocked, moved; /* a send was refused; since then something may have become free */
	uint16_t resets[RESETS_MAX];
	unsigned n_resets;
	usec_t busy_until, deadline;
	const char *reason;
	struct assoc_stats stats;
};

/*
 * The process-wide part. usrsctp knows an association by an opaque address; it is given a number
 * from this table rather than a pointer, so that a late callback finds nothing instead of freed
 * memory.
 */
#define ASSOCS_MAX 4096

static struct {
	bool initialized;
	usec_t now; /* up to where usrsctp's timers ran, a multiple of 1 ms */
	struct assoc *by_slot[ASSOCS_MAX];
	uint32_t generation;
} stack;

static struct assoc *find(uintptr_t handle)
{
	struct assoc *a = stack.by_slot[handle % ASSOCS_MAX];

	return a && a->handle == handle ? a : NULL;
}

static int enroll(struct assoc *a)
{
	for (size_t i = 0; i < ASSOCS_MAX; i++) {
		size_t slot = (stack.generation + i) % ASSOCS_MAX;

		if (!stack.by_slot[slot]) {
			stack.generation++;
			a->handle = (uintptr_t)stack.generation * ASSOCS_MAX + slot;
			stack.by_slot[slot] = a;
			return 0;
		}
	}
	return FL_EQUOTA;
}

/* usrsctp's output: never NULL, at least a common header. */
static int on_output(void *addr, void *data, size_t len, uint8_t tos, uint8_t set_df)
{
	struct assoc *a = find((uintptr_t)addr);
	uint8_t *dst;
	uint32_t crc;

	if (!a || len < HEADER_LEN)
		return 0;
	dst = pktq_reserve(&a->out, len);
	if (!dst) {
		a->stats.dropped++;
		return 0; /* lost on the way, to be repeated */
	}
	memcpy(dst, data, len);
	memset(dst + 8, 0, 4);
	crc = crc32c(span_of(dst, len));
	for (int i = 0; i < 4; i++)
		dst[8 + i] = (uint8_t)(crc >> 8 * i);
	pktq_commit(&a->out, 0, len);
	a->stats.packets_out++;
	return 0;
}

static void initialize(void)
{
	usrsctp_init_nothreads(0, on_output, NULL);
	usrsctp_enable_crc32c_offload(); /* on_output() does it */
	usrsctp_sysctl_set_sctp_sendspace(ASSOC_SEND_BUFFER);
	usrsctp_sysctl_set_sctp_recvspace(ASSOC_RECEIVE_BUFFER);
	usrsctp_sysctl_set_sctp_blackhole(2);
	usrsctp_sysctl_set_sctp_ecn_enable(0);
	usrsctp_sysctl_set_sctp_asconf_enable(0);
	usrsctp_sysctl_set_sctp_auth_enable(0);
	usrsctp_sysctl_set_sctp_nrsack_enable(0);
	usrsctp_sysctl_set_sctp_pktdrop_enable(0);
	usrsctp_sysctl_set_sctp_pr_enable(1);
	usrsctp_sysctl_set_sctp_reconfig_enable(1);
	usrsctp_sysctl_set_sctp_max_chunks_on_queue(16384);
	/* not in RFC 9260: 30 losses of one chunk end everything. Where a full queue drops and
	 * round trips are short, fast retransmission needs a tenth of a second for that. */
	usrsctp_sysctl_set_sctp_max_retran_chunk(0);
	usrsctp_sysctl_set_sctp_initial_cwnd(10);
	usrsctp_sysctl_set_sctp_max_burst_default(0);
	usrsctp_sysctl_set_sctp_fr_max_burst_default(0);
	usrsctp_sysctl_set_sctp_delayed_sack_time_default(20);
	usrsctp_sysctl_set_sctp_rto_min_default(200);
	usrsctp_sysctl_set_sctp_rto_initial_default(400);
	usrsctp_sysctl_set_sctp_init_rto_max_default(2000);
	usrsctp_sysctl_set_sctp_rto_max_default(2000);
	usrsctp_sysctl_set_sctp_init_rtx_max_default(30);
	/* ICE decides when a path is dead, and may bring it back: be patient */
	usrsctp_sysctl_set_sctp_assoc_rtx_max_default(60);
	usrsctp_sysctl_set_sctp_path_rtx_max_default(60);
	stack.initialized = true;
}

/* Lets usrsctp's timers run up to now: at once, however long it was, for what is left for the next
 * call would time out what that one sends. */
static void run_timers(usec_t now)
{
	usec_t ms;

	if (now < stack.now) { /* another test's clock */
		stack.now = now;
		return;
	}
	ms = (now - stack.now) / USEC_PER_MSEC;
	if (!ms)
		return;
	stack.now += ms * USEC_PER_MSEC;
	usrsctp_handle_timers((uint32_t)FL_MIN(ms, LONGEST_MS));
}

static struct sockaddr_conn conn_addr(const struct assoc *a)
{
	struct reader port = reader_of(span_of((uint8_t[]){ PORT >> 8, PORT & 0xff }, 2));
	struct sockaddr_conn sa = { .sconn_family = AF_CONN };

	reader_copy(&port, &sa.sconn_port, 2);
	sa.sconn_addr = (void *)a->handle;
	return sa;
}

static int set(struct assoc *a, int level, int option, const void *value, size_t len)
{
	return usrsctp_setsockopt(a->so, level, option, value, (socklen_t)len) < 0 ? -errno : 0;
}

static int set_options(struct assoc *a, const struct assoc_config *config)
{
	static const uint16_t wanted[] = { SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT };
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	struct sctp_assoc_value resets = { SCTP_ALL_ASSOC, SCTP_ENABLE_RESET_STREAM_REQ };
	struct sctp_assoc_value scheduler = { SCTP_ALL_ASSOC, SCTP_SS_ROUND_ROBIN };
	struct sctp_initmsg init = { .sinit_num_ostreams = ASSOC_STREAMS_MAX,
				     .sinit_max_instreams = ASSOC_STREAMS_MAX };
	struct sctp_paddrparams path = {
		.spp_address.ss_family = AF_CONN,
		.spp_flags = SPP_PMTUD_DISABLE | SPP_HB_DISABLE, /* ICE keeps the path alive */
		/* usrsctp counts without the common header here */
		.spp_pathmtu = (uint32_t)(config->mtu - HEADER_LEN) & ~3u,
	};
	int sndbuf = ASSOC_SEND_BUFFER, rcvbuf = ASSOC_RECEIVE_BUFFER, on = 1, err;

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		struct sctp_event event = { SCTP_ALL_ASSOC, wanted[i], 1 };

		err = set(a, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof(event));
		if (err < 0)
			return err;
	}
	if ((err = set(a, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger))) < 0 ||
	    (err = set(a, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf))) < 0 ||
	    (err = set(a, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf))) < 0 ||
	    (err = set(a, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on))) < 0 ||
	    (err = set(a, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof(on))) < 0 ||
	    (err = set(a, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, &resets, sizeof(resets))) < 0 ||
	    (err = set(a, IPPROTO_SCTP, SCTP_PLUGGABLE_SS, &scheduler, sizeof(scheduler))) < 0 ||
	    (err = set(a, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path))) < 0 ||
	    (err = set(a, IPPROTO_SCTP, SCTP_INITMSG, &init, sizeof(init))) < 0)
		return err;
	return 0;
}

static int open_socket(struct assoc *a, const struct assoc_config *config)
{
	struct sockaddr_conn sa = conn_addr(a);
	int err;

	usrsctp_register_address((void *)a->handle);
	a->so = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
	if (!a->so)
		return -errno;
	usrsctp_set_non_blocking(a->so, 1);
	err = set_options(a, config);
	if (err < 0)
		return err;
	return usrsctp_bind(a->so, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

int assoc_create(const struct assoc_config *config, usec_t now, struct assoc **out)
{
	struct assoc *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	if (!stack.initialized)
		initialize();
	run_timers(now);
	a->deadline = USEC_NEVER;
	a->out = PKTQ_INIT(ASSOC_OUTPUT_MAX);
	a->events = PKTQ_INIT(EVENTS_MAX);
	a->message = malloc(ASSOC_MESSAGE_MAX);
	err = a->message ? enroll(a) : -ENOMEM;
	if (err == 0)
		err = open_socket(a, config);
	if (err < 0) {
		assoc_destroy(a);
		return err;
	}
	*out = a;
	return 0;
}

void assoc_destroy(struct assoc *a)
{
	if (!a)
		return;
	if (a->handle) {
		stack.by_slot[a->handle % ASSOCS_MAX] = NULL; /* silences on_output() */
		if (a->so)
			usrsctp_close(a->so);
		usrsctp_deregister_address((void *)a->handle);
	}
	pktq_finish(&a->out);
	pktq_finish(&a->events);
	free(a->message);
	free(a);
}

static void touch(struct assoc *a, usec_t now)
{
	a->busy_until = usec_add(now, BUSY_US);
	if (a->state != ST_LOST)
		a->deadline = usec_min(a->deadline, usec_add(now, ASSOC_TICK_US));
}

int assoc_connect(struct assoc *a, usec_t now)
{
	struct sockaddr_conn sa = conn_addr(a);

	if (a->state != ST_NEW)
		return 0;
	run_timers(now);
	if (usrsctp_connect(a->so, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS)
		return -errno;
	a->state = ST_CONNECTING;
	touch(a, now);
	return 0;
}

static int start_reset(struct assoc *a, uint16_t stream)
{
	union {
		struct sctp_reset_streams req;
		uint8_t room[sizeof(struct sctp_reset_streams) + sizeof(uint16_t)];
	} u = { .req = { .srs_flags = SCTP_STREAM_RESET_OUTGOING, .srs_number_streams = 1 } };

	u.req.srs_stream_list[0] = stream;
	return set(a, IPPROTO_SCTP, SCTP_RESET_STREAMS, &u, sizeof(u.room));
}

/* RFC 6525 allows one request in flight: what could not be sent yet is tried again here. */
static void retry_resets(struct assoc *a)
{
	while (a->n_resets > 0) {
		int err = start_reset(a, a->resets[0]);

		if (err == -EAGAIN || err == -EALREADY || err == -EINPROGRESS || err == -EBUSY)
			return;
		memmove(a->resets, a->resets + 1, --a->n_resets * sizeof(a->resets[0]));
	}
}

int assoc_reset_stream(struct assoc *a, usec_t now, uint16_t stream)
{
	if (a->n_resets == RESETS_MAX)
		return FL_EQUOTA;
	run_timers(now);
	a->resets[a->n_resets++] = stream;
	if (a->state == ST_UP)
		retry_resets(a);
	touch(a, now);
	return 0;
}

int assoc_input(struct assoc *a, usec_t now, struct span packet)
{
	run_timers(now);
	if (packet.len < HEADER_LEN || packet.len > UINT16_MAX) {
		a->stats.malformed++;
		return 0;
	}
	a->stats.packets_in++;
	if (a->state == ST_LOST)
		return 0;
	usrsctp_conninput((void *)a->handle, packet.ptr, packet.len, 0);
	a->moved = true;
	touch(a, now);
	return 0;
}

/* Anything sent and not acknowledged, or on its way to being so? */
static bool outstanding(struct assoc *a)
{
	struct sctp_status s = { 0 };
	socklen_t len = sizeof(s);

	if (a->state == ST_CONNECTING || a->n_resets)
		return true;
	if (usrsctp_getsockopt(a->so, IPPROTO_SCTP, SCTP_STATUS, &s, &len) < 0)
		return false;
	return s.sstat_unackdata || s.sstat_penddata;
}

int assoc_timeout(struct assoc *a, usec_t now)
{
	run_timers(now);
	a->moved = true;
	if (a->state == ST_UP)
		retry_resets(a);
	if (a->state == ST_LOST || a->state == ST_NEW)
		a->deadline = USEC_NEVER;
	else if (now < a->busy_until || outstanding(a))
		a->deadline = usec_add(now, ASSOC_TICK_US);
	else
		a->deadline = USEC_NEVER; /* with heartbeats off nothing is due */
	return 0;
}

bool assoc_next_output(struct assoc *a, struct span *packet)
{
	return pktq_pop(&a->out, NULL, packet);
}

int assoc_send(struct assoc *a, usec_t now, const struct assoc_message *m)
{
	struct sctp_sendv_spa spa = {
		.sendv_flags = SCTP_SEND_SNDINFO_VALID,
		.sendv_sndinfo = { .snd_sid = m->stream,
				   .snd_flags = m->unordered ? SCTP_UNORDERED : 0 },
	};
	struct writer ppid = writer_of(&spa.sendv_sndinfo.snd_ppid, 4);

	if (m->data.len > ASSOC_MESSAGE_MAX)
		return -EMSGSIZE;
	if (a->state != ST_CONNECTING && a->state != ST_UP)
		return FL_ESTATE;
	run_timers(now);
	writer_u32(&ppid, m->ppid);
	if (m->reliability != ASSOC_RELIABLE) {
		spa.sendv_flags |= SCTP_SEND_PRINFO_VALID;
		spa.sendv_prinfo.pr_policy = m->reliability == ASSOC_LIFETIME ? SCTP_PR_SCTP_TTL
									      : SCTP_PR_SCTP_RTX;
		spa.sendv_prinfo.pr_value = m->limit;
	}
	if (usrsctp_sendv(a->so, m->data.ptr, m->data.len, NULL, 0, &spa, sizeof(spa),
			  SCTP_SENDV_SPA, 0) < 0) {
		int err = -errno;

		if (err == -EAGAIN || err == -ENOBUFS) {
			a->blocked = true;
			a->moved = false;
			return -EAGAIN;
		}
		return err == -EINVAL || err == -ENOMEM ? err : FL_ESTATE;
	}
	a->stats.messages_out++;
	a->stats.bytes_out += m->data.len;
	touch(a, now);
	return 0;
}

static void queue_event(struct assoc *a, enum assoc_event_type type, uint16_t stream)
{
	uint8_t bytes[2] = { (uint8_t)(stream >> 8), (uint8_t)stream };

	/* the queue holds more than a packet can bring */
	if (pktq_push(&a->events, type, span_of(bytes, 2)) < 0)
		a->stats.dropped++;
}

static void lose(struct assoc *a, const char *reason)
{
	if (a->state == ST_LOST)
		return;
	a->state = ST_LOST;
	a->reason = reason;
	a->deadline = USEC_NEVER;
	queue_event(a, ASSOC_LOST, 0);
}

static void on_assoc_change(struct assoc *a, uint16_t state)
{
	switch (state) {
	case SCTP_COMM_UP:
		if (a->state == ST_CONNECTING || a->state == ST_NEW) {
			a->state = ST_UP;
			queue_event(a, ASSOC_UP, 0);
			retry_resets(a);
		}
		break;
	case SCTP_COMM_LOST:
		lose(a, "SCTP: the other side aborted, or stopped to acknowledge.");
		break;
	case SCTP_CANT_STR_ASSOC:
		lose(a, "SCTP: the association could not be set up.");
		break;
	case SCTP_SHUTDOWN_COMP:
		lose(a, "SCTP: the other side shut the association down.");
		break;
	case SCTP_RESTART: /* cannot come from the same DTLS connection */
		lose(a, "SCTP: the other side started over.");
		break;
	default:
		break;
	}
}

/* A notification of usrsctp: its own struct, not a packet. */
static void on_notification(struct assoc *a, const void *data, size_t len)
{
	const union sctp_notification *n = data;

	if (len < sizeof(n->sn_header) || n->sn_header.sn_length != len)
		return;
	if (n->sn_header.sn_type == SCTP_ASSOC_CHANGE && len >= sizeof(struct sctp_assoc_change)) {
		on_assoc_change(a, n->sn_assoc_change.sac_state);
	} else if (n->sn_header.sn_type == SCTP_STREAM_RESET_EVENT &&
		   len >= sizeof(struct sctp_stream_reset_event)) {
		const struct sctp_stream_reset_event *e = &n->sn_strreset_event;
		size_t count = (len - sizeof(*e)) / sizeof(uint16_t);

		if (e->strreset_flags & (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED))
			return;
		for (size_t i = 0; i < count; i++) {
			if (e->strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN)
				queue_event(a, ASSOC_RESET_IN, e->strreset_stream_list[i]);
			if (e->strreset_flags & SCTP_STREAM_RESET_OUTGOING_SSN)
				queue_event(a, ASSOC_RESET_OUT, e->strreset_stream_list[i]);
		}
	}
}

/* Reads once. 1: a whole message lies in a->message, 0: something else was read, negative: nothing
 * there. */
static int read_once(struct assoc *a, struct sctp_rcvinfo *info)
{
	socklen_t info_len = sizeof(*info), from_len = 0;
	unsigned info_type = 0;
	int flags = 0;
	uint8_t rest[1024];
	bool full = a->message_len == ASSOC_MESSAGE_MAX;
	ssize_t n = usrsctp_recvv(a->so, full ? rest : a->message + a->message_len,
				  full ? sizeof(rest) : ASSOC_MESSAGE_MAX - a->message_len, NULL,
				  &from_len, info, &info_len, &info_type, &flags);

	if (n < 0)
		return -errno;
	if (n == 0 && !(flags & MSG_EOR)) {
		lose(a, "SCTP: the other side shut the association down.");
		return -ENOTCONN;
	}
	if (flags & MSG_NOTIFICATION) {
		/* never in the middle of a message, and always in one piece */
		if (a->message_len == 0 && (flags & MSG_EOR))
			on_notification(a, a->message, (size_t)n);
		return 0;
	}
	if (full)
		a->overlong = true;
	else
		a->message_len += (size_t)n;
	if (!(flags & MSG_EOR))
		return 0;
	n = (ssize_t)a->message_len;
	a->message_len = 0;
	if (a->overlong) {
		a->overlong = false;
		a->stats.too_long++;
		queue_event(a, ASSOC_TOO_LONG, info->rcv_sid);
		return 0;
	}
	a->stats.messages_in++;
	a->stats.bytes_in += (uint64_t)n;
	return (int)n + 1;
}

static bool pop_event(struct assoc *a, struct assoc_event *event)
{
	struct span bytes;
	struct reader r;
	uint32_t type;

	if (!pktq_pop(&a->events, &type, &bytes))
		return false;
	r = reader_of(bytes);
	event->type = (enum assoc_event_type)type;
	event->stream = reader_u16(&r);
	event->reason = a->reason;
	return true;
}

bool assoc_next_event(struct assoc *a, usec_t now, struct assoc_event *event)
{
	struct sctp_rcvinfo info = { 0 };
	int n = 0;

	*event = (struct assoc_event){ 0 };
	run_timers(now);
	for (;;) {
		if (pop_event(a, event))
			return true;
		if (a->state == ST_LOST || a->state == ST_NEW)
			return false;
		n = read_once(a, &info);
		if (n < 0 && a->state != ST_LOST)
			break;
		if (n > 0) {
			struct reader ppid = reader_of(span_of(&info.rcv_ppid, 4));

			event->type = ASSOC_MESSAGE;
			event->stream = info.rcv_sid;
			event->message = (struct assoc_message){
				.stream = info.rcv_sid,
				.ppid = reader_u32(&ppid),
				.unordered = info.rcv_flags & SCTP_UNORDERED,
				.data = span_of(a->message, (size_t)n - 1),
			};
			return true;
		}
	}
	/* usrsctp says "writable" from 2 KiB on, which may be less than was refused: the caller
	 * tries again, but only after something has happened */
	if (a->blocked && a->moved && (usrsctp_get_events(a->so) & SCTP_EVENT_WRITE)) {
		a->blocked = false;
		event->type = ASSOC_WRITABLE;
		return true;
	}
	return false;
}

usec_t assoc_deadline(const struct assoc *a)
{
	return a->deadline;
}

bool assoc_up(const struct assoc *a)
{
	return a->state == ST_UP;
}

void assoc_abort(struct assoc *a, usec_t now)
{
	run_timers(now);
	if (a->so && a->state != ST_LOST)
		usrsctp_close(a->so); /* lingering 0: ABORT */
	a->so = NULL;
	a->state = ST_LOST;
	a->deadline = USEC_NEVER;
}

const struct assoc_stats *assoc_stats(const struct assoc *a)
{
	return &a->stats;
}
