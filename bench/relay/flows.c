#include "flows.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "plan.h"
#include "proto/turn/turn.h"
#include "proto/turn/turn_auth.h"

#define IN_FLIGHT_MAX 64
#define TRIES_MAX 20
#define REPEAT_US (300 * USEC_PER_MSEC)
#define TICK_US (2 * USEC_PER_MSEC)
#define SOCKET_BUFFER (16 << 20)
#define FLOW_KEY_LEN 16 /* MD5: the algorithm that every server knows */

static int open_socket(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int big = SOCKET_BUFFER;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		fprintf(stderr, "UDP port %u: %s\n", port, strerror(errno));
		exit(1);
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	return fd;
}

void flows_open(struct flows *f)
{
	struct sockaddr_in at = { 0 };
	socklen_t len = sizeof(at);

	/* a new port each time: a server may remember the last run's clients */
	f->client_fd = open_socket(f->bare ? PLAN_CLIENT_PORT : 0);
	f->peer_fd = open_socket(PLAN_PEER_PORT);
	if (getsockname(f->client_fd, (struct sockaddr *)&at, &len) == 0)
		f->client_port = ntohs(at.sin_port);
	f->flow = calloc(f->n, sizeof(*f->flow));
	if (!f->flow) {
		fprintf(stderr, "no memory for %u flows\n", f->n);
		exit(1);
	}
}

void flows_assume(struct flows *f, uint16_t first_port)
{
	for (unsigned i = 0; i < f->n; i++) {
		f->flow[i].step = FLOW_READY;
		f->flow[i].relayed_port = (uint16_t)(first_port + i);
	}
}

/* ---- requests ---- */

static void send_from(struct flows *f, unsigned i, const void *data, size_t len)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = { 0 };
	struct in_pktinfo info = { .ipi_spec_dst = plan_client(i) };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr h = { .msg_name = &f->server,
			    .msg_namelen = sizeof(f->server),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };

	control.header.cmsg_level = IPPROTO_IP;
	control.header.cmsg_type = IP_PKTINFO;
	control.header.cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
	/* what is lost is asked again */
	(void)!sendmsg(f->client_fd, &h, 0);
}

static struct addr peer_addr(unsigned i)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(PLAN_PEER_PORT),
				  .sin_addr = plan_peer(i) };
	struct addr a = { 0 };

	(void)!addr_from_sockaddr((const struct sockaddr *)&sa, sizeof(sa), &a);
	return a;
}

static uint16_t method_of(enum flow_step step)
{
	switch (step) {
	case FLOW_PERMITTING:
		return TURN_CREATE_PERMISSION;
	case FLOW_BINDING:
		return TURN_CHANNEL_BIND;
	case FLOW_REFRESHING:
	case FLOW_RELEASING:
		return TURN_REFRESH;
	case FLOW_NEW:
	case FLOW_ASKED:
	case FLOW_ALLOCATING:
	case FLOW_ALLOCATED:
	case FLOW_READY:
	case FLOW_REFRESHED:
	case FLOW_GONE:
	case FLOW_FAILED:
		break;
	}
	return TURN_ALLOCATE;
}

/* Sends the request that the flow's step stands for. */
static void ask(struct flows *f, unsigned i)
{
	struct flow *flow = &f->flow[i];
	uint8_t buf[STUN_SHORT_MAX], tid[STUN_TID_LEN] = { 0 };
	struct addr peer = peer_addr(i);
	uint16_t method = method_of(flow->step);
	struct stun_out o;
	int len;

	memcpy(tid, &i, sizeof(i));
	tid[sizeof(i)] = flow->serial;
	stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, method, tid);
	if (method == TURN_ALLOCATE)
		stun_put_u32(&o, TURN_REQUESTED_TRANSPORT, (uint32_t)TURN_PROTOCOL_UDP << 24);
	else if (method == TURN_REFRESH)
		stun_put_u32(&o, TURN_LIFETIME,
			     flow->step == FLOW_REFRESHING ? TURN_LIFETIME_S : 0);
	else
		stun_put_xor_addr(&o, TURN_XOR_PEER_ADDRESS, &peer);
	if (method == TURN_CHANNEL_BIND)
		stun_put_u32(&o, TURN_CHANNEL_NUMBER, (uint32_t)plan_channel(i) << 16);
	if (flow->step != FLOW_ASKED) {
		stun_put(&o, STUN_USERNAME, span_str(f->user));
		stun_put(&o, STUN_REALM, span_str(f->realm));
		stun_put(&o, STUN_NONCE, span_of(flow->nonce, flow->nonce_len));
		stun_put_integrity(&o, span_of(f->key, FLOW_KEY_LEN));
	}
	len = stun_end(&o);
	if (len > 0)
		send_from(f, i, buf, (size_t)len);
	flow->asked = usec_monotonic();
	flow->tries++;
	if (!flow->waiting)
		f->waiting++;
	flow->waiting = true;
}

static void go(struct flows *f, unsigned i, enum flow_step step)
{
	f->flow[i].step = step;
	f->flow[i].tries = 0;
	f->flow[i].serial++;
}

/* ---- answers ---- */

static bool take_challenge(struct flows *f, struct flow *flow, const struct stun_msg *m)
{
	struct span realm, nonce;

	if (!stun_get(m, STUN_REALM, &realm) || realm.len >= sizeof(f->realm) ||
	    !stun_get(m, STUN_NONCE, &nonce) || nonce.len > FLOW_NONCE_MAX)
		return false;
	memcpy(flow->nonce, nonce.ptr, nonce.len);
	flow->nonce_len = (uint8_t)nonce.len;
	if (!span_is(realm, f->realm)) {
		memcpy(f->realm, realm.ptr, realm.len);
		f->realm[realm.len] = '\0';
		turn_auth_key(f->user, f->realm, f->password, false, f->key);
	}
	return true;
}

static void take_error(struct flows *f, unsigned i, const struct stun_msg *m)
{
	struct flow *flow = &f->flow[i];
	uint16_t code = 0;
	struct span reason = { 0 };

	(void)stun_get_error(m, &code, &reason);
	if ((code == STUN_STALE_NONCE ||
	     (code == STUN_UNAUTHENTICATED && flow->step == FLOW_ASKED)) &&
	    take_challenge(f, flow, m)) {
		go(f, i, flow->step == FLOW_ASKED ? FLOW_ALLOCATING : flow->step);
		return;
	}
	fprintf(stderr, "flow %u, method %u: error %u %.*s\n", i, m->method, code, (int)reason.len,
		(const char *)reason.ptr);
	go(f, i, FLOW_FAILED);
}

static void take_success(struct flows *f, unsigned i, const struct stun_msg *m)
{
	struct addr relayed;

	switch (f->flow[i].step) {
	case FLOW_ASKED:
	case FLOW_ALLOCATING:
		if (!stun_get_xor_addr(m, TURN_XOR_RELAYED_ADDRESS, &relayed)) {
			go(f, i, FLOW_FAILED);
			return;
		}
		f->flow[i].relayed_port = relayed.port;
		go(f, i, FLOW_ALLOCATED);
		return;
	case FLOW_PERMITTING:
		go(f, i, FLOW_BINDING);
		return;
	case FLOW_BINDING:
		go(f, i, FLOW_READY);
		return;
	case FLOW_REFRESHING:
		go(f, i, FLOW_REFRESHED);
		return;
	case FLOW_RELEASING:
		go(f, i, FLOW_GONE);
		return;
	case FLOW_NEW:
	case FLOW_ALLOCATED:
	case FLOW_READY:
	case FLOW_REFRESHED:
	case FLOW_GONE:
	case FLOW_FAILED:
		return;
	}
}

static void take_answer(struct flows *f, struct span data, enum flow_step goal)
{
	struct stun_msg m;
	struct flow *flow;
	unsigned i;

	if (stun_parse(data, &m) < 0)
		return;
	memcpy(&i, m.tid, sizeof(i));
	if (i >= f->n)
		return;
	flow = &f->flow[i];
	if (!flow->waiting || flow->serial != m.tid[sizeof(i)])
		return;
	flow->waiting = false;
	f->waiting--;
	if (m.class == STUN_SUCCESS)
		take_success(f, i, &m);
	else
		take_error(f, i, &m);
	if (flow->step != goal && flow->step != FLOW_FAILED)
		ask(f, i);
}

/* ---- a phase ---- */

static void take_answers(struct flows *f, enum flow_step goal)
{
	uint8_t buf[2048];
	ssize_t n;

	while ((n = recv(f->client_fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		take_answer(f, span_of(buf, (size_t)n), goal);
}

static void repeat_overdue(struct flows *f, usec_t now)
{
	for (unsigned i = 0; i < f->n; i++) {
		struct flow *flow = &f->flow[i];

		if (!flow->waiting || now - flow->asked < REPEAT_US)
			continue;
		if (flow->tries < TRIES_MAX) {
			f->repeated++;
			ask(f, i);
			continue;
		}
		flow->waiting = false;
		f->waiting--;
		go(f, i, FLOW_FAILED);
	}
}

static enum flow_step first_step(enum flow_step goal)
{
	if (goal == FLOW_ALLOCATED)
		return FLOW_ASKED;
	if (goal == FLOW_READY)
		return FLOW_PERMITTING;
	return goal == FLOW_REFRESHED ? FLOW_REFRESHING : FLOW_RELEASING;
}

bool flows_take_to(struct flows *f, enum flow_step goal)
{
	struct pollfd poll_client = { .fd = f->client_fd, .events = POLLIN };
	usec_t began = usec_monotonic(), looked = began, now = began;
	unsigned begun = 0, failed = 0;

	while (begun < f->n || f->waiting) {
		uint64_t due = (now - began) * f->per_second / USEC_PER_SEC + 1;

		for (; begun < f->n && begun < due && f->waiting < IN_FLIGHT_MAX; begun++) {
			if (f->flow[begun].step == FLOW_FAILED)
				continue;
			go(f, begun, first_step(goal));
			ask(f, begun);
		}
		poll(&poll_client, 1, (int)(TICK_US / USEC_PER_MSEC));
		take_answers(f, goal);
		now = usec_monotonic();
		if (now - looked > REPEAT_US / 4) {
			looked = now;
			repeat_overdue(f, now);
		}
	}
	for (unsigned i = 0; i < f->n; i++)
		failed += f->flow[i].step != goal;
	if (failed)
		fprintf(stderr, "%u of %u flows could not be %s\n", failed, f->n,
			goal == FLOW_GONE	 ? "released"
			: goal == FLOW_REFRESHED ? "refreshed"
						 : "set up");
	return failed == 0;
}
