/* The numbered changes that make the SQLite store's tables; for sqlite.c and its tests. */
#pragma once

#include "hub/store/sqlite.h"

extern const char *const sqlite_migrations[SQLITE_STORE_VERSION];
