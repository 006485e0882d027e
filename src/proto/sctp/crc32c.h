/* CRC32c (RFC 9260, Appendix A), by the processor where it can. */
#pragma once

#include <stdint.h>

#include "base/span.h"

/* The value as it goes into the packet, little-endian. */
uint32_t crc32c(struct span data);
