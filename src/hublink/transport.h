/*
 * Which transport to try first: what worked last with this hub by this way, for as long as this
 * program runs. After TRANSPORT_TRUST_US the WebSocket has its turn again, for the network may have
 * become better. Belongs to one thread.
 */
#pragma once

#include "hublink/carrier.h"

#define TRANSPORT_TRUST_US (600 * USEC_PER_SEC)

void transport_order(const struct realtime_config *config, enum carrier_kind order[CARRIER_KINDS],
		     usec_t now);
void transport_worked(const struct realtime_config *config, enum carrier_kind kind, usec_t now);
/* It came up and was gone soon after: the second time in a row it goes to the end of the order. */
void transport_was_short(const struct realtime_config *config, enum carrier_kind kind, usec_t now);
