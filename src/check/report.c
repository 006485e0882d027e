/* The JSON of fairlead check --json. */
#include "base/text.h"
#include "check/check_internal.h"

static const char *const mappings[] = { "unknown", "none", "independent", "address", "port" };
static const char *const filterings[] = { "unknown", "open", "address", "port" };

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *item_json(const struct check_item *i)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:b, s:o, s:o, s:s, s:s, s:s, s:o}", "id", i->id,
			 "host", i->host, "port", i->port, "protocol", i->protocol, "ok", i->ok,
			 "cause", text_or_null(cause_word(i->cause)), "fix", text_or_null(i->fix),
			 "need", need_weight_name(i->weight), "via",
			 i->by_proxy ? "proxy" : "direct", "seen", i->seen, "ms",
			 i->ms < 0 ? json_null()
				   : json_real((double)(int64_t)(i->ms * 100 + 0.5) / 100));
}

static json_t *method_json(const struct check_method *m)
{
	return json_pack("{s:o, s:s}", "works",
			 m->works == CHECK_UNKNOWN ? json_null()
						   : json_boolean(m->works == CHECK_WORKS),
			 "why", m->why);
}

static json_t *nat_json(const struct check_summary *s)
{
	char at[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:s, s:o, s:s}", "mapping", mappings[s->nat.mapping], "filtering",
			 filterings[s->nat.filtering], "address",
			 s->nat.mapped.family == ADDR_NONE
				 ? json_null()
				 : json_string(addr_format(&s->nat.mapped, at)),
			 "odds", s->nat.odds);
}

static json_t *proxy_json(const struct check *c)
{
	const char *found = c->config.proxy_found ? c->config.proxy_found : "";

	return json_pack("{s:s, s:o, s:b}", "url", c->summary.proxy.url, "found",
			 text_or_null(found), "works", c->summary.proxy.works);
}

json_t *check_json(const struct check *c)
{
	const struct check_summary *s = &c->summary;
	const struct check_item *changes[32];
	size_t n = check_changes(c, changes, ARRAY_LEN(changes));
	json_t *items = json_array(), *todo = json_array();

	for (size_t i = 0; i < c->n_items; i++)
		json_array_append_new(items, item_json(&c->items[i]));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(todo, json_pack("{s:s, s:s}", "id", changes[i]->id, "text",
						      changes[i]->fix));
	return json_pack(
		"{s:b, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:o, s:o, s:I}", "ok", s->ok, "items",
		items, "proxy", s->proxy.found ? proxy_json(c) : json_null(), "inspection",
		s->inspection.found ? json_pack("{s:s, s:o}", "issuer", s->inspection.issuer,
						"product", text_or_null(s->inspection.product))
				    : json_null(),
		"nat", nat_json(s), "methods", "local", method_json(&s->local), "punched",
		method_json(&s->punched), "relayed", method_json(&s->relayed), "change", todo,
		"hubKey", text_or_null(s->hub_key), "tookMs",
		(json_int_t)(s->took_us / USEC_PER_MSEC));
}
