/*
 * Logging for programs (cores do not log). An entry is an event name and key=value pairs:
 *
 *	log_info("device-online", "device=%s address=%s", id, address);
 *
 * One line each to stderr: level, event, pairs; with a time stamp unless journald adds its own. No
 * secret is ever logged. Whatever a stranger can trigger goes through a log_limit, which lets a few
 * entries through per period and then tells how many it held back.
 */
#pragma once

#include "base/usec.h"
#include "base/util.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* program is kept, not copied. The level comes from FAIRLEAD_LOG (debug, info, warn, error) or is
 * info. */
void log_open(const char *program);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* For tests: receives every line that passes the level; NULL puts stderr back. */
typedef void (*log_sink)(void *arg, enum log_level level, const char *line);
void log_set_sink(log_sink sink, void *arg);

/* fmt makes the pairs; NULL for none. Line breaks and control characters in values are escaped. */
void log_write(enum log_level level, const char *event, const char *fmt, ...) FL_PRINTF(3, 4);

#define log_debug(event, ...) log_write(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) log_write(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) log_write(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, __VA_ARGS__)

struct log_limit {
	usec_t period_us; /* all-zero means 5 entries in 10 s */
	unsigned burst;
	usec_t began;
	unsigned passed, held; /* in this period */
};

/* True when the entry may be written; *held is how many were held back before it. */
bool log_limit_pass(struct log_limit *limit, usec_t now, unsigned *held);
