#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_MAX_BYTES 2048

static struct {
	const char *program;
	_Atomic enum log_level level; /* a reload may change it while other threads log */
	bool journald;
	log_sink sink;
	void *sink_arg;
} state = { .program = "fairlead", .level = LOG_LEVEL_INFO };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_open(const char *program)
{
	const char *want = getenv("FAIRLEAD_LOG");

	state.program = program;
	state.journald = getenv("JOURNAL_STREAM") != NULL;
	for (size_t i = 0; want && i < ARRAY_LEN(level_names); i++)
		if (strcmp(want, level_names[i]) == 0)
			state.level = (enum log_level)i;
}

void log_set_level(enum log_level level)
{
	state.level = level;
}

bool log_enabled(enum log_level level)
{
	return level >= state.level;
}

void log_set_sink(log_sink sink, void *arg)
{
	state.sink = sink;
	state.sink_arg = arg;
}

static size_t put_stamp(char *line, size_t cap)
{
	struct timespec t;
	struct tm tm;
	size_t len;

	if (state.journald || state.sink || clock_gettime(CLOCK_REALTIME, &t) < 0 ||
	    !gmtime_r(&t.tv_sec, &tm))
		return 0;
	len = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	return len + (size_t)snprintf(line + len, cap - len, ".%03ldZ ", t.tv_nsec / 1000000);
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
	char raw[LINE_MAX_BYTES], safe[LINE_MAX_BYTES], line[2 * LINE_MAX_BYTES];
	size_t at;
	va_list ap;

	if (!log_enabled(level))
		return;
	raw[0] = 0;
	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(raw, sizeof(raw), fmt, ap);
		va_end(ap);
	}
	text_printable(safe, sizeof(safe), span_str(raw));
	at = put_stamp(line, sizeof(line));
	snprintf(line + at, sizeof(line) - at, "%s %s: %s%s%s\n", state.program, level_names[level],
		 event, safe[0] ? " " : "", safe);
	if (state.sink)
		state.sink(state.sink_arg, level, line);
	else if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return; /* nowhere left to say it */
}

bool log_limit_pass(struct log_limit *limit, usec_t now, unsigned *held)
{
	usec_t period = limit->period_us ? limit->period_us : 10 * USEC_PER_SEC;
	unsigned burst = limit->burst ? limit->burst : 5;

	if (limit->began == 0 || now >= usec_add(limit->began, period)) {
		*held = limit->held;
		limit->began = now ? now : 1;
		limit->passed = 1;
		limit->held = 0;
		return true;
	}
	*held = 0;
	if (limit->passed < burst) {
		limit->passed++;
		return true;
	}
	limit->held++;
	return false;
}
