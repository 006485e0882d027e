#include "peer/ports.h"

#include <errno.h>

#include "base/rng.h"

int ports_udp_create(struct loop *loop, const struct ports *ports, const struct udp_config *config,
		     void (*on_batch)(void *arg, const struct dgram *dgrams, size_t n), void *arg,
		     struct udp **out)
{
	const unsigned span = (unsigned)(ports->max - ports->min) + 1;
	struct udp_config at = *config;
	unsigned first;
	int err = -EADDRINUSE;

	if (!ports->min || ports->max < ports->min)
		return udp_create(loop, config, on_batch, arg, out);
	first = rng_below(rng_system(), span);
	for (unsigned i = 0; i < span && err == -EADDRINUSE; i++) {
		at.bind.port = (uint16_t)(ports->min + (first + i) % span);
		err = udp_create(loop, &at, on_batch, arg, out);
	}
	return err;
}
