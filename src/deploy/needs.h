/*
 * What a deployment needs of the networks that its people and devices are in: names, ports,
 * protocols, directions, and what each is good for. The hub makes the list from its configuration
 * and gives it to anybody who asks (GET /network.json, docs/protocol.md §1.3); the commands
 * "allowlist" and "check" and the console's network page are built on it, so all of them say the
 * same, and the same as the hub does.
 *
 * A struct needs is a value without pointers. Whoever reads one from outside (needs_from_json)
 * treats every text in it as hostile: names and ports are checked, sentences are cut.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define NEEDS_MAX 128
#define NEED_TEXT_MAX 255
#define NEED_REGION_MAX 15

enum need_kind {
	NEED_HUB,      /* HTTPS and WSS to the hub; without it nothing works */
	NEED_HUB_NAME, /* the same port under a function's own name */
	NEED_STORE,    /* a region's store that is not the hub itself */
	NEED_STUN,     /* a Binding request over UDP */
	NEED_TURN_UDP, /* the relay, by each way to it */
	NEED_TURN_TCP,
	NEED_TURN_TLS,
	NEED_TURN_WSS,
	NEED_RELAY_PORTS, /* the addresses that the relay gives to others */
	NEED_PEERS,	  /* UDP out to whoever the other side is: Method 2 */
	NEED_LOCAL,	  /* UDP inside the network: Method 1 */
	NEED_MDNS,	  /* names that browsers hide their addresses behind */
};

enum need_weight {
	NEED_REQUIRED, /* nothing works without */
	NEED_ONE_OF,   /* one of these must pass for sessions that nothing better carries */
	NEED_BETTER,   /* sessions are quicker, or straight, with it */
	NEED_RESERVED, /* for the day when the hub's parts run apart */
};

struct need {
	enum need_kind kind;
	enum need_weight weight;
	bool udp;			  /* else TCP */
	char host[NEED_TEXT_MAX + 1];	  /* a name or address; "" for NEED_PEERS, LOCAL, MDNS */
	uint16_t port_min, port_max;	  /* at the other side */
	uint16_t own_min, own_max;	  /* our own ports, when they are kept in a range; 0: any */
	char region[NEED_REGION_MAX + 1]; /* "eu"; "": of no region */
	char function[32];		  /* "realtime", "log-captures" …, "" */
	bool client, console;		  /* who needs it */
};

struct needs {
	char base[NEED_TEXT_MAX + 1]; /* the deployment's name: what a wildcard stands before */
	struct need list[NEEDS_MAX];
	size_t n;
};

/* 0, or FL_EQUOTA: the list is full. One that is there already is not added twice. */
int needs_add(struct needs *needs, const struct need *need);

/* A name that stays: "hub:console.example.org:443", "turn-tls:relay.example.org:443", "peers". */
void need_id(const struct need *need, char out[NEED_TEXT_MAX + 32]);

const char *need_kind_name(enum need_kind kind);       /* "hub", "turn-tls" … */
const char *need_application(const struct need *need); /* "HTTPS, WSS", "TURN over TLS" … */
const char *need_weight_name(enum need_weight weight); /* "required" … */
/* Why it is needed and what fails without it, as a sentence. */
const char *need_purpose(const struct need *need);
/* Which of Methods 1, 2, 3 it is for; bit 1 is Method 1. */
unsigned need_methods(const struct need *need);
/* "443", "49152-65535", "any". */
void need_ports(const struct need *need, char out[16]);
/* Whether it concerns that region: it belongs to it or to none. region "": all do. */
bool need_in_region(const struct need *need, const char *region);
/* "*.example.org" for a name one label below base, else NULL in out[0] == 0. */
void need_wildcard(const struct needs *needs, const struct need *need, char out[NEED_TEXT_MAX + 3]);

/* The six stores that every region has; ends with NULL. */
extern const char *const need_store_names[];

/* A DNS name of letters, digits and hyphens (RFC 1123 §2.1). */
bool need_name_valid(const char *text);
/* The same, or an address without brackets. */
bool need_host_valid(const char *text);

/* docs/protocol.md §1.3. NULL: no memory. */
json_t *needs_to_json(const struct needs *needs);
/* 0, or FL_EMALFORMED with a sentence in why. */
int needs_from_json(const json_t *json, struct needs *out, char why[160]) FL_WARN_UNUSED;
