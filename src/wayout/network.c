#include "wayout/network.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/text.h"
#include "wayout/lines.h"

static void add_domain(struct network *n, struct span word)
{
	char *dst = n->domains[n->n_domains];

	while (word.len && word.ptr[word.len - 1] == '.')
		word.len--;
	if (!word.len || n->n_domains == NETWORK_DOMAINS_MAX || word.len > NETWORK_DOMAIN_MAX)
		return;
	for (size_t i = 0; i < word.len; i++) {
		uint8_t c = word.ptr[i];

		if (!isalnum(c) && c != '-' && c != '.' && c != '_')
			return;
		dst[i] = (char)tolower(c);
	}
	dst[word.len] = 0;
	n->n_domains++;
}

static void add_server(struct network *n, struct span word)
{
	size_t len = strlen(n->servers);

	if (len + word.len + 2 < sizeof(n->servers))
		snprintf(n->servers + len, sizeof(n->servers) - len, "%.*s ", (int)word.len,
			 (const char *)word.ptr);
}

/* "search" and "domain": the last one counts. */
void network_take_resolv(struct network *out, struct span text)
{
	struct span line, word, value;

	while (lines_next(&text, &line)) {
		word = lines_word(&line);
		if (span_equal(word, span_str("nameserver")))
			add_server(out, lines_word(&line));
		if (!span_equal(word, span_str("search")) && !span_equal(word, span_str("domain")))
			continue;
		out->n_domains = 0;
		while ((value = lines_word(&line)).len)
			add_domain(out, value);
	}
}

/* The eight hex digits of an address in the order of this machine's bytes, as the kernel wrote it.
 */
static void put_gateway(struct network *n, struct span hex)
{
	uint8_t bytes[4];
	const uint16_t probe = 1;
	bool little = *(const uint8_t *)&probe == 1;

	if (hex.len != 8 || text_hex_decode(hex, bytes, 4) != 4)
		return;
	snprintf(n->gateway, sizeof(n->gateway), "%u.%u.%u.%u", bytes[little ? 3 : 0],
		 bytes[little ? 2 : 1], bytes[little ? 1 : 2], bytes[little ? 0 : 3]);
}

/* Iface Destination Gateway Flags …; the first route to everywhere. */
void network_take_routes(struct network *out, struct span text)
{
	struct span line;

	while (!*out->gateway && lines_next(&text, &line)) {
		struct span device = lines_word(&line), to = lines_word(&line),
			    gateway = lines_word(&line);

		if (!span_equal(to, span_str("00000000")) ||
		    span_equal(gateway, span_str("00000000")))
			continue;
		put_gateway(out, gateway);
		(void)text_copy_span(out->device, sizeof(out->device), device);
	}
}

void network_read(const char *root, struct network *out)
{
	static const struct {
		const char *path;
		void (*take)(struct network *n, struct span text);
	} files[] = { { "/etc/resolv.conf", network_take_resolv },
		      { "/proc/net/route", network_take_routes } };
	char path[1024];

	*out = (struct network){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		FL_AUTOFREE char *text = NULL;
		size_t len;

		snprintf(path, sizeof(path), "%s%s", root, files[i].path);
		text = lines_read_file(path, &len);
		if (text)
			files[i].take(out, span_of(text, len));
	}
}

void network_id(const struct network *n, const char *const *more, size_t n_more,
		char out[NETWORK_ID_LEN])
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE] = { 0 };
	bool ok = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(hash, n->gateway, sizeof(n->gateway)) == 1 &&
		  EVP_DigestUpdate(hash, n->device, strlen(n->device) + 1) == 1 &&
		  EVP_DigestUpdate(hash, n->servers, strlen(n->servers) + 1) == 1;

	for (size_t i = 0; ok && i < n->n_domains; i++)
		ok = EVP_DigestUpdate(hash, n->domains[i], strlen(n->domains[i]) + 1) == 1;
	for (size_t i = 0; ok && i < n_more; i++) {
		const char *word = more[i] ? more[i] : "\x01";

		ok = EVP_DigestUpdate(hash, word, strlen(word) + 1) == 1;
	}
	if (ok)
		ok = EVP_DigestFinal_ex(hash, digest, NULL) == 1;
	EVP_MD_CTX_free(hash);
	text_hex_encode(span_of(digest, 16), out, NETWORK_ID_LEN);
	if (!ok)
		*out = 0;
}
