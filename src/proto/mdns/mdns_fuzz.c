#include <string.h>

#include "proto/mdns/mdns.h"
#include "proto/mdns/mdns_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct addr link_addr(uint8_t last, uint16_t port)
{
	return (struct addr){ .family = ADDR_V4, .ip = { 192, 168, 1, last }, .port = port };
}

static void drain(struct mdns *m)
{
	static struct mdns_msg msg;
	struct mdns_event e;
	struct dgram d;

	while (mdns_next_output(m, &d))
		if (mdns_parse(d.data, &msg) < 0)
			__builtin_trap();
	while (mdns_next_event(m, &e))
		if (!mdns_is_name(e.name))
			__builtin_trap();
}

/* The message comes to a core that has names of its own and asks for others, once from a browser's
 * port and once from elsewhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addr self = link_addr(10, MDNS_PORT);
	struct dgram d = { .local = self, .data = span_of(data, size) };
	char name[MDNS_HOST_LEN + 1];
	struct rng rng;
	struct mdns *m;
	usec_t now = USEC_PER_SEC;

	rng_seed(&rng, 1);
	m = mdns_create(&rng);
	if (!m || mdns_add_link(m, &self, 24) < 0 || mdns_publish(m, now, &self, name) < 0 ||
	    mdns_resolve(m, now, "5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d11.local") < 0)
		__builtin_trap();
	drain(m);
	for (int i = 0; i < 4; i++) {
		now += 2 * USEC_PER_SEC;
		d.remote = link_addr(20, i & 1 ? MDNS_PORT : 40000);
		mdns_input(m, now, &d);
		drain(m);
		mdns_timeout(m, now);
		drain(m);
		if (mdns_deadline(m) <= now)
			__builtin_trap();
	}
	mdns_destroy(m);
	return 0;
}
