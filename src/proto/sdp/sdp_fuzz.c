/* Any text as an offer; what parses is answered, and the answer must parse. */
#include "proto/sdp/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum sdp_video_codec prefs[] = { SDP_H264, SDP_VP8 };
	static char text[2 * SDP_TEXT_MAX];
	struct sdp_local l = { .ufrag = "abcd",
			       .pwd = "0123456789012345678901",
			       .fingerprint = "sha-256 AB",
			       .setup = SDP_SETUP_ACTIVE,
			       .cname = "c" };
	const struct sdp_media *m;
	struct sdp *sdp, *again;
	struct sdp_video v;
	bool video;
	int n;

	if (sdp_parse(span_of(data, size), &sdp) < 0)
		return 0;
	m = sdp_find(sdp, SDP_VIDEO);
	video = m && sdp_choose_video(m, prefs, 2, &v) == 0;
	n = sdp_write_answer(&l, sdp, m, video ? &v : NULL, text, sizeof(text));
	if (n > 0 && n <= SDP_TEXT_MAX) {
		if (sdp_parse(span_of(text, (size_t)n), &again) < 0 ||
		    again->n_media != sdp->n_media)
			abort();
		sdp_free(again);
	}
	sdp_free(sdp);
	return 0;
}
