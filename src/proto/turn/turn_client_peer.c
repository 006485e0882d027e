/* Permissions and channels of the TURN client, and the user data that goes through them. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "proto/turn/turn_client_internal.h"

#define PERMISSION_US (TURN_PERMISSION_S * USEC_PER_SEC)
#define CHANNEL_US (TURN_CHANNEL_S * USEC_PER_SEC)
#define ATTR_HEADER_LEN 4

struct peer *client_find_peer(struct turn_client *c, const struct addr *ip)
{
	for (size_t i = 0; i < c->n_peers; i++)
		if (c->peers[i].used && addr_ip_equal(&c->peers[i].ip, ip))
			return &c->peers[i];
	return NULL;
}

struct channel *client_find_channel(struct turn_client *c, const struct addr *peer)
{
	for (size_t i = 0; i < c->n_channels; i++)
		if (addr_equal(&c->channels[i].peer, peer))
			return &c->channels[i];
	return NULL;
}

static struct peer *peer_of(struct request *r)
{
	return CONTAINER_OF(r, struct peer, r);
}

static struct channel *channel_of(struct request *r)
{
	return CONTAINER_OF(r, struct channel, r);
}

static void changed(struct turn_client *c, usec_t now, const struct addr *peer,
		    const struct turn_client_failure *why)
{
	struct turn_client_event *e = client_event(c, TURN_CLIENT_CHANGED);

	e->peer = *peer;
	e->reach = turn_client_reach(c, now, peer);
	if (why)
		e->failure = *why;
}

/* ---- naming peers ---- */

static int usable(const struct turn_client *c, const struct addr *peer)
{
	if (!client_holds(c))
		return FL_ESTATE;
	if (peer->family == ADDR_NONE || c->relayed[peer->family == ADDR_V6].family != peer->family)
		return FL_EUNSUPPORTED;
	return 0;
}

static struct peer *new_peer(struct turn_client *c, const struct addr *peer)
{
	size_t i = 0;

	while (i < c->n_peers && c->peers[i].used)
		i++;
	if (i == TURN_CLIENT_PEERS_MAX)
		return NULL;
	c->n_peers = FL_MAX(c->n_peers, i + 1);
	c->peers[i] = (struct peer){ .used = true, .ip = *peer, .due = USEC_NEVER };
	c->peers[i].ip.port = 0;
	c->peers[i].r.kind = REQUEST_PERMISSION;
	return &c->peers[i];
}

/* Asked for at the next turn, unless it was refused a short while ago. */
static int want_peer(struct turn_client *c, usec_t now, const struct addr *peer, struct peer **out)
{
	struct peer *p = client_find_peer(c, peer);
	int err = usable(c, peer);

	if (err < 0)
		return err;
	if (!p)
		p = new_peer(c, peer);
	if (!p)
		return FL_EQUOTA;
	if (p->due == USEC_NEVER && !p->r.tr.running && p->refused <= now)
		p->due = now;
	*out = p;
	return 0;
}

/* A number of its own for a peer that has none; the one that has been idle longest gives way. */
static struct channel *new_channel(struct turn_client *c, const struct addr *peer)
{
	struct channel *found = NULL;

	if (c->n_channels < TURN_CLIENT_CHANNELS_MAX) {
		found = &c->channels[c->n_channels++];
	} else {
		for (size_t i = 0; i < c->n_channels; i++) {
			struct channel *h = &c->channels[i];

			if (!h->wanted && (!found || h->until < found->until))
				found = h;
		}
	}
	if (!found)
		return NULL;
	*found = (struct channel){ .peer = *peer, .due = USEC_NEVER };
	found->r.kind = REQUEST_CHANNEL;
	found->number = c->next_number;
	c->next_number = c->next_number == TURN_CHANNEL_MAX ? TURN_CHANNEL_MIN
							    : (uint16_t)(c->next_number + 1);
	return found;
}

int turn_client_permit(struct turn_client *c, usec_t now, const struct addr *peer)
{
	struct peer *p;
	int err = want_peer(c, now, peer, &p);

	if (err == 0)
		client_run(c, now);
	return err;
}

int turn_client_bind(struct turn_client *c, usec_t now, const struct addr *peer)
{
	struct channel *h = client_find_channel(c, peer);
	struct peer *p;
	int err = want_peer(c, now, peer, &p);

	if (err < 0)
		return err;
	if (!h)
		h = new_channel(c, peer);
	if (!h)
		return FL_EQUOTA;
	if (h->due == USEC_NEVER && !h->r.tr.running && h->refused <= now)
		h->due = now;
	h->wanted = true;
	client_run(c, now);
	return 0;
}

void turn_client_forget(struct turn_client *c, const struct addr *peer)
{
	struct peer *p = client_find_peer(c, peer);

	if (p)
		*p = (struct peer){ 0 };
	for (size_t i = 0; i < c->n_channels; i++) {
		struct channel *h = &c->channels[i];

		if (!addr_ip_equal(&h->peer, peer))
			continue;
		h->wanted = h->r.tr.running = h->r.send = false;
		h->due = USEC_NEVER;
	}
}

enum turn_client_reach turn_client_reach(const struct turn_client *c, usec_t now,
					 const struct addr *peer)
{
	/* finding changes nothing */
	struct turn_client *mutable = (struct turn_client *)(uintptr_t)c;
	const struct channel *h = client_find_channel(mutable, peer);
	const struct peer *p = client_find_peer(mutable, peer);

	if (!p)
		return TURN_CLIENT_UNKNOWN;
	if (p->refused > now)
		return TURN_CLIENT_REFUSED;
	if (h && h->wanted && h->until > now)
		return TURN_CLIENT_BOUND;
	return p->until > now ? TURN_CLIENT_PERMITTED : TURN_CLIENT_ASKED;
}

/* ---- requests ---- */

void peers_ask(struct turn_client *c, usec_t now)
{
	if (c->blocked || c->moving || c->state != STATE_ALLOCATED)
		return;
	for (size_t i = 0; i < c->n_peers; i++) {
		struct peer *p = &c->peers[i];

		if (p->used && p->due <= now) {
			p->due = USEC_NEVER;
			client_ask(c, &p->r, REQUEST_PERMISSION, now);
		}
	}
	for (size_t i = 0; i < c->n_channels; i++) {
		struct channel *h = &c->channels[i];

		if (h->due <= now) {
			h->due = USEC_NEVER;
			client_ask(c, &h->r, REQUEST_CHANNEL, now);
		}
	}
}

static void hold(struct request *r, usec_t *due, usec_t now)
{
	if (!r->tr.running)
		return;
	r->tr.running = r->send = false;
	*due = now;
}

void peers_hold(struct turn_client *c, usec_t now)
{
	for (size_t i = 0; i < c->n_peers; i++)
		hold(&c->peers[i].r, &c->peers[i].due, now);
	for (size_t i = 0; i < c->n_channels; i++)
		hold(&c->channels[i].r, &c->channels[i].due, now);
}

usec_t peers_due(const struct turn_client *c)
{
	usec_t due = USEC_NEVER;

	if (c->blocked || c->moving || c->state != STATE_ALLOCATED)
		return due;
	for (size_t i = 0; i < c->n_peers; i++)
		if (c->peers[i].used)
			due = usec_min(due, c->peers[i].due);
	for (size_t i = 0; i < c->n_channels; i++)
		due = usec_min(due, c->channels[i].due);
	return due;
}

void peers_put(struct turn_client *c, const struct request *r, struct stun_out *o)
{
	struct request *mutable = (struct request *)(uintptr_t)r;

	if (r->kind == REQUEST_CHANNEL) {
		turn_put_channel(o, channel_of(mutable)->number);
		stun_put_xor_addr(o, TURN_XOR_PEER_ADDRESS, &channel_of(mutable)->peer);
	} else {
		stun_put_xor_addr(o, TURN_XOR_PEER_ADDRESS, &peer_of(mutable)->ip);
	}
}

static void permitted(struct peer *p, usec_t asked)
{
	p->until = FL_MAX(p->until, asked + PERMISSION_US);
	p->due = p->until - MARGIN_US;
	p->refused = 0;
}

/* The server's clock began between asking and its answer: at asking, to be safe. */
void peers_granted(struct turn_client *c, struct request *r, usec_t asked)
{
	bool news;

	if (r->kind == REQUEST_PERMISSION) {
		struct peer *p = peer_of(r);

		news = p->until <= asked;
		permitted(p, asked);
		if (news)
			changed(c, asked, &p->ip, NULL);
	} else {
		struct channel *h = channel_of(r);
		struct peer *p = client_find_peer(c, &h->peer);

		news = h->until <= asked;
		h->until = asked + CHANNEL_US;
		h->due = h->until - MARGIN_US;
		h->refused = 0;
		if (p && !p->r.tr.running) /* §12: a binding is a permission too */
			permitted(p, asked);
		if (news)
			changed(c, asked, &h->peer, NULL);
	}
}

/*
 * A new number may be somebody else's still at the server, if all of them were used once: it is
 * worth another one.
 */
static bool renumber(struct turn_client *c, struct channel *h, usec_t now)
{
	if (h->until || h->renumbered)
		return false;
	h->renumbered = true;
	h->number = c->next_number;
	c->next_number = c->next_number == TURN_CHANNEL_MAX ? TURN_CHANNEL_MIN
							    : (uint16_t)(c->next_number + 1);
	h->due = now;
	return true;
}

void peers_refused(struct turn_client *c, struct request *r, usec_t now,
		   const struct turn_client_failure *why)
{
	if (r->kind == REQUEST_PERMISSION) {
		struct peer *p = peer_of(r);

		p->until = 0;
		p->refused = now + REFUSED_US;
		changed(c, now, &p->ip, why);
	} else {
		struct channel *h = channel_of(r);

		if (why->code == STUN_BAD_REQUEST && renumber(c, h, now))
			return;
		h->until = 0;
		h->refused = now + REFUSED_US;
		changed(c, now, &h->peer, why);
	}
}

void peers_unanswered(struct turn_client *c, struct request *r, usec_t now)
{
	if (r->kind == REQUEST_PERMISSION)
		peer_of(r)->due = now + AGAIN_US;
	else
		channel_of(r)->due = now + AGAIN_US;
}

/* ---- user data ---- */

static uint8_t padding(size_t len)
{
	return (uint8_t)(-len & 3u);
}

/* RFC 8656 §11.1: XOR-PEER-ADDRESS, and the DATA attribute's header as the last thing. */
static void indication(struct turn_client *c, const struct addr *peer, size_t len,
		       struct turn_client_wrap *out)
{
	struct stun_out o;

	for (size_t i = 0; i < STUN_TID_LEN && ++c->indication_tid[i] == 0; i++)
		continue;
	stun_begin(&o, out->head, sizeof(out->head), STUN_INDICATION, TURN_SEND, c->indication_tid);
	stun_put_xor_addr(&o, TURN_XOR_PEER_ADDRESS, peer);
	writer_u16(&o.w, TURN_DATA_ATTR);
	writer_u16(&o.w, (uint16_t)len);
	out->head_len = (uint8_t)writer_len(&o.w);
	out->pad = padding(len);
	writer_patch_u16(&o.w, 2, (uint16_t)(writer_len(&o.w) - STUN_HEADER_LEN + len + out->pad));
}

int turn_client_wrap(struct turn_client *c, usec_t now, const struct addr *peer, size_t len,
		     struct turn_client_wrap *out)
{
	struct channel *h = client_find_channel(c, peer);
	struct peer *p;
	int err;

	if (len > TURN_CLIENT_DATA_MAX)
		return FL_EQUOTA;
	if (client_holds(c) && h && h->wanted && h->until > now) {
		turn_channel_header(h->number, len, out->head);
		out->head_len = TURN_CHANNEL_HEADER_LEN;
		out->pad = c->config.stream ? padding(len) : 0;
		c->stats.sent++;
		return 0;
	}
	err = want_peer(c, now, peer, &p);
	if (err < 0)
		return err;
	if (p->refused > now)
		return -EACCES;
	if (p->due <= now && !c->blocked && !c->moving)
		client_run(c, now);
	indication(c, peer, len, out);
	c->stats.sent++;
	return 0;
}

/* RFC 8656 §11.4: only from peers with a permission, as far as we know. */
bool peers_input(struct turn_client *c, const struct stun_msg *m, struct turn_client_data *data)
{
	struct turn_client_event *e;
	struct turn_icmp icmp;
	struct addr peer;

	if (m->method != TURN_DATA || !stun_get_xor_addr(m, TURN_XOR_PEER_ADDRESS, &peer) ||
	    !client_find_peer(c, &peer)) {
		c->stats.strays++;
		return false;
	}
	if (turn_get_icmp(m, &icmp)) {
		e = client_event(c, TURN_CLIENT_ICMP);
		e->peer = peer;
		e->icmp = icmp;
		return false;
	}
	if (!stun_get(m, TURN_DATA_ATTR, &data->payload)) {
		c->stats.malformed++;
		return false;
	}
	data->peer = peer;
	c->stats.received++;
	return true;
}

bool peers_channel_data(struct turn_client *c, struct span message, struct turn_client_data *data)
{
	uint16_t number;

	if (turn_channel_parse(message, &number, &data->payload) < 0) {
		c->stats.malformed++;
		return false;
	}
	for (size_t i = 0; i < c->n_channels; i++) {
		struct channel *h = &c->channels[i];

		/* before its answer came, too: data may overtake it */
		if (h->wanted && h->number == number) {
			data->peer = h->peer;
			c->stats.received++;
			return true;
		}
	}
	c->stats.strays++;
	return false;
}
