#include "relay/peer_socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <unistd.h>

#include "relay/udp_front.h"
#include "relay/udp_path.h"

#define WANT_MAX 32	/* datagrams of one socket a turn, so that one busy peer starves nobody */
#define ERRORS_A_TURN 8 /* read from one error queue */

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

void peer_socket_options(int fd, bool v6)
{
	set_int(fd, SOL_UDP, UDP_GRO, 1); /* see gro.h */
	if (v6) {
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
		return;
	}
	set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	/* what is relayed without DONT-FRAGMENT may be fragmented (RFC 8656 §15) */
	set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

/* ---- up ---- */

void peer_socket_queue(struct peer_socket *s, const struct addr *peer, struct span data)
{
	struct worker *w = s->owner->worker;
	struct udp_path *p = w->path;
	uint16_t at;

	if (p->n_up == UP_ENTRIES)
		peer_path_flush(w);
	at = (uint16_t)p->n_up++;
	p->up[at] = (struct up_entry){ .data = data, .peer = peer };
	if (s->first == 0) {
		s->first = at;
		s->next_queued = NULL;
		*p->queued_tail = s;
		p->queued_tail = &s->next_queued;
	} else {
		p->up[s->last].next = at;
	}
	s->last = at;
}

static void send_queued(struct worker *w, struct peer_socket *s)
{
	struct udp_path *p = w->path;
	const struct addr *peer = NULL;
	union sock_name name;

	for (uint16_t i = s->first; i; i = p->up[i].next) {
		const struct up_entry *e = &p->up[i];

		if (peer != e->peer) {
			sock_name_from(e->peer, &name);
			peer = e->peer;
		}
		if (outbox_add(&p->to_peers, &name, NULL, (struct span){ 0 }, e->data))
			continue;
		w->count.send_errors += outbox_send(&p->to_peers, s->fd);
		if (!outbox_add(&p->to_peers, &name, NULL, (struct span){ 0 }, e->data))
			w->count.send_errors++;
	}
	w->count.send_errors += outbox_send(&p->to_peers, s->fd);
}

static void flush_socket(struct worker *w, struct peer_socket *s)
{
	struct udp_path *p = w->path;
	size_t packets = 0, bytes = 0;

	for (uint16_t i = s->first; i; i = p->up[i].next) {
		packets++;
		bytes += p->up[i].data.len;
	}
	if (worker_pass(s->owner, true, packets, bytes))
		send_queued(w, s);
	s->first = 0;
}

void peer_path_flush(struct worker *w)
{
	struct udp_path *p = w->path;

	for (struct peer_socket *s = p->queued; s; s = s->next_queued)
		flush_socket(w, s);
	p->queued = NULL;
	p->queued_tail = &p->queued;
	p->n_up = 1;
}

static void keep_fragments(struct peer_socket *s, bool dont_fragment)
{
	if (s->fragments_kept == dont_fragment)
		return;
	s->fragments_kept = dont_fragment;
	if (s->v6) {
		set_int(s->fd, IPPROTO_IPV6, IPV6_DONTFRAG, dont_fragment);
		return;
	}
	set_int(s->fd, IPPROTO_IP, IP_MTU_DISCOVER,
		dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT);
}

void peer_socket_send(struct relayed *r, const struct addr *peer, struct span data,
		      bool dont_fragment)
{
	struct worker *w = r->worker;
	struct outbox *o = &w->path->to_peers;
	struct peer_socket *s;
	union sock_name name;

	if (!r->udp || sock_name_from(peer, &name) == 0)
		return;
	s = &r->udp->at[peer->family == ADDR_V6];
	if (s->fd < 0 || !worker_pass(r, true, 1, data.len))
		return;
	peer_path_flush(w);
	keep_fragments(s, dont_fragment);
	if (outbox_add(o, &name, NULL, (struct span){ 0 }, data))
		w->count.send_errors += outbox_send(o, s->fd);
	keep_fragments(s, false);
}

/* ---- down ---- */

/* One peer's datagrams in consecutive slots of the area. */
struct peer_run {
	struct addr peer;
	unsigned first, end;
	size_t packets, bytes;
	uint16_t channel;
};

static size_t slot_packets(size_t len, size_t segment)
{
	return segment ? (len + segment - 1) / segment : 1;
}

/* Channel headers stand in the slot's headroom: one for all datagrams of a coalesced read, but for
 * a last one that is shorter. */
static struct span put_header(uint8_t *slot, uint16_t channel, size_t len, bool shorter)
{
	uint8_t *head = slot - TURN_CHANNEL_HEADER_LEN * (shorter ? 2 : 1);

	turn_channel_header(channel, len, head);
	return span_of(head, TURN_CHANNEL_HEADER_LEN);
}

static void give_udp(struct relayed *r, uint8_t *slot, size_t len, size_t segment, uint16_t channel)
{
	size_t each = segment ? segment : len;
	struct span head = put_header(slot, channel, each, false);

	udp_front_queue(r->link.owner, &r->link.flow, &r->client, (struct span){ 0 },
			span_of(head.ptr, head.len + each));
	for (size_t at = each; at < len; at += each) {
		if (len - at < each)
			head = put_header(slot, channel, len - at, true);
		udp_front_queue(r->link.owner, &r->link.flow, &r->client, head,
				span_of(slot + at, FL_MIN(each, len - at)));
	}
}

static void give_stream(struct relayed *r, uint8_t *slot, size_t len, size_t segment,
			uint16_t channel)
{
	struct link_msg msgs[OUTBOX_SEGMENTS];
	size_t each = segment ? segment : len, n = 0, taken;
	struct span head = put_header(slot, channel, each, false);

	for (size_t at = 0; at < len || at == 0; at += each) {
		size_t part = FL_MIN(each, len - at);

		if (part < each)
			head = put_header(slot, channel, part, true);
		if (n == ARRAY_LEN(msgs)) {
			taken = r->link.ops->send(&r->link, msgs, n);
			r->worker->count.send_errors += n - taken;
			n = 0;
		}
		msgs[n++] = (struct link_msg){ head, span_of(slot + at, part) };
		if (each == 0)
			break;
	}
	taken = r->link.ops->send(&r->link, msgs, n);
	r->worker->count.send_errors += n - taken;
}

/* Data indications: the core writes the head; where it fits before the data, both leave later in
 * one piece. */
static void give_indications(struct peer_socket *s, const struct peer_run *run, uint8_t *slot,
			     size_t len, size_t segment)
{
	struct relayed *r = s->owner;
	struct worker *w = r->worker;
	size_t each = segment ? segment : len;
	struct turn_verdict v;

	for (size_t at = 0; at < len || at == 0; at += each) {
		turn_server_peer(w->core, loop_now(w->loop), r->alloc, &run->peer,
				 span_of(slot + at, FL_MIN(each, len - at)), &v);
		if (v.type != TURN_VERDICT_TO_CLIENT)
			return;
		if (at == 0 && link_is_udp(&r->link) && v.data.ptr == slot &&
		    v.head.len <= AREA_HEADROOM) {
			memcpy(slot - v.head.len, v.head.ptr, v.head.len);
			udp_front_queue(r->link.owner, &r->link.flow, &r->client,
					(struct span){ 0 },
					span_of(slot - v.head.len, v.head.len + v.data.len));
		} else if (!link_send(&r->link, v.head, v.data)) {
			w->count.send_errors++;
		}
		if (each == 0)
			return;
	}
}

static void give_run(struct peer_socket *s, const struct peer_run *run, const size_t *segments)
{
	struct relayed *r = s->owner;
	struct area *a = r->worker->path->from_peers;

	for (unsigned i = run->first; i < run->end; i++) {
		uint8_t *slot = area_bytes(a, i);
		size_t len = area_len(a, i), segment = segments[i];

		if (run->channel == 0)
			give_indications(s, run, slot, len, segment);
		else if (link_is_udp(&r->link))
			give_udp(r, slot, len, segment, run->channel);
		else
			give_stream(r, slot, len, segment, run->channel);
	}
}

static void judge_run(struct peer_socket *s, struct peer_run *run, const size_t *segments)
{
	struct relayed *r = s->owner;
	struct worker *w = r->worker;
	struct area *a = w->path->from_peers;
	usec_t now = loop_now(w->loop);
	struct turn_verdict v;

	if (!sock_name_addr(&a->names[run->first], &run->peer))
		return;
	if (!turn_alloc_from_peer(r->alloc, now, &run->peer, &run->channel)) {
		/* counted there */
		turn_server_peer(w->core, now, r->alloc, &run->peer,
				 span_of(area_bytes(a, run->first), area_len(a, run->first)), &v);
		return;
	}
	if (worker_pass(r, false, run->packets, run->bytes))
		give_run(s, run, segments);
}

static void take_slots(struct peer_socket *s, unsigned first)
{
	struct area *a = s->owner->worker->path->from_peers;
	size_t segments[AREA_SLOTS];
	unsigned coalesced = 0, followers = 0, reads = a->used - first;
	struct addr unused;

	while (first < a->used) {
		struct peer_run run = { .first = first, .end = first };

		do {
			size_t len = area_len(a, run.end);

			segments[run.end] = area_segment(a, run.end, &unused);
			coalesced += segments[run.end] > 0;
			run.packets += slot_packets(len, segments[run.end]);
			run.bytes += len;
			run.end++;
		} while (run.end < a->used &&
			 sock_name_equal(&a->names[first], &a->names[run.end]));
		followers += run.end - first - 1;
		judge_run(s, &run, segments);
		first = run.end;
	}
	/* a train leaves while the cache has it; gathered with others it would save little */
	if (coalesced && link_is_udp(&s->owner->link))
		udp_path_flush(s->owner->worker);
	if (gro_batch(&s->gro, reads, coalesced, followers))
		(void)set_int(s->fd, SOL_UDP, UDP_GRO, !s->gro.off);
}

static void read_batch(struct peer_socket *s)
{
	struct worker *w = s->owner->worker;
	struct area *a = w->path->from_peers;
	unsigned first;
	int n;

	if (area_room(a) < s->want)
		udp_path_flush(w);
	first = a->used;
	n = area_read(a, s->fd, s->want);
	if (n <= 0)
		return; /* an error of an earlier send; reading took it away */
	s->want = (uint8_t)(n == s->want ? FL_MIN(2 * n, WANT_MAX) : n);
	take_slots(s, first);
	if (!link_is_udp(&s->owner->link))
		area_drop(a, first);
}

/* ---- ICMP ---- */

static void tell_icmp(struct peer_socket *s, const union sock_name *to,
		      const struct sock_extended_err *e)
{
	struct relayed *r = s->owner;
	struct worker *w = r->worker;
	uint8_t type = e->ee_type, code = e->ee_code;
	struct turn_verdict v;
	struct addr peer;

	if (e->ee_origin == SO_EE_ORIGIN_LOCAL && e->ee_errno == EMSGSIZE) {
		type = s->v6 ? 2 : 3; /* packet too big; fragmentation needed */
		code = s->v6 ? 0 : 4;
	} else if (e->ee_origin != SO_EE_ORIGIN_ICMP && e->ee_origin != SO_EE_ORIGIN_ICMP6) {
		return;
	}
	if (!sock_name_addr(to, &peer))
		return;
	turn_server_icmp(w->core, loop_now(w->loop), r->alloc, &peer, type, code, e->ee_info, &v);
	if (v.type == TURN_VERDICT_TO_CLIENT && !link_send(&r->link, v.head, v.data))
		w->count.send_errors++;
}

static bool read_error(struct peer_socket *s)
{
	_Alignas(struct cmsghdr) uint8_t control[256];
	union sock_name name;
	uint8_t bytes[64];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_name = &name,
			      .msg_namelen = sizeof(name),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };

	if (recvmsg(s->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct sock_extended_err e;

		if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		tell_icmp(s, &name, &e);
	}
	return true;
}

static void on_ready(void *arg, uint32_t events)
{
	struct peer_socket *s = arg;

	for (int i = 0; (events & EPOLLERR) && i < ERRORS_A_TURN; i++)
		if (!read_error(s))
			break;
	if (events & EPOLLIN)
		read_batch(s);
}

/* ---- life ---- */

int peer_sockets_create(struct relayed *owner, const int fds[2], struct peer_sockets **out)
{
	struct peer_sockets *p = calloc(1, sizeof(*p));
	int err;

	if (!p) {
		for (int i = 0; i < 2; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		return -ENOMEM;
	}
	for (int i = 0; i < 2; i++) {
		p->at[i].owner = owner;
		p->at[i].fd = fds[i];
		p->at[i].v6 = i == 1;
		p->at[i].want = 1;
	}
	err = peer_sockets_start(p);
	if (err < 0) {
		peer_sockets_destroy(p);
		return err;
	}
	*out = p;
	return 0;
}

int peer_sockets_start(struct peer_sockets *p)
{
	for (int i = 0; i < 2; i++) {
		struct peer_socket *s = &p->at[i];
		int err = s->fd < 0 ? 0
				    : loop_watch_start(s->owner->worker->loop, &s->watch, s->fd,
						       EPOLLIN, on_ready, s);

		if (err < 0)
			return err;
	}
	return 0;
}

void peer_sockets_stop(struct peer_sockets *p)
{
	for (int i = 0; i < 2; i++)
		loop_watch_stop(&p->at[i].watch);
}

void peer_sockets_release(struct peer_sockets *p, bool v6)
{
	loop_watch_stop(&p->at[v6].watch);
	fl_closep(&p->at[v6].fd);
}

void peer_sockets_destroy(struct peer_sockets *p)
{
	if (!p)
		return;
	peer_sockets_stop(p);
	for (int i = 0; i < 2; i++)
		fl_closep(&p->at[i].fd);
	free(p);
}
