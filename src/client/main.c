/* fairlead-client: the daemon on an endpoint. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/opt.h"
#include "client/client.h"
#include "client/enrol.h"
#include "io/tls.h"

#define TOKEN_MAX 512 /* bytes of an enrolment token's text, with room to spare */

struct options {
	char *config, *hub, *enrol, *enrol_file, *data, *modules;
	struct way_options way;
	int inspection;
	struct opt_asked asked;
};

static const char *const inspections[] = { "warn", "refuse", NULL };

static const struct opt table[] = {
	{ "config", 'c', OPT_STRING, offsetof(struct options, config), "FILE",
	  "options, one \"key = value\" a line; those of the command line count more",
	  .cli_only = true },
	{ "hub", 0, OPT_STRING, offsetof(struct options, hub), "URL",
	  "the hub, as https://HOST:PORT; once enrolled it is remembered" },
	{ "enrol", 0, OPT_STRING, offsetof(struct options, enrol), "TOKEN",
	  "enrolment token; once enrolled it is not needed. Others on this machine can see it in "
	  "the "
	  "list of processes; --enrol-file keeps it from them" },
	{ "enrol-file", 0, OPT_STRING, offsetof(struct options, enrol_file), "FILE",
	  "file that holds the enrolment token; - reads it from standard input" },
	{ "data", 0, OPT_STRING, offsetof(struct options, data), "DIR", "folder of the device key",
	  "/var/lib/fairlead-client" },
	{ "modules", 0, OPT_STRING, offsetof(struct options, modules), "DIR",
	  "folder of the module programs; otherwise modules/ beside this program, or where they "
	  "were installed" },
	WAY_OPTIONS(offsetof(struct options, way)),
	{ "inspection", 0, OPT_CHOICE, offsetof(struct options, inspection), "warn|refuse",
	  "when somebody on the way opens the TLS to the hub: say so and go on, since sessions are "
	  "protected from end to end; or end",
	  "warn", .choices = inspections },
	OPT_ASKED(offsetof(struct options, asked)),
	{ NULL },
};

static const struct opt_program program = {
	.name = "fairlead-client",
	.summary = "the daemon on an endpoint of Fairlead",
	.usage = "fairlead-client --hub URL --enrol-file FILE --data DIR",
	.about = "Keeps one connection to the hub, answers consoles that the hub grants a session, "
		 "and runs the modules (files, screen, terminal) for them. It listens on no TCP "
		 "port.\n\n"
		 "The exit status is 0 after SIGTERM or SIGINT, 1 for a failure that trying again "
		 "cannot mend, 2 for a wrong option.",
	.options = table,
};

static int usage_error(const char *text)
{
	fprintf(stderr, "fairlead-client: %s\nTry fairlead-client --help.\n", text);
	return 2;
}

static void modules_folder(const struct options *o, char *dst, size_t cap)
{
	char self[4000];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n < 0 ? 0 : n] = 0;
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	snprintf(dst, cap, "%s/modules", self);
	if (o->modules)
		snprintf(dst, cap, "%s", o->modules);
	else if (!slash || access(dst, X_OK) < 0)
		snprintf(dst, cap, "%s", FAIRLEAD_MODULE_DIR);
}

static void on_signal(void *arg, int signo)
{
	struct client *c = arg;

	sessions_end_all(c);
	loop_stop(c->loop);
}

static void on_enrolled(struct client *c, int err, const char *why)
{
	if (err < 0) {
		fprintf(stderr, "fairlead-client: %s\n", why);
		c->exit_status = 1;
		loop_stop(c->loop);
		return;
	}
	uplink_start(c);
}

/* The token out of --enrol-file, without the end of its line. 0 or an exit status. */
static int read_token(struct options *o)
{
	bool standard = strcmp(o->enrol_file, "-") == 0;
	char text[TOKEN_MAX + 2] = "", why[512];
	FILE *f = standard ? stdin : fopen(o->enrol_file, "re");
	size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	int err = !f || ferror(f) ? errno : 0;

	if (f && !standard)
		(void)fclose(f);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = 0;
	if (!err && len > 0 && len <= TOKEN_MAX) {
		o->enrol = strdup(text);
		err = o->enrol ? 0 : ENOMEM;
	} else if (!err) {
		err = EINVAL;
	}
	ct_wipe(text, sizeof(text));
	if (!err)
		return 0;
	snprintf(why, sizeof(why),
		 "there is no enrolment token in %.200s (%s). Name a file that holds one with "
		 "--enrol-file.",
		 standard ? "standard input" : o->enrol_file,
		 err == EINVAL ? "it is empty or too long" : strerror(err));
	return usage_error(why);
}

/* What can be wrong before anything runs. */
static int open_identity(struct client *c, struct options *o)
{
	char why[512];
	int status = 0;

	if (o->enrol && o->enrol_file)
		return usage_error("--enrol and --enrol-file are two ways for one token; use one.");
	if (o->hub && hub_url_parse(o->hub, &c->url, why) < 0)
		return usage_error(why);
	if (identity_open(o->data, &c->identity, why) < 0) {
		fprintf(stderr, "fairlead-client: %s\n", why);
		return 1;
	}
	if (!c->identity.enrolled && (!o->hub || (!o->enrol && !o->enrol_file)))
		return usage_error(
			"this device is not enrolled yet: --hub URL and --enrol TOKEN (or "
			"--enrol-file FILE) are needed.");
	/* once enrolled the file is of no interest, and may be gone */
	if (!c->identity.enrolled && o->enrol_file)
		status = read_token(o);
	if (status)
		return status;
	if (!o->hub && hub_url_parse(c->identity.hub, &c->url, why) < 0) {
		fprintf(stderr, "fairlead-client: %s\n", why);
		return 1;
	}
	return 0;
}

static int open_way(struct client *c, const struct options *o)
{
	char why[512], path[4096];

	c->refuse_inspection = o->inspection == 1;
	if (way_create(&o->way, &c->way, why) < 0)
		return usage_error(why);
	uplink_watch_way(c);
	snprintf(path, sizeof(path), "%s/ways", o->data);
	return way_remember_in(c->way, path) < 0 ? 1 : 0;
}

static int prepare(struct client *c, const struct options *o)
{
	char dir[4096], why[256] = "Out of memory.";

	modules_folder(o, dir, sizeof(dir));
	int err = loop_create(&c->loop);
	if (err == 0)
		err = modulehost_create(c->loop, dir, &c->modules);
	if (err == 0)
		err = fl_identity_create(&c->dtls);
	/* the hub proves itself by its key, so any certificate will do; what is odd is noted */
	if (err == 0)
		err = tls_client_create(NULL, TLS_VERIFY_NONE, NULL, &c->tls, why);
	if (err < 0)
		fprintf(stderr, "fairlead-client: could not start: %s\n",
			err == FL_ETLS ? why : err_text(err));
	return err;
}

static int run(struct client *c, const struct options *o)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct loop_signal signal_watch = { .fd = -1 };
	struct enrol *enrol = NULL;
	char why[512];

	int err = loop_signal_start(c->loop, &signal_watch, signals, ARRAY_LEN(signals), on_signal,
				    c);
	if (err == 0 && c->identity.enrolled) {
		uplink_start(c);
	} else if (err == 0 && (err = enrol_start(c, o->enrol, on_enrolled, &enrol, why)) < 0) {
		fprintf(stderr, "fairlead-client: %s\n", why);
		loop_signal_stop(&signal_watch);
		return err == FL_EMALFORMED ? 2 : 1;
	}
	if (err == 0)
		err = loop_run(c->loop);
	/* what was said last still has to leave, and what was deferred to be done */
	if (err == 0)
		err = loop_turn(c->loop, 20 * USEC_PER_MSEC);
	enrol_destroy(enrol);
	uplink_stop(c);
	loop_signal_stop(&signal_watch);
	return err < 0 ? 1 : c->exit_status;
}

static int serve(struct options *o)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return 1;
	log_open("fairlead-client");
	/* one heap for all threads, given back early: the client is small where it does nothing */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	signal(SIGPIPE, SIG_IGN);
	list_init(&c->sessions);
	c->identity.lock_fd = -1;
	int status = open_identity(c, o);
	if (status == 0)
		status = open_way(c, o);
	if (status == 0)
		status = prepare(c, o) < 0 ? 1 : run(c, o);
	identity_close(&c->identity);
	tls_context_unref(c->tls);
	modulehost_destroy(c->modules); /* stops its watches, so before the loop */
	way_destroy(c->way);
	loop_destroy(c->loop);
	fl_identity_destroy(c->dtls);
	free(c);
	return status;
}

/* The command line, over the file that it names. */
static int read_options(struct options *o, int argc, char **argv, int *first,
			struct opt_error *error)
{
	struct options file = { 0 };
	int err = opt_defaults(table, o);

	if (err == 0)
		err = opt_parse_args(table, o, argc, argv, false, first, error);
	if (err < 0 || !o->config)
		return err;
	err = opt_defaults(table, &file);
	if (err == 0)
		err = opt_parse_file(table, &file, o->config, error);
	if (err == 0)
		err = opt_parse_args(table, &file, argc, argv, false, first, error);
	opt_finish(table, o);
	*o = file;
	return err;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct opt_error error = { "out of memory." };
	int first = argc, status;

	if (read_options(&o, argc, argv, &first, &error) < 0)
		status = usage_error(error.text);
	else if (opt_print_asked(&program, &o.asked, stdout))
		status = 0;
	else if (first < argc)
		status = usage_error("there is an argument that belongs to no option.");
	else
		status = serve(&o);
	opt_finish(table, &o);
	return status;
}
