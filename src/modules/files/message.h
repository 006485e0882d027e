/*
 * What travels on a files channel (docs/protocol.md §4.3): one message is one data channel message.
 * One end sends entries, the other receives them; which is which the request says. Used by the
 * module and by the command.
 *
 * Paths and link targets are bytes, not text, as the kernel has them. What may be in a path is
 * checked here, so that no user of a message sees "..", an absolute path or a control character.
 */
#pragma once

#include "base/err.h"
#include "base/span.h"
#include "base/util.h"

#define FILES_WINDOW (4u * 1024 * 1024) /* unacknowledged bytes of DATA under way */
#define FILES_CHUNK_MAX 61440		/* bytes of one DATA that we send */
#define FILES_ACK_STEP (512u * 1024)	/* bytes written before an ACK is worth a message */
#define FILES_AHEAD 64			/* entries that the receiver has not finished */
#define FILES_PATH_MAX 4095		/* bytes of an entry's path and of a link's target */
#define FILES_NAME_MAX 255		/* bytes of one name in it */
#define FILES_DEPTH_MAX 64		/* names in a path */
#define FILES_ROOTS_MAX 256		/* paths in one GET */
#define FILES_HASH_LEN 32		/* SHA-256 */
#define FILES_HEAD_MAX (1 + 1 + 2 + 8 + 8 + 2)

enum files_type {
	FILES_PUT = 0x01,
	FILES_GET = 0x02,
	FILES_LIST = 0x03,
	FILES_ENTRY = 0x10,
	FILES_DATA = 0x11,
	FILES_FROM = 0x12,
	FILES_END = 0x13,
	FILES_DONE = 0x14,
	FILES_WANT = 0x20,
	FILES_ACK = 0x21,
	FILES_COMPLETE = 0x22,
	FILES_BUSY = 0x30,
	FILES_FAILED = 0x31,
	FILES_BEGUN = 0x80,
};

enum files_kind {
	FILES_FILE = 1,
	FILES_DIR = 2,
	FILES_LINK = 3,
	FILES_DIR_END = 4, /* everything in the folder was sent */
};

struct files_message {
	enum files_type type;
	struct span bytes; /* DATA; the JSON of PUT, GET, LIST, BEGUN and FAILED */
	/* ENTRY */
	enum files_kind kind;
	uint16_t mode;	  /* permissions only, 0…0777 */
	int64_t mtime_ns; /* since 1970 */
	uint64_t size;
	struct span path, target;
	uint64_t offset;	      /* WANT, FROM */
	uint8_t hash[FILES_HASH_LEN]; /* WANT, END */
	uint32_t bytes_done;	      /* ACK */
	uint16_t entries_done;	      /* ACK */
	uint32_t skipped;	      /* DONE */
};

/* Reads one message. 0, or FL_EMALFORMED. Both directions; who sends what is for the caller. */
int files_message_get(struct span in, struct files_message *out) FL_WARN_UNUSED;

/* Writes the whole message to dst. The length, or FL_EQUOTA when it does not fit. */
int files_message_put(const struct files_message *m, void *dst, size_t cap) FL_WARN_UNUSED;

/*
 * A path below the target: 1 to FILES_DEPTH_MAX names with "/" between them; no name is empty, "."
 * or "..", longer than FILES_NAME_MAX, or has a control character in it.
 */
bool files_path_valid(struct span path);
bool files_name_valid(struct span name);

struct files_request {
	enum files_type type; /* PUT, GET, LIST */
	char **paths;	      /* PUT, LIST: one */
	size_t n_paths;
	bool force;    /* PUT: write over what is there */
	bool many;     /* PUT: several things come, so the path must be a folder */
	bool has_into; /* PUT: into was found out before, by an earlier attempt */
	bool into;     /* PUT: the path is the folder that takes what comes */
};

/* 0, or FL_EMALFORMED or -ENOMEM with a sentence in why. */
int files_request_parse(const struct files_message *m, struct files_request *out,
			char why[128]) FL_WARN_UNUSED;
void files_request_finish(struct files_request *r);
/* The JSON text, which the caller frees; NULL: no memory, or a path is not UTF-8. */
char *files_request_format(const struct files_request *r);

/* BEGUN. 0 or FL_EMALFORMED. */
int files_begun_parse(struct span json, bool *into) FL_WARN_UNUSED;

/*
 * Why a transfer failed. Codes: bad-request, not-found, exists, no-permission, no-space, name,
 * changed, hash, busy, limit, io, internal. Only busy passes by itself.
 */
struct files_failure {
	char code[24];
	char text[512]; /* a sentence or two: the thing, the cause, the remedy; printable */
};
/* What cannot be read becomes a failure of its own. */
void files_failure_parse(struct span json, struct files_failure *out);
char *files_failure_format(const struct files_failure *f); /* as files_request_format() */
