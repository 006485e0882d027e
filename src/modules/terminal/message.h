/*
 * What travels on a terminal channel (docs/protocol.md §4.1): one message is one data channel
 * message. Used by the module and by the native console.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define TERMINAL_WINDOW (1024u * 1024)	/* unacknowledged bytes under way, each direction */
#define TERMINAL_CHUNK_MAX 32768	/* bytes of one INPUT, OUTPUT or ERROUT that we send */
#define TERMINAL_ACK_STEP (128u * 1024) /* bytes consumed before an ACK is worth a message */
#define TERMINAL_ARGS_MAX 256
#define TERMINAL_ENV_MAX 64
#define TERMINAL_SIZE_MAX 4096 /* columns, rows */

enum terminal_type {
	TERMINAL_OPEN = 0x01,
	TERMINAL_INPUT = 0x02,
	TERMINAL_RESIZE = 0x03,
	TERMINAL_EOF = 0x04,
	TERMINAL_SIGNAL = 0x05,
	TERMINAL_ACK = 0x06,
	TERMINAL_OPENED = 0x80,
	TERMINAL_OUTPUT = 0x81,
	TERMINAL_ERROUT = 0x82,
	TERMINAL_EXIT = 0x83,
	TERMINAL_FAILED = 0x84,
	TERMINAL_ACK_BACK = 0x86,
};

struct terminal_message {
	enum terminal_type type;
	struct span bytes;   /* INPUT, OUTPUT, ERROUT; the JSON of OPEN, OPENED and FAILED */
	uint16_t cols, rows; /* RESIZE */
	uint8_t number;	     /* SIGNAL; EXIT: status or signal */
	bool signalled;	     /* EXIT */
	uint32_t acked;	     /* ACK, ACK_BACK */
};

/* Reads one message. 0, or FL_EMALFORMED: unknown type, wrong length, a signal that is not allowed.
 * Both directions; who sends what is for the caller to check. */
int terminal_message_get(struct span in, struct terminal_message *out) FL_WARN_UNUSED;

/* Writes all but bytes to dst, which has room for 8. The length; bytes follow it on the wire. */
size_t terminal_message_head(const struct terminal_message *m, uint8_t dst[8]);

/* The contents of OPEN. */
struct terminal_open {
	char **argv; /* ends with NULL; NULL: a login shell */
	char **env;  /* "NAME=value", ends with NULL; may be NULL */
	bool tty;
	uint16_t cols, rows;
	char term[64];
};

/* 0, or FL_EMALFORMED or -ENOMEM with a sentence in why. */
int terminal_open_parse(struct span json, struct terminal_open *out, char why[128]) FL_WARN_UNUSED;
void terminal_open_finish(struct terminal_open *o);

/* The JSON text, which the caller frees; NULL: no memory, or an argument is not UTF-8. */
char *terminal_open_format(const struct terminal_open *o);
