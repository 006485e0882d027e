/*
 * A PAC file that is asked: a child process (fairlead-pac) runs the script, this side watches the
 * clock. A script that loops, throws, grows or returns nonsense costs its child; the next question
 * starts a new one. One question at a time is under way, the others wait in order.
 */
#pragma once

#include "base/span.h"
#include "io/loop.h"
#include "wayout/pac_answer.h"
#include "wayout/pac_wire.h"

#define PAC_LOAD_US (2 * USEC_PER_SEC)	 /* to start and to run the file's top level */
#define PAC_ANSWER_US (2 * USEC_PER_SEC) /* for one question, with the names it resolves */
#define PAC_QUESTIONS_MAX 16		 /* waiting */

struct pac;

enum pac_fault {
	PAC_FINE,
	PAC_TOO_LARGE, /* over PAC_SCRIPT_MAX */
	PAC_THREW,     /* at its top level, or when asked */
	PAC_TIMEOUT,   /* it loops, or waits for a name server that does not answer */
	PAC_DIED,      /* out of memory, or killed */
	PAC_NONSENSE,  /* an answer without a way that is understood */
};

/* "pac-timeout" …: a stable word. */
const char *pac_fault_name(enum pac_fault fault);

/* ways->n is 0 with any fault but PAC_FINE; why: a sentence, hostile text made printable. */
typedef void pac_answered(void *arg, enum pac_fault fault, const struct pac_ways *ways,
			  const char *why);

/* program: the path of fairlead-pac. The script is copied. 0, -ENOMEM, FL_EQUOTA (too large). */
int pac_create(struct loop *loop, const char *program, struct span script,
	       struct pac **out) FL_WARN_UNUSED;
void pac_destroy(struct pac *pac); /* NULL is fine; kills; questions are not answered any more */

/* url as the destination of the request; its host is asked along. Answered later, never from
 * within. 0, -ENOMEM, FL_EQUOTA (too many wait), -EINVAL (too long, control characters). */
int pac_ask(struct pac *pac, const char *url, const char *host, pac_answered *fn,
	    void *arg) FL_WARN_UNUSED;
