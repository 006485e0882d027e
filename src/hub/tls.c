#include "hub/tls.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "hub/http/server.h"
#include "hub/http/turn_pass.h"
#include "hub/identity/certificate.h"
#include "hub/identity/files.h"

#define LOOK_US USEC_PER_SEC
#define RENEW_US (3600 * USEC_PER_SEC) /* how often the local certificate's age is looked at */
#define CA_PEM_MAX (16 * 1024)

struct stamp {
	struct timespec changed[2];
	ino_t inode[2];
	off_t size[2];
};

struct hub_tls {
	struct hub *hub;
	bool local; /* made by us */
	char cert[PATH_MAX], key[PATH_MAX];
	struct stamp seen; /* of what was last tried */
	uint8_t spki[32];  /* of the certificate in use */
	struct loop_timer look;
	usec_t ensured;
};

static const char *const alpn[] = { "http/1.1", NULL };
static const char *const alpn_relay[] = { "http/1.1", TURN_PASS_ALPN, NULL };
static const char *const functions[] = { "console",  "endpoint",    "id",
					 "realtime", "servicedesk", "turn" };

/* localhost, this machine, the loopback addresses, configured names and their functions. */
static void add_name(struct certificate_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (text_equal_nocase(span_str(names->names[i]), span_str(name)))
			return;
	if (names->count < CERTIFICATE_NAMES_MAX)
		names->names[names->count++] = name;
}

static int ensure(struct hub_tls *t, char why[256])
{
	static char under[CONFIG_LISTEN_MAX * ARRAY_LEN(functions)][256];
	const struct hub_config *c = t->hub->config;
	struct certificate_names names = { .count = 0 };
	char host[256] = "", listen[CONFIG_LISTEN_MAX][ADDR_TEXT_MAX];
	size_t used = 0;

	for (size_t i = 0; i < c->names.count; i++)
		add_name(&names, c->names.items[i]);
	add_name(&names, "localhost");
	if (gethostname(host, sizeof(host) - 1) == 0 && hub_config_name_valid(host))
		add_name(&names, host);
	add_name(&names, "127.0.0.1");
	add_name(&names, "::1");
	for (size_t i = 0; i < c->n_listen && !c->listen_all; i++)
		add_name(&names, addr_format_ip(&c->listen_addrs[i], listen[i]));
	for (size_t i = 0; i < c->names.count; i++)
		for (size_t k = 0; k < ARRAY_LEN(functions) && used < ARRAY_LEN(under); k++) {
			snprintf(under[used], sizeof(under[0]), "%s.%.200s", functions[k],
				 c->names.items[i]);
			add_name(&names, under[used++]);
		}
	t->ensured = loop_now(t->hub->loop);
	return certificate_ensure(c->data, &names, hub_now_ms() / 1000, why);
}

static struct stamp stamp_of(const struct hub_tls *t)
{
	const char *const paths[] = { t->cert, t->key };
	struct stamp s = { 0 };
	struct stat st;

	for (size_t i = 0; i < 2; i++)
		if (stat(paths[i], &st) == 0) {
			s.changed[i] = st.st_mtim;
			s.inode[i] = st.st_ino;
			s.size[i] = st.st_size;
		}
	return s;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	for (size_t i = 0; i < 2; i++)
		if (a->changed[i].tv_sec != b->changed[i].tv_sec ||
		    a->changed[i].tv_nsec != b->changed[i].tv_nsec || a->inode[i] != b->inode[i] ||
		    a->size[i] != b->size[i])
			return false;
	return true;
}

static int load(struct hub_tls *t, struct tls_context **out, char why[256])
{
	int err;

	t->seen = stamp_of(t);
	err = certificate_check(t->cert, t->key, hub_now_ms() / 1000, why);
	if (err == -ETIME)
		log_warn("certificate", "%s", why); /* still better than no hub at all */
	else if (err < 0)
		return err;
	err = tls_server_create(t->cert, t->key, t->hub->config->relay_stream ? alpn_relay : alpn,
				out, why);
	if (err == 0 && !tls_context_key(*out, t->spki))
		memset(t->spki, 0, sizeof(t->spki));
	return err;
}

void hub_tls_key(const struct hub_tls *t, uint8_t spki[32])
{
	memcpy(spki, t->spki, sizeof(t->spki));
}

void hub_tls_reload(struct hub_tls *t)
{
	struct tls_context *context = NULL;
	char why[256];

	if (load(t, &context, why) < 0) {
		log_error("certificate-not-loaded", "why=\"%s\" effect=\"the old one stays\"", why);
		return;
	}
	server_set_tls(t->hub->server, context);
	log_info("certificate-loaded", "file=%s", t->cert);
}

static void on_look(void *arg)
{
	struct hub_tls *t = arg;
	struct stamp now = stamp_of(t);
	char why[256];

	if (t->local && loop_now(t->hub->loop) - t->ensured >= RENEW_US && ensure(t, why) < 0)
		log_error("certificate-not-renewed", "why=\"%s\"", why);
	if (!same_stamp(&now, &t->seen))
		hub_tls_reload(t);
	if (loop_timer_after(&t->look, LOOK_US) < 0)
		log_warn("memory", NULL);
}

int hub_tls_watch(struct hub_tls *t)
{
	return loop_timer_after(&t->look, LOOK_US);
}

static int load_ca(struct hub_tls *t, char why[256])
{
	char path[PATH_MAX];
	int n;

	snprintf(path, sizeof(path), "%s/ca.pem", t->hub->config->data);
	t->hub->ca_pem = calloc(1, CA_PEM_MAX + 1);
	if (!t->hub->ca_pem)
		return -ENOMEM;
	n = file_read(path, t->hub->ca_pem, CA_PEM_MAX, why);
	return n < 0 ? n : 0;
}

int hub_tls_create(struct hub *hub, struct hub_tls **out, struct tls_context **context,
		   char why[256])
{
	struct hub_tls *t = calloc(1, sizeof(*t));
	const struct hub_config *c = hub->config;
	int err = 0;

	snprintf(why, 256, "out of memory");
	if (!t)
		return -ENOMEM;
	t->hub = hub;
	t->local = !c->certificate;
	loop_timer_init(hub->loop, &t->look, on_look, t);
	if (t->local) {
		snprintf(t->cert, sizeof(t->cert), "%s/hub.pem", c->data);
		snprintf(t->key, sizeof(t->key), "%s/hub-tls.key", c->data);
		err = ensure(t, why);
		if (err >= 0)
			err = load_ca(t, why);
	} else {
		text_copy(t->cert, sizeof(t->cert), c->certificate);
		text_copy(t->key, sizeof(t->key), c->key);
	}
	if (err >= 0)
		err = load(t, context, why);
	if (err < 0) {
		hub_tls_destroy(t);
		return err;
	}
	*out = t;
	return 0;
}

void hub_tls_destroy(struct hub_tls *t)
{
	if (!t)
		return;
	loop_timer_stop(&t->look);
	free(t);
}
