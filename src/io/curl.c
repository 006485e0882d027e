#include "io/curl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define LIBRARY "libcurl.so.4"

const struct curl_calls *curl_load(char why[256])
{
	static struct curl_calls calls;
	static bool loaded;
	const struct {
		const char *name;
		void *at;
	} wanted[] = {
		{ "curl_easy_init", &calls.easy_init },
		{ "curl_easy_cleanup", &calls.easy_cleanup },
		{ "curl_easy_setopt", &calls.easy_set },
		{ "curl_easy_getinfo", &calls.easy_get },
		{ "curl_easy_recv", &calls.easy_recv },
		{ "curl_easy_send", &calls.easy_send },
		{ "curl_easy_strerror", &calls.easy_text },
		{ "curl_multi_init", &calls.multi_init },
		{ "curl_multi_cleanup", &calls.multi_cleanup },
		{ "curl_multi_setopt", &calls.multi_set },
		{ "curl_multi_add_handle", &calls.multi_add },
		{ "curl_multi_remove_handle", &calls.multi_remove },
		{ "curl_multi_socket_action", &calls.multi_action },
		{ "curl_multi_info_read", &calls.multi_result },
		{ "curl_slist_append", &calls.slist_append },
		{ "curl_slist_free_all", &calls.slist_free },
	};
	void *library, *found;
	CURLcode (*init)(long flags);

	if (loaded)
		return &calls;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		snprintf(why, 256,
			 "Proxies need the library " LIBRARY
			 ", which is not installed here. Install "
			 "the package libcurl4.");
		return NULL;
	}
	found = dlsym(library, "curl_global_init");
	memcpy(&init, &found, sizeof(init));
	loaded = init && init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		found = dlsym(library, wanted[i].name);
		memcpy(wanted[i].at, &found, sizeof(found)); /* ISO C has no cast for this */
		loaded = loaded && found;
	}
	if (!loaded)
		snprintf(why, 256, "The library " LIBRARY " here is too old, or could not start.");
	return loaded ? &calls : NULL;
}
