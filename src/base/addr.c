#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/err.h"

static size_t ip_len(const struct addr *a)
{
	return a->family == ADDR_V4 ? 4 : a->family == ADDR_V6 ? 16 : 0;
}

bool addr_ip_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->scope == b->scope &&
	       memcmp(a->ip, b->ip, ip_len(a)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && addr_ip_equal(a, b);
}

uint32_t addr_hash(const struct addr *a, uint64_t key)
{
	uint64_t h = key ^ ((uint64_t)a->port << 32 | a->scope), w[2];

	memcpy(w, a->ip, sizeof(w));
	for (int i = 0; i < 2; i++) {
		h = (h ^ w[i]) * 0x9fb21c651e98df25;
		h ^= h >> 29;
	}
	h *= 0xd6e8feb86659fd93;
	return (uint32_t)(h >> 32);
}

struct prefix {
	uint8_t ip[16];
	unsigned bits;
	enum addr_range range;
};

static const struct prefix v4_ranges[] = {
	{ { 0 }, 8, ADDR_UNSPECIFIED },
	{ { 127 }, 8, ADDR_LOOPBACK },
	{ { 169, 254 }, 16, ADDR_LINK_LOCAL },
	{ { 10 }, 8, ADDR_PRIVATE },
	{ { 172, 16 }, 12, ADDR_PRIVATE },
	{ { 192, 168 }, 16, ADDR_PRIVATE },
	{ { 100, 64 }, 10, ADDR_PRIVATE },
	{ { 192, 0, 0 }, 24, ADDR_RESERVED },
	{ { 192, 0, 2 }, 24, ADDR_RESERVED },
	{ { 198, 51, 100 }, 24, ADDR_RESERVED },
	{ { 203, 0, 113 }, 24, ADDR_RESERVED },
	{ { 198, 18 }, 15, ADDR_RESERVED },
	{ { 224 }, 4, ADDR_MULTICAST },
	{ { 255, 255, 255, 255 }, 32, ADDR_MULTICAST },
	{ { 240 }, 4, ADDR_RESERVED },
	{ { 192, 88, 99 }, 24, ADDR_RESERVED }, /* RFC 7526 */
};

static const struct prefix v6_ranges[] = {
	{ { 0 }, 128, ADDR_UNSPECIFIED },
	{ { [15] = 1 }, 128, ADDR_LOOPBACK },
	{ { 0xfe, 0x80 }, 10, ADDR_LINK_LOCAL },
	{ { 0xfe, 0xc0 }, 10, ADDR_PRIVATE }, /* site-local, deprecated */
	{ { 0xfc }, 7, ADDR_PRIVATE },
	{ { 0xff }, 8, ADDR_MULTICAST },
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, ADDR_RESERVED },
	{ { 0x3f, 0xff }, 20, ADDR_RESERVED },			      /* documentation, RFC 9637 */
	{ { 0x20, 0x01, 0x00, 0x02 }, 48, ADDR_RESERVED },	      /* benchmarks, RFC 5180 */
	{ { 0x20, 0x01, 0x00, 0x10 }, 28, ADDR_RESERVED },	      /* ORCHID, RFC 4843 */
	{ { 0x20, 0x01, 0x00, 0x20 }, 28, ADDR_RESERVED },	      /* ORCHIDv2, RFC 7343 */
	{ { 0x01 }, 32, ADDR_RESERVED },			      /* discard-only, RFC 6666 */
	{ { 0x5f }, 16, ADDR_RESERVED },			      /* segment ids, RFC 9602 */
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, ADDR_PRIVATE }, /* local NAT64, RFC 8215 */
};

/*
 * Forms of IPv6 addresses that carry an IPv4 address: which bits tell, and where its bytes stand.
 * A network's own NAT64 prefix may have several lengths (RFC 6052 §2.2), and an address does not
 * say which; so each reading counts.
 */
static const struct form {
	uint8_t ip[16];
	uint8_t from, bits; /* compared: bits bits of ip, beginning at byte from */
	uint8_t at[4];
	uint8_t flip; /* xor of each byte */
} forms[] = {
	{ { [10] = 0xff, [11] = 0xff }, 0, 96, { 12, 13, 14, 15 }, 0 },	  /* mapped */
	{ { [8] = 0xff, [9] = 0xff }, 0, 96, { 12, 13, 14, 15 }, 0 },	  /* translated, RFC 2765 */
	{ { 0x00, 0x64, 0xff, 0x9b }, 0, 96, { 12, 13, 14, 15 }, 0 },	  /* NAT64, RFC 6052 */
	{ { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 0, 48, { 6, 7, 9, 10 }, 0 },  /* local NAT64 /48 */
	{ { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 0, 48, { 7, 9, 10, 11 }, 0 }, /* /56 */
	{ { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 0, 48, { 9, 10, 11, 12 }, 0 },  /* /64 */
	{ { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 0, 48, { 12, 13, 14, 15 }, 0 }, /* /96 */
	{ { 0x20, 0x02 }, 0, 16, { 2, 3, 4, 5 }, 0 },			    /* 6to4, RFC 3056 */
	{ { 0x20, 0x01 }, 0, 32, { 12, 13, 14, 15 }, 0xff }, /* Teredo's client, RFC 4380 */
	{ { 0x20, 0x01 }, 0, 32, { 4, 5, 6, 7 }, 0 },	     /* Teredo's server */
	{ { [10] = 0x5e, [11] = 0xfe }, 8, 32, { 12, 13, 14, 15 }, 0 }, /* ISATAP, RFC 5214 */
	{ { [8] = 2, [10] = 0x5e, [11] = 0xfe }, 8, 32, { 12, 13, 14, 15 }, 0 },
	{ { 0 }, 0, 96, { 12, 13, 14, 15 }, 0 }, /* compatible */
};

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static enum addr_range look_up(const uint8_t *ip, const struct prefix *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bits_equal(ip, table[i].ip, table[i].bits))
			return table[i].range;
	return ADDR_PUBLIC;
}

size_t addr_carried(const struct addr *a, struct addr out[ADDR_CARRIED_MAX])
{
	size_t n = 0;

	if (a->family != ADDR_V6)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(forms) && n < ADDR_CARRIED_MAX; i++) {
		const struct form *f = &forms[i];

		if (!bits_equal(a->ip + f->from, f->ip + f->from, f->bits))
			continue;
		out[n] = (struct addr){ .family = ADDR_V4, .port = a->port };
		for (size_t k = 0; k < 4; k++)
			out[n].ip[k] = a->ip[f->at[k]] ^ f->flip;
		n++;
	}
	return n;
}

enum addr_range addr_range(const struct addr *a)
{
	enum addr_range range;
	struct addr carried[ADDR_CARRIED_MAX];
	size_t n;

	if (a->family == ADDR_V4)
		return look_up(a->ip, v4_ranges, ARRAY_LEN(v4_ranges));
	if (a->family != ADDR_V6)
		return ADDR_UNSPECIFIED;
	range = look_up(a->ip, v6_ranges, ARRAY_LEN(v6_ranges));
	n = range == ADDR_PUBLIC ? addr_carried(a, carried) : 0;
	for (size_t i = 0; i < n && range == ADDR_PUBLIC; i++)
		range = look_up(carried[i].ip, v4_ranges, ARRAY_LEN(v4_ranges));
	return range;
}

struct addr addr_unmap(const struct addr *a)
{
	struct addr out = { .family = ADDR_V4, .port = a->port };

	if (a->family != ADDR_V6 || !bits_equal(a->ip, forms[0].ip, forms[0].bits))
		return *a;
	memcpy(out.ip, a->ip + 12, 4);
	return out;
}

bool addr_same_prefix(const struct addr *a, const struct addr *b, unsigned prefix_bits)
{
	if (a->family != b->family || prefix_bits > 8 * ip_len(a))
		return false;
	return bits_equal(a->ip, b->ip, prefix_bits);
}

/* Decimal without sign, spaces or leading zeros. */
static int parse_number(const char *text, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;
	size_t n = 0;

	for (; text[n] >= '0' && text[n] <= '9' && n < 11; n++)
		v = v * 10 + (uint64_t)(text[n] - '0');
	if (n == 0 || text[n] || v > max || (n > 1 && text[0] == '0'))
		return FL_EMALFORMED;
	*out = (uint32_t)v;
	return 0;
}

int addr_parse_ip(const char *text, struct addr *out)
{
	char ip[INET6_ADDRSTRLEN];
	const char *percent = strchr(text, '%');
	size_t len = percent ? (size_t)(percent - text) : strlen(text);
	struct addr a = { 0 };

	if (len >= sizeof(ip))
		return FL_EMALFORMED;
	memcpy(ip, text, len);
	ip[len] = 0;
	if (!percent && inet_pton(AF_INET, ip, a.ip) == 1)
		a.family = ADDR_V4;
	else if (inet_pton(AF_INET6, ip, a.ip) == 1)
		a.family = ADDR_V6;
	else
		return FL_EMALFORMED;
	if (percent && parse_number(percent + 1, UINT32_MAX, &a.scope) < 0)
		return FL_EMALFORMED;
	*out = a;
	return 0;
}

int addr_parse(const char *text, struct addr *out)
{
	const char *colon = strrchr(text, ':');
	char host[ADDR_TEXT_MAX];
	struct addr a;
	uint32_t port;
	size_t len;
	bool v6;

	if (!colon || parse_number(colon + 1, UINT16_MAX, &port) < 0)
		return FL_EMALFORMED;
	len = (size_t)(colon - text);
	if (len >= sizeof(host))
		return FL_EMALFORMED;
	memcpy(host, text, len);
	host[len] = 0;
	v6 = len >= 2 && host[0] == '[' && host[len - 1] == ']';
	if (v6)
		host[len - 1] = 0;
	if (addr_parse_ip(host + v6, &a) < 0 || (a.family == ADDR_V6) != v6)
		return FL_EMALFORMED;
	a.port = (uint16_t)port;
	*out = a;
	return 0;
}

const char *addr_format_ip(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN] = "none";

	if (a->family == ADDR_V4)
		inet_ntop(AF_INET, a->ip, ip, sizeof(ip));
	else if (a->family == ADDR_V6)
		inet_ntop(AF_INET6, a->ip, ip, sizeof(ip));
	if (a->scope)
		snprintf(buf, ADDR_TEXT_MAX, "%s%%%u", ip, a->scope);
	else
		snprintf(buf, ADDR_TEXT_MAX, "%s", ip);
	return buf;
}

const char *addr_format(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];

	addr_format_ip(a, ip);
	if (a->family == ADDR_V6)
		snprintf(buf, ADDR_TEXT_MAX, "[%.54s]:%u", ip, a->port);
	else
		snprintf(buf, ADDR_TEXT_MAX, "%.54s:%u", ip, a->port);
	return buf;
}

int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *out)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct addr a = { 0 };

	if (sa->sa_family == AF_INET && len >= sizeof(in)) {
		memcpy(&in, sa, sizeof(in));
		a.family = ADDR_V4;
		memcpy(a.ip, &in.sin_addr, 4);
		a.port = ntohs(in.sin_port);
	} else if (sa->sa_family == AF_INET6 && len >= sizeof(in6)) {
		memcpy(&in6, sa, sizeof(in6));
		a.family = ADDR_V6;
		memcpy(a.ip, &in6.sin6_addr, 16);
		a.port = ntohs(in6.sin6_port);
		a.scope = addr_range(&a) == ADDR_LINK_LOCAL ? in6.sin6_scope_id : 0;
	} else {
		return FL_EUNSUPPORTED;
	}
	*out = a;
	return 0;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memset(out, 0, sizeof(*out));
	if (a->family == ADDR_V4) {
		memcpy(&in.sin_addr, a->ip, 4);
		in.sin_port = htons(a->port);
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	}
	if (a->family == ADDR_V6) {
		memcpy(&in6.sin6_addr, a->ip, 16);
		in6.sin6_port = htons(a->port);
		in6.sin6_scope_id = a->scope;
		memcpy(out, &in6, sizeof(in6));
		return sizeof(in6);
	}
	return 0;
}
