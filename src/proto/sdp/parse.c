#include <errno.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/sdp/sdp.h"

#define DEFAULT_MAX_MESSAGE_SIZE 65536

/* Cuts the text up to the first c off; the rest without c stays. The whole when there is no c. */
static struct span cut(struct span *rest, uint8_t c)
{
	struct reader r = reader_of(*rest);
	size_t n = 0;
	struct span head;

	while (n < rest->len && rest->ptr[n] != c)
		n++;
	head = reader_bytes(&r, n);
	if (n < rest->len)
		reader_skip(&r, 1);
	*rest = reader_rest(&r);
	return head;
}

static struct span next_line(struct span *text)
{
	struct span line = cut(text, '\n');

	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* Takes prefix off; false when it is not there. */
static bool skip(struct span *s, const char *prefix)
{
	size_t n = strlen(prefix);
	struct reader r = reader_of(*s);

	if (s->len < n || memcmp(s->ptr, prefix, n) != 0)
		return false;
	reader_skip(&r, n);
	*s = reader_rest(&r);
	return true;
}

/* All digits, at most max; false otherwise. */
static bool number(struct span s, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;

	if (!s.len || s.len > 10)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		v = v * 10 + (s.ptr[i] - '0');
	}
	if (v > max)
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool has_word(struct span list, const char *word)
{
	while (list.len)
		if (span_is(cut(&list, ' '), word))
			return true;
	return false;
}

static struct sdp_codec *codec_of(struct sdp_media *m, struct span payload_type)
{
	uint32_t pt;

	if (!number(payload_type, 127, &pt))
		return NULL;
	for (size_t i = 0; i < m->n_codecs; i++)
		if (m->codecs[i].payload_type == pt)
			return &m->codecs[i];
	return NULL;
}

/* m=video 9 UDP/TLS/RTP/SAVPF 96 97 */
static int on_media(struct sdp *sdp, struct span value, const struct sdp_transport *session)
{
	struct sdp_media *m;
	struct span kind, port, rest = value;
	uint32_t n;

	if (sdp->n_media == SDP_MEDIA_MAX)
		return FL_EQUOTA;
	m = &sdp->media[sdp->n_media++];
	*m = (struct sdp_media){ .line = value, .max_message_size = DEFAULT_MAX_MESSAGE_SIZE };
	m->transport = *session;
	kind = cut(&rest, ' ');
	port = cut(&rest, ' ');
	m->protocol = cut(&rest, ' ');
	m->formats = rest;
	port = cut(&port, '/');
	if (!number(port, UINT16_MAX, &n) || !m->protocol.len || !m->formats.len)
		return FL_EMALFORMED;
	m->port = (uint16_t)n;
	if (span_is(kind, "application"))
		m->kind = SDP_APPLICATION;
	else if (span_is(kind, "video"))
		m->kind = SDP_VIDEO;
	while (m->kind == SDP_VIDEO && rest.len && m->n_codecs < SDP_CODECS_MAX)
		if (number(cut(&rest, ' '), 127, &n))
			m->codecs[m->n_codecs++].payload_type = (uint8_t)n;
	return 0;
}

static void on_transport(struct sdp_transport *t, struct span a)
{
	if (skip(&a, "ice-ufrag:")) {
		t->ufrag = a;
	} else if (skip(&a, "ice-pwd:")) {
		t->pwd = a;
	} else if (skip(&a, "ice-options:")) {
		t->trickle = has_word(a, "trickle");
		t->renomination = has_word(a, "renomination");
	} else if (span_is(a, "ice-lite")) {
		t->lite = true;
	} else if (skip(&a, "fingerprint:")) {
		struct span rest = t->fingerprint, hash = cut(&rest, ' ');

		if (!text_equal_nocase(hash, span_str("sha-256")))
			t->fingerprint = a;
	} else if (skip(&a, "setup:")) {
		t->setup = span_is(a, "actpass")   ? SDP_SETUP_ACTPASS
			   : span_is(a, "active")  ? SDP_SETUP_ACTIVE
			   : span_is(a, "passive") ? SDP_SETUP_PASSIVE
						   : SDP_SETUP_NONE;
	}
}

/* a=rtcp-fb:96 nack pli */
static void on_feedback(struct sdp_media *m, struct span a)
{
	static const struct {
		const char *text;
		unsigned bit;
	} known[] = { { "nack", SDP_FB_NACK },
		      { "nack pli", SDP_FB_PLI },
		      { "ccm fir", SDP_FB_FIR },
		      { "transport-cc", SDP_FB_TRANSPORT_CC },
		      { "goog-remb", SDP_FB_REMB } };
	struct span pt = cut(&a, ' ');
	struct sdp_codec *one = codec_of(m, pt);

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!span_is(a, known[i].text))
			continue;
		if (one)
			one->feedback |= known[i].bit;
		for (size_t k = 0; span_is(pt, "*") && k < m->n_codecs; k++)
			m->codecs[k].feedback |= known[i].bit;
	}
}

static void on_codec(struct sdp_media *m, struct span a)
{
	struct sdp_codec *c;

	if (skip(&a, "rtpmap:")) {
		c = codec_of(m, cut(&a, ' '));
		if (c) {
			c->name = cut(&a, '/');
			number(cut(&a, '/'), UINT32_MAX, &c->clock_rate);
		}
	} else if (skip(&a, "fmtp:")) {
		c = codec_of(m, cut(&a, ' '));
		if (c)
			c->fmtp = a;
	} else if (skip(&a, "rtcp-fb:")) {
		on_feedback(m, a);
	} else if (skip(&a, "extmap:") && m->n_extmaps < SDP_EXTMAPS_MAX) {
		struct span id = cut(&a, ' ');
		uint32_t n;

		id = cut(&id, '/'); /* 3/sendonly */
		if (number(id, 255, &n) && n)
			m->extmaps[m->n_extmaps++] = (struct sdp_extmap){ (uint8_t)n,
									  cut(&a, ' ') };
	}
}

static void on_section(struct sdp_media *m, struct span a)
{
	static const char *const directions[] = { "sendrecv", "sendonly", "recvonly", "inactive" };
	uint32_t n;

	for (size_t i = 0; i < ARRAY_LEN(directions); i++)
		if (span_is(a, directions[i]))
			m->direction = (enum sdp_direction)i;
	if (skip(&a, "mid:"))
		m->mid = a;
	else if (span_is(a, "rtcp-mux"))
		m->rtcp_mux = true;
	else if (span_is(a, "rtcp-rsize"))
		m->rtcp_rsize = true;
	else if (span_is(a, "bundle-only"))
		m->bundle_only = true;
	else if (skip(&a, "sctp-port:") && number(a, UINT16_MAX, &n))
		m->sctp_port = (uint16_t)n;
	else if (skip(&a, "max-message-size:") && number(a, UINT32_MAX, &n))
		m->max_message_size = n;
}

struct parser {
	struct sdp *sdp;
	const struct sdp_media *of[SDP_CANDIDATES_MAX]; /* section that each candidate stood in */
	struct sdp_transport session;
	struct span group; /* mids of the first BUNDLE group */
};

static void on_attribute(struct parser *p, struct span a)
{
	struct sdp *sdp = p->sdp;
	struct sdp_media *m = sdp->n_media ? &sdp->media[sdp->n_media - 1] : NULL;

	on_transport(m ? &m->transport : &p->session, a);
	if (m) {
		struct span rest = a;

		on_section(m, a);
		on_codec(m, a);
		if (skip(&rest, "candidate:")) {
			if (sdp->n_candidates < SDP_CANDIDATES_MAX) {
				p->of[sdp->n_candidates] = m;
				sdp->candidates[sdp->n_candidates++] = a;
			}
		} else if (span_is(a, "end-of-candidates")) {
			sdp->end_of_candidates = true;
		}
	} else if (skip(&a, "group:BUNDLE ")) {
		if (!p->group.len)
			p->group = a;
	} else if (span_is(a, "fairlead:1")) {
		sdp->fairlead = true;
	} else if (skip(&a, "fairlead-hello:")) {
		sdp->hello = a;
	}
}

static void mark_bundled(struct sdp *sdp, struct span group)
{
	while (group.len) {
		struct span mid = cut(&group, ' ');

		for (size_t i = 0; i < sdp->n_media; i++)
			if (mid.len && span_equal(sdp->media[i].mid, mid))
				sdp->media[i].bundled = true;
	}
}

/* An offerer gathers for every section, as long as it does not know whether they will be bundled.
 * Only those of the bundle's transport are of use. */
static void keep_candidates(struct parser *p)
{
	const struct sdp_media *transport = sdp_transport_media(p->sdp);
	size_t n = 0;

	for (size_t i = 0; i < p->sdp->n_candidates; i++)
		if (p->of[i] == transport)
			p->sdp->candidates[n++] = p->sdp->candidates[i];
	p->sdp->n_candidates = n;
}

static int parse_lines(struct parser *p, struct span text)
{
	struct span line = next_line(&text);
	int err;

	if (!span_is(line, "v=0"))
		return FL_EMALFORMED;
	while (text.len) {
		line = next_line(&text);
		if (skip(&line, "a=")) {
			on_attribute(p, line);
		} else if (skip(&line, "m=")) {
			err = on_media(p->sdp, line, &p->session);
			if (err < 0)
				return err;
		} else if (line.len && (line.len < 2 || line.ptr[1] != '=')) {
			return FL_EMALFORMED;
		}
	}
	return 0;
}

int sdp_parse(struct span text, struct sdp **out)
{
	struct parser p = { .sdp = calloc(1, sizeof(struct sdp)) };
	int err;

	if (!p.sdp)
		return -ENOMEM;
	if (text.len > SDP_TEXT_MAX)
		err = FL_EQUOTA;
	else
		err = parse_lines(&p, text);
	/* mids go into our answer, in a word of their own */
	for (size_t i = 0; err == 0 && i < p.sdp->n_media; i++)
		if (p.sdp->media[i].mid.len > SDP_MID_MAX ||
		    memchr(p.sdp->media[i].line.ptr, 0, p.sdp->media[i].line.len))
			err = FL_EMALFORMED;
	if (err < 0) {
		free(p.sdp);
		return err;
	}
	mark_bundled(p.sdp, p.group);
	keep_candidates(&p);
	*out = p.sdp;
	return 0;
}

void sdp_free(struct sdp *sdp)
{
	free(sdp);
}

bool sdp_media_usable(const struct sdp_media *m)
{
	return m->port != 0 || m->bundle_only;
}

const struct sdp_media *sdp_transport_media(const struct sdp *sdp)
{
	for (size_t i = 0; i < sdp->n_media; i++)
		if (sdp_media_usable(&sdp->media[i]) && sdp->media[i].transport.ufrag.len)
			return &sdp->media[i];
	return NULL;
}

const struct sdp_media *sdp_find(const struct sdp *sdp, enum sdp_kind kind)
{
	for (size_t i = 0; i < sdp->n_media; i++)
		if (sdp_media_usable(&sdp->media[i]) && sdp->media[i].kind == kind)
			return &sdp->media[i];
	return NULL;
}

uint8_t sdp_extmap_id(const struct sdp_media *m, const char *uri)
{
	for (size_t i = 0; i < m->n_extmaps; i++)
		if (span_is(m->extmaps[i].uri, uri) && m->extmaps[i].id <= 14)
			return m->extmaps[i].id;
	return 0;
}
