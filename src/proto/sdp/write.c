#include "base/err.h"
#include "base/text.h"
#include "proto/sdp/sdp.h"

#define MAX_MESSAGE_SIZE 65536
#define SCTP_PORT 5000

static void attribute(struct writer *w, const char *name, struct span value)
{
	writer_str(w, "a=");
	writer_str(w, name);
	writer_span_put(w, value);
	writer_str(w, "\r\n");
}

static void session(struct writer *w, const struct sdp_local *l)
{
	writer_fmt(w, "v=0\r\n");
	writer_fmt(w, "o=- %llu %u IN IP4 127.0.0.1\r\n", (unsigned long long)l->session_id,
		   l->version);
	writer_fmt(w, "s=-\r\n");
	writer_fmt(w, "t=0 0\r\n");
	writer_fmt(w, "a=fairlead:1\r\n");
	if (l->hello.len && l->hello.len <= SDP_HELLO_MAX) {
		char text[TEXT_B64_LEN(SDP_HELLO_MAX)];

		text_b64_encode(l->hello, text, sizeof(text));
		attribute(w, "fairlead-hello:", span_str(text));
	}
}

static void transport(struct writer *w, const struct sdp_local *l, bool candidates)
{
	static const char *const setups[] = { "actpass", "actpass", "active", "passive" };

	writer_fmt(w, "c=IN IP4 0.0.0.0\r\n");
	attribute(w, "ice-ufrag:", span_str(l->ufrag));
	attribute(w, "ice-pwd:", span_str(l->pwd));
	writer_fmt(w, "a=ice-options:trickle renomination\r\n");
	attribute(w, "fingerprint:", span_str(l->fingerprint));
	writer_fmt(w, "a=setup:%s\r\n", setups[l->setup]);
	for (size_t i = 0; candidates && i < l->n_candidates; i++)
		attribute(w, "", span_str(l->candidates[i]));
	if (candidates && l->end_of_candidates)
		writer_fmt(w, "a=end-of-candidates\r\n");
}

static void data_section(struct writer *w, const struct sdp_local *l, struct span protocol,
			 struct span mid, bool candidates)
{
	/* the form before RFC 8841, which some still offer, is answered in kind */
	bool old = span_is(protocol, "DTLS/SCTP");

	writer_str(w, "m=application 9 ");
	writer_span_put(w, protocol);
	if (old)
		writer_fmt(w, " %d\r\n", SCTP_PORT);
	else
		writer_fmt(w, " webrtc-datachannel\r\n");
	transport(w, l, candidates);
	attribute(w, "mid:", mid);
	if (old)
		writer_fmt(w, "a=sctpmap:%d webrtc-datachannel 1024\r\n", SCTP_PORT);
	else
		writer_fmt(w, "a=sctp-port:%d\r\n", SCTP_PORT);
	writer_fmt(w, "a=max-message-size:%d\r\n", MAX_MESSAGE_SIZE);
}

int sdp_write_offer(const struct sdp_local *local, char *dst, size_t cap)
{
	struct writer w = writer_of(dst, cap);

	session(&w, local);
	writer_fmt(&w, "a=group:BUNDLE 0\r\n");
	data_section(&w, local, span_str("UDP/DTLS/SCTP"), span_str("0"), true);
	writer_u8(&w, 0);
	return writer_failed(&w) ? FL_EQUOTA : (int)writer_len(&w) - 1;
}

/* Port 0, and otherwise what was offered (RFC 3264 §6). */
static void rejected_section(struct writer *w, const struct sdp_media *m)
{
	struct reader r = reader_of(m->line);
	size_t n = 0;

	while (n < m->line.len && m->line.ptr[n] != ' ')
		n++;
	writer_str(w, "m=");
	writer_span_put(w, reader_bytes(&r, n));
	writer_str(w, " 0 ");
	writer_span_put(w, m->protocol);
	writer_str(w, " ");
	writer_span_put(w, m->formats);
	writer_str(w, "\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n");
	if (m->mid.len)
		attribute(w, "mid:", m->mid);
}

static void feedback(struct writer *w, const struct sdp_video *v)
{
	unsigned fb = v->format->feedback, pt = v->format->payload_type;

	if (v->ext_twcc)
		writer_fmt(w, "a=rtcp-fb:%u transport-cc\r\n", pt);
	if (fb & SDP_FB_REMB)
		writer_fmt(w, "a=rtcp-fb:%u goog-remb\r\n", pt);
	if (fb & SDP_FB_FIR)
		writer_fmt(w, "a=rtcp-fb:%u ccm fir\r\n", pt);
	if (fb & SDP_FB_NACK)
		writer_fmt(w, "a=rtcp-fb:%u nack\r\n", pt);
	if (fb & SDP_FB_PLI)
		writer_fmt(w, "a=rtcp-fb:%u nack pli\r\n", pt);
}

static void extmap(struct writer *w, uint8_t id, const char *uri)
{
	if (id)
		writer_fmt(w, "a=extmap:%u %s\r\n", id, uri);
}

static void video_section(struct writer *w, const struct sdp_local *l, const struct sdp_media *m,
			  const struct sdp_video *v, bool candidates)
{
	unsigned pt = v->format->payload_type;

	writer_str(w, "m=video 9 ");
	writer_span_put(w, m->protocol);
	if (v->rtx)
		writer_fmt(w, " %u %u\r\n", pt, v->rtx_payload_type);
	else
		writer_fmt(w, " %u\r\n", pt);
	transport(w, l, candidates);
	attribute(w, "mid:", m->mid);
	writer_fmt(w, "a=sendonly\r\n");
	writer_fmt(w, "a=rtcp-mux\r\n");
	if (m->rtcp_rsize)
		writer_fmt(w, "a=rtcp-rsize\r\n");
	writer_fmt(w, "a=rtpmap:%u %s/90000\r\n", pt, v->codec == SDP_H264 ? "H264" : "VP8");
	if (v->format->fmtp.len) {
		writer_fmt(w, "a=fmtp:%u ", pt);
		writer_span_put(w, v->format->fmtp);
		writer_str(w, "\r\n");
	}
	feedback(w, v);
	if (v->rtx) {
		writer_fmt(w, "a=rtpmap:%u rtx/90000\r\n", v->rtx_payload_type);
		writer_fmt(w, "a=fmtp:%u apt=%u\r\n", v->rtx_payload_type, pt);
	}
	extmap(w, v->ext_twcc, SDP_EXT_TWCC);
	extmap(w, v->ext_abs_send_time, SDP_EXT_ABS_SEND_TIME);
	extmap(w, v->ext_mid, SDP_EXT_MID);
	extmap(w, v->ext_playout_delay, SDP_EXT_PLAYOUT_DELAY);
	writer_fmt(w, "a=msid:fairlead screen\r\n");
	if (v->rtx)
		writer_fmt(w, "a=ssrc-group:FID %u %u\r\n", l->ssrc, l->rtx_ssrc);
	writer_fmt(w, "a=ssrc:%u cname:%s\r\n", l->ssrc, l->cname);
	if (v->rtx)
		writer_fmt(w, "a=ssrc:%u cname:%s\r\n", l->rtx_ssrc, l->cname);
}

int sdp_write_answer(const struct sdp_local *local, const struct sdp *offer,
		     const struct sdp_media *video_media, const struct sdp_video *video, char *dst,
		     size_t cap)
{
	const struct sdp_media *data = sdp_find(offer, SDP_APPLICATION);
	struct writer w = writer_of(dst, cap);
	bool first = true;

	session(&w, local);
	writer_str(&w, "a=group:BUNDLE");
	for (size_t i = 0; i < offer->n_media; i++) {
		const struct sdp_media *m = &offer->media[i];

		if ((m == data || (video && m == video_media)) && m->mid.len) {
			writer_str(&w, " ");
			writer_span_put(&w, m->mid);
		}
	}
	writer_str(&w, "\r\n");
	if (video)
		writer_fmt(&w, "a=msid-semantic:WMS fairlead\r\n");
	for (size_t i = 0; i < offer->n_media; i++) {
		const struct sdp_media *m = &offer->media[i];

		if (m == data)
			data_section(&w, local, m->protocol, m->mid, first);
		else if (video && m == video_media)
			video_section(&w, local, m, video, first);
		else
			rejected_section(&w, m);
		if (m == data || (video && m == video_media))
			first = false;
	}
	writer_u8(&w, 0);
	return writer_failed(&w) ? FL_EQUOTA : (int)writer_len(&w) - 1;
}
