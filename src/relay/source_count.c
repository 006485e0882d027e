#include "relay/source_count.h"

static uint32_t *counter(struct source_count *s, const struct addr *from)
{
	struct addr prefix = *from;
	size_t keep = prefix.family == ADDR_V4 ? 3 : 6;

	prefix.port = 0;
	prefix.scope = 0;
	memset(prefix.ip + keep, 0, sizeof(prefix.ip) - keep);
	return &s->n[addr_hash(&prefix, s->key) % SOURCE_COUNTERS];
}

bool source_count_take(struct source_count *s, const struct addr *from, uint32_t max)
{
	uint32_t *n = counter(s, from);

	if (*n >= max)
		return false;
	(*n)++;
	return true;
}

void source_count_put(struct source_count *s, const struct addr *from)
{
	(*counter(s, from))--;
}
