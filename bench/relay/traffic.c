#include "traffic.h"

#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "plan.h"
#include "proto/turn/turn.h"

#define BATCH 64
#define PACKET_MAX (TURN_CHANNEL_HEADER_LEN + TRAFFIC_SIZE_MAX)
#define RECEIVE_MAX 2048
#define STALL_NS 1000000000u /* nothing for so long: what is under way was lost */
#define QUIET_NS 2000000000u /* after the end, so long for the last ones */

struct stamp {
	uint64_t ns;
	uint32_t flow;
};

struct control {
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) +
					    CMSG_SPACE(sizeof(uint16_t))];
};

/* A batch on its way out, or in. */
struct batch {
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in addr[BATCH];
	struct control control[BATCH];
	uint8_t *bytes;
};

struct traffic {
	struct flows *flows;
	const struct traffic_plan *plan;
	struct traffic_result *result;
	struct batch out, in;
	unsigned next_flow;
	uint64_t forgiven; /* given up as lost, so that the window opens again */
	bool measuring;
	uint32_t *latency_ns;
	size_t n_latency, cap_latency;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- out ---- */

static size_t put_control(struct control *c, struct in_addr source, size_t segment)
{
	struct in_pktinfo info = { .ipi_spec_dst = source };
	struct msghdr h = { .msg_control = c->bytes, .msg_controllen = sizeof(c->bytes) };
	struct cmsghdr *m = CMSG_FIRSTHDR(&h);
	uint16_t len = (uint16_t)segment;

	m->cmsg_level = IPPROTO_IP;
	m->cmsg_type = IP_PKTINFO;
	m->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(m), &info, sizeof(info));
	if (!segment)
		return CMSG_SPACE(sizeof(info));
	m = (struct cmsghdr *)(void *)(c->bytes + CMSG_SPACE(sizeof(info)));
	m->cmsg_level = SOL_UDP;
	m->cmsg_type = UDP_SEGMENT;
	m->cmsg_len = CMSG_LEN(sizeof(len));
	memcpy(CMSG_DATA(m), &len, sizeof(len));
	return sizeof(c->bytes);
}

static bool is_up(const struct traffic *t)
{
	return t->plan->direction != TRAFFIC_DOWN;
}

/* The burst of one flow as the k-th message of the batch. */
static void put_burst(struct traffic *t, unsigned k, unsigned flow, uint64_t now)
{
	const struct traffic_plan *p = t->plan;
	bool channel = is_up(t) && !p->direct;
	size_t header = channel ? TURN_CHANNEL_HEADER_LEN : 0, packet = header + p->size;
	struct stamp stamp = { now, flow };
	uint8_t *at = t->out.bytes + (size_t)k * TRAFFIC_BURST_MAX * PACKET_MAX;
	struct sockaddr_in *to = &t->out.addr[k];

	*to = t->flows->server;
	if (p->direct) {
		to->sin_addr = plan_peer(flow);
		to->sin_port = htons(PLAN_PEER_PORT);
	} else if (!is_up(t)) {
		to->sin_port = htons(t->flows->flow[flow].relayed_port);
	}
	t->out.iov[k] = (struct iovec){ at, packet * p->burst };
	t->out.msg[k].msg_hdr = (struct msghdr){
		.msg_name = to,
		.msg_namelen = sizeof(*to),
		.msg_iov = &t->out.iov[k],
		.msg_iovlen = 1,
		.msg_control = &t->out.control[k],
		.msg_controllen = put_control(&t->out.control[k],
					      is_up(t) ? plan_client(flow) : plan_peer(flow),
					      p->burst > 1 ? packet : 0),
	};
	for (unsigned i = 0; i < p->burst; i++, at += packet) {
		if (channel)
			turn_channel_header(plan_channel(flow), p->size, at);
		memcpy(at + header, &stamp, sizeof(stamp));
	}
}

/* How many packets went out. */
static unsigned send_bursts(struct traffic *t, unsigned bursts, uint64_t now)
{
	unsigned n = FL_MIN(bursts, (unsigned)BATCH);
	int sent;

	for (unsigned k = 0; k < n; k++)
		put_burst(t, k, (t->next_flow + k) % t->flows->n, now);
	sent = sendmmsg(is_up(t) ? t->flows->client_fd : t->flows->peer_fd, t->out.msg, n, 0);
	if (sent <= 0)
		return 0;
	t->next_flow = (t->next_flow + (unsigned)sent) % t->flows->n;
	t->result->sent += (unsigned)sent * t->plan->burst;
	return (unsigned)sent * t->plan->burst;
}

/* ---- in ---- */

static int receive(struct traffic *t, int fd)
{
	for (unsigned k = 0; k < BATCH; k++) {
		t->in.iov[k] = (struct iovec){ t->in.bytes + (size_t)k * RECEIVE_MAX, RECEIVE_MAX };
		t->in.msg[k].msg_hdr = (struct msghdr){ .msg_name = &t->in.addr[k],
							.msg_namelen = sizeof(t->in.addr[k]),
							.msg_iov = &t->in.iov[k],
							.msg_iovlen = 1 };
	}
	return recvmmsg(fd, t->in.msg, BATCH, MSG_DONTWAIT, NULL);
}

static void arrived(struct traffic *t, const struct stamp *stamp, bool last, uint64_t now)
{
	if (t->measuring)
		t->result->relayed++;
	if (!last)
		return;
	t->result->arrived++;
	if (t->measuring && t->n_latency < t->cap_latency)
		t->latency_ns[t->n_latency++] = (uint32_t)FL_MIN(now - stamp->ns, UINT32_MAX);
}

static void send_back(struct traffic *t, unsigned k, uint32_t flow)
{
	struct msghdr *h = &t->in.msg[k].msg_hdr;

	t->in.iov[k].iov_len = t->plan->size;
	h->msg_control = &t->in.control[k];
	h->msg_controllen = put_control(&t->in.control[k], plan_peer(flow), 0);
}

static int receive_as_peers(struct traffic *t)
{
	const struct traffic_plan *p = t->plan;
	int n = receive(t, t->flows->peer_fd), back = 0;
	uint64_t now = p->rate ? now_ns() : 0;

	for (int k = 0; k < n; k++) {
		struct stamp stamp;
		uint16_t port = ntohs(t->in.addr[k].sin_port);

		memcpy(&stamp, t->in.iov[k].iov_base, sizeof(stamp));
		if (t->in.msg[k].msg_len != p->size || stamp.flow >= t->flows->n ||
		    port != (p->direct ? t->flows->client_port
				       : t->flows->flow[stamp.flow].relayed_port)) {
			t->result->strays++;
			continue;
		}
		arrived(t, &stamp, p->direction != TRAFFIC_ECHO, now);
		if (p->direction == TRAFFIC_ECHO) {
			send_back(t, (unsigned)k, stamp.flow);
			t->in.msg[back++] = t->in.msg[k];
		}
	}
	for (int done = 0; done < back;) {
		int sent = sendmmsg(t->flows->peer_fd, t->in.msg + done, (unsigned)(back - done),
				    0);

		if (sent <= 0)
			break;
		done += sent;
	}
	return n > 0 ? n : 0;
}

static int receive_as_clients(struct traffic *t)
{
	int n = receive(t, t->flows->client_fd);
	uint64_t now = t->plan->rate ? now_ns() : 0;

	for (int k = 0; k < n; k++) {
		struct span payload;
		struct stamp stamp;
		uint16_t number;

		if (turn_channel_parse(span_of(t->in.iov[k].iov_base, t->in.msg[k].msg_len),
				       &number, &payload) < 0 ||
		    payload.len != t->plan->size) {
			t->result->strays++;
			continue;
		}
		memcpy(&stamp, payload.ptr, sizeof(stamp));
		if (stamp.flow >= t->flows->n || number != plan_channel(stamp.flow))
			t->result->strays++;
		else
			arrived(t, &stamp, true, now);
	}
	return n > 0 ? n : 0;
}

static int receive_all(struct traffic *t)
{
	int n = 0;

	if (is_up(t))
		n += receive_as_peers(t);
	if (t->plan->direction != TRAFFIC_UP)
		n += receive_as_clients(t);
	return n;
}

/* ---- the run ---- */

static unsigned send_what_is_due(struct traffic *t, uint64_t now, uint64_t *due)
{
	const struct traffic_plan *p = t->plan;
	uint64_t under_way = t->result->sent - t->result->arrived - t->forgiven;
	unsigned bursts;

	if (p->rate) {
		uint64_t gap = 1000000000u / p->rate;

		if (now < *due)
			return 0;
		/* what was missed while we did not run is not made up for: that would be a burst */
		*due = FL_MAX(*due + gap, now);
		return send_bursts(t, 1, now);
	}
	if (under_way >= p->window)
		return 0;
	bursts = (unsigned)(p->window - under_way) / p->burst;
	return bursts ? send_bursts(t, bursts, now) : 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Of the sorted times; µs. */
static double percentile(const struct traffic *t, unsigned percent)
{
	size_t at = t->n_latency * percent / 100;

	return t->latency_ns[at] / 1e3;
}

static void finish(struct traffic *t)
{
	struct traffic_result *r = t->result;
	uint64_t last = now_ns();

	while (r->arrived < r->sent && now_ns() - last < QUIET_NS)
		if (receive_all(t))
			last = now_ns();
	if (!t->n_latency)
		return;
	qsort(t->latency_ns, t->n_latency, sizeof(*t->latency_ns), compare_u32);
	r->p50_us = percentile(t, 50);
	r->p95_us = percentile(t, 95);
	r->p99_us = percentile(t, 99);
}

static void run(struct traffic *t)
{
	const struct traffic_plan *p = t->plan;
	uint64_t start = now_ns(), now = start, begin = start + (uint64_t)(p->warm_s * 1e9);
	uint64_t end = begin + (uint64_t)(p->seconds * 1e9), due = start, moved = start, idle = 0;
	uint64_t began = begin;

	while (now < end) {
		uint64_t then = now;
		bool work;

		if (!t->measuring && now >= begin) {
			if (p->on_begin)
				p->on_begin(p->arg);
			began = now = now_ns();
			t->measuring = true;
		}
		work = send_what_is_due(t, now, &due) > 0;
		work |= receive_all(t) > 0;
		now = now_ns();
		if (work) {
			moved = now;
		} else {
			idle += t->measuring ? now - then : 0;
			if (now - moved > STALL_NS) {
				t->forgiven = t->result->sent - t->result->arrived;
				moved = now;
			}
		}
	}
	t->measuring = false;
	if (p->on_end)
		p->on_end(p->arg);
	t->result->seconds = (double)(now - began) / 1e9;
	t->result->idle = (double)idle / (double)(now - began);
	finish(t);
}

void traffic_run(struct flows *f, const struct traffic_plan *plan, struct traffic_result *result)
{
	struct traffic *t = calloc(1, sizeof(*t));

	*result = (struct traffic_result){ 0 };
	if (t) {
		*t = (struct traffic){ .flows = f, .plan = plan, .result = result };
		t->next_flow = plan->first_flow % f->n;
		t->out.bytes = calloc(BATCH, (size_t)TRAFFIC_BURST_MAX * PACKET_MAX);
		t->in.bytes = calloc(BATCH, RECEIVE_MAX);
		t->cap_latency = plan->rate ? (size_t)((plan->seconds + 1) * plan->rate) : 0;
		t->latency_ns = calloc(t->cap_latency + 1, sizeof(*t->latency_ns));
	}
	if (!t || !t->out.bytes || !t->in.bytes || !t->latency_ns) {
		fprintf(stderr, "no memory for the batches\n");
		exit(1);
	}
	run(t);
	free(t->out.bytes);
	free(t->in.bytes);
	free(t->latency_ns);
	free(t);
}
