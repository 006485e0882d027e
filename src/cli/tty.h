/* The user's own terminal: raw while a remote shell has it, put back on every way out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 or negative errno. Also puts it back at exit(). */
int tty_raw(void);
void tty_restore(void); /* fine when it was never raw */
bool tty_size(uint16_t *cols, uint16_t *rows);

/*
 * The escape "~." after a line break ends the session, "~~" sends one ~. Feeds what was typed and
 * writes to out (len + 1 bytes) what is to be sent; *out_len is its length. True: leave.
 */
struct tty_escape {
	bool line_start, tilde;
};
bool tty_escape_feed(struct tty_escape *e, const uint8_t *in, size_t len, uint8_t *out,
		     size_t *out_len);
