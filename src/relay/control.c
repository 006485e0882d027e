#include "relay/control.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "io/ifaces.h"
#include "relay/metrics.h"
#include "relay/relay.h"

#define LOOK_US (5 * USEC_PER_SEC)	  /* at the certificate's files: not every tool signals */
#define DRAIN_TELL_US (10 * USEC_PER_SEC) /* what is still awaited, into the log */
#define STOP_SPARE_US (10 * USEC_PER_SEC) /* for the service manager, over the drain's deadline */

/* What is known of a file without reading it. */
struct stamp {
	struct timespec changed;
	ino_t inode;
	off_t size;
};

struct control {
	const struct control_config *config;
	struct settings *settings; /* the present ones */
	struct loop *loop;
	struct relay *relay;
	struct metrics *metrics;
	struct metrics_facts facts;
	struct loop_signal signals;
	struct loop_timer look, watchdog, drain_tell, drain_end;
	struct ifaces_watch *ifaces;
	struct stamp cert, key; /* as last tried */
	usec_t watchdog_us;
	usec_t drain_until;
	uint64_t awaited; /* allocations, of the last figures */
};

/* ---- settings anew ---- */

static struct stamp stamp_of(const char *path)
{
	struct stamp s = { 0 };
	struct stat st;

	if (path && stat(path, &st) == 0)
		s = (struct stamp){ st.st_mtim, st.st_ino, st.st_size };
	return s;
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
	       a->inode == b->inode && a->size == b->size;
}

static void take_settings(struct control *c, struct settings *next)
{
	relay_reload(c->relay, next);
	settings_unref(c->settings);
	c->settings = next;
	c->facts.certificate_until_s = next->cert_until_s;
}

static void tell_failure(struct control *c, const char *event, struct opt_error *error)
{
	char *save = NULL;

	c->facts.reload_failures++;
	for (char *line = strtok_r(error->text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		log_error("config-error", "why=\"%s\"", line);
	log_error(event, "effect=\"the settings before stay\"");
}

static void see_certificate(struct control *c, const struct settings *s)
{
	c->cert = stamp_of(s->cert_file);
	c->key = stamp_of(s->key_file);
}

static void reload(struct control *c)
{
	struct settings *next = NULL;
	struct opt_error error;
	char frozen[256];

	sd_notify("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, (uint64_t)usec_monotonic());
	see_certificate(c, c->settings);
	if (settings_reread(c->settings, c->config->argc, c->config->argv, &next, frozen,
			    sizeof(frozen), &error) < 0) {
		tell_failure(c, "reload-failed", &error);
		c->facts.reload_failed = true;
	} else {
		see_certificate(c, next);
		take_settings(c, next);
		if (!getenv("FAIRLEAD_LOG"))
			log_set_level(next->log_level);
		c->facts.reloads++;
		c->facts.reload_failed = false;
		if (frozen[0])
			log_warn("restart-needed", "changed=\"%s\" effect=\"as before until then\"",
				 frozen);
		log_info("reloaded", "turn=%s", next->auth ? "on" : "off");
	}
	sd_notify("READY=1");
}

static void on_look(void *arg)
{
	struct control *c = arg;
	struct stamp cert = stamp_of(c->settings->cert_file), key = stamp_of(c->settings->key_file);
	struct settings *next = NULL;
	struct opt_error error;

	(void)loop_timer_after(&c->look, LOOK_US);
	if (stamp_equal(&cert, &c->cert) && stamp_equal(&key, &c->key))
		return;
	c->cert = cert;
	c->key = key;
	if (settings_renew(c->settings, &next, &error) < 0) {
		tell_failure(c, "certificate-not-loaded", &error);
		return;
	}
	take_settings(c, next);
	c->facts.reloads++;
	log_info("certificate-loaded", "file=%s", next->cert_file);
}

static bool same_own(const struct turn_peers *a, const struct turn_peers *b)
{
	if (a->n_own != b->n_own)
		return false;
	for (size_t i = 0; i < a->n_own; i++)
		if (!addr_ip_equal(&a->own[i].base, &b->own[i].base))
			return false;
	return true;
}

/* This machine's addresses are no peers, also those that come later. */
static void on_ifaces(void *arg)
{
	struct control *c = arg;
	struct settings *next = NULL;
	struct opt_error error;

	if (settings_renew(c->settings, &next, &error) < 0)
		return; /* the certificate; its own watch tells */
	if (same_own(c->settings->peers, next->peers)) {
		settings_unref(next);
		return;
	}
	log_info("addresses-changed", "own=%zu", next->peers->n_own);
	take_settings(c, next);
}

/* ---- the end ---- */

static void on_drain_figures(void *arg, const struct relay_snapshot *s)
{
	struct control *c = arg;
	usec_t left = usec_sub(c->drain_until, loop_now(c->loop));

	c->awaited = s->turn.allocations;
	if (c->awaited == 0)
		return;
	log_info("draining", "allocations=%" PRIu64 " left_s=%" PRIu64, c->awaited,
		 (uint64_t)(left / USEC_PER_SEC));
	sd_notify("STATUS=Draining: waits for %" PRIu64 " allocations, %" PRIu64 " s at most",
		  c->awaited, (uint64_t)(left / USEC_PER_SEC));
}

static void on_drain_tell(void *arg)
{
	struct control *c = arg;

	if (relay_snapshot(c->relay, on_drain_figures, c) < 0)
		log_debug("no-figures", "why=\"out of memory\"");
	(void)loop_timer_after(&c->drain_tell, DRAIN_TELL_US);
}

static void on_drain_end(void *arg)
{
	struct control *c = arg;

	log_warn("drain-deadline", "allocations=%" PRIu64 " effect=\"they end now\"", c->awaited);
	loop_stop(c->loop);
}

static void on_empty(void *arg)
{
	struct control *c = arg;

	log_info("drained", "allocations=0");
	loop_stop(c->loop);
}

static void drain(struct control *c)
{
	usec_t wait = c->settings->drain_s * USEC_PER_SEC;

	c->facts.draining = true;
	c->drain_until = usec_add(loop_now(c->loop), wait);
	log_info("draining", "seconds_at_most=%u effect=\"no new allocations\"",
		 c->settings->drain_s);
	/* more time than the unit gives, when we were told to take more */
	sd_notify("STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=%" PRIu64,
		  (uint64_t)(wait + STOP_SPARE_US));
	if (loop_timer_at(&c->drain_end, c->drain_until) < 0) {
		loop_stop(c->loop);
		return;
	}
	on_drain_tell(c);
	relay_drain(c->relay, on_empty, c);
}

static void on_signal(void *arg, int signo)
{
	struct control *c = arg;

	if (signo == SIGHUP) {
		reload(c);
	} else if (signo == SIGTERM && !c->facts.draining && c->settings->drain_s > 0) {
		drain(c);
	} else {
		log_info("stopping", "signal=%s", signo == SIGINT ? "SIGINT" : "SIGTERM");
		sd_notify("STOPPING=1");
		loop_stop(c->loop);
	}
}

/* ---- the service manager ---- */

static void on_alive(void *arg, const struct relay_snapshot *s)
{
	(void)arg;
	(void)s;
	sd_notify("WATCHDOG=1");
}

/* All workers turn, not only this thread. */
static void on_watchdog(void *arg)
{
	struct control *c = arg;

	if (relay_snapshot(c->relay, on_alive, c) < 0)
		log_debug("no-figures", "why=\"out of memory\"");
	(void)loop_timer_after(&c->watchdog, c->watchdog_us);
}

/* ---- start ---- */

static void tell_relay_address(const struct settings_relay_address *a)
{
	char told[ADDR_TEXT_MAX], bound[ADDR_TEXT_MAX];

	if (a->told.family == ADDR_NONE)
		return;
	log_info("relaying", "address=%s local=%s chosen=%s", addr_format_ip(&a->told, told),
		 addr_format_ip(&a->bound, bound), a->found ? "by-us" : "by-option");
	if (a->found && addr_range(&a->told) != ADDR_PUBLIC)
		log_warn("private-relay-address",
			 "address=%s effect=\"peers elsewhere cannot reach it\" "
			 "remedy=\"--relay-address PUBLIC=%s\"",
			 told, told);
}

static void tell(struct control *c)
{
	const struct settings *s = c->settings;
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < s->n_listeners; i++) {
		struct addr at = relay_listener_addr(c->relay, i);

		log_info("listening", "%s=%s%s", turn_transport_name(s->listeners[i].transport),
			 addr_format(&at, text),
			 s->listeners[i].proxy_protocol ? " proxy-protocol=yes" : "");
	}
	if (c->metrics) {
		struct addr at = metrics_addr(c->metrics);

		log_info("listening", "metrics=%s", addr_format(&at, text));
	}
	for (size_t i = 0; s->auth && i < SETTINGS_RELAY_ADDRESSES_MAX; i++)
		tell_relay_address(&s->relay[i]);
	if (!s->auth)
		log_warn("turn-off",
			 "why=\"no user and no secret\" effect=\"answers STUN only, relays "
			 "nothing\" remedy=\"--secret-file FILE or --user-file FILE\"");
	log_info("ready", "version=%s realm=%s", FAIRLEAD_VERSION, s->realm);
	sd_notify("READY=1\nSTATUS=%s", s->auth ? "Relaying" : "Answering STUN");
}

static int start_watches(struct control *c)
{
	int err;

	loop_timer_init(c->loop, &c->look, on_look, c);
	loop_timer_init(c->loop, &c->watchdog, on_watchdog, c);
	loop_timer_init(c->loop, &c->drain_tell, on_drain_tell, c);
	loop_timer_init(c->loop, &c->drain_end, on_drain_end, c);
	see_certificate(c, c->settings);
	err = loop_timer_after(&c->look, LOOK_US);
	c->watchdog_us = sd_watchdog_us();
	if (err == 0 && c->watchdog_us)
		err = loop_timer_after(&c->watchdog, c->watchdog_us);
	/* a kernel that does not tell about addresses is no reason not to relay */
	if (err == 0 && ifaces_watch_create(c->loop, on_ifaces, c, &c->ifaces) < 0)
		c->ifaces = NULL;
	return err;
}

static int start(struct control *c, char why[256])
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct settings *s = c->settings;
	char text[ADDR_TEXT_MAX];
	int err = loop_create(&c->loop);

	/* before there are threads, which must not get the signals */
	if (err == 0)
		err = loop_signal_start(c->loop, &c->signals, signals, ARRAY_LEN(signals),
					on_signal, c);
	if (err == 0)
		err = relay_create(c->loop, s, &c->relay, why);
	else
		snprintf(why, 256, "%s", err_text(err));
	if (err < 0)
		return err;
	if (s->metrics.family != ADDR_NONE) {
		err = metrics_create(c->loop, &s->metrics, c->relay, &c->facts, &c->metrics);
		if (err < 0) {
			snprintf(why, 256,
				 "cannot serve metrics on %s: %s. Choose another --metrics",
				 addr_format(&s->metrics, text), err_text(err));
			return err;
		}
	}
	err = start_watches(c);
	if (err < 0)
		snprintf(why, 256, "%s", err_text(err));
	return err;
}

static void finish(struct control *c)
{
	/* workers first: they may still answer the metrics */
	relay_destroy(c->relay);
	metrics_destroy(c->metrics);
	ifaces_watch_destroy(c->ifaces);
	if (c->loop)
		loop_signal_stop(&c->signals);
	loop_timer_stop(&c->look);
	loop_timer_stop(&c->watchdog);
	loop_timer_stop(&c->drain_tell);
	loop_timer_stop(&c->drain_end);
	loop_destroy(c->loop);
	settings_unref(c->settings);
}

int control_run(const struct control_config *config)
{
	struct control c = { .config = config, .settings = settings_ref(config->settings) };
	char why[256] = "";
	int err;

	c.signals.fd = -1;
	c.facts.started_s = (int64_t)(usec_realtime() / USEC_PER_SEC);
	c.facts.certificate_until_s = c.settings->cert_until_s;
	err = start(&c, why);
	if (err == 0) {
		tell(&c);
		err = loop_run(c.loop);
		snprintf(why, sizeof(why), "%s", err < 0 ? err_text(err) : "");
	}
	if (err < 0)
		fprintf(stderr, "fairlead-relay: %s\n", why);
	finish(&c);
	return err < 0 ? 1 : 0;
}
