/* Small text files of the system, a line at a time. */
#pragma once

#include <stdbool.h>

#include "base/span.h"

#define LINES_FILE_MAX (256 * 1024)

/* The next line without its end and the white space around it; false at the end. */
bool lines_next(struct span *text, struct span *line);
/* The line's next word; empty at its end. */
struct span lines_word(struct span *line);
/* What stands in front of the separator, and the rest behind it; both trimmed. False: there is
 * none. */
bool lines_split(struct span line, char separator, struct span *name, struct span *value);
struct span lines_trim(struct span s);
/* Without "…" or '…' around it. */
struct span lines_unquote(struct span s);

/* At most LINES_FILE_MAX bytes of a regular file; the caller frees. NULL: cannot be read. */
char *lines_read_file(const char *path, size_t *len);
