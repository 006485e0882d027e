#include "base/text.h"
#include "base/wire.h"
#include "proto/turn/turn_peers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A network that parses names its own base, and refuses it as a denied one in any case. */
static void network(struct span text)
{
	static struct turn_peers p;
	struct addr peer;
	char buf[128];

	text_copy_span(buf, sizeof(buf), text);
	if (turn_network_parse(buf, &p.deny[0]) < 0)
		return;
	p.allow[0] = p.deny[0];
	p.n_allow = 1;
	p.n_deny = 1;
	peer = p.deny[0].base;
	peer.port = 1;
	if (turn_peers_check(&p, &peer, true) == TURN_PEER_ALLOWED)
		__builtin_trap();
	p.n_deny = 0;
	if (turn_peers_check(&p, &peer, true) != TURN_PEER_ALLOWED && peer.family == ADDR_V4)
		__builtin_trap();
}

/* No address whose carried IPv4 address is refused is allowed itself. */
static void address(struct span bytes)
{
	static const struct turn_peers none;
	struct addr peer = { .family = ADDR_V6, .port = 1 }, carried[ADDR_CARRIED_MAX];
	struct reader r = reader_of(bytes);
	size_t n;

	reader_copy(&r, peer.ip, sizeof(peer.ip));
	if (turn_peers_check(&none, &peer, true) != TURN_PEER_ALLOWED)
		return;
	n = addr_carried(&peer, carried);
	for (size_t i = 0; i < n; i++)
		if (turn_peers_check(&none, &carried[i], true) != TURN_PEER_ALLOWED)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	network(span_of(data, size));
	address(span_of(data, size));
	return 0;
}
