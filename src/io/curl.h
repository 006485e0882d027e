/*
 * libcurl, loaded when the first proxy is used and not before: it brings some thirty libraries with
 * it, 4 MB resident, which a client that reaches its hub directly need not carry. Only tunnel.c
 * uses it, for what it does better than we would: authentication to proxies.
 */
#pragma once

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

struct curl_calls {
	__typeof__(curl_easy_init) *easy_init;
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_easy_setopt) *easy_set;
	__typeof__(curl_easy_getinfo) *easy_get;
	__typeof__(curl_easy_recv) *easy_recv;
	__typeof__(curl_easy_send) *easy_send;
	__typeof__(curl_easy_strerror) *easy_text;
	__typeof__(curl_multi_init) *multi_init;
	__typeof__(curl_multi_cleanup) *multi_cleanup;
	__typeof__(curl_multi_setopt) *multi_set;
	__typeof__(curl_multi_add_handle) *multi_add;
	__typeof__(curl_multi_remove_handle) *multi_remove;
	__typeof__(curl_multi_socket_action) *multi_action;
	__typeof__(curl_multi_info_read) *multi_result;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free;
};

/* NULL when it is not there; why then says so. It stays loaded. One thread. */
const struct curl_calls *curl_load(char why[256]);
