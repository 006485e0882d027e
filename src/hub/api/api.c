#include "hub/api/api.h"

#include <string.h>

static const struct route *const tables[] = { api_identity_routes, api_staff_routes,
					      api_realtime_routes, api_route_routes,
					      api_network_routes };

static bool fits(const struct route *r, const char *path, const char **id)
{
	size_t len = strlen(r->path);

	if (!r->prefix)
		return strcmp(r->path, path) == 0;
	if (strncmp(r->path, path, len) != 0 || !schema_is_id(path + len))
		return false;
	*id = path + len;
	return true;
}

const struct route *api_find(enum http_method method, const char *path, const char **id,
			     bool *path_known)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct route *r = tables[i]; r->path; r++) {
			if (!fits(r, path, id))
				continue;
			if (r->method == method)
				return r;
			*path_known = true;
		}
	return NULL;
}
