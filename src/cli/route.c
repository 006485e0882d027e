/* fairlead route */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/session.h"
#include "hublink/route_json.h"

#define SETTLE_US (400 * USEC_PER_MSEC) /* for the pairs that lose, and a round-trip time */

struct options {
	struct cli_common common; /* first */
	int route;
};

static const struct opt table[] = {
	CLI_COMMON_OPTIONS,
	{ "route", 0, OPT_CHOICE, offsetof(struct options, route), "METHOD",
	  "allow only this method: auto, local, punched or relayed", "auto",
	  .choices = session_route_names },
	CLI_HELP_OPTIONS,
	{ NULL },
};

static const struct opt_program program = {
	.name = "fairlead route",
	.summary = "find the route to a device and say why it was taken",
	.usage = "fairlead route DEVICE [--json]",
	.about = "Sets up a session as connect does, reports the route that was found with every "
		 "pair "
		 "of addresses that was tried, and ends the session. DEVICE is a name or an id.",
	.options = table,
};

struct run {
	struct loop *loop;
	struct console_session *session;
	struct loop_timer settle;
	bool done, failed;
};

static void on_connected(void *arg)
{
	struct run *r = arg;

	loop_timer_after(&r->settle, SETTLE_US);
}

static void on_event(void *arg, const struct fl_event *event)
{
}

static void on_failed(void *arg, const char *why)
{
	struct run *r = arg;

	if (*why)
		cli_say("%s", why);
	r->failed = true;
}

static void on_settled(void *arg)
{
	struct run *r = arg;

	r->done = true;
}

static const struct console_handler handler = { on_connected, on_event, on_failed };

static void print_candidate(const struct fl_candidate *c)
{
	printf("%s %s:%u", fl_candidate_type_name(c->type), c->address, c->port);
}

static void print_route(const struct fl_route *route)
{
	const char *bold = cli_colour() ? "\x1b[1m" : "", *off = *bold ? "\x1b[0m" : "";

	printf("%s%s%s  %s\n", bold, fl_route_method_name(route->method), off, route->reason);
	printf("  round trip %.2f ms, set up in %.0f ms, over UDP\n  ", route->rtt_us / 1000.0,
	       route->setup_us / 1000.0);
	print_candidate(&route->pair.local);
	printf(" - ");
	print_candidate(&route->pair.remote);
	printf("\ntried\n");
	for (size_t i = 0; i < route->n_tried; i++) {
		const struct fl_pair *p = &route->tried[i];
		printf("  %s ", p->state == FL_PAIR_SUCCEEDED ? "works "
				: p->state == FL_PAIR_FAILED  ? "fails "
							      : "open  ");
		print_candidate(&p->local);
		printf(" - ");
		print_candidate(&p->remote);
		printf("  (%u sent, %u answered)\n", p->sent, p->answered);
	}
}

static int report(struct run *r, bool json)
{
	struct fl_route route;

	fl_peer_route(console_session_peer(r->session), &route);
	json_t *object = route_json(&route);
	if (!object) {
		cli_say("the session works, but its route is not known yet.");
		return CLI_FAILURE;
	}
	if (json)
		json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)), putchar('\n');
	else
		print_route(&route);
	json_decref(object);
	return 0;
}

static int find_route(const struct options *o, const char *device)
{
	struct target target;
	struct run r = { 0 };
	int status = target_open(&o->common, &target);

	if (status != 0)
		return status;
	struct console_config config = { &target, device, (enum session_route)o->route };
	int err = loop_create(&r.loop);
	if (err == 0)
		err = console_session_create(r.loop, &config, &handler, &r, &r.session);
	if (err == 0)
		loop_timer_init(r.loop, &r.settle, on_settled, &r);
	while (err == 0 && !r.done && !r.failed)
		err = loop_turn(r.loop, USEC_NEVER);
	if (err < 0)
		cli_say("%s", err_text(err));
	status = err == 0 && r.done ? report(&r, o->common.json) : CLI_FAILURE;
	if (r.session)
		console_session_end(r.session);
	console_session_destroy(r.session);
	target_close(&target);
	loop_destroy(r.loop);
	return status;
}

static int run(int argc, char **argv)
{
	struct options o = { 0 };
	int first;
	int status = cli_parse(&program, &o, &o.common, argc, argv, false, &first);

	if (status < 0 && first != argc - 1) {
		cli_say("route needs one DEVICE. Try fairlead route --help.");
		status = CLI_USAGE;
	}
	if (status < 0)
		status = find_route(&o, argv[first]);
	opt_finish(table, &o);
	return status;
}

const struct cli_command cli_route = { "route", &program, run };
