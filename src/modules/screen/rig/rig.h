/*
 * For the screen module's test and measurement: a private X server, the real module process, the
 * client's end of its socketpair, and decoders for what comes out. Everything aborts the test with
 * a sentence when it fails for a reason that is not what is tested.
 */
#pragma once

#include <sys/types.h>

#include <X11/Xlib.h>

#include "base/buf.h"
#include "base/usec.h"
#include "modules/wire.h"

#define RIG_WAIT_MS 10000 /* for something that must come; far beyond what it takes */
#define RIG_CHANNEL 7

void rig_die(const char *what) __attribute__((noreturn));

struct rig_server {
	pid_t pid;
	int number;	  /* of the display */
	char display[16]; /* ":number" */
};

/* False when Xvfb is not there. number -1: the server chooses. */
bool rig_server_start(struct rig_server *s, int number, int width, int height);
void rig_server_stop(struct rig_server *s);

struct rig_module {
	pid_t pid;
	int fd;
	struct buf in;
	size_t used; /* of in, by the message last read */
};

void rig_module_start(struct rig_module *m, const char *program, const char *display,
		      const char *user);
/* Closes the socket and waits: what a client does. The exit status as from waitpid(). */
int rig_module_stop(struct rig_module *m);
void rig_module_kill(struct rig_module *m);

void rig_send(struct rig_module *m, enum module_type type, uint8_t flags, uint16_t channel,
	      struct span payload);
void rig_send_text(struct rig_module *m, const char *json);
void rig_send_bytes(struct rig_module *m, const void *data, size_t len);
void rig_send_key(struct rig_module *m, bool down, uint32_t keysym, const char *code);
void rig_send_button(struct rig_module *m, uint8_t button, bool down, uint16_t x, uint16_t y);
void rig_send_rate(struct rig_module *m, uint32_t bps);

/* The next message of any type, borrowed until the next call; false after ms without one. */
bool rig_next(struct rig_module *m, struct module_message *msg, int ms);
/* Skips others; dies after RIG_WAIT_MS. */
void rig_expect(struct rig_module *m, enum module_type type, struct module_message *msg);
/* A text message that contains every one of the strings (ended by NULL); copied to text. */
#define rig_expect_text(m, text, cap, ...)                                                         \
	rig_expect_parts(m, text, cap, (const char *const[]){ __VA_ARGS__ })
void rig_expect_parts(struct rig_module *m, char *text, size_t cap, const char *const *parts);

struct rig_decoder;
struct rig_decoder *rig_decoder_create(const char *codec);
void rig_decoder_destroy(struct rig_decoder *d);
/* False: a frame that does not decode. */
bool rig_decode(struct rig_decoder *d, struct span frame);
/* 0xRRGGBB of a pixel in the last picture, and its size. */
uint32_t rig_pixel(const struct rig_decoder *d, int x, int y);
void rig_size(const struct rig_decoder *d, int *width, int *height);
/* The whole last picture as 32-bit pixels (B, G, R, A in memory); the caller frees it. */
uint8_t *rig_picture(const struct rig_decoder *d);
/* At most tolerance apart in each colour. */
bool rig_close(uint32_t a, uint32_t b, int tolerance);
