#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"
#include "proto/ice/ice.h"

const char *ice_type_name(enum ice_type type)
{
	switch (type) {
	case ICE_HOST:
		return "host";
	case ICE_SRFLX:
		return "srflx";
	case ICE_PRFLX:
		return "prflx";
	case ICE_RELAY:
		return "relay";
	}
	return "unknown";
}

/* ice-char = ALPHA / DIGIT / "+" / "/" (RFC 8839 §5.1) */
static bool is_ice_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '+' || c == '/';
}

static bool all_ice_chars(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_ice_char(s.ptr[i]))
			return false;
	return s.len > 0;
}

static bool is_host_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
		    c != '-' && c != '.' && c != '_')
			return false;
	}
	return s.len > 0 && s.len <= ICE_HOST_MAX && s.ptr[0] != '.' && s.ptr[0] != '-';
}

/* The next word; words are parted by single spaces, but more are forgiven. Empty at the end. */
static struct span next_word(struct reader *r)
{
	const uint8_t *start;
	uint8_t c;
	size_t len = 0;

	while (reader_peek_u8(r, &c) && c == ' ')
		reader_skip(r, 1);
	start = r->ptr;
	while (reader_peek_u8(r, &c) && c != ' ') {
		reader_skip(r, 1);
		len++;
	}
	return span_of(start, len);
}

static bool parse_number(struct span s, uint64_t max, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.len && i < 11; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		*out = *out * 10 + (uint64_t)(s.ptr[i] - '0');
	}
	return s.len > 0 && s.len < 11 && *out <= max;
}

/* An address without scope; a name gives family ADDR_NONE. */
static bool parse_ip(struct span s, struct addr *out)
{
	char text[ADDR_TEXT_MAX];

	*out = (struct addr){ 0 };
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '%' || s.ptr[i] == 0)
			return false;
	if (s.len == 0 || !text_copy_span(text, sizeof(text), s) || addr_parse_ip(text, out) < 0)
		return false;
	*out = addr_unmap(out);
	return true;
}

static int parse_transport(struct span s, enum ice_transport *out)
{
	*out = ICE_UDP;
	if (text_equal_nocase(s, span_str("udp")))
		return 0;
	*out = ICE_TCP_PASSIVE; /* tcptype says it more exactly */
	return text_equal_nocase(s, span_str("tcp")) ? 0 : FL_EUNSUPPORTED;
}

static int parse_type(struct span s, enum ice_type *out)
{
	for (int t = ICE_HOST; t <= ICE_RELAY; t++)
		if (text_equal_nocase(s, span_str(ice_type_name((enum ice_type)t)))) {
			*out = (enum ice_type)t;
			return 0;
		}
	return s.len ? FL_EUNSUPPORTED : FL_EMALFORMED;
}

static int parse_head(struct reader *r, struct ice_candidate *c)
{
	struct span word = next_word(r);
	uint64_t n;
	int err;

	if (word.len > ICE_FOUNDATION_MAX || !all_ice_chars(word))
		return FL_EMALFORMED;
	text_copy_span(c->foundation, sizeof(c->foundation), word);
	if (!parse_number(next_word(r), 256, &n) || n == 0)
		return FL_EMALFORMED;
	c->component = (uint16_t)n;
	err = parse_transport(next_word(r), &c->transport);
	if (err < 0)
		return err;
	if (!parse_number(next_word(r), UINT32_MAX, &n))
		return FL_EMALFORMED;
	c->priority = (uint32_t)n;
	word = next_word(r);
	if (!parse_ip(word, &c->addr)) {
		if (!is_host_name(word))
			return FL_EMALFORMED;
		text_copy_span(c->host, sizeof(c->host), word);
	}
	if (!parse_number(next_word(r), UINT16_MAX, &n))
		return FL_EMALFORMED;
	c->addr.port = (uint16_t)n;
	if (!span_is(next_word(r), "typ"))
		return FL_EMALFORMED;
	return parse_type(next_word(r), &c->type);
}

static int parse_tcptype(struct span value, struct ice_candidate *c)
{
	if (c->transport == ICE_UDP)
		return FL_EMALFORMED;
	if (span_is(value, "active"))
		c->transport = ICE_TCP_ACTIVE;
	else if (span_is(value, "passive"))
		c->transport = ICE_TCP_PASSIVE;
	else if (span_is(value, "so"))
		c->transport = ICE_TCP_SO;
	else
		return FL_EMALFORMED;
	return 0;
}

static int parse_extension(struct span name, struct span value, struct ice_candidate *c)
{
	uint64_t n;

	if (value.len == 0)
		return FL_EMALFORMED;
	if (span_is(name, "raddr")) {
		/* A name or a scoped address is allowed, but of no use. */
		(void)parse_ip(value, &c->related);
	} else if (span_is(name, "rport")) {
		if (!parse_number(value, UINT16_MAX, &n))
			return FL_EMALFORMED;
		if (c->related.family != ADDR_NONE)
			c->related.port = (uint16_t)n;
	} else if (span_is(name, "tcptype")) {
		return parse_tcptype(value, c);
	} else if (span_is(name, "ufrag")) {
		if (value.len > ICE_UFRAG_MAX || !all_ice_chars(value))
			return FL_EMALFORMED;
		text_copy_span(c->ufrag, sizeof(c->ufrag), value);
	}
	return 0;
}

int ice_candidate_parse(struct span text, struct ice_candidate *out)
{
	static const char prefix[] = "candidate:", attr[] = "a=";
	struct reader r = reader_of(text);
	int err;

	*out = (struct ice_candidate){ 0 };
	if (text.len > ICE_CANDIDATE_TEXT_MAX)
		return FL_EMALFORMED;
	if (text.len >= 2 && span_is(span_of(text.ptr, 2), attr))
		reader_skip(&r, 2);
	if (!span_is(reader_bytes(&r, sizeof(prefix) - 1), prefix))
		return FL_EMALFORMED;
	err = parse_head(&r, out);
	while (err == 0) {
		struct span name = next_word(&r);

		if (name.len == 0)
			break;
		err = parse_extension(name, next_word(&r), out);
	}
	return err;
}

/* Without scope, which means nothing to others. */
static void put_ip(struct writer *w, const struct addr *a)
{
	struct addr plain = *a;
	char text[ADDR_TEXT_MAX];

	plain.scope = 0;
	writer_str(w, addr_format_ip(&plain, text));
}

int ice_candidate_format(const struct ice_candidate *c, char *dst, size_t cap)
{
	static const char *const tcptypes[] = { "", "active", "passive", "so" };
	struct writer w = writer_of(dst, cap);

	writer_fmt(&w, "candidate:%s %u %s %u ", c->foundation, c->component,
		   c->transport == ICE_UDP ? "udp" : "tcp", c->priority);
	if (c->addr.family != ADDR_NONE)
		put_ip(&w, &c->addr);
	else
		writer_str(&w, c->host);
	writer_fmt(&w, " %u typ %s", c->addr.port, ice_type_name(c->type));
	if (c->related.family != ADDR_NONE) {
		writer_str(&w, " raddr ");
		put_ip(&w, &c->related);
		writer_fmt(&w, " rport %u", c->related.port);
	}
	if (c->transport != ICE_UDP)
		writer_fmt(&w, " tcptype %s", tcptypes[c->transport]);
	if (c->ufrag[0])
		writer_fmt(&w, " ufrag %s", c->ufrag);
	writer_u8(&w, 0);
	return writer_failed(&w) ? FL_EQUOTA : (int)writer_len(&w) - 1;
}
