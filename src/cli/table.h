/* A table of text for a terminal: columns as wide as their widest cell, the last one open. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "base/util.h"

#define TABLE_COLUMNS_MAX 8
#define TABLE_ROWS_MAX 160

struct table {
	size_t columns, rows;
	char *cells[TABLE_ROWS_MAX][TABLE_COLUMNS_MAX];
	const char *colours[TABLE_ROWS_MAX]; /* an escape sequence for the row, or NULL */
};

/* As many strings as columns, copied; "" and NULL are empty cells. What is beyond the maximum, or
 * finds no memory, is left out. */
void table_row(struct table *t, const char *colour, const char *const *cells);
/* Each row indented by two; columns that are empty everywhere are left out. */
void table_print(const struct table *t, FILE *to);
void table_finish(struct table *t);
