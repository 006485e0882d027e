#include "proto/turn/turn_internal.h"

/* ---- client to peer ---- */

/* The allocation of a flow, after what this message from it changes. */
static struct turn_alloc *alloc_of(struct turn_server *s, const struct turn_flow *flow)
{
	bool next;
	struct turn_alloc *a = turn_server_look_up(s, flow, &next);

	if (!a)
		s->stats.no_allocation++;
	else if (next)
		turn_move_complete(s, a); /* RFC 8016 §3.2.2: it sends from there */
	return a;
}

static void handle_channel_data(struct turn_server *s, usec_t now, const struct turn_flow *flow,
				struct span message, struct turn_verdict *v)
{
	struct turn_alloc *a;
	const struct addr *peer;
	uint16_t number;

	if (turn_channel_parse(message, &number, &v->data) < 0) {
		s->stats.malformed++;
		return;
	}
	a = alloc_of(s, flow);
	if (!a)
		return;
	peer = turn_alloc_channel(a, now, number);
	if (!peer) {
		s->stats.no_permission++;
		return;
	}
	v->type = TURN_VERDICT_TO_PEER;
	v->alloc = a;
	v->peer = *peer;
}

static bool is_permitted(const struct turn_alloc *a, usec_t now, const struct addr *peer)
{
	const struct turn_permission *p = turn_alloc_permission(a, peer);

	return p && p->until > now && a->until[turn_family_row(peer)] > now && peer->port != 0;
}

/* RFC 8656 §11.2. It is not authenticated: the permission is what protects the peer. */
static void handle_send(struct turn_server *s, usec_t now, const struct turn_flow *flow,
			const struct stun_msg *m, struct turn_verdict *v)
{
	static const uint16_t known[] = { TURN_XOR_PEER_ADDRESS, TURN_DATA_ATTR,
					  TURN_DONT_FRAGMENT };
	struct turn_alloc *a;
	uint16_t unknown;

	if (!stun_get_xor_addr(m, TURN_XOR_PEER_ADDRESS, &v->peer) ||
	    !stun_get(m, TURN_DATA_ATTR, &v->data) ||
	    stun_unknown(m, known, ARRAY_LEN(known), &unknown, 1) > 0) {
		s->stats.malformed++;
		return;
	}
	a = alloc_of(s, flow);
	if (!a)
		return;
	/* the port is checked here, because permissions know none */
	if (a->protocol != TURN_PROTOCOL_UDP || !is_permitted(a, now, &v->peer) ||
	    turn_peers_check(s->config.peers, &v->peer, true) != TURN_PEER_ALLOWED) {
		s->stats.no_permission++;
		return;
	}
	v->type = TURN_VERDICT_TO_PEER;
	v->alloc = a;
	v->dont_fragment = stun_get_flag(m, TURN_DONT_FRAGMENT);
}

void turn_server_client(struct turn_server *s, usec_t now, const struct turn_flow *flow,
			struct span message, struct turn_verdict *v)
{
	struct stun_msg m;

	turn_server_reap(s);
	turn_server_tell_time(s, now);
	*v = (struct turn_verdict){ .type = TURN_VERDICT_DROP };
	if (turn_is_channel_data(message)) {
		handle_channel_data(s, now, flow, message, v);
	} else if (stun_parse(message, &m) < 0) {
		turn_request_classic(s, now, flow, message, v);
		v->close = turn_transport_is_stream(flow->transport);
	} else if (stun_get_flag(&m, STUN_FINGERPRINT) && stun_check_fingerprint(&m) < 0) {
		s->stats.malformed++;
	} else if (m.class == STUN_REQUEST) {
		turn_request_handle(s, now, flow, &m, v);
	} else if (m.class == STUN_INDICATION && m.method == TURN_SEND) {
		handle_send(s, now, flow, &m, v);
	} /* else: a keep-alive, or an answer to nothing that we asked */
}

/* ---- peer to client ---- */

/* Nobody answers an indication, so its id needs to be new and not foreseeable, but not secret. */
static void begin_indication(struct turn_server *s, struct stun_out *o, const struct addr *peer)
{
	uint8_t tid[STUN_TID_LEN];
	struct writer w = writer_of(tid, sizeof(tid));
	uint64_t n = s->indications++;

	writer_u64(&w, turn_hash_pair(n ^ s->hash_key[2], s->hash_key[3] | 1));
	writer_u32(&w, (uint32_t)n);
	stun_begin(o, s->indication, STUN_MESSAGE_MAX, STUN_INDICATION, TURN_DATA, tid);
	stun_put_xor_addr(o, TURN_XOR_PEER_ADDRESS, peer);
}

/* DATA stands last, so data can stay where it is when it needs no padding. */
static void data_indication(struct turn_server *s, const struct addr *peer, struct span data,
			    struct turn_verdict *v)
{
	struct stun_out o;
	bool whole = data.len % 4 != 0;

	begin_indication(s, &o, peer);
	if (data.len + 32 > UINT16_MAX)
		return; /* longer than any datagram */
	if (whole) {
		stun_put(&o, TURN_DATA_ATTR, data);
		if (stun_end(&o) < 0)
			return;
	} else {
		writer_u16(&o.w, TURN_DATA_ATTR);
		writer_u16(&o.w, (uint16_t)data.len);
		writer_patch_u16(&o.w, 2,
				 (uint16_t)(writer_len(&o.w) - STUN_HEADER_LEN + data.len));
	}
	v->type = TURN_VERDICT_TO_CLIENT;
	v->head = writer_span(&o.w);
	v->data = whole ? span_of(NULL, 0) : data;
}

void turn_server_peer(struct turn_server *s, usec_t now, struct turn_alloc *a,
		      const struct addr *peer, struct span data, struct turn_verdict *v)
{
	uint16_t number;

	turn_server_tell_time(s, now);
	*v = (struct turn_verdict){ .type = TURN_VERDICT_DROP, .alloc = a };
	if (a->protocol != TURN_PROTOCOL_UDP || !turn_alloc_from_peer(a, now, peer, &number)) {
		s->stats.no_permission++;
	} else if (number == 0) {
		data_indication(s, peer, data, v);
	} else if (data.len <= UINT16_MAX) {
		turn_channel_header(number, data.len, s->indication);
		v->type = TURN_VERDICT_TO_CLIENT;
		v->head = span_of(s->indication, TURN_CHANNEL_HEADER_LEN);
		v->data = data;
	}
}

/* RFC 8656 §11.5: with a permission for the peer, and the type as far as the attribute has bits. */
void turn_server_icmp(struct turn_server *s, usec_t now, struct turn_alloc *a,
		      const struct addr *peer, uint8_t type, uint8_t code, uint32_t info,
		      struct turn_verdict *v)
{
	struct turn_icmp icmp = { .type = type, .code = code, .data = info };
	uint16_t number;
	struct stun_out o;

	turn_server_tell_time(s, now);
	*v = (struct turn_verdict){ .type = TURN_VERDICT_DROP, .alloc = a };
	if (type > 127 || a->protocol != TURN_PROTOCOL_UDP)
		return;
	if (!turn_alloc_from_peer(a, now, peer, &number)) {
		s->stats.no_permission++;
		return;
	}
	begin_indication(s, &o, peer);
	turn_put_icmp(&o, &icmp);
	if (stun_end(&o) < 0)
		return;
	v->type = TURN_VERDICT_TO_CLIENT;
	v->head = writer_span(&o.w);
}
