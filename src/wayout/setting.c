#include "wayout/setting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/text.h"
#include "wayout/system.h"

/* Which this machine itself belongs to; no proxy reaches it. */
#define THIS_MACHINE "localhost,127.0.0.0/8,::1"

static const char *from_environment(const char *const names[])
{
	for (size_t i = 0; names[i]; i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return value;
	}
	return NULL;
}

static int take(struct wayout_setting *s, const char *found, const char *proxy, const char *except,
		const char *pac)
{
	(void)text_copy(s->found, sizeof(s->found), found);
	/* "proxy.example:3128", as libcurl takes it */
	if (proxy && asprintf(&s->proxy, "%s%s", strstr(proxy, "://") ? "" : "http://", proxy) < 0)
		s->proxy = NULL;
	s->pac = pac ? strdup(pac) : NULL;
	if (asprintf(&s->except, THIS_MACHINE ",%s", except ? except : "") < 0)
		s->except = NULL;
	return s->except && (!proxy || s->proxy) && (!pac || s->pac) ? 0 : -ENOMEM;
}

int wayout_setting_read(const struct wayout_setting_from *from, struct wayout_setting *out)
{
	static const char *const proxies[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
					       "ALL_PROXY", NULL };
	static const char *const exceptions[] = { "no_proxy", "NO_PROXY", NULL };
	const char *proxy = from_environment(proxies), *found;
	struct system_proxy system;
	int err = 0;

	*out = (struct wayout_setting){ .found = "" };
	if (from->pac)
		err = take(out, "pac", NULL, NULL, from->pac);
	else if (proxy)
		err = take(out, "environment", proxy, from_environment(exceptions), NULL);
	else if (system_read(from->root, &system, &found))
		err = take(out, found, *system.proxy ? system.proxy : NULL, system.except,
			   *system.pac ? system.pac : NULL);
	ct_wipe(&system, sizeof(system)); /* a URL may hold a password */
	if (err < 0)
		wayout_setting_finish(out);
	return err;
}

void wayout_setting_finish(struct wayout_setting *s)
{
	ct_wipe_strp(&s->proxy);
	free(s->except);
	free(s->pac);
	*s = (struct wayout_setting){ .found = "" };
}
