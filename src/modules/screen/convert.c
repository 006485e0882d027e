#include "modules/screen/convert.h"

#include <errno.h>
#include <string.h>

#include <libyuv/convert.h>
#include <libyuv/convert_from_argb.h>

#define ALIGN 32

void convert_init(struct convert *c)
{
	*c = (struct convert){ 0 };
}

void convert_finish(struct convert *c)
{
	free(c->mem);
	free(c->scratch);
	convert_init(c);
}

static int resize(struct convert *c, int width, int height)
{
	int y_stride = (width + ALIGN - 1) / ALIGN * ALIGN, uv_stride = y_stride / 2;
	size_t y_len = (size_t)y_stride * (size_t)height, uv_len = y_len / 4;
	/* with an even height the sum is a multiple of ALIGN */
	uint8_t *mem = aligned_alloc(ALIGN, y_len + 2 * uv_len);

	if (!mem)
		return -ENOMEM;
	free(c->mem);
	c->mem = mem;
	c->drawn = (struct capture_cursor){ 0 };
	c->picture = (struct picture){
		.y = mem,
		.u = mem + y_len,
		.v = mem + y_len + uv_len,
		.y_stride = y_stride,
		.uv_stride = uv_stride,
		.width = width,
		.height = height,
	};
	return 0;
}

static void convert_rect(struct picture *p, const uint8_t *argb, int stride, int x, int y,
			 int width, int height)
{
	ARGBToI420(argb, stride, p->y + (ptrdiff_t)y * p->y_stride + x, p->y_stride,
		   p->u + (ptrdiff_t)(y / 2) * p->uv_stride + x / 2, p->uv_stride,
		   p->v + (ptrdiff_t)(y / 2) * p->uv_stride + x / 2, p->uv_stride, width, height);
}

static bool same_cursor(const struct capture_cursor *a, const struct capture_cursor *b)
{
	if (!a->visible || !b->visible)
		return a->visible == b->visible;
	return a->x == b->x && a->y == b->y && a->serial == b->serial;
}

static void add_cursor_rows(struct capture_frame *f, const struct capture_cursor *cursor)
{
	if (!cursor->visible)
		return;
	bands_add(&f->damage, cursor->y, cursor->y + cursor->height, f->height);
	f->damage_pixels += (uint64_t)cursor->width * (uint64_t)cursor->height;
}

/* One premultiplied pixel over one of the desktop. */
static uint32_t over(uint32_t top, uint32_t below)
{
	uint32_t left = 255 - (top >> 24), out = 0;

	for (int shift = 0; shift < 24; shift += 8) {
		uint32_t v = ((top >> shift) & 255) + ((below >> shift) & 255) * left / 255;
		out |= FL_MIN(v, 255) << shift;
	}
	return out;
}

struct rect {
	int left, top, right, bottom;
};

/* The pointer's part of the picture on even borders, since two by two pixels share a colour. */
static struct rect cursor_rect(const struct capture_frame *f)
{
	const struct capture_cursor *cur = &f->cursor;

	return (struct rect){
		FL_MAX(cur->x, 0) & ~1,
		FL_MAX(cur->y, 0) & ~1,
		FL_MIN((cur->x + cur->width + 1) & ~1, f->width),
		FL_MIN((cur->y + cur->height + 1) & ~1, f->height),
	};
}

static int draw_cursor(struct convert *c, const struct capture_frame *f)
{
	const struct capture_cursor *cur = &f->cursor;
	struct rect r = cursor_rect(f);

	if (!cur->visible || r.left >= r.right || r.top >= r.bottom)
		return 0;
	size_t width = (size_t)(r.right - r.left), need = width * (size_t)(r.bottom - r.top);
	if (need > c->scratch_pixels) {
		uint32_t *mem = realloc(c->scratch, need * sizeof(*mem));
		if (!mem)
			return -ENOMEM;
		c->scratch = mem;
		c->scratch_pixels = need;
	}
	for (int y = r.top; y < r.bottom; y++) {
		uint32_t *row = c->scratch + (size_t)(y - r.top) * width;
		memcpy(row, f->pixels + (ptrdiff_t)y * f->stride + (ptrdiff_t)r.left * 4,
		       width * 4);
		if (y < cur->y || y >= cur->y + cur->height)
			continue;
		const uint32_t *image = cur->argb + (ptrdiff_t)(y - cur->y) * cur->width;
		for (int x = FL_MAX(r.left, cur->x); x < FL_MIN(r.right, cur->x + cur->width); x++)
			row[x - r.left] = over(image[x - cur->x], row[x - r.left]);
	}
	convert_rect(&c->picture, (const uint8_t *)c->scratch, (int)width * 4, r.left, r.top,
		     (int)width, r.bottom - r.top);
	return 0;
}

/* Both borders even; bands that touch after that are simply converted twice in one row. */
static void convert_band(struct convert *c, const struct capture_frame *f, struct band rows)
{
	int top = rows.top & ~1, bottom = FL_MIN((rows.bottom + 1) & ~1, f->height);

	convert_rect(&c->picture, f->pixels + (ptrdiff_t)top * f->stride, f->stride, 0, top,
		     f->width, bottom - top);
}

int convert_frame(struct convert *c, struct capture_frame *f)
{
	bool moved;

	if (f->width != c->picture.width || f->height != c->picture.height) {
		int err = resize(c, f->width, f->height);
		if (err < 0)
			return err;
	}
	moved = !same_cursor(&c->drawn, &f->cursor);
	if (moved) {
		add_cursor_rows(f, &c->drawn);
		add_cursor_rows(f, &f->cursor);
	}
	if (f->damage.n == 0) {
		c->drawn = f->cursor; /* it moved outside the picture */
		return 0;
	}
	for (int i = 0; i < f->damage.n; i++)
		convert_band(c, f, f->damage.at[i]);
	c->drawn = f->cursor;
	c->drawn.argb = NULL;
	int err = draw_cursor(c, f);
	return err < 0 ? err : 1;
}
