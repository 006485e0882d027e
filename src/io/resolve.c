#include "io/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define HOST_MAX 256

/*
 * Shared by the asker and the thread. The thread posts back exactly once; finish() runs in the
 * loop, calls fn unless it was cancelled, and frees.
 */
struct resolve {
	struct loop_poster *poster;
	char host[HOST_MAX];
	uint16_t port;
	bool cancelled;
	void (*fn)(void *arg, int err, const char *why, const struct addr *addrs, size_t n);
	void *arg;
	int err, gai;
	struct addr addrs[RESOLVE_MAX];
	size_t n;
};

static void destroy(struct resolve *r)
{
	loop_poster_put(r->poster);
	free(r);
}

static void finish(void *arg)
{
	struct resolve *r = arg;

	if (!r->cancelled)
		r->fn(r->arg, r->err, r->gai ? gai_strerror(r->gai) : "", r->addrs, r->n);
	destroy(r);
}

static void *work(void *arg)
{
	struct resolve *r = arg;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG },
			*list = NULL;

	r->gai = getaddrinfo(r->host, NULL, &hints, &list);
	if (r->gai == EAI_ADDRFAMILY || r->gai == EAI_NONAME) {
		/* on a machine with loopback only, AI_ADDRCONFIG hides what /etc/hosts says */
		hints.ai_flags = 0;
		r->gai = getaddrinfo(r->host, NULL, &hints, &list);
	}
	for (struct addrinfo *ai = list; ai && r->n < RESOLVE_MAX; ai = ai->ai_next)
		if (addr_from_sockaddr(ai->ai_addr, ai->ai_addrlen, &r->addrs[r->n]) == 0)
			r->addrs[r->n++].port = r->port;
	if (list)
		freeaddrinfo(list);
	if (r->gai)
		r->err = r->gai == EAI_AGAIN ? -EAGAIN : -ENOENT;
	if (loop_poster_post(r->poster, finish, r) < 0)
		destroy(r); /* the loop is gone: nobody waits */
	return NULL;
}

static int start_thread(struct resolve *r)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024); /* getaddrinfo's plugins need some */
	err = pthread_create(&thread, &attr, work, r);
	pthread_attr_destroy(&attr);
	return -err;
}

int resolve_start(struct loop *loop, const char *host, uint16_t port,
		  void (*fn)(void *arg, int err, const char *why, const struct addr *addrs,
			     size_t n),
		  void *arg, struct resolve **out)
{
	struct resolve *r = calloc(1, sizeof(*r));
	char bare[HOST_MAX];
	size_t len;
	int err;

	if (!r)
		return -ENOMEM;
	*r = (struct resolve){
		.poster = loop_poster_get(loop), .port = port, .fn = fn, .arg = arg
	};
	if (!text_copy(r->host, sizeof(r->host), host)) {
		destroy(r);
		return -ENAMETOOLONG;
	}
	text_copy(bare, sizeof(bare), host);
	len = strlen(bare);
	if (len > 2 && bare[0] == '[' && bare[len - 1] == ']') {
		bare[len - 1] = 0;
		memmove(bare, bare + 1, len - 1);
	}
	if (addr_parse_ip(bare, &r->addrs[0]) == 0) {
		r->addrs[0].port = port;
		r->n = 1;
		err = loop_post(loop, finish, r);
	} else {
		err = start_thread(r);
	}
	if (err < 0) {
		destroy(r);
		return err;
	}
	*out = r;
	return 0;
}

void resolve_cancel(struct resolve *r)
{
	if (r)
		r->cancelled = true;
}
