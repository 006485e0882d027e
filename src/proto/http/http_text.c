/* Names and numbers of HTTP, percent-encoding, and the header values the console needs read. */
#include <errno.h>

#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"
#include "proto/http/http_parser.h"

struct span http_trimmed(struct span s)
{
	while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
		s = span_of(s.ptr + 1, s.len - 1);
	while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

const char *http_method_name(enum http_method method)
{
	static const char *const names[] = {
		[HTTP_METHOD_GET] = "GET",	   [HTTP_METHOD_HEAD] = "HEAD",
		[HTTP_METHOD_POST] = "POST",	   [HTTP_METHOD_PUT] = "PUT",
		[HTTP_METHOD_PATCH] = "PATCH",	   [HTTP_METHOD_DELETE] = "DELETE",
		[HTTP_METHOD_OPTIONS] = "OPTIONS",
	};

	return names[method];
}

const char *http_status_text(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} table[] = {
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].status == status)
			return table[i].text;
	return "Unknown";
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int http_percent_decode(struct span in, bool plus, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.ptr[i];

		if (c == '%') {
			int high = i + 2 < in.len ? hex_digit(in.ptr[i + 1]) : -1;
			int low = i + 2 < in.len ? hex_digit(in.ptr[i + 2]) : -1;

			if (high < 0 || low < 0)
				return FL_EMALFORMED;
			c = (uint8_t)(high * 16 + low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == 0)
			return FL_EMALFORMED;
		if (n + 1 >= cap)
			return FL_EQUOTA;
		out[n++] = (char)c;
	}
	if (cap == 0)
		return FL_EQUOTA;
	out[n] = 0;
	return (int)n;
}

static bool is_unreserved(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

int http_percent_encode(struct span in, char *out, size_t cap)
{
	struct writer w = writer_of(out, cap);

	for (size_t i = 0; i < in.len; i++)
		if (is_unreserved(in.ptr[i]))
			writer_u8(&w, in.ptr[i]);
		else
			writer_fmt(&w, "%%%02X", in.ptr[i]);
	writer_u8(&w, 0);
	return writer_failed(&w) ? FL_EQUOTA : 0;
}

/* Cuts the part before the next sep off *rest. */
static struct span next_part(struct span *rest, uint8_t sep)
{
	const uint8_t *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
	struct span part = *rest;

	if (at) {
		part.len = (size_t)(at - rest->ptr);
		*rest = span_of(at + 1, rest->len - part.len - 1);
	} else {
		*rest = span_of(NULL, 0);
	}
	return part;
}

int http_query_get(struct span query, const char *name, char *out, size_t cap)
{
	while (query.len) {
		struct span value = next_part(&query, '&');
		struct span key = next_part(&value, '=');
		char decoded[64];

		if (http_percent_decode(key, true, decoded, sizeof(decoded)) >= 0 &&
		    strcmp(decoded, name) == 0)
			return http_percent_decode(value, true, out, cap);
	}
	return -ENOENT;
}

static struct span unquoted(struct span s)
{
	if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
		return span_of(s.ptr + 1, s.len - 2);
	return s;
}

struct span http_cookie_get(const struct http_headers *headers, const char *name)
{
	for (size_t i = 0; i < headers->count; i++) {
		struct span rest = headers->fields[i].value;

		if (!span_is(headers->fields[i].name, "cookie"))
			continue;
		while (rest.len) {
			struct span value = next_part(&rest, ';');
			bool has_value = value.len && memchr(value.ptr, '=', value.len);
			struct span key = http_trimmed(next_part(&value, '='));

			if (has_value && span_is(key, name)) {
				value = unquoted(http_trimmed(value));
				return value.ptr ? value : span_of("", 0);
			}
		}
	}
	return span_of(NULL, 0);
}

/* A weight in thousandths (RFC 9110 §12.4.2); -1 when it is none. */
static int parse_weight(struct span s)
{
	int weight, unit = 100;

	if (s.len < 1 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1'))
		return -1;
	weight = (s.ptr[0] - '0') * 1000;
	if (s.len > 1 && s.ptr[1] != '.')
		return -1;
	for (size_t i = 2; i < s.len; i++, unit /= 10) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return -1;
		weight += (s.ptr[i] - '0') * unit;
	}
	return weight <= 1000 ? weight : -1;
}

/* "gzip;q=0.5": the coding's name and its weight; no weight is 1, an unreadable one 0. */
static struct span parse_choice(struct span item, int *weight)
{
	struct span name = http_trimmed(next_part(&item, ';'));

	*weight = 1000;
	while (item.len) {
		struct span value = http_trimmed(next_part(&item, ';'));
		struct span key = http_trimmed(next_part(&value, '='));

		if (text_equal_nocase(key, span_str("q")))
			*weight = FL_MAX(parse_weight(http_trimmed(value)), 0);
	}
	return name;
}

struct weights {
	int br, gzip, identity, any; /* -1: not named */
};

static void read_weights(struct span list, struct weights *w)
{
	while (list.len) {
		int weight;
		struct span name = parse_choice(next_part(&list, ','), &weight);

		if (text_equal_nocase(name, span_str("br")))
			w->br = weight;
		else if (text_equal_nocase(name, span_str("gzip")) ||
			 text_equal_nocase(name, span_str("x-gzip")))
			w->gzip = weight;
		else if (text_equal_nocase(name, span_str("identity")))
			w->identity = weight;
		else if (span_is(name, "*"))
			w->any = weight;
	}
}

enum http_coding http_choose_coding(const struct http_headers *headers, unsigned available)
{
	struct weights w = { -1, -1, -1, -1 };
	enum http_coding best = HTTP_CODING_IDENTITY;
	int best_weight;

	for (size_t i = 0; i < headers->count; i++)
		if (span_is(headers->fields[i].name, "accept-encoding"))
			read_weights(headers->fields[i].value, &w);
	if (w.br < 0)
		w.br = w.any;
	if (w.gzip < 0)
		w.gzip = w.any;
	/* unnamed identity is acceptable, but wins over nothing that was asked for */
	best_weight = w.identity > 0 ? w.identity - 1 : 0;
	if ((available & HTTP_CODING_GZIP) && w.gzip > best_weight) {
		best = HTTP_CODING_GZIP;
		best_weight = w.gzip - 1;
	}
	if ((available & HTTP_CODING_BR) && w.br > best_weight)
		best = HTTP_CODING_BR;
	return best;
}

/* The opaque part with its quotes, without W/. */
static struct span strong_tag(struct span tag)
{
	if (tag.len > 2 && tag.ptr[0] == 'W' && tag.ptr[1] == '/')
		return span_of(tag.ptr + 2, tag.len - 2);
	return tag;
}

bool http_etag_match(struct span if_none_match, const char *etag)
{
	struct span ours = strong_tag(span_str(etag));

	/* a comma inside a tag cuts it apart: then it matches nothing, which costs a transfer */
	while (if_none_match.len) {
		struct span tag = http_trimmed(next_part(&if_none_match, ','));

		if (span_is(tag, "*") || span_equal(strong_tag(tag), ours))
			return true;
	}
	return false;
}

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar, counting years from March
 * so that the leap day comes last. */
static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468, era = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

const char *http_date(int64_t unix_time, char out[HTTP_DATE_LEN])
{
	static const char days[][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct writer w = writer_of(out, HTTP_DATE_LEN);
	int64_t t = FL_MIN(FL_MAX(unix_time, 0), 253402300799), day_count = t / 86400;
	int rest = (int)(t % 86400), year, month, day;

	civil_from_days(day_count, &year, &month, &day);
	writer_fmt(&w, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[day_count % 7], day,
		   months[month - 1], year, rest / 3600, rest / 60 % 60, rest % 60);
	writer_u8(&w, 0);
	return out;
}
