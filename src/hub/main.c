#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "hub/http/files.h"
#include "hub/http/server.h"
#include "hub/metrics.h"
#include "hub/realtime/broker.h"
#include "hub/realtime/budget.h"
#include "hub/realtime/link.h"
#include "hub/realtime/registry.h"
#include "hub/start.h"
#include "hub/tls.h"

#define SHUT_DOWN_US (3 * USEC_PER_SEC) /* for open connections to end in good order */
#define PORT_TRIES 20			/* for one port that is free on IPv4 and IPv6 */

struct program {
	struct hub hub;
	struct hub_config config;
	struct start start;
	struct loop_signal signals;
	struct loop_timer down_timer;
	usec_t down_until;
	bool down;
};

static int die(const char *why, int status)
{
	fprintf(stderr, "fairlead-hub: %s\n", why);
	return status;
}

/* ---- addresses ---- */

static int explain_listen(const struct addr *at, int err, char why[256])
{
	char text[ADDR_TEXT_MAX];

	addr_format(at, text);
	if (err == -EADDRINUSE)
		snprintf(why, 256,
			 "%s is in use by another program; stop that one or choose another port "
			 "with --port",
			 text);
	else if (err == -EACCES)
		snprintf(
			why, 256,
			"%s may not be opened by this user; choose a port from 1024 up with --port "
			"or grant CAP_NET_BIND_SERVICE",
			text);
	else
		snprintf(why, 256, "%s cannot be listened on: %s; check --listen", text,
			 err_text(err));
	return err;
}

/* A machine without IPv6 is fine when nobody asked for it. */
static int listen_once(struct program *p, uint16_t *port, char why[256])
{
	struct addr at;
	int err;

	for (size_t i = 0; i < p->config.n_listen; i++) {
		at = p->config.listen_addrs[i];
		if (at.port == 0)
			at.port = *port;
		err = server_listen(p->hub.server, &at, port);
		if (err < 0 && p->config.listen_all && i > 0 && err != -EADDRINUSE)
			continue;
		if (err < 0)
			return explain_listen(&at, err, why);
	}
	return 0;
}

static int listen_all(struct program *p, uint16_t *port, char why[256])
{
	int err = -EADDRINUSE;

	for (int i = 0; i < PORT_TRIES && err == -EADDRINUSE; i++) {
		server_unlisten(p->hub.server);
		*port = 0;
		err = listen_once(p, port, why);
		if (p->config.port != 0)
			break;
	}
	return err;
}

/* The name that links and the ready line carry. */
static void make_url(struct program *p, uint16_t port)
{
	const struct addr *a = &p->config.listen_addrs[0];
	char host[256] = "localhost", ip[ADDR_TEXT_MAX];

	if (p->config.names.count)
		text_copy(host, sizeof(host), p->config.names.items[0]);
	else if (addr_range(a) != ADDR_UNSPECIFIED)
		snprintf(host, sizeof(host), a->family == ADDR_V6 ? "[%s]" : "%s",
			 addr_format_ip(a, ip));
	if (port == 443)
		snprintf(p->hub.url, sizeof(p->hub.url), "https://%s", host);
	else
		snprintf(p->hub.url, sizeof(p->hub.url), "https://%s:%u", host, port);
	if (p->config.names.count == 0 && gethostname(host, sizeof(host) - 1) < 0)
		text_copy(host, sizeof(host), "localhost");
	text_copy(p->hub.name, sizeof(p->hub.name), host);
}

/* ---- the console's files ---- */

static const char *console_dir(const struct program *p, char room[PATH_MAX])
{
	static const char *const places[] = { "../web/dist", "../share/fairlead/console" };
	char exe[PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (p->config.console)
		return p->config.console;
	exe[n > 0 ? n : 0] = 0;
	slash = strrchr(exe, '/');
	if (slash)
		*slash = 0;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(room, PATH_MAX, "%s/%s", exe, places[i]);
		if (access(room, R_OK | X_OK) == 0)
			break;
	}
	return room;
}

/* ---- signals ---- */

static void on_down_timer(void *arg)
{
	struct program *p = arg;

	if (server_idle(p->hub.server) || loop_now(p->hub.loop) >= p->down_until ||
	    loop_timer_after(&p->down_timer, 10 * USEC_PER_MSEC) < 0)
		loop_stop(p->hub.loop);
}

static void on_signal(void *arg, int signo)
{
	struct program *p = arg;
	char why[256];

	if (signo == SIGHUP) {
		if (start_turn_secret(&p->hub, why) < 0)
			log_warn("turn-secret", "error=\"%s\" effect=\"the old one stays\"", why);
		hub_tls_reload(p->hub.tls);
		files_reload(p->hub.files);
		return;
	}
	if (p->down) {
		loop_stop(p->hub.loop);
		return;
	}
	log_info("shutting-down", "signal=%d", signo);
	p->down = true;
	p->down_until = usec_add(loop_now(p->hub.loop), SHUT_DOWN_US);
	server_shut_down(p->hub.server);
	on_down_timer(p);
}

/* ---- life ---- */

static int start_metrics(struct program *p, char why[256])
{
	const struct addr *at = &p->config.metrics_addr;
	int err = 0;

	if (at->family != ADDR_NONE)
		err = hub_metrics_create(&p->hub, at, &p->hub.metrics);
	if (err < 0)
		snprintf(why, 256, "cannot serve metrics on %.64s: %s. Choose another --metrics",
			 p->config.metrics, err_text(err));
	return err;
}

static int set_up(struct program *p, char why[256])
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct hub *h = &p->hub;
	struct tls_context *context = NULL;
	char room[PATH_MAX];
	uint16_t port = 0;
	int err;

	snprintf(why, 256, "out of memory");
	limit_init(&h->by_account, rng_system(), 20, 15 * USEC_PER_SEC);
	limit_init(&h->by_address, rng_system(), 20, 5 * USEC_PER_SEC);
	list_init(&h->consoles);
	list_init(&h->turn_passes);
	err = loop_create(&h->loop);
	if (err == 0)
		err = loop_signal_start(h->loop, &p->signals, signals, ARRAY_LEN(signals),
					on_signal, p);
	if (err < 0)
		return err;
	loop_timer_init(h->loop, &p->down_timer, on_down_timer, p);
	/* ports first: they decide the name of links, and cost nothing when the rest fails */
	err = server_create(h, &h->server);
	if (err == 0)
		err = links_create(h, &h->links);
	if (err == 0)
		err = listen_all(p, &port, why);
	if (err < 0)
		return err;
	make_url(p, port);
	err = start_turn_secret(h, why);
	if (err == 0)
		err = start_data(h, &p->start, why);
	if (err == 0)
		err = hub_tls_create(h, &h->tls, &context, why);
	if (err < 0)
		return err;
	server_set_tls(h->server, context);
	err = start_metrics(p, why);
	if (err == 0)
		err = hub_tls_watch(h->tls);
	return err < 0 ? err : files_create(rng_system(), console_dir(p, room), &h->files);
}

static void tear_down(struct program *p)
{
	struct hub *h = &p->hub;

	if (h->loop)
		loop_signal_stop(&p->signals);
	loop_timer_stop(&p->down_timer);
	server_destroy(h->server);
	links_destroy(h->links);
	h->links = NULL;
	if (h->registry && h->store)
		registry_save(h->registry);
	password_pool_destroy(h->passwords);
	store_queue_destroy(h->store);
	hub_metrics_destroy(h->metrics);
	h->metrics = NULL;
	budget_destroy(h->budget);
	broker_destroy(h->broker);
	registry_destroy(h->registry);
	places_destroy(h->places);
	hub_tls_destroy(h->tls);
	files_destroy(h->files);
	hubkey_destroy(h->key);
	loop_destroy(h->loop);
	free(h->ca_pem);
	ct_wipe(h->turn_secret, sizeof(h->turn_secret));
	if (p->start.lock >= 0)
		close(p->start.lock);
}

static int run(struct program *p)
{
	char why[256];
	int err = set_up(p, why);

	if (err < 0) {
		tear_down(p);
		return die(why, 1);
	}
	if (p->start.link[0])
		printf("sign in %s\n", p->start.link);
	printf("ready %s\n", p->hub.url);
	fflush(stdout);
	log_info("ready", "url=%s devices=%zu sessions=%zu", p->hub.url,
		 registry_count(p->hub.registry), broker_count(p->hub.broker));
	err = loop_run(p->hub.loop);
	tear_down(p);
	return err < 0 ? die(err_text(err), 1) : 0;
}

int main(int argc, char **argv)
{
	struct program *p = calloc(1, sizeof(*p));
	struct opt_error error = { "out of memory" };
	int status = 2;

	log_open("fairlead-hub");
	signal(SIGPIPE, SIG_IGN);
	json_object_seed(0);
	if (!p)
		return die(error.text, 1);
	p->start.lock = -1;
	p->hub.config = &p->config;
	if (hub_config_load(&p->config, argc, argv, &error) < 0) {
		die(error.text, 2);
	} else if (opt_print_asked(&hub_program, &p->config.asked, stdout)) {
		status = 0;
	} else {
		if (!getenv("FAIRLEAD_LOG"))
			log_set_level((enum log_level)p->config.log_level);
		status = run(p);
	}
	hub_config_finish(&p->config);
	free(p);
	return status;
}
