/* The REST API and sign-in of docs/protocol.md §1: which paths there are and what they do. */
#pragma once

#include "hub/http/server.h"

/* The route, or NULL; then *path_known says whether the path has other methods. id: what a prefix
 * path names, else "". */
const struct route *api_find(enum http_method method, const char *path, char id[STORE_ID_CAP],
			     bool *path_known);

extern const struct route api_identity_routes[], api_staff_routes[], api_place_routes[],
	api_realtime_routes[], api_route_routes[], api_network_routes[];

/* For work(): a row of the audit log. detail is taken over; NULL: no memory. */
int api_audit(struct exchange *x, struct store *s, const char *actor, const char *action,
	      const char *target, json_t *detail) FL_WARN_UNUSED;
