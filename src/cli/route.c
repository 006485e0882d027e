/* fairlead route */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/route_text.h"
#include "cli/session.h"
#include "hublink/route_json.h"

/* for the pairs that lose, a round-trip time, and what the NAT lets in */
#define SETTLE_US (900 * USEC_PER_MSEC)
#define VERDICT_US USEC_PER_SEC /* for what the hub makes of the reports */

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
	.about = "Sets up a session as connect does, reports the route that was found, or why none "
		 "was: every address of both ends, every pair of them that was tried, the servers "
		 "that were asked, and the NAT in front of this end; then ends the session. DEVICE "
		 "is a name or an id.",
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

/* The report of both ends may change what the hub says: its last word is waited for, a little. */
static bool has_final_verdict(const struct run *r)
{
	const json_t *verdict = console_session_verdict(r->session);

	return verdict && json_is_true(json_object_get(verdict, "final"));
}

static void await_verdict(struct run *r)
{
	usec_t until = usec_add(usec_monotonic(), VERDICT_US), now = 0;

	if (!console_session_tell_route(r->session))
		return;
	while (!has_final_verdict(r) && now < until) {
		now = usec_monotonic();
		if (loop_turn(r->loop, usec_sub(until, now)) < 0)
			return;
		console_session_pump(r->session);
	}
}

static json_t *report_json(struct run *r, const struct fl_route *route)
{
	json_t *object = route_json(route);
	const json_t *verdict = console_session_verdict(r->session);

	if (object && verdict)
		json_object_set(object, "verdict", (json_t *)verdict);
	return object;
}

/* Also of a session that found no route: then the report is the answer. */
static int report(struct run *r, bool json)
{
	FL_AUTOFREE struct fl_route *route = NULL;
	json_t *object = NULL;
	int status;

	await_verdict(r);
	route = console_session_report(r->session);
	if (route)
		object = report_json(r, route);
	if (!object) {
		if (!r->failed)
			cli_say("out of memory.");
		return CLI_FAILURE;
	}
	if (json)
		json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)), putchar('\n');
	else
		route_text(route, console_session_verdict(r->session), cli_colour(), stdout);
	json_decref(object);
	status = r->failed || route->method == FL_ROUTE_NONE ? CLI_FAILURE : 0;
	return status;
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
	status = err == 0 && r.session ? report(&r, o->common.json) : CLI_FAILURE;
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
