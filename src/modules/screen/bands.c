#include "modules/screen/bands.h"

#include <string.h>

#include "base/util.h"

static void remove_at(struct bands *b, int i)
{
	memmove(&b->at[i], &b->at[i + 1], sizeof(b->at[0]) * (size_t)(b->n - i - 1));
	b->n--;
}

static void join_nearest(struct bands *b)
{
	int best = 0;

	for (int i = 1; i + 1 < b->n; i++)
		if (b->at[i + 1].top - b->at[i].bottom < b->at[best + 1].top - b->at[best].bottom)
			best = i;
	b->at[best].bottom = b->at[best + 1].bottom;
	remove_at(b, best + 1);
}

void bands_add(struct bands *b, int top, int bottom, int height)
{
	struct band add = { FL_MAX(top, 0), FL_MIN(bottom, height) };
	int i = 0;

	if (add.top >= add.bottom)
		return;
	/* what touches or overlaps the new band is taken into it */
	while (i < b->n && b->at[i].bottom < add.top)
		i++;
	while (i < b->n && b->at[i].top <= add.bottom) {
		add.top = FL_MIN(add.top, b->at[i].top);
		add.bottom = FL_MAX(add.bottom, b->at[i].bottom);
		remove_at(b, i);
	}
	if (b->n == BANDS_MAX) {
		join_nearest(b);
		bands_add(b, add.top, add.bottom, height);
		return;
	}
	memmove(&b->at[i + 1], &b->at[i], sizeof(b->at[0]) * (size_t)(b->n - i));
	b->at[i] = add;
	b->n++;
}

int bands_rows(const struct bands *b)
{
	int rows = 0;

	for (int i = 0; i < b->n; i++)
		rows += b->at[i].bottom - b->at[i].top;
	return rows;
}
