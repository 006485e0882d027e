/*
 * One question to one PAC file, from its fetching to its answer. After the answer the file's
 * process is gone: what it said is remembered by who asked, and the next question finds the file as
 * it is then.
 */
#pragma once

#include "io/loop.h"
#include "wayout/pac_answer.h"

struct ask;

/* cause NULL: ways holds at least one. Else a word of fetch.h or pac.h, or pac-not-a-script, and
 * why a sentence. */
typedef void ask_answered(void *arg, const char *cause, const char *why,
			  const struct pac_ways *ways);

/* location: of the PAC file, as fetch_start() takes it. url, host: of whom the way is for. Answered
 * once and later. 0 or -ENOMEM. */
int ask_start(struct loop *loop, const char *location, const char *url, const char *host,
	      ask_answered *fn, void *arg, struct ask **out) FL_WARN_UNUSED;
void ask_cancel(struct ask *a); /* NULL is fine; from inside fn too */
