/*
 * The receiving end of a transfer: makes folders and links, looks what of a file is there already,
 * asks for the rest, writes it to an unfinished file beside its place, checks the hash of the whole
 * and renames it. Messages come in and go out; the only I/O is the disk, in slices. No socket, no
 * clock.
 *
 * What comes is hostile: names are checked (message.h), folders are opened name by name without
 * following links (tree.h), and only the expected first names are taken. An unfinished file is
 * locked while it is written, so two transfers never mix; when it ends early it stays, and the next
 * transfer goes on from there if its hash still fits.
 */
#pragma once

#include "modules/files/tree.h"

struct files_receiver;

struct files_receiver_config {
	struct files_target target; /* target.dir is taken over, also on failure */
	bool force;		    /* write over files that are there and differ */
	char *const *expected;	    /* the only first names that are taken; kept; NULL: any */
	size_t n_expected;
	const char *where; /* "on the device" or "here", for sentences; kept */
};

int files_receiver_create(const struct files_receiver_config *config,
			  struct files_receiver **out) FL_WARN_UNUSED; /* 0 or -ENOMEM */
void files_receiver_destroy(struct files_receiver *r);		       /* NULL is fine */

void files_receiver_input(struct files_receiver *r, const struct files_message *m);
/* *out is borrowed until the next call. */
enum files_step files_receiver_step(struct files_receiver *r, struct span *out);

/* Why it failed; code "" while it did not. */
const struct files_failure *files_receiver_failure(const struct files_receiver *r);
const struct files_progress *files_receiver_progress(const struct files_receiver *r);
