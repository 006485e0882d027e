#include "proto/signalr/event_stream.h"

#include <string.h>

void event_stream_init(struct event_stream *e)
{
	*e = (struct event_stream){ .in = BUF_INIT(EVENT_STREAM_MAX),
				    .data = BUF_INIT(EVENT_STREAM_MAX) };
}

void event_stream_finish(struct event_stream *e)
{
	buf_finish(&e->in);
	buf_finish(&e->data);
}

int event_stream_input(struct event_stream *e, struct span bytes)
{
	return buf_append_span(&e->in, bytes);
}

/* A line ends with CR, LF or both. */
static bool next_line(struct event_stream *e, struct span *line, size_t *used)
{
	struct span s = buf_span(&e->in);
	size_t n = 0;

	if (e->cr && s.len > 0 && s.ptr) {
		e->cr = false;
		if (s.ptr[0] == '\n') {
			buf_consume(&e->in, 1);
			s = buf_span(&e->in);
		}
	}
	while (s.ptr && n < s.len && s.ptr[n] != '\n' && s.ptr[n] != '\r')
		n++;
	if (!s.ptr || n == s.len)
		return false;
	*line = span_of(s.ptr, n);
	*used = n + 1;
	e->cr = s.ptr[n] == '\r';
	return true;
}

static int take_line(struct event_stream *e, struct span line)
{
	static const char name[] = "data";
	const size_t len = sizeof(name) - 1;
	int err = 0;

	if (line.len < len || memcmp(line.ptr, name, len) != 0 ||
	    (line.len > len && line.ptr[len] != ':'))
		return 0;
	size_t skip = FL_MIN(line.len, len + 1);
	if (skip < line.len && line.ptr[skip] == ' ')
		skip++;
	if (e->any)
		err = buf_append(&e->data, "\n", 1);
	e->any = true;
	return err < 0 ? err : buf_append_span(&e->data, span_of(line.ptr + skip, line.len - skip));
}

int event_stream_next(struct event_stream *e, struct span *data)
{
	struct span line;
	size_t used;
	int err = 0;

	if (e->told)
		buf_clear(&e->data);
	e->told = false;
	while (err == 0 && next_line(e, &line, &used)) {
		bool end = line.len == 0;

		if (!end)
			err = take_line(e, line);
		buf_consume(&e->in, used);
		if (!end || !e->any)
			continue;
		e->any = false;
		e->told = true;
		*data = buf_span(&e->data);
		return 1;
	}
	return err;
}
