/*
 * Files and folders as both ends of a transfer touch them: opening below a folder without following
 * a link or leaving it, names for unfinished files, hashes, and sentences for what went wrong.
 *
 * A path below a folder is walked name by name, each opened with O_NOFOLLOW in the one before. With
 * files_path_valid() that is what openat2() with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS does, and
 * works where seccomp filters or old kernels refuse that call.
 */
#pragma once

#include <openssl/evp.h>

#include "modules/files/message.h"

#define FILES_SLICE (1u << 20)	    /* bytes hashed in one step */
#define FILES_BUSY_STEP (64u << 20) /* bytes hashed between two BUSY */

/* What a step of the sender or receiver did. */
enum files_step {
	FILES_STEP_IDLE,    /* nothing to do until a message comes */
	FILES_STEP_AGAIN,   /* it worked; call again soon, but let others work too */
	FILES_STEP_MESSAGE, /* *out is to be sent; call again when it is */
	FILES_STEP_OVER,    /* it was all said: the transfer is complete or has failed */
};

struct files_progress {
	uint64_t files;	   /* regular files that are at their place */
	uint64_t already;  /* of them: were there before, the same */
	uint64_t bytes;	   /* of contents that were sent this time */
	uint64_t skipped;  /* sockets, devices, pipes */
	uint64_t at, size; /* in the present file */
	char current[FILES_PATH_MAX + 1];
};

/* Fills *f unless it was filled before; always false, for "return files_fail(…)". */
bool files_fail(struct files_failure *f, const char *code, const char *fmt, ...) FL_PRINTF(3, 4);
/* The same for an errno: "PATH WHERE cannot be VERB: …". */
bool files_fail_errno(struct files_failure *f, int err, struct span path, const char *where,
		      const char *verb);

/* The folder that path's last name stands in; name points into path. A descriptor or -errno. */
int files_open_parent(int root, const char *path, const char **name) FL_WARN_UNUSED;

/* Of the unfinished file beside name. */
void files_temp_name(const char *name, char dst[FILES_NAME_MAX + 1]);

/* A path as a person gives it, without the slashes at its end; NULL: no memory. */
char *files_trim(const char *path);
/* Its last name, or "" when that is none of its own ("/", ".", ".."). Points into path. */
const char *files_base(const char *trimmed);

/*
 * Where things are to be received: the folder, and the name that the first thing gets instead of
 * its own ("" : its own). into: as found out before; else it is found out and told.
 */
struct files_target {
	int dir;
	char name[FILES_NAME_MAX + 1];
};
bool files_target_open(const char *path, bool many, bool has_into, bool *into, const char *where,
		       struct files_target *out, struct files_failure *f) FL_WARN_UNUSED;

/* For futimens(): the access time as it is, and this time of the last change. */
struct timespec;
void files_times(int64_t mtime_ns, struct timespec times[2]);

EVP_MD_CTX *files_hash_new(void); /* NULL: no memory */
bool files_hash_add(EVP_MD_CTX *h, const void *p, size_t len);
/* The hash so far; h goes on. */
bool files_hash_peek(EVP_MD_CTX *h, uint8_t out[FILES_HASH_LEN]);
