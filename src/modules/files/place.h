/*
 * One regular file that is being received: its place, the unfinished file beside it, and the hash
 * of what is there. Blocking disk I/O; hashing in slices.
 */
#pragma once

#include <sys/types.h>

#include "modules/files/tree.h"

enum place_found {
	PLACE_NOTHING,	  /* start from the beginning */
	PLACE_UNFINISHED, /* of an earlier attempt */
	PLACE_FILE,	  /* a file of the same size stands there */
};

struct place {
	const char *path; /* for opening, from the root; owned by whoever owns the place */
	int root;
	uint64_t size;
	uint16_t mode;
	int64_t mtime_ns;
	bool force;

	enum place_found found;
	int fd; /* of what was found, or the unfinished file being written; -1 */
	EVP_MD_CTX *hash;
	uint64_t at; /* bytes hashed so far, and where writing goes on */
	uint64_t flushed;
};

/* What is there already? 0, or negative errno: -EEXIST (another file, and no force), -EISDIR,
 * -EBUSY (another transfer writes it) … */
int place_look(struct place *p) FL_WARN_UNUSED;
/* Of what was found. */
uint64_t place_found_len(const struct place *p);
/* Hashes one slice of it. 1: all of it is hashed; 0: there is more; negative errno. */
int place_hash(struct place *p, uint8_t *slice) FL_WARN_UNUSED;
/* The sender starts at from, which is 0 or the length of what was found. 0, -EEXIST, -EBUSY,
 * -ENOSPC … */
int place_begin(struct place *p, uint64_t from) FL_WARN_UNUSED;
int place_write(struct place *p, struct span bytes) FL_WARN_UNUSED;
/* Puts it at its place, safely on the disk. FL_EMALFORMED: the hash is another; what was written
 * is gone. */
int place_finish(struct place *p, const uint8_t hash[FILES_HASH_LEN]) FL_WARN_UNUSED;
/* Takes away what takes up a full disk. */
void place_discard(struct place *p);
void place_close(struct place *p);
