/* fairlead-relay: options, sockets, and a clean end. */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/text.h"
#include "relay/listen_udp.h"

struct options {
	struct opt_list listen;
	char *realm, *config;
	struct opt_asked asked;
};

/* "udp:ADDR:PORT"; without a transport it is UDP. */
static int parse_listen(const char *text, struct addr *at, char why[128])
{
	static const char *const later[] = { "tcp:", "tls:", "dtls:", "wss:" };

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (strncmp(text, later[i], strlen(later[i])) == 0) {
			snprintf(why, 128,
				 "this relay listens on udp: only, \"%.5s\" is not known to it",
				 text);
			return FL_EUNSUPPORTED;
		}
	if (strncmp(text, "udp:", 4) == 0)
		text += 4;
	if (addr_parse(text, at) < 0) {
		snprintf(why, 128, "\"%.60s\" is not udp:ADDRESS:PORT", text);
		return FL_EMALFORMED;
	}
	return 0;
}

static const struct opt table[] = {
	{ "listen", 'l', OPT_LIST, offsetof(struct options, listen), .arg = "udp:ADDR:PORT",
	  .help = "Where to answer; may be given several times. Default: udp:0.0.0.0:3478 and "
		  "udp:[::]:3478." },
	{ "realm", 0, OPT_STRING, offsetof(struct options, realm), .arg = "REALM",
	  .help = "The realm told to clients that must authenticate.", .initial = "fairlead" },
	{ "config", 'c', OPT_STRING, offsetof(struct options, config), .arg = "FILE",
	  .help = "Reads options from a file first.", .cli_only = true },
	OPT_ASKED(offsetof(struct options, asked)),
	{ 0 },
};

static const struct opt_program program = {
	.name = "fairlead-relay",
	.summary = "answers STUN Binding requests",
	.usage = "fairlead-relay [--listen udp:ADDR:PORT …] [OPTIONS]",
	.about = "Tells clients the address and port under which they are seen, so that two of "
		 "them can find a way to each other. Keeps no state about them.\n\n"
		 "The exit status is 0 after SIGTERM or SIGINT, 1 for a failure, 2 for a wrong "
		 "option.",
	.options = table,
};

static int usage_error(const char *text)
{
	fprintf(stderr, "fairlead-relay: %s\nTry fairlead-relay --help.\n", text);
	return 2;
}

/* Options of the file first, then those of the command line over them. */
static int read_options(struct options *o, int argc, char **argv, struct opt_error *error)
{
	struct options probe = { 0 };
	int first, err = opt_parse_args(table, &probe, argc, argv, false, &first, error);

	if (err == 0 && first < argc) {
		snprintf(error->text, sizeof(error->text), "\"%.100s\" belongs to no option",
			 argv[first]);
		err = FL_EMALFORMED;
	}
	if (err == 0 && probe.config)
		err = opt_parse_file(table, o, probe.config, error);
	if (err == 0)
		err = opt_parse_args(table, o, argc, argv, false, &first, error);
	opt_finish(table, &probe);
	return err;
}

/* 0, or the exit status after a sentence that says what is wrong. */
static int listen_at(struct relay *relay, const char *text)
{
	char why[128], name[ADDR_TEXT_MAX];
	struct addr at, bound;
	int err = parse_listen(text, &at, why);

	if (err < 0) {
		fprintf(stderr, "fairlead-relay: --listen: %s.\n", why);
		return 2;
	}
	err = relay_listen_udp(relay, &at, &bound);
	if (err < 0) {
		fprintf(stderr,
			"fairlead-relay: cannot listen on udp:%s: %s. Is another relay "
			"running, or does the address belong to another machine?\n",
			addr_format(&at, name), err_text(err));
		return 1;
	}
	log_info("listening", "udp=%s", addr_format(&bound, name));
	return 0;
}

static int listen_all(struct relay *relay, const struct options *o)
{
	static const char *const everywhere[] = { "udp:0.0.0.0:3478", "udp:[::]:3478" };
	size_t n = o->listen.count ? o->listen.count : ARRAY_LEN(everywhere);

	for (size_t i = 0; i < n; i++) {
		int status = listen_at(relay, o->listen.count ? o->listen.items[i] : everywhere[i]);

		if (status)
			return status;
	}
	return 0;
}

static void on_signal(void *arg, int signo)
{
	log_info("stopping", "signal=%d", signo);
	loop_stop(arg);
}

static int run(const struct options *o)
{
	static const int signals[] = { SIGTERM, SIGINT };
	struct loop_signal watch = { .fd = -1 };
	struct loop *loop = NULL;
	struct relay *relay = NULL;
	int status = 1, err = loop_create(&loop);

	if (err == 0)
		err = relay_create(loop, &relay);
	if (err == 0)
		err = loop_signal_start(loop, &watch, signals, ARRAY_LEN(signals), on_signal, loop);
	if (err == 0) {
		status = listen_all(relay, o);
		if (status == 0) {
			log_info("ready", "version=%s realm=%s", FAIRLEAD_VERSION, o->realm);
			err = loop_run(loop);
		}
	}
	if (err < 0) {
		fprintf(stderr, "fairlead-relay: %s\n", err_text(err));
		status = 1;
	}
	loop_signal_stop(&watch);
	relay_destroy(relay);
	loop_destroy(loop);
	return status;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct opt_error error;
	int status = 1;

	if (opt_defaults(table, &o) < 0)
		return 1;
	if (read_options(&o, argc, argv, &error) < 0) {
		opt_finish(table, &o);
		return usage_error(error.text);
	}
	log_open("fairlead-relay");
	status = opt_print_asked(&program, &o.asked, stdout) ? 0 : run(&o);
	opt_finish(table, &o);
	return status;
}
