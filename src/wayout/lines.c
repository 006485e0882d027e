#include "wayout/lines.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

struct span lines_trim(struct span s)
{
	while (s.len && is_space(s.ptr[0]))
		s = span_of(s.ptr + 1, s.len - 1);
	while (s.len && is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

bool lines_next(struct span *text, struct span *line)
{
	const uint8_t *end;

	if (!text->len)
		return false;
	end = memchr(text->ptr, '\n', text->len);
	*line = span_of(text->ptr, end ? (size_t)(end - text->ptr) : text->len);
	*text = span_of(text->ptr + line->len + (end != NULL),
			text->len - line->len - (end != NULL));
	*line = lines_trim(*line);
	return true;
}

struct span lines_word(struct span *line)
{
	struct span rest = lines_trim(*line);
	size_t len = 0;

	while (len < rest.len && !is_space(rest.ptr[len]))
		len++;
	*line = span_of(rest.ptr + len, rest.len - len);
	return span_of(rest.ptr, len);
}

bool lines_split(struct span line, char separator, struct span *name, struct span *value)
{
	const uint8_t *at = line.len ? memchr(line.ptr, separator, line.len) : NULL;

	if (!at)
		return false;
	*name = lines_trim(span_of(line.ptr, (size_t)(at - line.ptr)));
	*value = lines_trim(span_of(at + 1, line.len - (size_t)(at - line.ptr) - 1));
	return true;
}

struct span lines_unquote(struct span s)
{
	if (s.len >= 2 && (s.ptr[0] == '"' || s.ptr[0] == '\'') && s.ptr[s.len - 1] == s.ptr[0])
		return span_of(s.ptr + 1, s.len - 2);
	return s;
}

char *lines_read_file(const char *path, size_t *len)
{
	FL_CLEANUP(fl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	struct stat st;
	ssize_t n = -1;

	*len = 0;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		text = malloc(LINES_FILE_MAX);
	if (!text)
		return NULL;
	while ((n = read(fd, text + *len, LINES_FILE_MAX - *len)) > 0)
		*len += (size_t)n;
	if (n == 0)
		return text;
	free(text);
	return NULL;
}
