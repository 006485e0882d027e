#include "check/query.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rng.h"
#include "proto/stun/stun.h"
#include "proto/turn/turn.h"

#define ATTR_FILLER 0xFF7F /* comprehension-optional, of no meaning (RFC 8489 §18.3) */

struct query {
	struct loop *loop;
	struct query_config config;
	int fd;
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop_deferred release;
	uint8_t tid[STUN_TID_LEN]; /* the last byte counts the requests */
	usec_t sent_at[QUERY_SENDS_MAX];
	bool got[QUERY_SENDS_MAX];
	bool done, dead, refused, garbage;
	struct query_result result;
	void (*fn)(void *arg, const struct query_result *result);
	void *arg;
};

static void finish(struct query *a, enum check_cause cause)
{
	if (a->done)
		return;
	a->done = true;
	loop_watch_stop(&a->watch);
	loop_timer_stop(&a->timer);
	a->result.cause = cause;
	a->fn(a->arg, &a->result);
}

/* What the system says about the socket: our own firewall, ICMP's answers, or no route. */
static void take_error(struct query *a, int err)
{
	switch (err) {
	case EPERM:
	case EACCES:
		a->result.cause = CAUSE_LOCAL_FIREWALL;
		break;
	case ECONNREFUSED:
		a->result.cause = CAUSE_UDP_REFUSED;
		break;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
		a->result.cause = CAUSE_UDP_UNREACHABLE;
		break;
	case EMSGSIZE: /* the path's MTU is known by now: it does not fit */
	default:
		break;
	}
}

static enum check_cause outcome(const struct query *a)
{
	if (a->result.answered)
		return CAUSE_NONE;
	if (a->result.code)
		return CAUSE_TURN_REFUSED;
	if (a->result.cause != CAUSE_NONE)
		return a->result.cause;
	return a->garbage ? CAUSE_NOT_STUN : CAUSE_UDP_SILENT;
}

/* ---- sending ---- */

static int make_request(struct query *a, uint8_t packet[QUERY_PACKET_MAX])
{
	static const uint8_t zeros[QUERY_PACKET_MAX];
	struct stun_out o;
	size_t used = STUN_HEADER_LEN + (a->config.allocate ? 8 : 0) + 4;

	a->tid[STUN_TID_LEN - 1] = (uint8_t)a->result.sent;
	stun_begin(&o, packet, QUERY_PACKET_MAX, STUN_REQUEST,
		   a->config.allocate ? TURN_ALLOCATE : STUN_BINDING, a->tid);
	if (a->config.allocate)
		stun_put_u32(&o, TURN_REQUESTED_TRANSPORT, (uint32_t)TURN_PROTOCOL_UDP << 24);
	if (a->config.len > used)
		stun_put(&o, ATTR_FILLER, span_of(zeros, (a->config.len - used) & ~(size_t)3));
	return stun_end(&o);
}

static void send_one(struct query *a)
{
	uint8_t packet[QUERY_PACKET_MAX];
	int len = make_request(a, packet);

	if (len < 0) {
		finish(a, CAUSE_INTERNAL);
		return;
	}
	a->sent_at[a->result.sent++] = usec_monotonic();
	if (send(a->fd, packet, (size_t)len, MSG_NOSIGNAL) < 0)
		take_error(a, errno);
}

static void on_timer(void *arg)
{
	struct query *a = arg;
	usec_t wait = a->config.spacing_us;

	/* a rejection does not become an answer by asking on */
	if (a->result.sent >= a->config.sends ||
	    (a->result.cause != CAUSE_NONE && a->result.sent >= 3)) {
		finish(a, outcome(a));
		return;
	}
	send_one(a);
	if (a->config.backoff)
		wait <<= a->result.sent - 1;
	if (a->result.sent == a->config.sends)
		wait = a->config.wait_us;
	if (!a->done && loop_timer_after(&a->timer, wait) < 0)
		finish(a, CAUSE_INTERNAL);
}

/* ---- answers ---- */

static void take_answer(struct query *a, const struct stun_msg *m)
{
	unsigned i = m->tid[STUN_TID_LEN - 1];
	struct span reason;
	usec_t took;

	if (memcmp(m->tid, a->tid, STUN_TID_LEN - 1) != 0 || i >= a->result.sent || a->got[i])
		return;
	a->got[i] = true;
	if (m->class == STUN_ERROR)
		(void)stun_get_error(m, &a->result.code, &reason);
	/* of an Allocate the refusal is what we are after; of a Binding any answer came through */
	if (a->config.allocate && m->class == STUN_ERROR &&
	    a->result.code != STUN_UNAUTHENTICATED) {
		finish(a, CAUSE_TURN_REFUSED);
		return;
	}
	took = usec_sub(usec_monotonic(), a->sent_at[i]);
	if (a->result.answered++ == 0) {
		a->result.first_us = a->result.least_us = took;
		(void)stun_get_xor_addr(m, STUN_XOR_MAPPED_ADDRESS, &a->result.mapped);
	}
	a->result.least_us = usec_min(a->result.least_us, took);
	a->result.total_us += took;
	if (a->result.answered >= a->config.want)
		finish(a, CAUSE_NONE);
}

static void on_ready(void *arg, uint32_t events)
{
	struct query *a = arg;
	uint8_t packet[2048];
	struct stun_msg m;
	ssize_t n = 0;

	for (unsigned i = 0; i < QUERY_SENDS_MAX && !a->done; i++) {
		n = recv(a->fd, packet, sizeof(packet), 0);
		if (n < 0)
			break;
		if (stun_parse(span_of(packet, (size_t)n), &m) < 0 ||
		    (m.class != STUN_SUCCESS && m.class != STUN_ERROR))
			a->garbage = true;
		else
			take_answer(a, &m);
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		take_error(a, errno);
}

/* ---- life ---- */

static int open_socket(struct query *a)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&a->config.to, &ss);
	bool v4 = a->config.to.family == ADDR_V4;
	int probe = IP_PMTUDISC_DO;

	a->fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		return -errno;
	if (a->config.dont_fragment &&
	    setsockopt(a->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		       v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &probe, sizeof(probe)) < 0)
		return -errno;
	if (connect(a->fd, (struct sockaddr *)&ss, len) < 0)
		take_error(a, errno);
	len = sizeof(ss);
	if (getsockname(a->fd, (struct sockaddr *)&ss, &len) == 0)
		(void)addr_from_sockaddr((struct sockaddr *)&ss, len, &a->result.local);
	return loop_watch_start(a->loop, &a->watch, a->fd, EPOLLIN, on_ready, a);
}

int query_start(struct loop *loop, const struct query_config *config,
		void (*fn)(void *arg, const struct query_result *result), void *arg,
		struct query **out)
{
	struct query *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	*a = (struct query){ .loop = loop, .config = *config, .fd = -1, .fn = fn, .arg = arg };
	a->config.sends = FL_MIN(a->config.sends, (unsigned)QUERY_SENDS_MAX);
	rng_bytes(rng_system(), a->tid, sizeof(a->tid));
	loop_timer_init(loop, &a->timer, on_timer, a);
	err = open_socket(a);
	if (err == 0)
		err = loop_timer_after(&a->timer, 0);
	if (err < 0) {
		query_destroy(a);
		return err;
	}
	*out = a;
	return 0;
}

static void release(void *arg)
{
	struct query *a = arg;

	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

void query_destroy(struct query *a)
{
	if (!a || a->dead)
		return;
	a->dead = a->done = true;
	loop_watch_stop(&a->watch);
	loop_timer_stop(&a->timer);
	loop_defer(a->loop, &a->release, release, a);
}
