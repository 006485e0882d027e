/* The REST API and sign-in of docs/protocol.md §1: which paths there are and what they do. */
#pragma once

#include "hub/http/server.h"

/* The route, or NULL; then *path_known says whether the path has other methods. *id: the rest of a
 * prefix path. */
const struct route *api_find(enum http_method method, const char *path, const char **id,
			     bool *path_known);

extern const struct route api_identity_routes[], api_staff_routes[], api_realtime_routes[],
	api_route_routes[], api_network_routes[];
