#include "hub/api/api.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

static const struct route *const tables[] = { api_identity_routes, api_staff_routes,
					      api_place_routes,	   api_realtime_routes,
					      api_route_routes,	   api_network_routes };

static bool fits(const struct route *r, const char *path, char id[STORE_ID_CAP])
{
	const char *rest = path + strlen(r->path);
	size_t len;

	if (!r->prefix)
		return strcmp(r->path, path) == 0;
	if (strncmp(r->path, path, strlen(r->path)) != 0)
		return false;
	len = strcspn(rest, "/");
	if (strcmp(rest + len, r->suffix ? r->suffix : "") != 0 ||
	    !text_copy_span(id, STORE_ID_CAP, span_of(rest, len)))
		return false;
	return schema_is_id(id);
}

const struct route *api_find(enum http_method method, const char *path, char id[STORE_ID_CAP],
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

int api_audit(struct exchange *x, struct store *s, const char *actor, const char *action,
	      const char *target, json_t *detail)
{
	FL_AUTOFREE char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;

	json_decref(detail);
	return text ? s->ops->audit_add(s, x->now, actor, action, target, text) : -ENOMEM;
}
