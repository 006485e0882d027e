/* A peer's route as the JSON object Route of docs/protocol.md §1. */
#pragma once

#include <jansson.h>

#include <fairlead/peer.h>

/* NULL: there is no route yet, or no memory. */
json_t *route_json(const struct fl_route *route);
