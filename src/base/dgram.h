/* One datagram on its way in or out of a core. The bytes are borrowed. Over TCP it is one packet in
 * the framing of RFC 4571, and the driver knows the connection by both addresses. */
#pragma once

#include "base/addr.h"
#include "base/span.h"

enum dgram_via { DGRAM_UDP, DGRAM_TCP };

struct dgram {
	struct addr local;  /* our own address: on input where it arrived, on output the one to send
			       from */
	struct addr remote; /* the other side's */
	struct span data;
	enum dgram_via via;
};
