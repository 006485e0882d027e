#include "hublink/route_json.h"

static const char *protocol_of(bool tcp)
{
	return tcp ? "tcp" : "udp";
}

static json_t *candidate_json(const struct fl_candidate *c, bool tcp)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "type", fl_candidate_type_name(c->type), "address",
			 c->address, "port", c->port, "protocol", protocol_of(tcp));
}

/* Milliseconds with two places, so that 371 µs reads 0.37. */
static json_t *ms(uint32_t us)
{
	uint32_t hundredths = us / 10;

	return json_real(hundredths / 100.0);
}

static json_t *ms_or_null(uint32_t us)
{
	return us ? ms(us) : json_null();
}

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *tried_json(const struct fl_pair *p)
{
	return json_pack("{s:o, s:o, s:s, s:I, s:I, s:I, s:o, s:o}", "local",
			 candidate_json(&p->local, p->tcp), "remote",
			 candidate_json(&p->remote, p->tcp), "state", fl_pair_state_name(p->state),
			 "sent", (json_int_t)p->sent, "answered", (json_int_t)p->answered,
			 "received", (json_int_t)p->received, "rtt_ms", ms_or_null(p->rtt_us),
			 "error", text_or_null(p->error));
}

static json_t *found_json(const struct fl_found *f)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:o, s:s, s:o}", "side",
			 f->remote ? "remote" : "local", "type", fl_candidate_type_name(f->type),
			 "address", f->address, "port", f->port, "protocol", protocol_of(f->tcp),
			 "origin", f->origin, "net", fl_net_name(f->net), "ms", ms(f->since_us),
			 "use", fl_candidate_use_name(f->use), "why", text_or_null(f->why));
}

static json_t *server_json(const struct fl_server *s)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "url", s->url, "transport",
			 s->transport, "via", s->proxy ? "proxy" : "direct", "state",
			 fl_server_state_name(s->state), "ms", ms_or_null(s->took_us), "mapped",
			 text_or_null(s->mapped), "code",
			 s->code ? json_integer(s->code) : json_null(), "error",
			 text_or_null(s->error));
}

static json_t *pair_json(const struct fl_route *r)
{
	if (r->method == FL_ROUTE_NONE)
		return json_null();
	return json_pack("{s:o, s:o}", "local", candidate_json(&r->pair.local, r->pair.tcp),
			 "remote", candidate_json(&r->pair.remote, r->pair.tcp));
}

const char *route_transport(const struct fl_route *route)
{
	if (route->method == FL_ROUTE_NONE)
		return "udp";
	return *route->relay_transport ? route->relay_transport : protocol_of(route->pair.tcp);
}

json_t *route_json(const struct fl_route *r)
{
	json_t *tried = json_array(), *candidates = json_array(), *servers = json_array();
	json_t *ignored = json_object();
	bool none = r->method == FL_ROUTE_NONE;

	for (size_t i = 0; i < r->n_tried; i++)
		json_array_append_new(tried, tried_json(&r->tried[i]));
	for (size_t i = 0; i < r->n_candidates; i++)
		json_array_append_new(candidates, found_json(&r->candidates[i]));
	for (size_t i = 0; i < r->n_servers; i++)
		json_array_append_new(servers, server_json(&r->servers[i]));
	for (size_t i = 0; i < r->n_ignored; i++)
		json_object_set_new(ignored, r->ignored[i].word,
				    json_integer((json_int_t)r->ignored[i].count));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:{s:s, s:s}, s:o}",
			 "method", fl_route_method_name(r->method), "transport", route_transport(r),
			 "via", r->relay_proxy ? "proxy" : "direct", "rtt_ms",
			 none ? json_null() : ms(r->rtt_us), "setup_ms",
			 none ? json_null() : ms(r->setup_us), "reason", r->reason, "pair",
			 pair_json(r), "tried", tried, "candidates", candidates, "servers", servers,
			 "nat", "mapping", fl_nat_mapping_name(r->mapping), "filtering",
			 fl_nat_filtering_name(r->filtering), "ignored", ignored);
}
