/*
 * fairlead-pac: runs a PAC file's FindProxyForURL for somebody who watches the clock and kills it.
 * The file is anybody's JavaScript, so this is a process of its own: no privileges, no files, few
 * descriptors, bounded memory, and nothing that outlives it.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <JavaScriptCore/JavaScript.h>

#include "base/addr.h"
#include "wayout/pac_functions.h"
#include "wayout/pac_wire.h"

#define ADDRS_MAX 32

static bool read_all(void *dst, size_t len)
{
	uint8_t *at = dst;

	while (len) {
		ssize_t n = read(STDIN_FILENO, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

/* Terminated; NULL: the input ended or is too long. */
static char *read_block(size_t max)
{
	uint8_t head[4];
	size_t len;
	char *text;

	if (!read_all(head, sizeof(head)))
		return NULL;
	len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	text = len <= max ? calloc(1, len + 1) : NULL;
	if (text && !read_all(text, len)) {
		free(text);
		return NULL;
	}
	return text;
}

static bool say(char kind, const char *text)
{
	uint8_t out[5 + PAC_ANSWER_MAX];
	size_t len = strnlen(text, PAC_ANSWER_MAX), done = 0;

	out[0] = (uint8_t)kind;
	for (int i = 0; i < 4; i++)
		out[1 + i] = (uint8_t)(len >> (24 - 8 * i));
	memcpy(out + 5, text, len);
	while (done < 5 + len) {
		ssize_t n = write(STDOUT_FILENO, out + done, 5 + len - done);

		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* ---- what the script's functions ask for ---- */

static void take_text(JSContextRef js, JSValueRef value, char *dst, size_t cap)
{
	JSStringRef text = JSValueToStringCopy(js, value, NULL);

	dst[0] = 0;
	if (text)
		JSStringGetUTF8CString(text, dst, cap);
	if (text)
		JSStringRelease(text);
}

static JSValueRef give_list(JSContextRef js, const struct addr *list, size_t n)
{
	JSValueRef values[ADDRS_MAX];
	char ip[ADDR_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		JSStringRef text = JSStringCreateWithUTF8CString(addr_format_ip(&list[i], ip));

		values[i] = JSValueMakeString(js, text);
		JSStringRelease(text);
	}
	return JSObjectMakeArray(js, n, values, NULL);
}

static JSValueRef resolve(JSContextRef js, JSObjectRef function, JSObjectRef self, size_t argc,
			  const JSValueRef argv[], JSValueRef *exception)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	struct addr list[ADDRS_MAX];
	char name[512];
	size_t n = 0;

	take_text(js, argc ? argv[0] : JSValueMakeNull(js), name, sizeof(name));
	if (getaddrinfo(name, NULL, &hints, &found) == 0)
		for (struct addrinfo *i = found; i && n < ADDRS_MAX; i = i->ai_next)
			if (addr_from_sockaddr(i->ai_addr, i->ai_addrlen, &list[n]) == 0)
				n++;
	if (found)
		freeaddrinfo(found);
	return give_list(js, list, n);
}

static JSValueRef own(JSContextRef js, JSObjectRef function, JSObjectRef self, size_t argc,
		      const JSValueRef argv[], JSValueRef *exception)
{
	struct ifaddrs *all = NULL;
	struct addr list[ADDRS_MAX];
	size_t n = 0;

	if (getifaddrs(&all) == 0)
		for (struct ifaddrs *i = all; i && n < ADDRS_MAX; i = i->ifa_next) {
			enum addr_range range;

			if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) ||
			    addr_from_sockaddr(i->ifa_addr, sizeof(struct sockaddr_in6), &list[n]) <
				    0)
				continue;
			range = addr_range(&list[n]);
			n += range != ADDR_LOOPBACK && range != ADDR_LINK_LOCAL;
		}
	freeifaddrs(all);
	return give_list(js, list, n);
}

static JSValueRef now(JSContextRef js, JSObjectRef function, JSObjectRef self, size_t argc,
		      const JSValueRef argv[], JSValueRef *exception)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	return JSValueMakeNumber(js, (double)at.tv_sec * 1000 + (double)at.tv_nsec / 1e6);
}

/* ---- the script ---- */

static void add_function(JSContextRef js, const char *name, JSObjectCallAsFunctionCallback fn)
{
	JSStringRef text = JSStringCreateWithUTF8CString(name);

	JSObjectSetProperty(js, JSContextGetGlobalObject(js), text,
			    JSObjectMakeFunctionWithCallback(js, text, fn),
			    kJSPropertyAttributeDontEnum, NULL);
	JSStringRelease(text);
}

/* False with what was thrown in why. */
static bool run(JSContextRef js, const char *script, char *why, size_t cap)
{
	JSStringRef text = JSStringCreateWithUTF8CString(script);
	JSValueRef thrown = NULL, value = JSEvaluateScript(js, text, NULL, NULL, 1, &thrown);

	JSStringRelease(text);
	if (!value && thrown)
		take_text(js, thrown, why, cap);
	return value != NULL;
}

static bool load(JSContextRef js, const char *script, char *why, size_t cap)
{
	add_function(js, "fairleadResolve", resolve);
	add_function(js, "fairleadOwn", own);
	add_function(js, "fairleadNow", now);
	return run(js, pac_functions, why, cap) && run(js, script, why, cap);
}

static JSObjectRef find_function(JSContextRef js)
{
	/* as the file itself sees them: "const FindProxyForURL = …" makes no property */
	static const char *const names[] = {
		"typeof FindProxyForURLEx === 'function' ? FindProxyForURLEx : null",
		"typeof FindProxyForURL === 'function' ? FindProxyForURL : null",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		JSStringRef text = JSStringCreateWithUTF8CString(names[i]);
		JSValueRef value = JSEvaluateScript(js, text, NULL, NULL, 1, NULL);

		JSStringRelease(text);
		if (value && JSValueIsObject(js, value))
			return JSValueToObject(js, value, NULL);
	}
	return NULL;
}

static bool answer(JSContextRef js, char *question)
{
	char *host = strchr(question, '\n'), text[PAC_ANSWER_MAX] = "";
	JSObjectRef find = find_function(js);
	JSValueRef args[2], value, thrown = NULL;

	if (!host)
		return false;
	*host++ = 0;
	if (!find)
		return say('E', "the file has no function FindProxyForURL");
	for (int i = 0; i < 2; i++) {
		JSStringRef s = JSStringCreateWithUTF8CString(i ? host : question);

		args[i] = JSValueMakeString(js, s);
		JSStringRelease(s);
	}
	value = JSObjectCallAsFunction(js, find, NULL, 2, args, &thrown);
	if (!value) {
		take_text(js, thrown, text, sizeof(text));
		return say('E', text);
	}
	if (JSValueIsNull(js, value) || JSValueIsUndefined(js, value))
		return say('A', "");
	if (!JSValueIsString(js, value))
		return say('E', "FindProxyForURL gave something that is no text");
	take_text(js, value, text, sizeof(text));
	return say('A', text);
}

/*
 * The engine reserves gigabytes of address space and touches little of it, so no rlimit holds it.
 * What counts is what is resident, looked at from a thread that the script cannot stop.
 */
static void *watch_memory(void *arg)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	unsigned long pages, most = PAC_RESIDENT_MAX / (unsigned long)sysconf(_SC_PAGESIZE);

	for (;;) {
		FILE *f = fopen("/proc/self/statm", "re");

		if (!f || fscanf(f, "%*u %lu", &pages) != 1 || pages > most)
			_exit(1);
		(void)fclose(f);
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

static bool lock_down(void)
{
	static const struct {
		int what;
		rlim_t most;
	} limits[] = { { RLIMIT_NOFILE, 32 }, { RLIMIT_CORE, 0 }, { RLIMIT_CPU, 60 } };
	pthread_t thread;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rlimit l = { limits[i].most, limits[i].most };

		(void)setrlimit((__rlimit_resource_t)limits[i].what, &l);
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* no code is made at run time: a file this small runs as fast without */
	return setenv("JSC_useJIT", "0", 1) == 0 &&
	       pthread_create(&thread, NULL, watch_memory, NULL) == 0;
}

int main(int argc, char **argv)
{
	char why[PAC_ANSWER_MAX] = "the file cannot be run", *script, *question;
	JSGlobalContextRef js;

	if (argc > 1) {
		fprintf(stderr,
			"fairlead-pac answers what a PAC file says, for fairlead's programs. "
			"It is not started by hand.\n");
		return 2;
	}
	if (!lock_down())
		return 1;
	script = read_block(PAC_SCRIPT_MAX);
	js = script ? JSGlobalContextCreate(NULL) : NULL;
	if (!js)
		return 1;
	if (load(js, script, why, sizeof(why)) ? !say('R', "") : !say('E', why))
		return 1;
	free(script);
	while ((question = read_block(PAC_QUESTION_MAX))) {
		bool good = answer(js, question);

		free(question);
		if (!good)
			return 1;
	}
	return 0;
}
