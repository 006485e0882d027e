#include "hublink/transport.h"

#include <stdio.h>
#include <string.h>

#define WAYS_MAX 8

struct memory {
	char way[512]; /* hub and proxy; "": free */
	enum carrier_kind kind;
	usec_t at;
	unsigned shorts[CARRIER_KINDS];
	usec_t short_at[CARRIER_KINDS];
};

static struct memory memories[WAYS_MAX];

static struct memory *memory_of(const struct realtime_config *config)
{
	struct memory *oldest = &memories[0];
	char way[sizeof(oldest->way)];

	snprintf(way, sizeof(way), "%s %s", config->url->authority,
		 config->way ? way_used(config->way) : "");
	for (size_t i = 0; i < WAYS_MAX; i++) {
		if (strcmp(memories[i].way, way) == 0)
			return &memories[i];
		if (memories[i].at < oldest->at)
			oldest = &memories[i];
	}
	*oldest = (struct memory){ .kind = CARRIER_WEBSOCKET };
	memcpy(oldest->way, way, sizeof(way));
	return oldest;
}

/* Where it stands: first what worked, last what does not last; in between their natural order. */
static int rank(const struct memory *m, enum carrier_kind kind, usec_t now)
{
	if (m->shorts[kind] >= 2 && usec_sub(now, m->short_at[kind]) < TRANSPORT_TRUST_US)
		return CARRIER_KINDS + (int)kind;
	if (m->kind == kind && usec_sub(now, m->at) < TRANSPORT_TRUST_US)
		return -1;
	return (int)kind;
}

void transport_order(const struct realtime_config *config, enum carrier_kind order[CARRIER_KINDS],
		     usec_t now)
{
	const struct memory *m = memory_of(config);
	size_t n = 0;

	for (int r = -1; r < 2 * CARRIER_KINDS; r++)
		for (int kind = 0; kind < CARRIER_KINDS; kind++)
			if (rank(m, (enum carrier_kind)kind, now) == r)
				order[n++] = (enum carrier_kind)kind;
}

void transport_worked(const struct realtime_config *config, enum carrier_kind kind, usec_t now)
{
	struct memory *m = memory_of(config);

	/* while it goes on working it does not become older, so that the others get their turn */
	if (m->kind != kind || usec_sub(now, m->at) >= TRANSPORT_TRUST_US)
		m->at = now;
	m->kind = kind;
}

void transport_was_short(const struct realtime_config *config, enum carrier_kind kind, usec_t now)
{
	struct memory *m = memory_of(config);

	if (usec_sub(now, m->short_at[kind]) > TRANSPORT_TRUST_US / 10)
		m->shorts[kind] = 0;
	m->shorts[kind]++;
	m->short_at[kind] = now;
}
