/* Small files of the data folder, read whole and replaced whole (write beside, fsync, rename). */
#pragma once

#include <sys/types.h>

#include "base/span.h"
#include "base/util.h"

/* The number of bytes; -ENOENT without a sentence, else negative with one. FL_EQUOTA: larger. */
int file_read(const char *path, void *dst, size_t cap, char why[256]) FL_WARN_UNUSED;

int file_write(const char *path, struct span data, mode_t mode, char why[256]) FL_WARN_UNUSED;

/* Makes the folder (0700) and its parents, proves that files can be written in it. */
int folder_prepare(const char *path, char why[256]) FL_WARN_UNUSED;

/*
 * Takes path/hub.lock for the life of the process, so that two hubs never share a folder. The
 * descriptor, or negative.
 */
int folder_lock(const char *path, char why[256]) FL_WARN_UNUSED;
