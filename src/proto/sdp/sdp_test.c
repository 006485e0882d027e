#include "test.h"

#include "base/err.h"
#include "base/text.h"
#include "proto/sdp/sdp.h"

static const char *corpus; /* folder of descriptions written by real browsers */

static char *sample(const char *name)
{
	static char text[SDP_TEXT_MAX + 1];
	char path[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", corpus, name);
	f = fopen(path, "rbe");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	return text;
}

static struct sdp *parsed(const char *text)
{
	struct sdp *sdp;

	assert_int_equal(sdp_parse(span_str(text), &sdp), 0);
	return sdp;
}

static struct sdp_local local_example(void)
{
	static const char *const candidates[] = { "candidate:1 1 udp 1 192.0.2.1 9 typ host" };

	return (struct sdp_local){ .session_id = 7,
				   .version = 1,
				   .ufrag = "abcd",
				   .pwd = "0123456789012345678901",
				   .fingerprint = "sha-256 AB:CD",
				   .setup = SDP_SETUP_ACTPASS,
				   .candidates = candidates,
				   .n_candidates = 1,
				   .ssrc = 11,
				   .rtx_ssrc = 12,
				   .cname = "name" };
}

static void test_chromium(void **state)
{
	static const enum sdp_video_codec prefs[] = { SDP_H264, SDP_VP8 };
	struct sdp *sdp = parsed(sample("chromium-offer"));
	const struct sdp_media *m = sdp_transport_media(sdp);
	struct sdp_video v;

	assert_int_equal(sdp->n_media, 3);
	assert_false(sdp->fairlead);
	assert_ptr_equal(m, &sdp->media[0]);
	assert_true(m->kind == SDP_VIDEO && m->bundled && m->rtcp_mux && m->rtcp_rsize);
	assert_int_equal(m->direction, SDP_RECVONLY);
	assert_int_equal(m->transport.setup, SDP_SETUP_ACTPASS);
	assert_true(m->transport.trickle);
	assert_int_equal(m->transport.ufrag.len, 4);
	assert_int_equal(m->transport.pwd.len, 24);
	assert_int_equal(m->transport.fingerprint.len, 8 + 95);
	assert_int_equal(sdp->n_candidates, 2); /* not those of the other two sections */
	assert_int_equal(sdp_find(sdp, SDP_APPLICATION)->sctp_port, 5000);
	assert_int_equal(sdp_find(sdp, SDP_APPLICATION)->max_message_size, 262144);
	assert_int_equal(sdp_choose_video(m, prefs, 2, &v), 0);
	assert_true(v.codec == SDP_H264 && v.format->payload_type == 108); /* constrained */
	assert_true(v.rtx && v.ext_twcc && v.ext_abs_send_time && v.ext_mid);
	assert_int_equal(v.format->feedback,
			 SDP_FB_NACK | SDP_FB_PLI | SDP_FB_FIR | SDP_FB_TRANSPORT_CC | SDP_FB_REMB);
	assert_int_equal(sdp_choose_video(m, prefs + 1, 1, &v), 0);
	assert_true(v.codec == SDP_VP8 && v.format->payload_type == 96 && v.rtx_payload_type == 97);
	assert_int_equal(sdp_choose_video(&sdp->media[1], prefs, 2, &v), FL_EUNSUPPORTED);
	sdp_free(sdp);
}

static void test_firefox(void **state)
{
	static const enum sdp_video_codec prefs[] = { SDP_H264, SDP_VP8 };
	struct sdp *sdp = parsed(sample("firefox-offer"));
	struct sdp_video v;

	assert_int_equal(sdp->n_media, 2);
	assert_non_null(sdp_find(sdp, SDP_APPLICATION));
	assert_non_null(sdp_transport_media(sdp));
	/* session-level transport parameters hold for the sections */
	assert_int_equal(sdp_transport_media(sdp)->transport.fingerprint.len, 8 + 95);
	assert_int_equal(sdp_choose_video(sdp_find(sdp, SDP_VIDEO), prefs, 2, &v), 0);
	assert_int_equal(v.codec, SDP_VP8); /* a fresh Firefox ESR has no H.264 */
	sdp_free(sdp);
}

static void test_aiortc(void **state)
{
	static const enum sdp_video_codec prefs[] = { SDP_H264 };
	struct sdp_local l = local_example();
	char text[4096];
	struct sdp *sdp = parsed(sample("aiortc-offer"));
	struct sdp_video v;

	assert_int_equal(sdp->n_candidates, 2);
	assert_true(sdp->end_of_candidates);
	assert_int_equal(sdp_choose_video(sdp_find(sdp, SDP_VIDEO), prefs, 1, &v), 0);
	/* data channels in the form before RFC 8841 */
	assert_true(sdp_write_answer(&l, sdp, NULL, NULL, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "m=application 9 DTLS/SCTP 5000\r\n"));
	assert_non_null(strstr(text, "a=sctpmap:5000 webrtc-datachannel 1024\r\n"));
	sdp_free(sdp);
	sdp = parsed(sample("aiortc-answer"));
	assert_true(sdp_transport_media(sdp)->transport.setup == SDP_SETUP_ACTIVE);
	sdp_free(sdp);
}

static void test_own_offer(void **state)
{
	struct sdp_local l = local_example();
	const struct sdp_media *m;
	char text[4096];
	struct sdp *sdp;
	int n;

	l.hello = span_str("hello");
	n = sdp_write_offer(&l, text, sizeof(text));
	assert_int_equal(n, strlen(text));
	sdp = parsed(text);
	assert_true(sdp->fairlead && span_is(sdp->hello, "aGVsbG8="));
	m = sdp_transport_media(sdp);
	assert_true(m && m == sdp_find(sdp, SDP_APPLICATION) && m->bundled);
	assert_true(span_is(m->transport.ufrag, l.ufrag) && span_is(m->transport.pwd, l.pwd));
	assert_true(span_is(m->transport.fingerprint, l.fingerprint));
	assert_true(m->transport.setup == SDP_SETUP_ACTPASS && m->transport.renomination);
	assert_int_equal(m->sctp_port, 5000);
	assert_int_equal(m->max_message_size, 65536);
	assert_int_equal(sdp->n_candidates, 1);
	assert_true(span_is(sdp->candidates[0], l.candidates[0]));
	sdp_free(sdp);
	assert_int_equal(sdp_write_offer(&l, text, (size_t)n), FL_EQUOTA);
}

/* The answer has the offer's sections in their order; what we do not take has port 0. */
static void test_answer(void **state)
{
	static const enum sdp_video_codec prefs[] = { SDP_H264 };
	struct sdp *offer = parsed(sample("chromium-offer")), *answer;
	struct sdp_local l = local_example();
	struct sdp_video v;
	char text[8192];

	l.setup = SDP_SETUP_PASSIVE;
	assert_int_equal(sdp_choose_video(&offer->media[0], prefs, 1, &v), 0);
	assert_true(sdp_write_answer(&l, offer, &offer->media[0], &v, text, sizeof(text)) > 0);
	answer = parsed(text);
	assert_int_equal(answer->n_media, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(span_equal(answer->media[i].mid, offer->media[i].mid));
		assert_true(span_equal(answer->media[i].protocol, offer->media[i].protocol));
	}
	assert_true(answer->media[0].kind == SDP_VIDEO && answer->media[0].port == 9);
	assert_int_equal(answer->media[0].direction, SDP_SENDONLY);
	assert_int_equal(answer->media[0].n_codecs, 2);
	assert_int_equal(answer->media[0].codecs[0].payload_type, 108);
	assert_true(answer->media[0].bundled && !answer->media[1].bundled);
	assert_int_equal(answer->media[1].port, 0);
	assert_true(answer->media[2].bundled);
	assert_int_equal(answer->media[2].transport.setup, SDP_SETUP_PASSIVE);
	assert_int_equal(sdp_extmap_id(&answer->media[0], SDP_EXT_TWCC),
			 sdp_extmap_id(&offer->media[0], SDP_EXT_TWCC));
	assert_non_null(strstr(text, "a=ssrc-group:FID 11 12\r\n"));
	sdp_free(answer);
	/* without video */
	assert_true(sdp_write_answer(&l, offer, NULL, NULL, text, sizeof(text)) > 0);
	answer = parsed(text);
	assert_int_equal(answer->media[0].port, 0);
	assert_ptr_equal(sdp_transport_media(answer), &answer->media[2]);
	assert_int_equal(answer->n_candidates, 1);
	sdp_free(answer);
	sdp_free(offer);
}

static void test_limits(void **state)
{
	static char text[SDP_TEXT_MAX + 64];
	struct sdp *sdp;
	struct writer w = writer_of(text, sizeof(text));

	assert_int_equal(sdp_parse(span_str(""), &sdp), FL_EMALFORMED);
	assert_int_equal(sdp_parse(span_str("v=1\r\n"), &sdp), FL_EMALFORMED);
	assert_int_equal(sdp_parse(span_str("v=0\nhello\n"), &sdp), FL_EMALFORMED);
	assert_int_equal(sdp_parse(span_str("v=0\nm=video x y z\n"), &sdp), FL_EMALFORMED);
	assert_int_equal(sdp_parse(span_str("v=0\nm=video 70000 y z\n"), &sdp), FL_EMALFORMED);
	assert_int_equal(sdp_parse(span_str("v=0\nx=unknown\na=what:ever\n"), &sdp), 0);
	assert_null(sdp_transport_media(sdp));
	sdp_free(sdp);
	writer_str(&w, "v=0\n");
	for (int i = 0; i <= SDP_MEDIA_MAX; i++)
		writer_str(&w, "m=audio 9 RTP/AVP 0\n");
	assert_int_equal(sdp_parse(writer_span(&w), &sdp), FL_EQUOTA);
	w = writer_of(text, sizeof(text));
	writer_str(&w, "v=0\nm=video 9 P 1 2\na=ice-ufrag:abcd\n");
	while (writer_len(&w) < SDP_TEXT_MAX - 40)
		writer_str(&w, "a=candidate:1 1 udp\na=rtcp-fb:* nack\n");
	assert_int_equal(sdp_parse(writer_span(&w), &sdp), 0);
	assert_int_equal(sdp->n_candidates, SDP_CANDIDATES_MAX);
	assert_int_equal(sdp->media[0].codecs[1].feedback, SDP_FB_NACK);
	sdp_free(sdp);
	assert_int_equal(sdp_parse(span_of(text, sizeof(text)), &sdp), FL_EQUOTA);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_chromium),  TEST(test_firefox), TEST(test_aiortc),
		TEST(test_own_offer), TEST(test_answer),  TEST(test_limits),
	};

	corpus = argc > 1 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
