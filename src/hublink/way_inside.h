/* What way.c (options, password, what is known of each way) and way_search.c (finding them) share.
 */
#pragma once

#include "hublink/way.h"
#include "wayout/memory.h"
#include "wayout/setting.h"

#define WAY_MET_MAX 16
#define WAY_FAULTS_MAX 16
#define WAY_NAME_MAX (PROXY_HOST_MAX + 32)
#define WAY_FAULT_FIRST (30 * USEC_PER_SEC)
#define WAY_FAULT_MOST (600 * USEC_PER_SEC)
#define WAY_REMEMBER_S (7 * 24 * 3600)
/* Directly although something is set: that is looked at again sooner. */
#define WAY_REMEMBER_ASIDE_S 3600
/* Of a way that the hub was just reached by, other connections may be ended unused. */
#define WAY_TRUSTED_US (60 * USEC_PER_SEC)
#define WAY_THIS_MACHINE "localhost,127.0.0.0/8,::1"

enum way_mode { WAY_AUTO, WAY_NONE, WAY_FIXED };

struct way_met {
	char *url, *except; /* the URL may hold a password */
	bool trusted;	    /* gets the password */
	struct proxy *proxy;
};

struct way_fault {
	char name[WAY_NAME_MAX];
	usec_t until, wait;
};

struct way {
	const struct way_options *options;
	enum way_mode mode;
	struct wayout_setting setting;
	char *password;
	struct way_met met[WAY_MET_MAX];
	size_t n_met;
	struct way_fault faults[WAY_FAULTS_MAX];
	char used[WAY_NAME_MAX], used_found[WAY_FOUND_MAX];
	usec_t used_at;
	struct proxy *used_proxy; /* one of met; NULL: directly, or none yet */
	struct fl_proxy peers;
	char *peers_url;
	const char *root; /* in front of the system's files; "" */
	struct memory memory;
	char *memory_path; /* NULL: kept for this run only */
	void (*on_problem)(void *arg, const char *cause, const char *why);
	void *on_problem_arg;
};

int way_read_setting(struct way *w);
/* Borrowed; NULL with a sentence in why. found decides whether it is shown the password. */
struct proxy *way_proxy(struct way *w, const char *url, const char *except, const char *found,
			char why[512]);
const char *way_name(const struct proxy *proxy);
/* What worked the last time in this network with these settings; NULL: nothing, or long ago. */
const struct memory_entry *way_remembered(struct way *w, const struct hub_url *url);
bool way_is_put_off(struct way *w, struct loop *loop, const struct proxy *proxy);
