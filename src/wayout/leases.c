#include "wayout/leases.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "wayout/lines.h"

bool leases_take_option(struct span bytes, char url[WAYOUT_URL_MAX + 1])
{
	while (bytes.len && (bytes.ptr[bytes.len - 1] == 0 || bytes.ptr[bytes.len - 1] == '\n' ||
			     bytes.ptr[bytes.len - 1] == '\r'))
		bytes.len--;
	for (size_t i = 0; i < bytes.len; i++)
		if (bytes.ptr[i] <= ' ' || bytes.ptr[i] >= 0x7f)
			return false;
	return bytes.len && text_copy_span(url, WAYOUT_URL_MAX + 1, bytes);
}

/* "68:74:74:70" and "68747470" */
static bool take_hex(struct span text, char url[WAYOUT_URL_MAX + 1])
{
	char digits[2 * WAYOUT_URL_MAX + 1];
	uint8_t bytes[WAYOUT_URL_MAX];
	size_t n = 0;
	int len;

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == ':')
			continue;
		if (n == sizeof(digits) - 1)
			return false;
		digits[n++] = (char)text.ptr[i];
	}
	len = text_hex_decode(span_of(digits, n), bytes, sizeof(bytes));
	return len > 0 && leases_take_option(span_of(bytes, (size_t)len), url);
}

/* "option wpad "http://…";" */
static bool take_dhclient(struct span line, char url[WAYOUT_URL_MAX + 1])
{
	static const char *const names[] = {
		"wpad",	       "wpad-url",	     "wpad-proxy-url",
		"unknown-252", "local-proxy-config", "auto-proxy-config"
	};
	struct span name = lines_word(&line), value = lines_trim(line);
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		known = known || span_is(name, names[i]);
	if (known && value.len && value.ptr[value.len - 1] == ';')
		value.len--;
	if (!known || !value.len)
		return false;
	if (value.ptr[0] != '"')
		return take_hex(value, url);
	value = lines_unquote(value);
	/* a 0 at the end is written as \000 or \n */
	while (value.len > 4 && memcmp(value.ptr + value.len - 4, "\\000", 4) == 0)
		value.len -= 4;
	while (value.len > 2 && memcmp(value.ptr + value.len - 2, "\\n", 2) == 0)
		value.len -= 2;
	return leases_take_option(value, url);
}

bool leases_find(struct span text, char url[WAYOUT_URL_MAX + 1])
{
	static const char networkd[] = "OPTION_252=";
	char one[WAYOUT_URL_MAX + 1];
	bool found = false, got;
	struct span line, rest;

	while (lines_next(&text, &line)) {
		rest = line;
		got = span_is(lines_word(&rest), "option") && take_dhclient(rest, one);
		if (!got && line.len > strlen(networkd) &&
		    memcmp(line.ptr, networkd, strlen(networkd)) == 0)
			got = take_hex(
				span_of(line.ptr + strlen(networkd), line.len - strlen(networkd)),
				one);
		if (got)
			(void)text_copy(url, WAYOUT_URL_MAX + 1, one);
		found = found || got;
	}
	return found;
}

bool leases_read(const char *root, char url[WAYOUT_URL_MAX + 1])
{
	static const char *const patterns[] = { "/run/systemd/netif/leases/*",
						"/var/lib/dhcp/*.leases",
						"/var/lib/dhclient/*.lease*",
						"/var/lib/NetworkManager/*.lease" };
	char path[1024], one[WAYOUT_URL_MAX + 1];
	time_t newest = 0;
	bool found = false;
	glob_t files;

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		snprintf(path, sizeof(path), "%s%s", root, patterns[i]);
		if (glob(path, 0, NULL, &files) != 0)
			continue;
		for (size_t k = 0; k < files.gl_pathc && k < 32; k++) {
			size_t len;
			struct stat st;
			FL_AUTOFREE char *text = lines_read_file(files.gl_pathv[k], &len);

			if (!text || stat(files.gl_pathv[k], &st) < 0 || st.st_mtime < newest ||
			    !leases_find(span_of(text, len), one))
				continue;
			newest = st.st_mtime;
			found = text_copy(url, WAYOUT_URL_MAX + 1, one);
		}
		globfree(&files);
	}
	return found;
}
