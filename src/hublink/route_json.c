#include "hublink/route_json.h"

static const char *protocol_of(const struct fl_pair *p)
{
	return p->tcp ? "tcp" : "udp";
}

static json_t *candidate_json(const struct fl_candidate *c, const struct fl_pair *p)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "type", fl_candidate_type_name(c->type), "address",
			 c->address, "port", c->port, "protocol", protocol_of(p));
}

static const char *state_name(enum fl_pair_state state)
{
	switch (state) {
	case FL_PAIR_FROZEN:
		return "frozen";
	case FL_PAIR_WAITING:
		return "waiting";
	case FL_PAIR_IN_PROGRESS:
		return "in-progress";
	case FL_PAIR_SUCCEEDED:
		return "succeeded";
	case FL_PAIR_FAILED:
		return "failed";
	}
	return "failed";
}

/* Milliseconds with two places, so that 371 µs reads 0.37. */
static json_t *ms(uint32_t us)
{
	uint32_t hundredths = us / 10;

	return json_real(hundredths / 100.0);
}

static json_t *pair_json(const struct fl_pair *p)
{
	return json_pack("{s:o, s:o, s:s, s:i, s:i, s:o, s:n}", "local",
			 candidate_json(&p->local, p), "remote", candidate_json(&p->remote, p),
			 "state", state_name(p->state), "sent", (int)p->sent, "answered",
			 (int)p->answered, "rtt_ms", p->rtt_us ? ms(p->rtt_us) : json_null(),
			 "error");
}

json_t *route_json(const struct fl_route *route)
{
	if (route->method == FL_ROUTE_NONE)
		return NULL;
	json_t *tried = json_array();
	for (size_t i = 0; i < route->n_tried; i++)
		json_array_append_new(tried, pair_json(&route->tried[i]));
	return json_pack("{s:s, s:s, s:o, s:o, s:s, s:{s:o, s:o}, s:o}", "method",
			 fl_route_method_name(route->method), "transport",
			 protocol_of(&route->pair), "rtt_ms", ms(route->rtt_us), "setup_ms",
			 ms(route->setup_us), "reason", route->reason, "pair", "local",
			 candidate_json(&route->pair.local, &route->pair), "remote",
			 candidate_json(&route->pair.remote, &route->pair), "tried", tried);
}
