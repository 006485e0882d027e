/* fairlead-relay: settings, sockets, and a clean end. */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "relay/listen_udp.h"
#include "relay/settings.h"

/* 0, or the exit status after a sentence that says what is wrong. */
static int listen_at(struct relay *relay, const struct settings_listener *l)
{
	char name[ADDR_TEXT_MAX];
	struct addr bound;
	int err = relay_listen_udp(relay, &l->at, &bound);

	if (err < 0) {
		fprintf(stderr,
			"fairlead-relay: cannot listen on udp:%s: %s. Is another relay "
			"running, or does the address belong to another machine?\n",
			addr_format(&l->at, name), err_text(err));
		return 1;
	}
	log_info("listening", "udp=%s", addr_format(&bound, name));
	return 0;
}

static int listen_all(struct relay *relay, const struct settings *s)
{
	for (size_t i = 0; i < s->n_listeners; i++) {
		const struct settings_listener *l = &s->listeners[i];
		int status = l->transport == TURN_UDP ? listen_at(relay, l) : 0;

		if (status)
			return status;
		if (l->transport != TURN_UDP)
			log_warn("not-listening", "transport=%s why=\"udp only\"",
				 turn_transport_name(l->transport));
	}
	return 0;
}

static void on_signal(void *arg, int signo)
{
	log_info("stopping", "signal=%d", signo);
	loop_stop(arg);
}

static int run(const struct settings *s)
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
		status = listen_all(relay, s);
		if (status == 0) {
			log_info("ready", "version=%s realm=%s", FAIRLEAD_VERSION, s->realm);
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
	struct settings *s = NULL;
	struct opt_error error;
	int status;

	log_open("fairlead-relay");
	if (settings_read(argc, argv, NULL, &s, &error) < 0) {
		fprintf(stderr, "fairlead-relay: %s\nTry fairlead-relay --help.\n", error.text);
		return 2;
	}
	status = opt_print_asked(&settings_program, &s->asked, stdout) || s->check_config ? 0
											  : run(s);
	settings_unref(s);
	return status;
}
