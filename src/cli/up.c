/*
 * fairlead up: a hub, a relay and a client for this machine, kept running.
 *
 *	Xvfb ─ ready with its number ─┐
 *	relay                         ├─► demo, client
 *	hub ── "ready URL" ── tokens ─┘
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/ct.h"
#include "base/err.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/wire.h"
#include "cli/cli.h"
#include "cli/supervise.h"
#include "hublink/request.h"

#define SCREEN "1280x800x24"
#define PORT_TRIES 20
#define RELAY_SECRET_LEN 32 /* bytes before they become text */
#define DISPLAY_WAIT_US (5 * USEC_PER_SEC)

struct options {
	struct cli_common common; /* first */
	char *data;
	uint16_t port, relay_port;
	bool no_client, demo;
};

static const struct opt table[] = {
	{ "data", 0, OPT_STRING, offsetof(struct options, data), "DIR",
	  "folder for everything; otherwise $XDG_STATE_HOME/fairlead or ~/.local/state/fairlead" },
	{ "port", 0, OPT_PORT, offsetof(struct options, port), "PORT",
	  "TCP port of the hub; 0: a free one", "8443" },
	{ "relay-port", 0, OPT_PORT, offsetof(struct options, relay_port), "PORT",
	  "UDP and TCP port of the relay; 0: a free one", "3478" },
	{ "no-client", 0, OPT_FLAG, offsetof(struct options, no_client), NULL,
	  "do not make this machine a device" },
	{ "demo", 0, OPT_FLAG, offsetof(struct options, demo), NULL,
	  "show a virtual desktop instead of this machine's; chosen by itself without DISPLAY" },
	CLI_HELP_OPTIONS,
	{ NULL },
};

static const struct opt_program program = {
	.name = "fairlead up",
	.summary = "run hub, relay and a client for this machine",
	.usage = "fairlead up [OPTIONS]",
	.about = "Starts all parts on this machine, prints where the console is and a link that "
		 "signs "
		 "in once, and keeps the parts running until Ctrl-C. DIR/admin.token holds an API "
		 "key; the other commands find it by themselves.",
	.options = table,
};

struct up {
	const struct options *o;
	struct loop *loop;
	struct supervisor supervisor;
	struct child hub, relay, client, xvfb, demo;
	struct loop_signal signals;
	struct loop_timer display_timer;
	char dir[4000], bin[4000];
	char url[512], local_url[64];	  /* as people write it; as we reach it */
	uint16_t relay_port, stream_port; /* the second is for the hub alone */
	int lock_fd;
	struct target target;
	bool desktop, display_known, hub_ready, told, stop;
	char display[32];
	int status;
};

static void give_up(struct up *u, const char *why)
{
	if (u->stop)
		return;
	cli_say("%s", why);
	u->status = CLI_FAILURE;
	u->stop = true;
}

/* ---- the folder ---- */

static int make_folder(struct up *u)
{
	char path[4100];

	if (u->o->data)
		snprintf(u->dir, sizeof(u->dir), "%s", u->o->data);
	else if (!target_default_dir(u->dir, sizeof(u->dir)))
		return -ENOENT;
	for (char *s = u->dir + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = 0;
		if (mkdir(u->dir, 0755) < 0 && errno != EEXIST)
			return -errno;
		*s = '/';
	}
	if (mkdir(u->dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/log", u->dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	u->supervisor.log_dir = strdup(path);
	snprintf(path, sizeof(path), "%s/up.lock", u->dir);
	u->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (u->lock_fd < 0)
		return -errno;
	return flock(u->lock_fd, LOCK_EX | LOCK_NB) < 0 ? -EALREADY : 0;
}

static int prepare_folder(struct up *u)
{
	int err = make_folder(u);

	if (err == -EALREADY)
		cli_say("fairlead up already runs with %s. Stop it first, or name another folder "
			"with "
			"--data.",
			u->dir);
	else if (err < 0)
		cli_say("the data folder %s cannot be written (%s). Make it writable, or name "
			"another "
			"one with --data.",
			*u->dir ? u->dir : "in your home", err_text(err));
	return err;
}

/* For the other commands. */
static void write_note(struct up *u)
{
	char path[4100];
	json_t *note = json_pack("{s:s, s:s, s:i}", "hub", u->local_url, "console", u->url, "pid",
				 (int)getpid());

	snprintf(path, sizeof(path), "%s/up.json", u->dir);
	if (!note || json_dump_file(note, path, JSON_INDENT(2)) < 0)
		give_up(u, "the data folder cannot be written.");
	json_decref(note);
}

static void find_programs(struct up *u)
{
	ssize_t n = readlink("/proc/self/exe", u->bin, sizeof(u->bin) - 1);

	u->bin[n < 0 ? 0 : n] = 0;
	char *slash = strrchr(u->bin, '/');
	if (slash)
		*slash = 0;
}

static bool has_v6(void)
{
	FL_CLEANUP(fl_closep) int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };

	return fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;
}

/* The port as bound, 0 when it is taken. */
static uint16_t bind_port(int fd, uint16_t port)
{
	struct addr a = { .family = ADDR_V4, .port = port };
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&a, &ss);

	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) < 0)
		return 0;
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    addr_from_sockaddr((struct sockaddr *)&ss, len, &a) < 0)
		return 0;
	return a.port;
}

/* One that is free for UDP and for TCP. */
static uint16_t free_port(void)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		FL_CLEANUP(fl_closep) int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		FL_CLEANUP(fl_closep) int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		uint16_t port = bind_port(udp, 0);

		if (port && bind_port(tcp, port))
			return port;
	}
	return 0;
}

/* ---- the virtual desktop ---- */

static bool in_path(const char *name)
{
	const char *path = getenv("PATH");
	char full[4200];

	for (const char *s = path ? path : "/usr/bin:/bin"; *s;) {
		size_t len = strcspn(s, ":");
		snprintf(full, sizeof(full), "%.*s/%s", (int)len, s, name);
		if (access(full, X_OK) == 0)
			return true;
		s += len + (s[len] == ':');
	}
	return false;
}

/* An authority file with one cookie for every display: only who can read it gets in. */
static int write_cookie(const char *path)
{
	uint8_t cookie[16], entry[64];
	struct writer w = writer_of(entry, sizeof(entry));

	rng_bytes(rng_system(), cookie, sizeof(cookie));
	writer_u16(&w, 0xffff); /* FamilyWild */
	writer_u16(&w, 0);	/* address */
	writer_u16(&w, 0);	/* display number */
	writer_u16(&w, 18);
	writer_str(&w, "MIT-MAGIC-COOKIE-1");
	writer_u16(&w, sizeof(cookie));
	writer_bytes(&w, cookie, sizeof(cookie));
	FL_CLEANUP(fl_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct span s = writer_span(&w);
	return fd < 0 || write(fd, s.ptr, s.len) != (ssize_t)s.len ? -EIO : 0;
}

static int set_display(struct up *u, struct child *c)
{
	for (size_t i = 0; c->env[i]; i++) {
		free(c->env[i]);
		c->env[i] = NULL;
	}
	int err = child_env(c, "DISPLAY=%s", u->display);
	return err ? err : child_env(c, "XAUTHORITY=%s/Xauthority", u->dir);
}

/* Xvfb writes its display's number when it is ready. */
static void on_display(void *arg, const char *line)
{
	struct up *u = arg;
	char display[32];

	if (!*line || strspn(line, "0123456789") != strlen(line))
		return;
	snprintf(display, sizeof(display), ":%.16s", line);
	bool moved = u->display_known && strcmp(display, u->display) != 0;
	snprintf(u->display, sizeof(u->display), "%s", display);
	u->display_known = true;
	loop_timer_stop(&u->display_timer);
	if (set_display(u, &u->demo) < 0 || set_display(u, &u->client) < 0) {
		give_up(u, "out of memory.");
		return;
	}
	/* the programs of the old display die with it; the client must be told of the new one */
	if (!u->demo.started && child_start(&u->demo) < 0)
		give_up(u, "the demo desktop cannot be started.");
	if (moved && u->client.started)
		child_restart(&u->client);
}

static void on_no_display(void *arg)
{
	struct up *u = arg;
	char why[600], words[500];

	child_last_words(&u->xvfb, words, sizeof(words));
	snprintf(why, sizeof(why), "note: the virtual desktop does not come up (Xvfb: %.450s).",
		 words);
	cli_say("%s", why);
	u->desktop = false;
}

static int start_desktop(struct up *u)
{
	char path[4100];

	snprintf(path, sizeof(path), "%s/Xauthority", u->dir);
	int err = write_cookie(path);
	child_init(&u->supervisor, &u->xvfb, "xvfb");
	child_init(&u->supervisor, &u->demo, "demo");
	u->xvfb.on_line = on_display;
	u->xvfb.arg = u;
	if (err == 0)
		err = child_arg(&u->xvfb, "Xvfb");
	if (err == 0)
		err = child_arg(&u->xvfb, "-displayfd") | child_arg(&u->xvfb, "1") |
		      child_arg(&u->xvfb, "-screen") | child_arg(&u->xvfb, "0") |
		      child_arg(&u->xvfb, SCREEN) | child_arg(&u->xvfb, "-nolisten") |
		      child_arg(&u->xvfb, "tcp") | child_arg(&u->xvfb, "-auth") |
		      child_arg(&u->xvfb, "%s", path) |
		      child_arg(&u->demo, "%s/fairlead-demo", u->bin);
	if (err == 0)
		err = child_start(&u->xvfb);
	loop_timer_after(&u->display_timer, DISPLAY_WAIT_US);
	return err;
}

/* ---- the client ---- */

static bool client_enrolled(struct up *u)
{
	char path[4100];

	snprintf(path, sizeof(path), "%s/client/device.json", u->dir);
	json_t *root = json_load_file(path, 0, NULL);
	bool enrolled = json_is_string(json_object_get(root, "device"));
	json_decref(root);
	return enrolled;
}

static json_t *ask(struct up *u, const char *path, json_t *body)
{
	char why[512];
	json_t *answer = target_request(u->loop, &u->target, "POST", path, body, why);

	if (!answer)
		give_up(u, why);
	return answer;
}

/* A file for the client: an argument could be seen by everybody on this machine. */
static int write_token(const char *path, const char *token)
{
	struct span s = span_str(token);

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	FL_CLEANUP(fl_closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 || write(fd, s.ptr, s.len) != (ssize_t)s.len ? -EIO : 0;
}

static void token_path(const struct up *u, char *dst, size_t cap)
{
	snprintf(dst, cap, "%s/enrol.token", u->dir);
}

/* Enrolled or not, it is of no use any more. */
static void remove_token(const struct up *u)
{
	char path[4100];

	token_path(u, path, sizeof(path));
	if (u->client.started)
		(void)unlink(path);
}

/* When there is a hub, and a display if there is to be one. Turns the loop while it asks the hub,
 * so it is called from outside of it. */
static void start_client(struct up *u)
{
	json_t *answer = NULL;
	char path[4100];

	if (u->stop || u->o->no_client || u->client.started || !u->told ||
	    (u->desktop && !u->display_known))
		return;
	int err = child_arg(&u->client, "%s/fairlead-client", u->bin);
	if (err == 0)
		err = child_arg(&u->client, "--hub=%s", u->local_url) |
		      child_arg(&u->client, "--data=%s/client", u->dir);
	if (err == 0 && !client_enrolled(u)) {
		answer = ask(u, "/api/enrolment-tokens",
			     json_pack("{s:i, s:i}", "uses", 1, "expiresIn", 600));
		const char *token = json_string_value(json_object_get(answer, "token"));
		token_path(u, path, sizeof(path));
		if (token && (err = write_token(path, token)) == 0)
			err = child_arg(&u->client, "--enrol-file=%s", path);
		json_decref(answer);
	}
	if (err == 0 && !u->stop)
		err = child_start(&u->client);
	if (err < 0)
		give_up(u, "the client cannot be started.");
}

/* ---- the hub ---- */

static void tell(struct up *u)
{
	json_t *answer = ask(u, "/api/sign-in-links", json_object());
	const char *link = json_string_value(json_object_get(answer, "url"));

	if (answer && !link)
		give_up(u, "the hub made no sign-in link.");
	if (link && !u->told) {
		printf("console  %s\nsign in  %s\n\n", u->url, link);
		printf("The link works once, for 15 minutes. The certificate is signed by this "
		       "hub's own\n"
		       "authority; import %s/ca.pem, or accept the browser's warning.\n",
		       u->dir);
		if (u->desktop)
			printf("This machine shows a virtual desktop, because %s.\n",
			       u->o->demo ? "--demo was given" : "it has no display");
		printf("Ctrl-C stops everything. Logs are in %s/log.\n", u->dir);
		fflush(stdout);
		u->told = true;
	}
	json_decref(answer);
}

static int open_target(struct up *u)
{
	char token_file[4100];
	struct cli_common common = { .hub = u->local_url, .token_file = token_file };

	snprintf(token_file, sizeof(token_file), "%s/admin.token", u->dir);
	return target_open(&common, &u->target);
}

static void on_hub_line(void *arg, const char *line)
{
	struct up *u = arg;
	struct hub_url url;
	char why[256];

	if (strncmp(line, "ready ", 6) != 0 || hub_url_parse(line + 6, &url, why) < 0)
		return;
	if (u->hub_ready) /* it was started again, with the same port */
		return;
	snprintf(u->url, sizeof(u->url), "%s", line + 6);
	snprintf(u->local_url, sizeof(u->local_url), "https://localhost:%u", url.port);
	u->hub_ready = true;
}

static void on_hub_ready(struct up *u)
{
	char port[32];

	/* a port the kernel chose stays the hub's, also when it is started again */
	if (u->o->port == 0) {
		snprintf(port, sizeof(port), "--port=%s", strrchr(u->local_url, ':') + 1);
		free(u->hub.argv[2]);
		u->hub.argv[2] = strdup(port);
	}
	if (!u->hub.argv[2] || open_target(u) != 0) {
		give_up(u, "the hub runs, but cannot be spoken with.");
		return;
	}
	write_note(u);
	tell(u);
}

/* What fails before everything runs will not get better by itself. */
static void on_part_exit(void *arg, int status)
{
	struct child *c = arg;
	struct up *u = CONTAINER_OF(c->supervisor, struct up, supervisor);
	char why[700], words[500];

	if (u->told || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return;
	child_last_words(c, words, sizeof(words));
	snprintf(why, sizeof(why), "the %s does not start: %s", c->name, words);
	give_up(u, why);
}

/* The secret from which credentials for the relay are made; made once, kept. */
static int ensure_relay_secret(const char *path)
{
	uint8_t secret[RELAY_SECRET_LEN];
	char text[TEXT_HEX_LEN(RELAY_SECRET_LEN)];
	int err = 0;

	if (access(path, F_OK) == 0)
		return 0;
	rng_bytes(rng_system(), secret, sizeof(secret));
	text_hex_encode(span_of(secret, sizeof(secret)), text, sizeof(text));
	err = write_token(path, text);
	ct_wipe(secret, sizeof(secret));
	ct_wipe(text, sizeof(text));
	return err;
}

static int start_hub(struct up *u)
{
	child_init(&u->supervisor, &u->hub, "hub");
	u->hub.on_line = on_hub_line;
	u->hub.arg = u;
	char secret[4100];
	snprintf(secret, sizeof(secret), "%s/relay.secret", u->dir);
	int err = ensure_relay_secret(secret);
	if (err == 0)
		err = child_arg(&u->hub, "%s/fairlead-hub", u->bin);
	if (err == 0)
		err = child_arg(&u->hub, "--data=%s", u->dir);
	if (err == 0)
		err = child_arg(&u->hub, "--port=%u", u->o->port) |
		      child_arg(&u->hub, "--stun=:%u", u->relay_port);
	if (err == 0)
		err = child_arg(&u->hub, "--relay-stream=127.0.0.1:%u", u->stream_port) |
		      child_arg(&u->hub, "--turn=turn::%u?transport=udp", u->relay_port) |
		      child_arg(&u->hub, "--turn=turn::%u?transport=tcp", u->relay_port) |
		      child_arg(&u->hub, "--turn-secret-file=%s", secret);
	return err ? err : child_start(&u->hub);
}

static int start_relay(struct up *u)
{
	static const char *const listen[] = { "udp:0.0.0.0", "tcp:0.0.0.0", "udp:[::]",
					      "tcp:[::]" };
	size_t n = has_v6() ? ARRAY_LEN(listen) : 2;
	char secret[4100];

	child_init(&u->supervisor, &u->relay, "relay");
	u->relay.on_exit = on_part_exit;
	u->relay.arg = &u->relay;
	snprintf(secret, sizeof(secret), "%s/relay.secret", u->dir);
	int err = child_arg(&u->relay, "%s/fairlead-relay", u->bin);
	if (err == 0)
		err = child_arg(&u->relay, "--secret-file=%s", secret) |
		      child_arg(&u->relay, "--drain-seconds=0") |
		      child_arg(&u->relay, "--listen=tcp+proxy:127.0.0.1:%u", u->stream_port);
	for (size_t i = 0; i < n && err == 0; i++)
		err = child_arg(&u->relay, "--listen=%s:%u", listen[i], u->relay_port);
	return err ? err : child_start(&u->relay);
}

static void on_signal(void *arg, int signo)
{
	struct up *u = arg;

	u->stop = true;
}

/* ---- all of it ---- */

static int start_all(struct up *u)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	int err = loop_create(&u->loop);
	if (err < 0)
		return err;
	u->supervisor.loop = u->loop;
	loop_timer_init(u->loop, &u->display_timer, on_no_display, u);
	err = loop_signal_start(u->loop, &u->signals, signals, ARRAY_LEN(signals), on_signal, u);
	if (err == 0)
		err = start_hub(u);
	if (err == 0)
		err = start_relay(u);
	child_init(&u->supervisor, &u->client, "client");
	u->client.on_exit = on_part_exit;
	u->client.arg = &u->client;
	if (err == 0 && u->desktop)
		err = start_desktop(u);
	return err;
}

/* The hub's own end needs its name in the message, and its argument is the whole. */
static void watch_hub(struct up *u)
{
	char why[700], words[500];

	if (u->hub_ready || u->hub.pid > 0 || u->stop)
		return;
	child_last_words(&u->hub, words, sizeof(words));
	snprintf(why, sizeof(why), "the hub does not start: %s", words);
	give_up(u, why);
}

static int run_all(const struct options *o)
{
	struct up *u = calloc(1, sizeof(*u));
	const char *display = getenv("DISPLAY");

	if (!u)
		return CLI_FAILURE;
	u->o = o;
	u->lock_fd = u->signals.fd = -1;
	u->relay_port = o->relay_port ? o->relay_port : free_port();
	u->stream_port = free_port();
	find_programs(u);
	u->desktop = !o->no_client && (o->demo || !display || !*display) && in_path("Xvfb");
	if (!o->no_client && o->demo && !u->desktop)
		cli_say("note: there is no Xvfb here, so there is no virtual desktop. Install the "
			"package xvfb.");
	bool served = false;
	int err = prepare_folder(u);
	if (err == 0 && (err = start_all(u)) < 0)
		cli_say("could not start: %s.", err_text(err));
	while (err == 0 && !u->stop) {
		err = loop_turn(u->loop, USEC_NEVER);
		watch_hub(u);
		if (u->hub_ready && !served && !u->stop) {
			served = true;
			on_hub_ready(u);
		}
		start_client(u);
	}
	if (u->loop) {
		supervisor_stop(&u->supervisor);
		remove_token(u);
		loop_timer_stop(&u->display_timer);
		loop_signal_stop(&u->signals);
	}
	target_close(&u->target);
	loop_destroy(u->loop);
	fl_closep(&u->lock_fd);
	free(u->supervisor.log_dir);
	int status = err < 0 ? CLI_FAILURE : u->status;
	free(u);
	return status;
}

static int run(int argc, char **argv)
{
	struct options o = { 0 };
	int first;
	int status = cli_parse(&program, &o, &o.common, argc, argv, false, &first);

	if (status < 0 && first < argc) {
		cli_say("up takes no argument. Try fairlead up --help.");
		status = CLI_USAGE;
	}
	if (status < 0)
		status = run_all(&o);
	opt_finish(table, &o);
	return status;
}

const struct cli_command cli_up = { "up", &program, run };
