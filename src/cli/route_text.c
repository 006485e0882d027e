#include "cli/route_text.h"

#include <string.h>

#include "base/text.h"
#include "cli/table.h"
#include "hublink/route_json.h"

#define TEXT_MAX 400

struct page {
	FILE *to;
	bool colour;
	struct table table;
};

static const char *paint(const struct page *p, const char *escape)
{
	return p->colour ? escape : "";
}

static void heading(struct page *p, const char *text, size_t columns)
{
	fprintf(p->to, "\n%s%s%s\n", paint(p, "\x1b[1m"), text, paint(p, "\x1b[0m"));
	p->table.columns = columns;
}

static void end_table(struct page *p)
{
	table_print(&p->table, p->to);
	table_finish(&p->table);
}

static const char *ms(char buf[32], uint32_t us)
{
	if (!us)
		return "";
	snprintf(buf, 32, us < 10000 ? "%.2f ms" : "%.0f ms", us / 1000.0);
	return buf;
}

static const char *place(char buf[96], const char *address, uint16_t port)
{
	if (!port) /* an address that was not used */
		snprintf(buf, 96, "%s", address);
	else
		snprintf(buf, 96, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port);
	return buf;
}

static const char *candidate(char buf[128], const struct fl_candidate *c)
{
	char at[96];

	snprintf(buf, 128, "%s %s", fl_candidate_type_name(c->type),
		 place(at, c->address, c->port));
	return buf;
}

/* ---- head ---- */

static void print_head(struct page *p, const struct fl_route *r)
{
	char local[128], remote[128], rtt[32], setup[32];

	fprintf(p->to, "%s%s%s  %s\n", paint(p, "\x1b[1m"), fl_route_method_name(r->method),
		paint(p, "\x1b[0m"), r->reason);
	if (r->method == FL_ROUTE_NONE)
		return;
	fprintf(p->to, "  %s - %s over %s%s", candidate(local, &r->pair.local),
		candidate(remote, &r->pair.remote), route_transport(r),
		r->relay_proxy ? " by the proxy" : "");
	if (r->rtt_us)
		fprintf(p->to, ", round trip %s", ms(rtt, r->rtt_us));
	if (r->setup_us)
		fprintf(p->to, ", set up in %s", ms(setup, r->setup_us));
	fprintf(p->to, "\n");
}

/* Text of the hub, which is not ours. */
static const char *shown(char buf[TEXT_MAX], const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text_printable(buf, TEXT_MAX, span_str(text ? text : ""));
}

/* This command is the console's end. */
static const char *side_of(const json_t *remedy)
{
	const char *side = json_string_value(json_object_get(remedy, "side"));

	return side && strcmp(side, "console") == 0 ? "in this network" : "in the device's network";
}

static void print_verdict(struct page *p, const json_t *verdict)
{
	char text[TEXT_MAX];
	const json_t *remedy;
	size_t i;

	if (!verdict)
		return;
	heading(p, "why", 1);
	fprintf(p->to, "  %s\n", shown(text, verdict, "sentence"));
	json_array_foreach(json_object_get(verdict, "remedy"), i, remedy)
		fprintf(p->to, "  - %s: %s\n", side_of(remedy), shown(text, remedy, "text"));
}

/* ---- tables ---- */

static bool was_tried(const struct fl_pair *t)
{
	return t->sent || t->received || t->state == FL_PAIR_FAILED;
}

static void print_pair(struct page *p, const struct fl_pair *t)
{
	bool works = t->state == FL_PAIR_SUCCEEDED, fails = t->state == FL_PAIR_FAILED;
	const char *colour = works ? "\x1b[32m" : fails ? "\x1b[2m" : NULL;
	char counts[96], local[128], remote[128], rtt[32];

	snprintf(counts, sizeof(counts), "%u sent, %u answered, %u received", t->sent, t->answered,
		 t->received);
	table_row(&p->table, p->colour ? colour : NULL,
		  (const char *[]){ works   ? "works"
				    : fails ? "fails"
					    : "open",
				    candidate(local, &t->local), candidate(remote, &t->remote),
				    t->tcp ? "tcp" : "udp", counts,
				    *t->error ? t->error : ms(rtt, t->rtt_us) });
}

static void print_pairs(struct page *p, const struct fl_route *r)
{
	size_t rest = 0;

	heading(p, "pairs of addresses", 6);
	if (r->n_tried == 0)
		fprintf(p->to, "  none\n");
	for (size_t i = 0; i < r->n_tried; i++) {
		const struct fl_pair *t = &r->tried[i];

		if (!was_tried(t)) {
			rest++;
			continue;
		}
		print_pair(p, t);
	}
	end_table(p);
	if (rest)
		fprintf(p->to, "  and %zu more that it did not come to\n", rest);
}
static void print_candidates(struct page *p, const struct fl_route *r)
{
	char at[96], since[32], use[160];

	heading(p, "candidates", 8);
	for (size_t i = 0; i < r->n_candidates; i++) {
		const struct fl_found *f = &r->candidates[i];
		const char *word = fl_candidate_use_name(f->use);

		snprintf(since, sizeof(since), "%.1f ms", f->since_us / 1000.0);
		snprintf(use, sizeof(use), *f->why ? "%s: %s" : "%s", word, f->why);
		table_row(&p->table, p->colour && f->use == FL_USE_SELECTED ? "\x1b[32m" : NULL,
			  (const char *[]){ f->remote ? "other end" : "this end",
					    fl_candidate_type_name(f->type),
					    place(at, f->address, f->port), f->tcp ? "tcp" : "udp",
					    f->origin, fl_net_name(f->net), since, use });
	}
	end_table(p);
}

static void print_servers(struct page *p, const struct fl_route *r)
{
	char took[32], result[256];

	if (r->n_servers == 0)
		return;
	heading(p, "servers", 5);
	for (size_t i = 0; i < r->n_servers; i++) {
		const struct fl_server *s = &r->servers[i];
		bool good = s->state == FL_SERVER_ANSWERED;

		if (s->code)
			snprintf(result, sizeof(result), "%s (%u)", s->error, s->code);
		else
			snprintf(result, sizeof(result), "%s%s",
				 good && *s->mapped ? "sees us as " : "",
				 good ? s->mapped : s->error);
		table_row(&p->table,
			  p->colour && !good && s->state != FL_SERVER_UNUSED ? "\x1b[33m" : NULL,
			  (const char *[]){ s->url, s->proxy ? "by the proxy" : s->transport,
					    fl_server_state_name(s->state), ms(took, s->took_us),
					    result });
	}
	end_table(p);
}

static const char *mapping_text(enum fl_nat_mapping mapping)
{
	switch (mapping) {
	case FL_MAPPING_UNKNOWN:
		return "not known";
	case FL_MAPPING_NONE:
		return "none: addresses are not translated";
	case FL_MAPPING_INDEPENDENT:
		return "the same for every destination; hole punching works";
	case FL_MAPPING_ADDRESS:
		return "another one for each address; hole punching is hard";
	case FL_MAPPING_PORT:
		return "another one for each address and port (symmetric); hole punching is hard";
	}
	return "";
}

static const char *filtering_text(enum fl_nat_filtering filtering)
{
	switch (filtering) {
	case FL_FILTERING_UNKNOWN:
		return "not known";
	case FL_FILTERING_OPEN:
		return "open: anybody comes in on an address once it is in use";
	case FL_FILTERING_ADDRESS:
		return "by address: who was spoken to comes in";
	case FL_FILTERING_PORT:
		return "by address and port: only exactly who was spoken to comes in";
	}
	return "";
}

static void print_rest(struct page *p, const struct fl_route *r)
{
	char count[32];

	heading(p, "NAT in front of this end", 2);
	table_row(&p->table, NULL, (const char *[]){ "mapping", mapping_text(r->mapping) });
	table_row(&p->table, NULL, (const char *[]){ "filtering", filtering_text(r->filtering) });
	end_table(p);
	if (r->n_ignored == 0)
		return;
	heading(p, "ignored", 2);
	for (size_t i = 0; i < r->n_ignored; i++) {
		snprintf(count, sizeof(count), "%llu", (unsigned long long)r->ignored[i].count);
		table_row(&p->table, NULL, (const char *[]){ r->ignored[i].word, count });
	}
	end_table(p);
}

void route_text(const struct fl_route *route, const json_t *verdict, bool colour, FILE *to)
{
	struct page p = { .to = to, .colour = colour };

	print_head(&p, route);
	print_verdict(&p, verdict);
	print_candidates(&p, route);
	print_pairs(&p, route);
	print_servers(&p, route);
	print_rest(&p, route);
}
