/*
 * A small picture in memory with smooth edges: what the demo desktop draws before it goes to the X
 * server. Pixels are 0xRRGGBB; coordinates are floating point, in pixels, shapes may reach outside.
 */
#pragma once

#include <stdint.h>

struct canvas {
	uint32_t *pixels;
	int width, height;
};

/* 0 or -ENOMEM. */
int canvas_init(struct canvas *c, int width, int height);
void canvas_finish(struct canvas *c);

void canvas_fill(struct canvas *c, uint32_t colour);
/* From the top to the bottom. */
void canvas_gradient(struct canvas *c, uint32_t top, uint32_t bottom);

/* alpha: 0…1. */
void canvas_disc(struct canvas *c, double x, double y, double radius, uint32_t colour,
		 double alpha);
void canvas_ring(struct canvas *c, double x, double y, double radius, double width, uint32_t colour,
		 double alpha);
void canvas_line(struct canvas *c, double x0, double y0, double x1, double y1, double width,
		 uint32_t colour, double alpha);
void canvas_box(struct canvas *c, double x, double y, double width, double height, double radius,
		uint32_t colour, double alpha);

/* Everything below a wave: y + height * sin, one period every length pixels. */
void canvas_wave(struct canvas *c, double y, double height, double length, double phase,
		 uint32_t colour, double alpha);
