#include "peer/ice_url.h"

#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"

#define HTTPS_PORT 443

static const struct {
	const char *name;
	bool turn, tls;
} schemes[] = {
	{ "stun:", false, false },
	{ "turn:", true, false },
	{ "turns:", true, true },
};

/* The bytes up to one of the ends, which is not taken. */
static struct span until(struct reader *r, const char *ends)
{
	const uint8_t *start = r->ptr;
	size_t len = 0;
	uint8_t c;

	while (reader_peek_u8(r, &c) && !strchr(ends, c)) {
		reader_skip(r, 1);
		len++;
	}
	return span_of(start, len);
}

static bool take_char(struct reader *r, char want)
{
	uint8_t c;

	if (!reader_peek_u8(r, &c) || c != (uint8_t)want)
		return false;
	reader_skip(r, 1);
	return true;
}

static int parse_port(struct span s, uint16_t *port)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.len && i < 6; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return FL_EMALFORMED;
		n = n * 10 + (uint32_t)(s.ptr[i] - '0');
	}
	if (s.len == 0 || s.len > 5 || n == 0 || n > UINT16_MAX)
		return FL_EMALFORMED;
	*port = (uint16_t)n;
	return 0;
}

static int parse_transport(struct span s, bool tls, struct ice_url *out)
{
	if (text_equal_nocase(s, span_str("udp")))
		out->transport = tls ? TURN_DTLS : TURN_UDP;
	else if (text_equal_nocase(s, span_str("tcp")))
		out->transport = tls ? TURN_TLS : TURN_TCP;
	else if (tls && text_equal_nocase(s, span_str("wss")))
		out->transport = TURN_WSS;
	else
		return FL_EUNSUPPORTED;
	return 0;
}

static int parse_host(struct reader *r, struct ice_url *out)
{
	struct span host;
	bool literal = take_char(r, '[');

	host = until(r, literal ? "]" : ":?");
	if (literal && !take_char(r, ']'))
		return FL_EMALFORMED;
	if (host.len == 0 || memchr(host.ptr, 0, host.len) ||
	    !text_copy_span(out->host, sizeof(out->host), host))
		return FL_EMALFORMED;
	return 0;
}

static int parse_rest(struct reader *r, bool tls, struct ice_url *out)
{
	struct span port = { 0 };
	int err = parse_host(r, out);

	if (err < 0)
		return err;
	if (take_char(r, ':'))
		port = until(r, "?");
	if (take_char(r, '?')) {
		if (!out->turn || !span_is(until(r, "="), "transport") || !take_char(r, '='))
			return FL_EMALFORMED;
		err = parse_transport(reader_rest(r), tls, out);
		if (err < 0)
			return err;
	}
	if (out->transport == TURN_WSS)
		out->port = HTTPS_PORT;
	if (port.ptr)
		return parse_port(port, &out->port) < 0 || !reader_done(r) ? FL_EMALFORMED : 0;
	return reader_done(r) ? 0 : FL_EMALFORMED;
}

int ice_url_parse(const char *url, struct ice_url *out)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i].name);
		struct reader r;

		if (strncmp(url, schemes[i].name, len) != 0)
			continue;
		*out = (struct ice_url){
			.turn = schemes[i].turn,
			.transport = schemes[i].tls ? TURN_TLS : TURN_UDP,
			.port = schemes[i].tls ? TURNS_PORT : TURN_PORT,
		};
		r = reader_of(span_str(url + len));
		return parse_rest(&r, schemes[i].tls, out);
	}
	return FL_EUNSUPPORTED;
}
