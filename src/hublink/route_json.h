/* A peer's route as the JSON object Route of docs/protocol.md §1.1. */
#pragma once

#include <jansson.h>

#include <fairlead/peer.h>

/* Also of a session without a route: method "none". NULL: no memory. */
json_t *route_json(const struct fl_route *route);

/* How the session's packets leave this end: "udp", "tcp", "tls" or "wss". */
const char *route_transport(const struct fl_route *route);
