/* Secrets: compared without telling where they differ, wiped so that the compiler cannot skip it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* True when equal. Time depends on the lengths only. */
bool ct_equal(struct span a, struct span b);

void ct_wipe(void *ptr, size_t len);

/* Wipes and frees a string; for FL_CLEANUP(ct_wipe_strp). */
void ct_wipe_strp(char **s);
