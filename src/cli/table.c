#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

void table_row(struct table *t, const char *colour, const char *const *cells)
{
	if (t->rows == TABLE_ROWS_MAX)
		return;
	for (size_t c = 0; c < t->columns; c++)
		t->cells[t->rows][c] = cells[c] ? strdup(cells[c]) : NULL;
	t->colours[t->rows++] = colour;
}

static const char *cell(const struct table *t, size_t row, size_t column)
{
	return t->cells[row][column] ? t->cells[row][column] : "";
}

/* Characters, not bytes: a continuation byte of UTF-8 takes no room. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_row(const struct table *t, size_t row, const size_t *widths, FILE *to)
{
	const char *colour = t->colours[row];
	size_t owed = 2; /* spaces before the next cell, so that no line ends in some */

	if (colour)
		fputs(colour, to);
	for (size_t c = 0; c < t->columns; c++) {
		const char *text = cell(t, row, c);

		if (!widths[c])
			continue;
		if (*text) {
			fprintf(to, "%*s%s", (int)owed, "", text);
			owed = 0;
		}
		owed += widths[c] - width(text) + 2;
	}
	fprintf(to, "%s\n", colour ? "\x1b[0m" : "");
}

void table_print(const struct table *t, FILE *to)
{
	size_t widths[TABLE_COLUMNS_MAX] = { 0 };

	for (size_t r = 0; r < t->rows; r++)
		for (size_t c = 0; c < t->columns; c++)
			widths[c] = FL_MAX(widths[c], width(cell(t, r, c)));
	for (size_t r = 0; r < t->rows; r++)
		print_row(t, r, widths, to);
}

void table_finish(struct table *t)
{
	for (size_t r = 0; r < t->rows; r++)
		for (size_t c = 0; c < t->columns; c++)
			free(t->cells[r][c]);
	t->rows = 0;
}
