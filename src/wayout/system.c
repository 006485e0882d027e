#include "wayout/system.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "wayout/lines.h"

static bool plain(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
			return false;
	return true;
}

/* What does not fit or has control characters is as good as absent. */
static void keep(char dst[SYSTEM_TEXT_MAX], struct span value)
{
	if (!plain(value) || !text_copy_span(dst, SYSTEM_TEXT_MAX, value))
		*dst = 0;
}

static bool is_nocase(struct span s, const char *word)
{
	return text_equal_nocase(s, span_str(word));
}

/* ---- NAME=value ---- */

void system_take_environment(struct system_proxy *out, struct span text)
{
	struct span line, name, value;
	unsigned best = 0; /* https_proxy over all_proxy */

	while (lines_next(&text, &line)) {
		if (!line.len || line.ptr[0] == '#' || !lines_split(line, '=', &name, &value))
			continue;
		if (name.len > 7 && memcmp(name.ptr, "export ", 7) == 0)
			name = lines_trim(span_of(name.ptr + 7, name.len - 7));
		value = lines_unquote(value);
		if (is_nocase(name, "https_proxy")) {
			keep(out->proxy, value);
			best = 2;
		} else if (is_nocase(name, "all_proxy") && best < 2) {
			keep(out->proxy, value);
			best = 1;
		} else if (is_nocase(name, "no_proxy")) {
			keep(out->except, value);
		}
	}
}

/* ---- GNOME ---- */

struct server {
	char host[256], port[8];
};

static void make_url(struct system_proxy *out, const char *scheme, const struct server *s)
{
	bool v6 = strchr(s->host, ':') != NULL;

	if (*s->host && *s->port && strcmp(s->port, "0") != 0 && !*out->proxy)
		snprintf(out->proxy, sizeof(out->proxy), v6 ? "%s://[%s]:%s" : "%s://%s:%s", scheme,
			 s->host, s->port);
}

/* "['localhost', '127.0.0.0/8']" as no_proxy has it; "*.example" there means ".example" here. */
static void keep_list(char dst[SYSTEM_TEXT_MAX], struct span value)
{
	size_t len = 0;

	for (size_t i = 0; i < value.len && len + 1 < SYSTEM_TEXT_MAX; i++) {
		char c = (char)value.ptr[i];

		if (strchr("[]'\" \t", c) ||
		    (c == '*' && i + 1 < value.len && value.ptr[i + 1] == '.'))
			continue;
		dst[len++] = c;
	}
	dst[len] = 0;
	if (!plain(span_of(dst, len)))
		*dst = 0;
}

static void take_server(struct server *s, struct span name, struct span value)
{
	if (span_is(name, "host") &&
	    (!plain(value) || !text_copy_span(s->host, sizeof(s->host), value)))
		*s->host = 0;
	if (span_is(name, "port") &&
	    (!plain(value) || !text_copy_span(s->port, sizeof(s->port), value)))
		*s->port = 0;
}

void system_take_dconf(struct system_proxy *out, struct span text)
{
	enum { OTHER, TOP, HTTPS, HTTP, SOCKS } group = OTHER;
	static const char *const groups[] = { NULL, "[system/proxy]", "[system/proxy/https]",
					      "[system/proxy/http]", "[system/proxy/socks]" };
	struct server servers[5] = { 0 };
	struct span line, name, value, mode = span_str("");
	char pac[SYSTEM_TEXT_MAX] = "", except[SYSTEM_TEXT_MAX] = "";

	while (lines_next(&text, &line)) {
		if (line.len && line.ptr[0] == '[') {
			group = OTHER;
			for (unsigned i = 1; i < ARRAY_LEN(groups); i++)
				if (span_is(line, groups[i]))
					group = i;
			continue;
		}
		if (group == OTHER || !lines_split(line, '=', &name, &value))
			continue;
		if (group == TOP && span_is(name, "ignore-hosts"))
			keep_list(except, value);
		value = lines_unquote(value);
		if (group == TOP && span_is(name, "mode"))
			mode = value;
		else if (group == TOP && span_is(name, "autoconfig-url"))
			keep(pac, value);
		else if (group != TOP)
			take_server(&servers[group], name, value);
	}
	out->none = span_is(mode, "none");
	if (span_is(mode, "auto"))
		(void)text_copy(out->pac, sizeof(out->pac), pac);
	if (!span_is(mode, "manual"))
		return;
	(void)text_copy(out->except, sizeof(out->except), except);
	make_url(out, "http", &servers[HTTPS]);
	make_url(out, "http", &servers[HTTP]);
	make_url(out, "socks5h", &servers[SOCKS]);
}

/* ---- KDE ---- */

/* "http://proxy.example 3128", "http://proxy.example:3128", "proxy.example:3128" */
static void keep_kde(struct system_proxy *out, struct span value, const char *scheme)
{
	char host[512], *space, *at;

	if (*out->proxy || !value.len || !plain(value) ||
	    !text_copy_span(host, sizeof(host), value))
		return;
	space = strchr(host, ' ');
	if (space)
		*space = ':';
	at = strstr(host, "://");
	at = at ? at + 3 : host;
	if (*at)
		snprintf(out->proxy, sizeof(out->proxy), "%s://%s", scheme, at);
}

void system_take_kde(struct system_proxy *out, struct span text)
{
	struct span line, name, value, type = span_str(""), https = type, http = type, socks = type,
				       pac = type, except = type;
	bool inside = false;

	while (lines_next(&text, &line)) {
		if (line.len && line.ptr[0] == '[')
			inside = span_is(line, "[Proxy Settings]");
		if (!inside || !lines_split(line, '=', &name, &value))
			continue;
		/* "ProxyType[$i]": the administrator has locked it */
		if (name.len > 4 && memcmp(name.ptr + name.len - 4, "[$i]", 4) == 0)
			name.len -= 4;
		if (span_is(name, "ProxyType"))
			type = value;
		else if (span_is(name, "httpsProxy"))
			https = value;
		else if (span_is(name, "httpProxy"))
			http = value;
		else if (span_is(name, "socksProxy"))
			socks = value;
		else if (span_is(name, "Proxy Config Script"))
			pac = value;
		else if (span_is(name, "NoProxyFor"))
			except = value;
	}
	out->none = span_is(type, "0");
	if (span_is(type, "2"))
		keep(out->pac, pac);
	if (!span_is(type, "1"))
		return;
	keep_list(out->except, except);
	keep_kde(out, https, "http");
	keep_kde(out, http, "http");
	keep_kde(out, socks, "socks5h");
}

/* ---- apt ---- */

void system_take_apt(struct system_proxy *out, struct span text)
{
	bool https = false;
	struct span line, name;

	while (lines_next(&text, &line)) {
		name = lines_word(&line);
		line = lines_trim(line);
		if (line.len && line.ptr[line.len - 1] == ';')
			line = lines_trim(span_of(line.ptr, line.len - 1));
		line = lines_unquote(line);
		if (is_nocase(line, "DIRECT") || !line.len)
			continue;
		if (is_nocase(name, "Acquire::https::Proxy")) {
			keep(out->proxy, line);
			https = true;
		} else if (is_nocase(name, "Acquire::http::Proxy") && !https) {
			keep(out->proxy, line);
		}
	}
}

/* ---- the files ---- */

typedef void taker(struct system_proxy *out, struct span text);

static bool says(const struct system_proxy *p)
{
	return *p->proxy || *p->pac || p->none;
}

/* Files that a pattern names, each over those before it. */
static bool read_files(const char *root, const char *pattern, taker *take, struct system_proxy *out)
{
	char path[1024];
	glob_t found;

	snprintf(path, sizeof(path), "%s%s", root, pattern);
	if (glob(path, 0, NULL, &found) != 0)
		return says(out);
	for (size_t i = 0; i < found.gl_pathc && i < 64; i++) {
		struct system_proxy one = { .none = false };
		size_t len;
		FL_AUTOFREE char *text = lines_read_file(found.gl_pathv[i], &len);

		if (text)
			take(&one, span_of(text, len));
		if (says(&one))
			*out = one;
	}
	globfree(&found);
	return says(out);
}

bool system_read(const char *root, struct system_proxy *out, const char **found)
{
	static const struct {
		const char *found, *pattern;
		taker *take;
	} sources[] = {
		{ "etc-environment", "/etc/environment", system_take_environment },
		{ "etc-environment", "/etc/environment.d/*.conf", system_take_environment },
		{ "gnome", "/etc/dconf/db/*.d/*", system_take_dconf },
		{ "kde", "/etc/xdg/kioslaverc", system_take_kde },
		{ "kde", "/etc/kde5rc", system_take_kde },
		{ "kde", "/etc/kderc", system_take_kde },
	};

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		*out = (struct system_proxy){ .none = false };
		*found = sources[i].found;
		/* "none" is the desktops' standard and says nothing about what the network wants */
		if (read_files(root, sources[i].pattern, sources[i].take, out) &&
		    (*out->proxy || *out->pac))
			return true;
	}
	return false;
}

bool system_read_apt(const char *root, struct system_proxy *out)
{
	*out = (struct system_proxy){ .none = false };
	(void)read_files(root, "/etc/apt/apt.conf", system_take_apt, out);
	return read_files(root, "/etc/apt/apt.conf.d/*", system_take_apt, out);
}
