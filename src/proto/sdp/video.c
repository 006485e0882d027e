#include "base/err.h"
#include "base/text.h"
#include "proto/sdp/sdp.h"

/* The value of key in "a=1;b=2" (white space around is allowed); empty when it is not there. */
static struct span parameter(struct span fmtp, const char *key)
{
	struct reader r = reader_of(fmtp);
	size_t key_len = strlen(key);

	while (reader_left(&r) > 0) {
		struct span rest = reader_rest(&r), item;
		size_t n = 0;

		while (n < rest.len && rest.ptr[n] != ';')
			n++;
		r = reader_of(rest);
		item = reader_bytes(&r, n);
		reader_skip(&r, n < rest.len ? 1 : 0);
		while (item.len && item.ptr[0] == ' ') {
			item.ptr++;
			item.len--;
		}
		if (item.len > key_len && item.ptr[key_len] == '=' &&
		    text_equal_nocase(span_of(item.ptr, key_len), span_str(key)))
			return span_of(item.ptr + key_len + 1, item.len - key_len - 1);
	}
	return (struct span){ NULL, 0 };
}

/* How well an offered H.264 format fits an encoder of constrained baseline; 0: not at all. */
static int h264_fit(const struct sdp_codec *c)
{
	struct span profile = parameter(c->fmtp, "profile-level-id");
	uint8_t id[3];

	if (!span_is(parameter(c->fmtp, "packetization-mode"), "1"))
		return 0;
	if (text_hex_decode(profile, id, sizeof(id)) != 3)
		return profile.len ? 0 : 1; /* not given: baseline (RFC 6184 §8.1) */
	if (id[0] != 0x42)
		return 0;
	return id[1] & 0x40 ? 3 : 2; /* constraint_set1: constrained baseline */
}

static int fit(const struct sdp_codec *c, enum sdp_video_codec codec)
{
	if (c->clock_rate != 90000)
		return 0;
	switch (codec) {
	case SDP_H264:
		return text_equal_nocase(c->name, span_str("H264")) ? h264_fit(c) : 0;
	case SDP_VP8:
		return text_equal_nocase(c->name, span_str("VP8")) ? 1 : 0;
	}
	return 0;
}

static void find_rtx(const struct sdp_media *m, struct sdp_video *v)
{
	char apt[8];
	struct writer w = writer_of(apt, sizeof(apt));

	writer_fmt(&w, "%u", v->format->payload_type);
	for (size_t i = 0; i < m->n_codecs; i++)
		if (text_equal_nocase(m->codecs[i].name, span_str("rtx")) &&
		    span_equal(parameter(m->codecs[i].fmtp, "apt"), writer_span(&w))) {
			v->rtx = true;
			v->rtx_payload_type = m->codecs[i].payload_type;
			return;
		}
}

int sdp_choose_video(const struct sdp_media *m, const enum sdp_video_codec *prefs, size_t n_prefs,
		     struct sdp_video *out)
{
	struct sdp_video v = { 0 };
	int best = 0;

	if (m->kind != SDP_VIDEO || m->direction == SDP_SENDONLY || m->direction == SDP_INACTIVE)
		return FL_EUNSUPPORTED;
	for (size_t p = 0; p < n_prefs && !best; p++)
		for (size_t i = 0; i < m->n_codecs; i++)
			if (fit(&m->codecs[i], prefs[p]) > best) {
				best = fit(&m->codecs[i], prefs[p]);
				v.codec = prefs[p];
				v.format = &m->codecs[i];
			}
	if (!best)
		return FL_EUNSUPPORTED;
	find_rtx(m, &v);
	v.ext_twcc = v.format->feedback & SDP_FB_TRANSPORT_CC ? sdp_extmap_id(m, SDP_EXT_TWCC) : 0;
	v.ext_abs_send_time = sdp_extmap_id(m, SDP_EXT_ABS_SEND_TIME);
	v.ext_mid = sdp_extmap_id(m, SDP_EXT_MID);
	v.ext_playout_delay = sdp_extmap_id(m, SDP_EXT_PLAYOUT_DELAY);
	*out = v;
	return 0;
}
