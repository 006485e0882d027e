/* What the client tells about its machine. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/text.h"
#include "client/client.h"
#include "io/ifaces.h"

#define TEXT_MAX 256

/* Valid UTF-8 of at most 255 bytes. */
static json_t *shown(const char *s)
{
	char text[TEXT_MAX];

	return json_string(text_printable(text, sizeof(text), span_str(s)));
}

/* NAME and VERSION of os-release(5). */
static void os_release(char name[TEXT_MAX], char version[TEXT_MAX])
{
	FILE *f = fopen("/etc/os-release", "re");
	char line[512];

	(void)text_copy(name, TEXT_MAX, "Linux");
	*version = 0;
	while (f && fgets(line, sizeof(line), f)) {
		bool is_version = strncmp(line, "VERSION=", 8) == 0;
		if (!is_version && strncmp(line, "NAME=", 5) != 0)
			continue;
		char *s = line + (is_version ? 8 : 5);
		s += *s == '"';
		s[strcspn(s, "\"\n")] = 0;
		(void)text_copy(is_version ? version : name, TEXT_MAX, s);
	}
	if (f)
		(void)fclose(f);
}

/* The address that colleagues would know it by: the first one of a real interface. */
static void own_address(char text[ADDR_TEXT_MAX])
{
	struct iface list[IFACES_MAX];
	int n = ifaces_list(list, IFACES_MAX), best = -1;

	(void)text_copy(text, ADDR_TEXT_MAX, "127.0.0.1");
	for (int i = 0; i < n; i++) {
		enum addr_range range = addr_range(&list[i].addr);
		if (list[i].loopback || range == ADDR_LINK_LOCAL || list[i].deprecated)
			continue;
		if (best < 0 || (list[best].virtual_link && !list[i].virtual_link) ||
		    (list[best].addr.family == ADDR_V6 && list[i].addr.family == ADDR_V4 &&
		     list[best].virtual_link == list[i].virtual_link))
			best = i;
	}
	if (best >= 0)
		addr_format_ip(&list[best].addr, text);
}

json_t *status_json(const struct client *c)
{
	char names[MODULEHOST_MODULES_MAX][MODULEHOST_NAME_MAX];
	char host[TEXT_MAX] = "", os[TEXT_MAX], version[TEXT_MAX], address[ADDR_TEXT_MAX];
	struct utsname u = { 0 };
	struct passwd *pw = getpwuid(getuid());
	json_t *modules = json_array();
	size_t n = modulehost_list(c->modules, names);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(modules, json_string(names[i]));
	(void)gethostname(host, sizeof(host) - 1);
	(void)uname(&u);
	os_release(os, version);
	own_address(address);
	const char *display = getenv("DISPLAY");
	json_t *status = json_pack("{s:o, s:{s:o, s:o, s:o}, s:o, s:s, s:o, s:b}", "name",
				   shown(*host ? host : "unnamed"), "platform", "os", shown(os),
				   "version", shown(*version ? version : u.release), "arch",
				   shown(u.machine), "user", pw ? shown(pw->pw_name) : json_null(),
				   "address", address, "modules", modules, "display",
				   display && *display);
	if (status && uplink_clock_is_off(c))
		json_object_set_new(status, "clockOff", json_integer(-c->clock_ahead_s / 60));
	if (status && *c->inspected_by)
		json_object_set_new(status, "inspectedBy", shown(c->inspected_by));
	return status;
}
