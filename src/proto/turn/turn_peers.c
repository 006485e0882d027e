#include "proto/turn/turn_peers.h"

#include "base/err.h"

/* Decimal without sign, spaces or leading zeros, at most max. */
static int parse_bits(const char *text, unsigned max, unsigned *out)
{
	unsigned v = 0;
	size_t n = 0;

	for (; text[n] >= '0' && text[n] <= '9' && n < 4; n++)
		v = v * 10 + (unsigned)(text[n] - '0');
	if (n == 0 || text[n] || v > max || (n > 1 && text[0] == '0'))
		return FL_EMALFORMED;
	*out = v;
	return 0;
}

static bool bits_beyond(const struct addr *a, unsigned bits, unsigned max)
{
	for (unsigned i = bits; i < max; i++)
		if (a->ip[i / 8] & 0x80 >> i % 8)
			return true;
	return false;
}

static bool is_mapped(const struct addr *a)
{
	return a->family == ADDR_V6 && addr_unmap(a).family == ADDR_V4;
}

int turn_network_parse(const char *text, struct turn_network *out)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char ip[ADDR_TEXT_MAX];
	struct turn_network n;
	unsigned max;

	if (len >= sizeof(ip))
		return FL_EMALFORMED;
	memcpy(ip, text, len);
	ip[len] = 0;
	if (addr_parse_ip(ip, &n.base) < 0 || strchr(ip, '%') || is_mapped(&n.base))
		return FL_EMALFORMED;
	max = n.base.family == ADDR_V4 ? 32 : 128;
	n.bits = max;
	if (slash && parse_bits(slash + 1, max, &n.bits) < 0)
		return FL_EMALFORMED;
	if (bits_beyond(&n.base, n.bits, max))
		return FL_EMALFORMED;
	*out = n;
	return 0;
}

static bool named(const struct turn_network *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_same_prefix(&list[i].base, a, list[i].bits))
			return true;
	return false;
}

static bool any_named(const struct turn_network *list, size_t n, const struct addr *addrs,
		      size_t n_addrs)
{
	for (size_t i = 0; i < n_addrs; i++)
		if (named(list, n, &addrs[i]))
			return true;
	return false;
}

static bool is_relayed(const struct turn_peers *p, const struct addr *peer, bool with_port)
{
	if (with_port && (peer->port < p->relayed_first || peer->port > p->relayed_last))
		return false;
	for (size_t i = 0; i < p->n_relayed; i++)
		if (addr_ip_equal(&p->relayed[i], peer))
			return true;
	return false;
}

enum turn_peer_verdict turn_peers_check(const struct turn_peers *p, const struct addr *peer,
					bool with_port)
{
	struct addr forms[1 + ADDR_CARRIED_MAX] = { *peer }; /* the peer, and whom it may mean */
	size_t n;

	if (peer->family == ADDR_NONE || (with_port && peer->port == 0) || is_mapped(peer))
		return TURN_PEER_FORM;
	n = 1 + addr_carried(peer, forms + 1);
	if (any_named(p->deny, p->n_deny, forms, n))
		return TURN_PEER_DENIED;
	if (named(p->allow, p->n_allow, peer))
		return TURN_PEER_ALLOWED;
	if (any_named(p->own, p->n_own, forms, n) &&
	    !(is_relayed(p, peer, with_port) && addr_range(peer) == ADDR_PUBLIC))
		return TURN_PEER_OWN;
	if (addr_range(peer) != ADDR_PUBLIC)
		return TURN_PEER_RANGE;
	return TURN_PEER_ALLOWED;
}

const char *turn_peer_verdict_text(enum turn_peer_verdict v)
{
	switch (v) {
	case TURN_PEER_ALLOWED:
		return "the peer is allowed";
	case TURN_PEER_RANGE:
		return "the peer is not a public address";
	case TURN_PEER_OWN:
		return "the peer is an address of the relay itself";
	case TURN_PEER_DENIED:
		return "the peer's network is denied";
	case TURN_PEER_FORM:
		return "the peer is no address that can be reached";
	}
	return "";
}
