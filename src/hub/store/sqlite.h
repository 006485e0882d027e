/*
 * The store on SQLite: one file, write-ahead log, synchronous FULL. A database of a later version,
 * of another program, damaged, locked or not writable is refused with a sentence.
 */
#pragma once

#include "hub/store/store.h"

#define SQLITE_STORE_VERSION 3 /* of the schema; the number of migrations */

/* read_only: a second connection for readers; it does not migrate. why gets the sentence. */
int sqlite_store_open(const char *path, bool read_only, struct store **out,
		      char why[256]) FL_WARN_UNUSED;
