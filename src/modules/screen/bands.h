/*
 * Which rows of a picture changed: at most BANDS_MAX bands of rows, in order, apart from each
 * other. When there would be more, the two nearest become one. Rows are enough: reading and
 * converting a row costs so little that columns would not pay.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BANDS_MAX 16

struct band {
	int top, bottom; /* rows top … bottom - 1 */
};

struct bands {
	struct band at[BANDS_MAX];
	int n;
};

/* Rows outside 0 … height - 1 are cut off. */
void bands_add(struct bands *b, int top, int bottom, int height);
int bands_rows(const struct bands *b);
