#include "relay/behaviour.h"

/* An address that is known before it is bound. */
static const struct addr *udp_at(const struct settings *s, size_t n)
{
	const struct settings_listener *l = &s->listeners[n];

	if (l->transport != TURN_UDP || l->at.port == 0 || addr_range(&l->at) == ADDR_UNSPECIFIED)
		return NULL;
	return &l->at;
}

static bool listened(const struct settings *s, const struct addr *at)
{
	for (size_t n = 0; n < s->n_listeners; n++) {
		const struct addr *a = udp_at(s, n);

		if (a && addr_equal(a, at))
			return true;
	}
	return false;
}

bool behaviour_of(const struct settings *s, struct stun_behaviour *out)
{
	for (size_t i = 0; i < s->n_listeners; i++) {
		for (size_t j = i + 1; j < s->n_listeners; j++) {
			const struct addr *a = udp_at(s, i), *b = udp_at(s, j);
			struct addr c, d;

			if (!a || !b || a->family != b->family || a->port == b->port ||
			    addr_ip_equal(a, b))
				continue;
			c = *a;
			c.port = b->port;
			d = *b;
			d.port = a->port;
			if (!listened(s, &c) || !listened(s, &d))
				continue;
			*out = (struct stun_behaviour){ { { *a, c }, { d, *b } } };
			return true;
		}
	}
	return false;
}
