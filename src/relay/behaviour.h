/*
 * Which of the UDP listeners make behaviour discovery possible (RFC 5780 §6): two addresses of one
 * family with two ports each, all four listened on. Pure.
 */
#pragma once

#include "proto/stun/stun_server.h"
#include "relay/settings.h"

/* The first such set in the order of the listeners; false: there is none. */
bool behaviour_of(const struct settings *s, struct stun_behaviour *out);
