#include "wayout/leases.h"
#include "wayout/memory.h"
#include "wayout/network.h"
#include "wayout/system.h"
#include "wayout/url.h"
#include "wayout/wpad.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the parser; what one gives has to be fit for the next. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory memory;
	static char text[MEMORY_TEXT_MAX];
	struct span in = span_of(data + (size > 0), size - (size > 0));
	char names[WPAD_NAMES_MAX][WAYOUT_HOST_MAX + 1], url[WAYOUT_URL_MAX + 1];
	struct system_proxy proxy = { .none = false };
	struct network network = { .n_domains = 0 };
	struct wayout_url where;

	switch (size ? data[0] % 8 : 0) {
	case 0:
		system_take_environment(&proxy, in);
		break;
	case 1:
		system_take_dconf(&proxy, in);
		break;
	case 2:
		system_take_kde(&proxy, in);
		break;
	case 3:
		system_take_apt(&proxy, in);
		break;
	case 4:
		network_take_resolv(&network, in);
		for (size_t i = wpad_names(&network, names); i > 0; i--)
			if (strncmp(names[i - 1], "wpad.", 5) != 0 ||
			    !wpad_registered(names[i - 1] + 5))
				abort();
		break;
	case 5:
		network_take_routes(&network, in);
		break;
	case 6:
		if (wayout_url_parse(in, &where) == 0 && (!*where.host || !where.port))
			abort();
		if (leases_find(in, url) && !*url)
			abort();
		break;
	default:
		memory_parse(&memory, in);
		if (memory_format(&memory, text, sizeof(text)) != strlen(text))
			abort();
	}
	return 0;
}
