/*
 * The console's files, read into memory whole: a request never waits for the disk, and a folder
 * that is being replaced is never served half old, half new. Beside NAME there may be NAME.br and
 * NAME.gz. files_get() looks at index.html's time when asked for a page, and reads anew when it
 * changed.
 */
#pragma once

#include "base/rng.h"
#include "base/span.h"
#include "proto/http/http.h"

#define FILES_BYTES_MAX (64 * 1024 * 1024) /* all together */
#define FILES_COUNT_MAX 4096
#define FILES_DEPTH_MAX 8

struct files;

struct file {
	const char *type; /* content-type */
	const char *etag; /* with quotes; differs between codings */
	bool immutable;	  /* its name has a hash in it */
	enum http_coding coding;
	bool varies; /* there are other codings of it */
	struct span data;
	struct files_set *set; /* keeps data alive: files_ref(), files_unref() */
};

/* dir may be missing or appear later. 0 or -ENOMEM; problems are logged. */
int files_create(struct rng *rng, const char *dir, struct files **out) FL_WARN_UNUSED;
void files_destroy(struct files *f);
void files_reload(struct files *f);

/* path begins with '/'. A path without a dot in its last part is a page: index.html. false: none.
 */
bool files_get(struct files *f, const char *path, const struct http_headers *headers,
	       struct file *out);

void files_ref(struct files_set *s);
void files_unref(struct files_set *s); /* NULL is fine */
