/* One datagram on its way in or out of a core. The bytes are borrowed. */
#pragma once

#include "base/addr.h"
#include "base/span.h"

struct dgram {
	struct addr local;  /* our own address: on input where it arrived, on output the one to send
			       from */
	struct addr remote; /* the other side's */
	struct span data;
};
