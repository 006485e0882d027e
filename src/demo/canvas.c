#include "demo/canvas.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/util.h"

int canvas_init(struct canvas *c, int width, int height)
{
	c->pixels = calloc((size_t)width * (size_t)height, sizeof(*c->pixels));
	c->width = width;
	c->height = height;
	return c->pixels ? 0 : -ENOMEM;
}

void canvas_finish(struct canvas *c)
{
	free(c->pixels);
	c->pixels = NULL;
}

static uint32_t mix(uint32_t below, uint32_t above, double alpha)
{
	uint32_t out = 0;

	for (int shift = 0; shift < 24; shift += 8) {
		double a = above >> shift & 255, b = below >> shift & 255;
		out |= (uint32_t)(b + (a - b) * alpha + 0.5) << shift;
	}
	return out;
}

/* distance: of the pixel's middle from the edge, negative inside. Half a pixel on each side. */
static void blend(struct canvas *c, int x, int y, double distance, uint32_t colour, double alpha)
{
	double cover = 0.5 - distance;
	uint32_t *p = &c->pixels[(size_t)y * (size_t)c->width + (size_t)x];

	if (cover <= 0)
		return;
	*p = mix(*p, colour, alpha * (cover < 1 ? cover : 1));
}

struct extent {
	int left, top, right, bottom;
};

static struct extent extent_of(const struct canvas *c, double left, double top, double right,
			       double bottom)
{
	return (struct extent){
		FL_MAX((int)floor(left) - 1, 0),
		FL_MAX((int)floor(top) - 1, 0),
		FL_MIN((int)ceil(right) + 1, c->width),
		FL_MIN((int)ceil(bottom) + 1, c->height),
	};
}

void canvas_fill(struct canvas *c, uint32_t colour)
{
	for (size_t i = 0; i < (size_t)c->width * (size_t)c->height; i++)
		c->pixels[i] = colour;
}

void canvas_gradient(struct canvas *c, uint32_t top, uint32_t bottom)
{
	for (int y = 0; y < c->height; y++) {
		uint32_t colour = mix(top, bottom, (double)y / c->height);
		for (int x = 0; x < c->width; x++)
			c->pixels[(size_t)y * (size_t)c->width + (size_t)x] = colour;
	}
}

void canvas_disc(struct canvas *c, double x, double y, double radius, uint32_t colour, double alpha)
{
	struct extent e = extent_of(c, x - radius, y - radius, x + radius, y + radius);

	for (int py = e.top; py < e.bottom; py++)
		for (int px = e.left; px < e.right; px++)
			blend(c, px, py, hypot(px + 0.5 - x, py + 0.5 - y) - radius, colour, alpha);
}

void canvas_ring(struct canvas *c, double x, double y, double radius, double width, uint32_t colour,
		 double alpha)
{
	double outer = radius + width / 2;
	struct extent e = extent_of(c, x - outer, y - outer, x + outer, y + outer);

	for (int py = e.top; py < e.bottom; py++)
		for (int px = e.left; px < e.right; px++)
			blend(c, px, py,
			      fabs(hypot(px + 0.5 - x, py + 0.5 - y) - radius) - width / 2, colour,
			      alpha);
}

void canvas_line(struct canvas *c, double x0, double y0, double x1, double y1, double width,
		 uint32_t colour, double alpha)
{
	double dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
	struct extent e = extent_of(c, fmin(x0, x1) - width, fmin(y0, y1) - width,
				    fmax(x0, x1) + width, fmax(y0, y1) + width);

	for (int py = e.top; py < e.bottom; py++)
		for (int px = e.left; px < e.right; px++) {
			double ax = px + 0.5 - x0, ay = py + 0.5 - y0;
			double t = length > 0 ? (ax * dx + ay * dy) / length : 0;
			t = fmax(0, fmin(1, t));
			blend(c, px, py, hypot(ax - t * dx, ay - t * dy) - width / 2, colour,
			      alpha);
		}
}

void canvas_box(struct canvas *c, double x, double y, double width, double height, double radius,
		uint32_t colour, double alpha)
{
	double hw = width / 2 - radius, hh = height / 2 - radius;
	struct extent e = extent_of(c, x, y, x + width, y + height);

	for (int py = e.top; py < e.bottom; py++)
		for (int px = e.left; px < e.right; px++) {
			double qx = fabs(px + 0.5 - x - width / 2) - hw;
			double qy = fabs(py + 0.5 - y - height / 2) - hh;
			double outside = hypot(fmax(qx, 0), fmax(qy, 0));
			blend(c, px, py, outside + fmin(fmax(qx, qy), 0) - radius, colour, alpha);
		}
}

void canvas_wave(struct canvas *c, double y, double height, double length, double phase,
		 uint32_t colour, double alpha)
{
	for (int px = 0; px < c->width; px++) {
		double edge = y + height * sin((px / length + phase) * 2 * M_PI);
		for (int py = FL_MAX((int)edge - 1, 0); py < c->height; py++)
			blend(c, px, py, edge - (py + 0.5), colour, alpha);
	}
}
