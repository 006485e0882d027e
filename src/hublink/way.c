#include "hublink/way_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "wayout/lines.h"
#include "wayout/network.h"

/* The file's one line; not by stdio, whose buffer would keep it. */
static int read_line(int fd, char text[PROXY_CREDENTIAL_MAX + 2])
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, PROXY_CREDENTIAL_MAX + 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	text[strcspn(text, "\r\n")] = 0;
	return n < 0 ? -errno : 0;
}

static int read_password(const char *path, char **out, char why[512])
{
	char text[PROXY_CREDENTIAL_MAX + 2] = "";
	FL_CLEANUP(fl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int err = fd < 0 ? -errno : 0;
	bool open_to_all = err == 0 && fstat(fd, &st) == 0 && st.st_mode & S_IROTH;

	*out = NULL;
	if (err == 0)
		err = read_line(fd, text);
	if (err < 0) {
		snprintf(why, 512,
			 "The proxy's password cannot be read from %.300s (%s). Name its file with "
			 "--proxy-password-file.",
			 path, strerror(-err));
	} else if (open_to_all) {
		err = -EPERM;
		snprintf(why, 512,
			 "The proxy's password in %.300s can be read by everybody on this machine. "
			 "Do chmod o-r on it.",
			 path);
	} else if (!(*out = strdup(text))) {
		err = -ENOMEM;
		snprintf(why, 512, "Out of memory.");
	}
	ct_wipe(text, sizeof(text));
	return err;
}

/* "scheme://user:password@": everybody on the machine can read a command line. */
static bool has_password(const char *url)
{
	const char *host = strstr(url, "://");
	const char *at, *colon;

	host = host ? host + 3 : url;
	at = strchr(host, '@');
	colon = strchr(host, ':');
	return at && colon && colon < at;
}

static int choose(struct way *w, char why[512])
{
	const struct way_options *o = w->options;
	bool automatic = !o->proxy || strcmp(o->proxy, "auto") == 0;

	if (o->pac && !automatic) {
		snprintf(why, 512,
			 "--pac belongs to --proxy auto; --proxy %.200s leaves nothing to ask it.",
			 o->proxy);
		return FL_EMALFORMED;
	}
	if (automatic) {
		w->mode = WAY_AUTO;
		return way_read_setting(w);
	}
	w->mode = WAY_NONE;
	if (strcmp(o->proxy, "none") == 0)
		return 0;
	if (has_password(o->proxy)) {
		snprintf(why, 512,
			 "A password has no place on the command line, where everybody on this "
			 "machine can read it. Put it into a file and name that with "
			 "--proxy-password-file.");
		return FL_EMALFORMED;
	}
	w->mode = WAY_FIXED;
	w->setting.proxy = strdup(o->proxy);
	(void)text_copy(w->setting.found, sizeof(w->setting.found), "option");
	return w->setting.proxy ? 0 : -ENOMEM;
}

int way_read_setting(struct way *w)
{
	struct wayout_setting fresh;
	int err = wayout_setting_read(
		&(struct wayout_setting_from){ .pac = w->options->pac, .root = w->root }, &fresh);

	if (err < 0)
		return err;
	wayout_setting_finish(&w->setting);
	w->setting = fresh;
	return 0;
}

/* ---- the proxies that were met; each keeps what it said to the password ---- */

static int make_proxy(struct way *w, const char *url, const char *except, bool trusted,
		      struct proxy **out, char why[512])
{
	struct proxy_config config = { .url = url,
				       .user = trusted ? w->options->user : NULL,
				       .password = trusted ? w->password : NULL,
				       .ca_file = w->options->ca,
				       .except = except };
	char said[256];
	int err = proxy_create(&config, out, said);

	if (err < 0)
		snprintf(why, 512, "%s", said);
	return err;
}

static void forget_proxies(struct way *w)
{
	while (w->n_met) {
		struct way_met *m = &w->met[--w->n_met];

		proxy_unref(m->proxy);
		ct_wipe_strp(&m->url);
		free(m->except);
	}
	w->used_proxy = NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whoever runs the network announces what they like. */
static bool announced(const char *found)
{
	return strncmp(found, "wpad", 4) == 0;
}

struct proxy *way_proxy(struct way *w, const char *url, const char *except, const char *found,
			char why[512])
{
	bool trusted = !announced(found);
	struct way_met *m;

	for (size_t i = 0; i < w->n_met; i++)
		if (strcmp(w->met[i].url, url) == 0 && w->met[i].trusted == trusted &&
		    same_text(w->met[i].except, except))
			return w->met[i].proxy;
	if (w->n_met == WAY_MET_MAX)
		forget_proxies(w);
	m = &w->met[w->n_met];
	*m = (struct way_met){ .trusted = trusted, .url = strdup(url) };
	m->except = except ? strdup(except) : NULL;
	snprintf(why, 512, "Out of memory.");
	if (!m->url || (except && !m->except) ||
	    make_proxy(w, url, except, trusted, &m->proxy, why) < 0) {
		ct_wipe_strp(&m->url);
		free(m->except);
		return NULL;
	}
	w->n_met++;
	return m->proxy;
}

static struct proxy *set_proxy(struct way *w, char why[512])
{
	return way_proxy(w, w->setting.proxy, w->setting.except, w->setting.found, why);
}

/* ---- life ---- */

int way_create(const struct way_options *options, struct way **out, char why[512])
{
	struct way *w = calloc(1, sizeof(*w));
	int err = w ? 0 : -ENOMEM;

	snprintf(why, 512, "Out of memory.");
	if (err == 0) {
		w->options = options;
		w->root = options->root ? options->root : "";
		err = choose(w, why);
	}
	if (err == 0 && w->mode != WAY_NONE && options->password_file)
		err = read_password(options->password_file, &w->password, why);
	/* what the person who starts us said; of a file of the system each search tells */
	if (err == 0 && w->setting.proxy && !set_proxy(w, why) &&
	    (w->mode == WAY_FIXED || strcmp(w->setting.found, "environment") == 0))
		err = FL_EMALFORMED;
	if (err < 0) {
		way_destroy(w);
		return err;
	}
	*out = w;
	return 0;
}

void way_destroy(struct way *w)
{
	if (!w)
		return;
	forget_proxies(w);
	ct_wipe_strp(&w->password);
	ct_wipe_strp(&w->peers_url);
	wayout_setting_finish(&w->setting);
	free(w->memory_path);
	free(w);
}

void way_refresh(struct way *w)
{
	char *password, why[512];
	bool refused = false;

	for (size_t i = 0; i < w->n_met; i++)
		refused = refused || proxy_is_refused(w->met[i].proxy);
	if (!refused || !w->options->password_file ||
	    read_password(w->options->password_file, &password, why) < 0)
		return;
	/* the same password is the same proxy, refused as before */
	if (w->password && ct_equal(span_str(password), span_str(w->password))) {
		ct_wipe_strp(&password);
		return;
	}
	forget_proxies(w);
	ct_wipe_strp(&w->password);
	w->password = password;
	if (w->setting.proxy)
		(void)set_proxy(w, why);
}

struct proxy *way_to(const struct way *w, const char *host)
{
	for (size_t i = 0; w->setting.proxy && i < w->n_met; i++)
		if (strcmp(w->met[i].url, w->setting.proxy) == 0)
			return proxy_is_for(w->met[i].proxy, host) ? w->met[i].proxy : NULL;
	return NULL;
}

const struct fl_proxy *way_of_peers(struct way *w)
{
	bool trusted = true;
	const char *url = w->setting.proxy;

	if (w->used_proxy) {
		trusted = !announced(w->used_found);
		for (size_t i = 0; i < w->n_met; i++)
			if (w->met[i].proxy == w->used_proxy)
				url = w->met[i].url;
	}
	ct_wipe_strp(&w->peers_url);
	w->peers_url = url ? strdup(url) : NULL;
	if (!w->peers_url)
		return NULL;
	w->peers = (struct fl_proxy){ .url = w->peers_url,
				      .user = trusted ? w->options->user : NULL,
				      .password = trusted ? w->password : NULL,
				      .ca_file = w->options->ca,
				      .except = w->setting.except };
	return &w->peers;
}

/* ---- what is known about them ---- */

void way_on_problem(struct way *w, void (*fn)(void *arg, const char *cause, const char *why),
		    void *arg)
{
	w->on_problem = fn;
	w->on_problem_arg = arg;
}

const char *way_used(const struct way *w)
{
	return w->used;
}

const char *way_used_found(const struct way *w)
{
	return w->used_found;
}

const char *way_name(const struct proxy *proxy)
{
	return proxy ? proxy_text(proxy) : "direct";
}

static struct way_fault *fault_of(struct way *w, const char *name)
{
	for (size_t i = 0; i < WAY_FAULTS_MAX; i++)
		if (strcmp(w->faults[i].name, name) == 0)
			return &w->faults[i];
	return NULL;
}

/* ---- what worked in which network ---- */

static void this_network(struct way *w, const struct hub_url *url, char id[NETWORK_ID_LEN])
{
	const char *more[] = { url->base, w->setting.found, w->setting.proxy, w->setting.except,
			       w->setting.pac };
	struct network network;

	network_read(w->root, &network);
	network_id(&network, more, ARRAY_LEN(more), id);
}

const struct memory_entry *way_remembered(struct way *w, const struct hub_url *url)
{
	const struct memory_entry *e;
	char id[NETWORK_ID_LEN];
	int64_t age, most;

	this_network(w, url, id);
	e = memory_find(&w->memory, id);
	age = e ? (int64_t)(usec_realtime() / USEC_PER_SEC) - e->at : 0;
	most = e && strcmp(e->way, "direct") == 0 && *w->setting.found ? WAY_REMEMBER_ASIDE_S
								       : WAY_REMEMBER_S;
	return age >= 0 && age < most ? e : NULL;
}

/* A file that cannot be written costs time at the next start and nothing else. */
static void write_memory(const struct way *w)
{
	FL_AUTOFREE char *text = malloc(MEMORY_TEXT_MAX);
	FL_AUTOFREE char *fresh = NULL;
	FILE *f = NULL;
	bool ok;

	if (text && asprintf(&fresh, "%s.new", w->memory_path) < 0)
		fresh = NULL;
	if (fresh)
		f = fopen(fresh, "we");
	if (!f)
		return;
	memory_format(&w->memory, text, MEMORY_TEXT_MAX);
	ok = fputs(text, f) >= 0;
	ok = fclose(f) == 0 && ok;
	if (!ok || rename(fresh, w->memory_path) < 0)
		(void)unlink(fresh);
}

static void remember(struct way *w, const struct hub_url *url, const char *found)
{
	const struct memory_entry *before = way_remembered(w, url);
	struct memory_entry e = { .at = (int64_t)(usec_realtime() / USEC_PER_SEC) };

	/* while nothing changes, once an hour is enough */
	if (before && strcmp(before->way, w->used) == 0 && e.at - before->at < WAY_REMEMBER_ASIDE_S)
		return;
	this_network(w, url, e.network);
	(void)text_copy(e.way, sizeof(e.way), w->used);
	(void)text_copy(e.found, sizeof(e.found), found);
	if (!*e.network)
		return;
	memory_put(&w->memory, &e);
	if (w->memory_path)
		write_memory(w);
}

int way_remember_in(struct way *w, const char *path)
{
	FL_AUTOFREE char *text = NULL;
	size_t len;

	w->memory_path = strdup(path);
	if (!w->memory_path)
		return -ENOMEM;
	text = lines_read_file(path, &len);
	if (text)
		memory_parse(&w->memory, span_of(text, len));
	return 0;
}

void way_worked(struct way *w, struct loop *loop, const struct hub_url *url, struct proxy *proxy,
		const char *found)
{
	struct way_fault *f = fault_of(w, way_name(proxy));

	if (f)
		*f = (struct way_fault){ 0 };
	(void)text_copy(w->used, sizeof(w->used), way_name(proxy));
	(void)text_copy(w->used_found, sizeof(w->used_found), found);
	w->used_proxy = proxy;
	w->used_at = loop_now(loop);
	if (w->mode == WAY_AUTO)
		remember(w, url, found);
}

void way_failed(struct way *w, struct loop *loop, struct proxy *proxy, bool opened)
{
	const char *name = way_name(proxy);
	struct way_fault *f = fault_of(w, name);

	/* directly is what everybody falls back to: it is only put off where a stranger answers */
	if (!proxy && !opened)
		return;
	if (opened && strcmp(w->used, name) == 0 &&
	    usec_sub(loop_now(loop), w->used_at) < WAY_TRUSTED_US)
		return;
	if (!f) {
		f = &w->faults[0];
		for (size_t i = 1; i < WAY_FAULTS_MAX; i++)
			if (w->faults[i].until < f->until)
				f = &w->faults[i];
		*f = (struct way_fault){ 0 };
		(void)text_copy(f->name, sizeof(f->name), name);
	}
	f->wait = f->wait ? usec_min(2 * f->wait, WAY_FAULT_MOST) : WAY_FAULT_FIRST;
	f->until = usec_add(loop_now(loop), f->wait);
}

bool way_is_put_off(struct way *w, struct loop *loop, const struct proxy *proxy)
{
	const struct way_fault *f = fault_of(w, way_name(proxy));

	return f && f->until > loop_now(loop);
}
