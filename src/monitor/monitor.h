/*
 * Figures for monitoring: an HTTP listener of its own on a program's loop, with few connections
 * that have time-outs, and no password. The program says which pages there are and writes them; it
 * may take a while to gather its figures first.
 */
#pragma once

#include "base/addr.h"
#include "base/buf.h"
#include "base/usec.h"
#include "io/loop.h"

#define MONITOR_CONNECTIONS_MAX 32
#define MONITOR_ANSWER_US (2 * USEC_PER_SEC) /* for the program to gather its figures */
#define MONITOR_TEXT "text/plain; charset=utf-8"
#define MONITOR_PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"

struct monitor_page {
	const char *path; /* "/metrics"; NULL ends the list */
	const char *type;
	/* The HTTP status, or 0: no memory. */
	unsigned (*write)(void *arg, struct buf *out);
};

struct monitor_config {
	const struct monitor_page *pages;
	size_t text_max;  /* bytes of a page */
	const char *late; /* said with 503 when monitor_answer() does not come in time */
	/* Somebody waits: call monitor_answer(), at once or later. Negative: 503. */
	int (*gather)(void *arg);
};

struct monitor;

/* config is borrowed. 0 or negative errno. */
int monitor_create(struct loop *loop, const struct addr *at, const struct monitor_config *config,
		   void *arg, struct monitor **out) FL_WARN_UNUSED;
void monitor_destroy(struct monitor *m); /* NULL is fine */
struct addr monitor_addr(const struct monitor *m);

/* The figures are there: writes the pages that are waited for. */
void monitor_answer(struct monitor *m);
