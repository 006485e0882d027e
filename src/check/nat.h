/* The driver of proto/stun's questions about the NAT in front of us (RFC 5780): two sockets. */
#pragma once

#include "io/loop.h"
#include "proto/stun/stun_nat.h"

struct nat;

struct nat_result {
	enum stun_nat_mapping mapping;
	enum stun_nat_filtering filtering;
	bool other_known;    /* the server has a second address */
	bool other_answered; /* and that one answered when it was asked */
	struct addr mapped;  /* family ADDR_NONE: unknown */
};

/* source: our address on the way to the server; its port does not matter. fn once, unless
 * destroyed; it may destroy. */
int nat_start(struct loop *loop, const struct addr *server, const struct addr *source,
	      void (*fn)(void *arg, const struct nat_result *result), void *arg,
	      struct nat **out) FL_WARN_UNUSED;
void nat_destroy(struct nat *n); /* NULL is fine */
