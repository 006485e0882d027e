#include "proto/sctp/crc32c.h"

#include <stdbool.h>
#include <stddef.h>

#define POLY 0x82f63b78u /* Castagnoli, reflected */

static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t len)
{
	static uint32_t table[256];

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int k = 0; k < 8; k++)
				c = c >> 1 ^ (c & 1 ? POLY : 0);
			table[i] = c;
		}
	for (size_t i = 0; i < len; i++)
		crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xff];
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_cpu(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t c = crc, word;
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		memcpy(&word, p + i, 8);
		c = __builtin_ia32_crc32di(c, word);
	}
	for (; i < len; i++)
		c = __builtin_ia32_crc32qi((uint32_t)c, p[i]);
	return (uint32_t)c;
}
#endif

uint32_t crc32c(struct span data)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~by_cpu(~0u, data.ptr, data.len);
#endif
	return ~by_table(~0u, data.ptr, data.len);
}
