/* A route report as text for a person in a terminal. */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include <fairlead/peer.h>

#include "base/util.h"

/* verdict: Verdict of docs/protocol.md §1.1, or NULL. */
void route_text(const struct fl_route *route, const json_t *verdict, bool colour, FILE *to);
