#include "wayout/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "wayout/fetch.h"
#include "wayout/pac.h"

struct ask {
	struct loop *loop;
	char *url, *host;
	ask_answered *fn;
	void *arg;
	struct fetch *fetch;
	struct pac *pac;
	struct loop_deferred release;
	bool dead;
};

/* Beside the program that runs, or where it was installed. */
static const char *pac_program(char dst[4096])
{
	char self[4000];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n < 0 ? 0 : n] = 0;
	slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	snprintf(dst, 4096, "%s/fairlead-pac", self);
	if (!slash || access(dst, X_OK) < 0)
		snprintf(dst, 4096, "%s/fairlead-pac", FAIRLEAD_PROGRAM_DIR);
	return dst;
}

static void finish(struct ask *a, const char *cause, const char *why, const struct pac_ways *ways)
{
	static const struct pac_ways none;

	if (!a->dead)
		a->fn(a->arg, cause, why, ways ? ways : &none);
}

static void on_pac(void *arg, enum pac_fault fault, const struct pac_ways *ways, const char *why)
{
	finish(arg, fault == PAC_FINE ? NULL : pac_fault_name(fault), why, ways);
}

/* A page in a PAC file's place (a portal, a wildcard in the DNS) need not be run to be known. */
static bool may_be_script(struct span script)
{
	return memmem(script.ptr ? script.ptr : (const uint8_t *)"", script.len, "FindProxyForURL",
		      strlen("FindProxyForURL")) != NULL;
}

static void on_fetched(void *arg, const char *cause, const char *why, struct span script)
{
	struct ask *a = arg;
	char program[4096];
	int err = 0;

	if (!cause && !may_be_script(script)) {
		finish(a, "pac-not-a-script",
		       "What was found in the PAC file's place has no function FindProxyForURL.",
		       NULL);
		return;
	}
	if (!cause)
		err = pac_create(a->loop, pac_program(program), script, &a->pac);
	if (!cause && err == 0)
		err = pac_ask(a->pac, a->url, a->host, on_pac, a);
	if (cause)
		finish(a, cause, why, NULL);
	else if (err < 0)
		finish(a, err == FL_EQUOTA ? "pac-too-large" : "pac-died", err_text(err), NULL);
}

static void release(void *arg)
{
	struct ask *a = arg;

	pac_destroy(a->pac);
	free(a->url);
	free(a->host);
	free(a);
}

int ask_start(struct loop *loop, const char *location, const char *url, const char *host,
	      ask_answered *fn, void *arg, struct ask **out)
{
	struct ask *a = calloc(1, sizeof(*a));
	int err = -ENOMEM;

	if (!a)
		return -ENOMEM;
	a->loop = loop;
	a->fn = fn;
	a->arg = arg;
	a->url = strdup(url);
	a->host = strdup(host);
	if (a->url && a->host)
		err = fetch_start(loop, location, on_fetched, a, &a->fetch);
	if (err < 0) {
		release(a);
		return err;
	}
	*out = a;
	return 0;
}

void ask_cancel(struct ask *a)
{
	if (!a || a->dead)
		return;
	a->dead = true;
	fetch_cancel(a->fetch);
	a->fetch = NULL;
	loop_defer(a->loop, &a->release, release, a);
}
