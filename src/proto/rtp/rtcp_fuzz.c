#include "proto/rtp/rtcp.h"
#include "proto/rtp/twcc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_nack(const struct rtcp_feedback *fb)
{
	struct rtcp_nack_walk walk = { 0 };
	uint16_t seq;
	size_t n = 0;

	while (rtcp_nack_next(fb, &walk, &seq))
		n++;
	if (n > 17 * (fb->fci.len / 4)) /* one number and sixteen bits per entry */
		__builtin_trap();
}

static void walk_twcc(const struct rtcp_feedback *fb)
{
	struct twcc_status status;
	struct twcc_walk walk;
	struct twcc t;
	size_t n = 0;

	if (twcc_parse(fb, &t) < 0)
		return;
	twcc_walk_start(&t, &walk);
	while (twcc_walk_next(&t, &walk, &status))
		n++;
	if (n != t.count)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	struct rtcp_packet p;
	struct rtcp_report report;
	struct rtcp_feedback fb;
	struct span cname;
	uint64_t bps;
	uint8_t seq;
	int err;

	while (rtcp_next(&r, &p)) {
		err = rtcp_parse_report(&p, &report);
		if (err == 0 && report.n_blocks > RTCP_BLOCKS_MAX)
			__builtin_trap();
		if (rtcp_parse_cname(&p, 1, &cname) == 0 && cname.len > 255)
			__builtin_trap();
		(void)rtcp_bye_has(&p, 1);
		if (rtcp_parse_feedback(&p, &fb) < 0)
			continue;
		walk_nack(&fb);
		walk_twcc(&fb);
		(void)rtcp_fir_find(&fb, 1, &seq);
		err = rtcp_parse_remb(&fb, 1, &bps);
		if (err == 0 && fb.fci.len < 8)
			__builtin_trap();
	}
	return 0;
}
