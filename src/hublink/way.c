#include "hublink/way.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ct.h"
#include "base/err.h"

#define THIS_MACHINE "localhost,127.0.0.0/8,::1"

struct way {
	const struct way_options *options;
	const char *url; /* of the options or the environment; NULL: no proxy */
	char *except, *password;
	struct proxy *proxy;
	struct fl_proxy peers;
};

static const char *from_environment(const char *const names[])
{
	for (size_t i = 0; names[i]; i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return value;
	}
	return NULL;
}

/* What libcurl's users expect; this machine's own ports no proxy can reach. */
static int read_environment(struct way *w)
{
	static const char *const proxies[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
					       "ALL_PROXY", NULL };
	static const char *const exceptions[] = { "no_proxy", "NO_PROXY", NULL };
	const char *except = from_environment(exceptions);

	w->url = from_environment(proxies);
	if (asprintf(&w->except, THIS_MACHINE ",%s", except ? except : "") < 0) {
		w->except = NULL;
		return -ENOMEM;
	}
	return 0;
}

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

	if (!o->proxy || strcmp(o->proxy, "auto") == 0)
		return read_environment(w);
	if (strcmp(o->proxy, "none") == 0)
		return 0;
	if (has_password(o->proxy)) {
		snprintf(why, 512,
			 "A password has no place on the command line, where everybody on this "
			 "machine can read it. Put it into a file and name that with "
			 "--proxy-password-file.");
		return FL_EMALFORMED;
	}
	w->url = o->proxy;
	return 0;
}

static int make_proxy(struct way *w, const char *password, struct proxy **out, char why[512])
{
	struct proxy_config config = { .url = w->url,
				       .user = w->options->user,
				       .password = password,
				       .ca_file = w->options->ca,
				       .except = w->except };
	char said[256];
	int err = proxy_create(&config, out, said);

	if (err < 0)
		snprintf(why, 512, "%s", said);
	return err;
}

int way_create(const struct way_options *options, struct way **out, char why[512])
{
	struct way *w = calloc(1, sizeof(*w));
	int err = w ? 0 : -ENOMEM;

	snprintf(why, 512, "Out of memory.");
	if (err == 0) {
		w->options = options;
		err = choose(w, why);
	}
	if (err == 0 && w->url && options->password_file)
		err = read_password(options->password_file, &w->password, why);
	if (err == 0 && w->url)
		err = make_proxy(w, w->password, &w->proxy, why);
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
	ct_wipe_strp(&w->password);
	proxy_unref(w->proxy);
	free(w->except);
	free(w);
}

void way_refresh(struct way *w)
{
	struct proxy *fresh;
	char *password, why[512];

	if (!w->proxy || !proxy_is_refused(w->proxy) || !w->options->password_file ||
	    read_password(w->options->password_file, &password, why) < 0)
		return;
	/* the same password is the same proxy, refused as before */
	if (make_proxy(w, password, &fresh, why) < 0) {
		ct_wipe_strp(&password);
		return;
	}
	proxy_unref(w->proxy);
	w->proxy = fresh;
	ct_wipe_strp(&w->password);
	w->password = password;
}

struct proxy *way_to(const struct way *w, const char *host)
{
	return w->proxy && proxy_is_for(w->proxy, host) ? w->proxy : NULL;
}

const struct fl_proxy *way_of_peers(struct way *w)
{
	if (!w->proxy)
		return NULL;
	w->peers = (struct fl_proxy){ .url = w->url,
				      .user = w->options->user,
				      .password = w->password,
				      .ca_file = w->options->ca,
				      .except = w->except };
	return &w->peers;
}
