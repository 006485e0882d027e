/*
 * One ICE agent over real sockets, for tests against other implementations: agent ROLE ADDRESS…
 * On standard input, a line each: "remote UFRAG PWD", "candidate:…", "end", "restart". On standard
 * output: "local UFRAG PWD", "candidate:…", "end", "state NAME", "path LEVEL LOCAL REMOTE", "data
 * N" after N bytes that are no STUN; those are sent back where they came from.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "io/udp.h"
#include "proto/ice/ice.h"
#include "proto/stun/stun.h"

#define SOCKETS_MAX 4

struct agent {
	struct loop *loop;
	struct ice *ice;
	struct udp *udp[SOCKETS_MAX];
	size_t n_udp;
	struct loop_timer timer;
	struct loop_watch input;
	struct buf line;
};

static void send_from(struct agent *a, const struct dgram *d)
{
	for (size_t i = 0; i < a->n_udp; i++) {
		struct addr at = udp_addr(a->udp[i]);

		if (addr_equal(&at, &d->local))
			(void)udp_send(a->udp[i], d);
	}
}

static void tell_path(const struct agent *a)
{
	static const char *const levels[] = { "none", "early", "valid", "selected" };
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
	struct ice_path path;

	if (ice_path(a->ice, &path) != ICE_PATH_NONE)
		printf("path %s %s %s\n", levels[path.level], addr_format(&path.local, local),
		       addr_format(&path.remote, remote));
}

static void turn(struct agent *a)
{
	char text[ICE_CANDIDATE_TEXT_MAX];
	struct ice_event e;
	struct dgram d;

	while (ice_next_output(a->ice, &d))
		send_from(a, &d);
	while (ice_next_event(a->ice, &e))
		switch (e.type) {
		case ICE_EVENT_CANDIDATE:
			if (ice_candidate_format(&e.candidate, text, sizeof(text)) > 0)
				printf("%s\n", text);
			break;
		case ICE_EVENT_GATHERED:
			printf("end\n");
			break;
		case ICE_EVENT_STATE:
			printf("state %s\n", ice_state_name(e.state));
			break;
		case ICE_EVENT_PATH:
			tell_path(a);
			break;
		case ICE_EVENT_ROLE:
			printf("role %s\n", ice_controlling(a->ice) ? "controlling" : "controlled");
			break;
		}
	fflush(stdout);
	loop_timer_at(&a->timer, ice_deadline(a->ice));
}

static void on_batch(void *arg, const struct dgram *dgrams, size_t n)
{
	struct agent *a = arg;

	for (size_t i = 0; i < n; i++)
		if (stun_is_message(dgrams[i].data)) {
			(void)ice_input(a->ice, loop_now(a->loop), &dgrams[i]);
		} else {
			printf("data %zu\n", dgrams[i].data.len);
			send_from(a, &dgrams[i]);
		}
	turn(a);
}

static void on_timer(void *arg)
{
	struct agent *a = arg;

	ice_timeout(a->ice, loop_now(a->loop));
	turn(a);
}

static void tell_credentials(const struct agent *a)
{
	printf("local %s %s\n", ice_local_ufrag(a->ice), ice_local_pwd(a->ice));
}

static void on_line(struct agent *a, char *line)
{
	char ufrag[ICE_UFRAG_MAX + 1], pwd[ICE_PWD_MAX + 1];
	usec_t now = loop_now(a->loop);
	struct ice_candidate c;

	if (sscanf(line, "remote %256s %256s", ufrag, pwd) == 2) {
		struct ice_remote remote = { .ufrag = ufrag, .pwd = pwd };

		if (ice_set_remote(a->ice, now, &remote) < 0)
			printf("refused\n");
	} else if (strcmp(line, "end") == 0) {
		ice_end_of_remotes(a->ice, now);
	} else if (strcmp(line, "restart") == 0) {
		ice_restart(a->ice, now);
		tell_credentials(a);
	} else if (ice_candidate_parse(span_str(line), &c) < 0 ||
		   !ice_add_remote(a->ice, now, &c)) {
		printf("ignored %s\n", line);
	}
	turn(a);
}

static void on_input(void *arg, uint32_t events)
{
	struct agent *a = arg;
	uint8_t *room = buf_reserve(&a->line, 4096);
	ssize_t n = room ? read(0, room, 4096) : -1;
	const uint8_t *end;

	if (n <= 0) {
		loop_watch_stop(&a->input);
		loop_stop(a->loop);
		return;
	}
	buf_commit(&a->line, (size_t)n);
	while (buf_span(&a->line).ptr &&
	       (end = memchr(buf_span(&a->line).ptr, '\n', buf_span(&a->line).len))) {
		char line[ICE_CANDIDATE_TEXT_MAX];
		size_t len = (size_t)(end - buf_span(&a->line).ptr);

		snprintf(line, sizeof(line), "%.*s", (int)len,
			 (const char *)buf_span(&a->line).ptr);
		buf_consume(&a->line, len + 1);
		on_line(a, line);
	}
}

static int add_address(struct agent *a, const char *text)
{
	struct udp_config config = { 0 };
	struct ice_local local = { .type = ICE_HOST };

	if (a->n_udp == SOCKETS_MAX || addr_parse_ip(text, &config.bind) < 0 ||
	    udp_create(a->loop, &config, on_batch, a, &a->udp[a->n_udp]) < 0)
		return -1;
	local.addr = udp_addr(a->udp[a->n_udp++]);
	return ice_add_local(a->ice, loop_now(a->loop), &local);
}

int main(int argc, char **argv)
{
	static struct agent a = { .line = BUF_INIT(65536) };
	struct ice_config config = { .controlling = argc > 1 &&
						    strcmp(argv[1], "controlling") == 0 };

	if (loop_create(&a.loop) < 0 || !(a.ice = ice_create(&config, rng_system())))
		return 1;
	loop_timer_init(a.loop, &a.timer, on_timer, &a);
	tell_credentials(&a);
	for (int i = 2; i < argc; i++)
		if (add_address(&a, argv[i]) < 0) {
			fprintf(stderr, "agent: %s cannot be used\n", argv[i]);
			return 2;
		}
	ice_end_of_locals(a.ice, loop_now(a.loop));
	turn(&a);
	fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
	if (loop_watch_start(a.loop, &a.input, 0, EPOLLIN, on_input, &a) < 0 ||
	    loop_run(a.loop) < 0)
		return 1;
	loop_timer_stop(&a.timer);
	for (size_t i = 0; i < a.n_udp; i++)
		udp_destroy(a.udp[i]);
	ice_destroy(a.ice);
	buf_finish(&a.line);
	loop_destroy(a.loop);
	return 0;
}
