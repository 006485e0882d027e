/*
 * The sending end of a transfer: walks files and folders, announces them as entries, and sends the
 * contents that the other end wants. Messages come in and go out; the only I/O is reading the disk,
 * in slices, so that whoever drives it gets to its other work in between. No socket, no clock.
 *
 *	walk ──► ENTRY ──►            ◄── WANT (offset, hash of what is there already)
 *	          FROM, DATA…, END ──► ◄── ACK
 *	          DONE ──►             ◄── COMPLETE
 */
#pragma once

#include "modules/files/tree.h"

struct files_sender;

struct files_sender_config {
	char *const *paths; /* as people give them; copied */
	size_t n_paths;
	bool list;	   /* only the entries of the one folder, no contents */
	const char *where; /* "on the device" or "here", for sentences; kept */
};

int files_sender_create(const struct files_sender_config *config,
			struct files_sender **out) FL_WARN_UNUSED; /* 0 or -ENOMEM */
void files_sender_destroy(struct files_sender *s);		   /* NULL is fine */

void files_sender_input(struct files_sender *s, const struct files_message *m);
/* *out is borrowed until the next call. */
enum files_step files_sender_step(struct files_sender *s, struct span *out);

/* Why it failed; code "" while it did not. */
const struct files_failure *files_sender_failure(const struct files_sender *s);
const struct files_progress *files_sender_progress(const struct files_sender *s);
