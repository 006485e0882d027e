#include "base/ct.h"

#include <stdlib.h>
#include <string.h>

bool ct_equal(struct span a, struct span b)
{
	volatile uint8_t diff = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		diff |= a.ptr[i] ^ b.ptr[i];
	return diff == 0;
}

void ct_wipe(void *ptr, size_t len)
{
	if (ptr)
		explicit_bzero(ptr, len);
}

void ct_wipe_strp(char **s)
{
	if (*s)
		ct_wipe(*s, strlen(*s));
	free(*s);
	*s = NULL;
}
