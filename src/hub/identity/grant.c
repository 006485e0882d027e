#include "hub/identity/grant.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"

#define GRANT_MAX (16 * 1024)

static int put_part(struct buf *out, struct span part)
{
	size_t cap = TEXT_B64_LEN(part.len);
	uint8_t *room = buf_reserve(out, cap);

	if (!room)
		return -1;
	buf_commit(out, text_b64url_encode(part, (char *)room, cap));
	return 0;
}

static char *claims_of(const struct hubkey *k, const struct grant *g)
{
	json_t *claims = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:O, s:I, s:I, s:s, s:O}", "iss", hubkey_id(k), "jti",
		g->session, "sub", g->user, "name", g->name, "dev", g->device, "mod", g->modules,
		"iat", (json_int_t)g->issued, "exp", (json_int_t)g->issued + GRANT_LIFE_S, "fp",
		g->fingerprint, "pol", g->policy);
	char *text = claims ? json_dumps(claims, JSON_COMPACT) : NULL;

	json_decref(claims);
	return text;
}

char *grant_sign(const struct hubkey *k, const struct grant *g)
{
	static const char header[] = "{\"alg\":\"EdDSA\",\"typ\":\"fairlead-grant\"}";
	struct buf out = BUF_INIT(GRANT_MAX);
	FL_AUTOFREE char *claims = claims_of(k, g);
	char signature[SIGNATURE_TEXT_CAP];
	char *text = NULL;

	if (claims && put_part(&out, span_str(header)) == 0 && buf_append(&out, ".", 1) == 0 &&
	    put_part(&out, span_str(claims)) == 0 &&
	    hubkey_sign(k, buf_span(&out), signature) == 0 &&
	    buf_printf(&out, ".%s", signature) == 0)
		text = buf_steal_string(&out);
	buf_finish(&out);
	return text;
}

/* "sha-256 ab:cd…" of a line's value into the canonical form. */
static bool take_fingerprint(struct span v, char out[FINGERPRINT_CAP])
{
	static const char hash[] = "sha-256 ";
	const size_t head = sizeof(hash) - 1, digits = 32 * 3 - 1;

	while (v.len && (v.ptr[v.len - 1] == '\r' || v.ptr[v.len - 1] == ' '))
		v.len--;
	if (v.len != head + digits || !text_equal_nocase(span_of(v.ptr, head), span_str(hash)))
		return false;
	memcpy(out, hash, head);
	for (size_t i = 0; i < digits; i++) {
		uint8_t c = v.ptr[head + i];

		if (i % 3 == 2 ? c != ':' : !isxdigit(c))
			return false;
		out[head + i] = (char)toupper(c);
	}
	out[head + digits] = 0;
	return true;
}

bool grant_fingerprint(struct span sdp, char out[FINGERPRINT_CAP])
{
	static const char field[] = "a=fingerprint:";
	const size_t field_len = sizeof(field) - 1;
	char other[FINGERPRINT_CAP];
	bool found = false;

	for (size_t at = 0, end; at < sdp.len; at = end + 1) {
		const uint8_t *nl = memchr(sdp.ptr + at, '\n', sdp.len - at);
		struct span line;

		end = nl ? (size_t)(nl - sdp.ptr) : sdp.len;
		line = span_of(sdp.ptr + at, end - at);
		if (line.len < field_len || memcmp(line.ptr, field, field_len) != 0)
			continue;
		line = span_of(line.ptr + field_len, line.len - field_len);
		if (!take_fingerprint(line, found ? other : out))
			return false;
		if (found && strcmp(other, out) != 0)
			return false;
		found = true;
	}
	return found;
}
