/*
 * The relay as a running thing: its sockets on a loop, and what came in as counters. Nothing that a
 * stranger sends is logged as it comes; what was dropped is told in one line a minute at most.
 */
#pragma once

#include "base/addr.h"
#include "io/loop.h"

#define RELAY_LISTENERS_MAX 32

struct relay;

int relay_create(struct loop *loop, struct relay **out) FL_WARN_UNUSED;
void relay_destroy(struct relay *r); /* NULL is fine */

/* 0 and the bound address, FL_EQUOTA, or negative errno. */
int relay_listen_udp(struct relay *r, const struct addr *at, struct addr *bound) FL_WARN_UNUSED;
