/*
 * One hub: its parts and the order they live in. Made by main.c; the parts get a pointer to it and
 * use each other through the headers named below. Everything here belongs to the loop's thread;
 * only store jobs and password jobs run elsewhere.
 */
#pragma once

#include "base/list.h"
#include "hub/config.h"
#include "hub/identity/hubkey.h"
#include "hub/identity/limit.h"
#include "hub/identity/password.h"
#include "hub/store/queue.h"
#include "io/loop.h"

#define HUB_COOKIE_DAYS 7
#define HUB_LINK_SECONDS 900
#define HUB_TOKEN_SECONDS 3600
#define HUB_ADMIN "admin"

struct hub {
	struct loop *loop;
	const struct hub_config *config;
	struct hubkey *key;
	struct store_queue *store;
	struct password_pool *passwords;
	struct limit by_account, by_address; /* sign-in attempts */
	struct server *server;		     /* http/server.h */
	struct links *links;		     /* realtime/link.h */
	struct files *files;		     /* http/files.h */
	struct hub_tls *tls;		     /* tls.h */
	struct places *places;		     /* realtime/places.h */
	struct registry *registry;	     /* realtime/registry.h */
	struct broker *broker;		     /* realtime/broker.h */
	struct budget *budget;		     /* realtime/budget.h */
	struct hub_metrics *metrics;	     /* metrics.h; NULL: not asked for */
	struct list consoles;		     /* realtime/console.h */
	struct list turn_passes;	     /* http/turn_pass.h */
	char turn_secret[256];		     /* "": no relay; wiped at the end */
	char *ca_pem;			     /* of the local authority; NULL with --certificate */
	char url[300];			     /* "https://host:port", without a slash at the end */
	char name[128];			     /* what clients show: the first name or the host's */
};

/* Milliseconds since 1970: what goes into rows and messages. */
int64_t hub_now_ms(void);

/* A new one-time link of an account: its URL, and the hash to be stored. */
void hub_make_link(const struct hub *h, char url[512], uint8_t hash[32]);
