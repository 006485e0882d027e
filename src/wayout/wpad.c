#include "wayout/wpad.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"

static unsigned labels(const char *name)
{
	unsigned n = *name != 0;

	for (; *name; name++)
		n += *name == '.';
	return n;
}

/* The last n labels. */
static const char *tail(const char *name, unsigned n)
{
	const char *at = name + strlen(name);

	while (at > name) {
		if (at[-1] == '.' && --n == 0)
			break;
		at--;
	}
	return at;
}

static bool well_formed(const char *name)
{
	return *name && *name != '.' && !strstr(name, "..") && name[strlen(name) - 1] != '.';
}

/* Below a country's domain the second label is often a kind of organisation and nobody's own. The
 * list need not be whole: what is missing costs a question to that country's name servers. */
static bool is_kind(const char *label, size_t len)
{
	static const char *const kinds[] = { "com",  "org",  "net",    "edu",	 "gov",
					     "mil",  "gob",  "ltd",    "plc",	 "nhs",
					     "sch",  "nom",  "gen",    "int",	 "inf",
					     "web",  "asn",  "med",    "fin",	 "law",
					     "gouv", "gove", "govt",   "info",	 "asso",
					     "firm", "name", "school", "police", "parliament" };

	if (len <= 2)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i]) == len && strncasecmp(kinds[i], label, len) == 0)
			return true;
	return false;
}

unsigned wpad_registered(const char *domain)
{
	unsigned n = labels(domain), least = 2;
	const char *top, *second;

	if (!well_formed(domain) || n < 2)
		return 0;
	top = tail(domain, 1);
	second = tail(domain, 2);
	if (strlen(top) == 2 && is_kind(second, (size_t)(top - second - 1)))
		least = 3;
	return n >= least ? least : 0;
}

static bool have(char names[WPAD_NAMES_MAX][WAYOUT_HOST_MAX + 1], size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

size_t wpad_names(const struct network *net, char names[WPAD_NAMES_MAX][WAYOUT_HOST_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < net->n_domains; i++) {
		const char *domain = net->domains[i];
		unsigned least = wpad_registered(domain);

		for (unsigned k = labels(domain); least && k >= least && n < WPAD_NAMES_MAX; k--) {
			char *name = names[n];
			int len = snprintf(name, WAYOUT_HOST_MAX + 1, "wpad.%s", tail(domain, k));

			n += len <= WAYOUT_HOST_MAX && !have(names, n, name);
		}
	}
	return n;
}

static bool below(const char *host, const char *domain)
{
	size_t h = strlen(host), d = strlen(domain);

	return h >= d && strcasecmp(host + h - d, domain) == 0 &&
	       (h == d || host[h - d - 1] == '.');
}

bool wpad_inside(const struct network *n, const char *host)
{
	struct addr ip;

	if (addr_parse_ip(host, &ip) == 0) {
		enum addr_range range = addr_range(&ip);

		return range == ADDR_PRIVATE || range == ADDR_LINK_LOCAL;
	}
	if (!strchr(host, '.'))
		return true;
	for (size_t i = 0; i < n->n_domains; i++) {
		unsigned least = wpad_registered(n->domains[i]);

		if (least && below(host, tail(n->domains[i], least)))
			return true;
	}
	return false;
}
