/*
 * VP8 (RFC 6386) by libvpx, for browsers without H.264. One thread, no look-ahead, quantizer set
 * before each frame (a changed configuration costs no key frame).
 */
#include "modules/screen/encoder.h"

#include <errno.h>

#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

#include "base/err.h"

#define CPU_USED (-12)
#define FRAME_US 16667

struct encoder_vp8 {
	struct encoder base;
	vpx_codec_ctx_t ctx;
	vpx_codec_enc_cfg_t cfg;
	bool open;
	int64_t pts;
};

static void destroy(struct encoder *base)
{
	struct encoder_vp8 *e = CONTAINER_OF(base, struct encoder_vp8, base);

	if (e->open)
		vpx_codec_destroy(&e->ctx);
	free(e);
}

/* VP8's 0…63 are not linear in the step size; this keeps about the same quality. */
static unsigned quantizer(int qp)
{
	int q = qp <= 20 ? 8 : qp <= 26 ? 8 + (qp - 20) * 2 : 20 + (qp - 26) * 43 / 18;

	return (unsigned)FL_MIN(q, 63);
}

static void fill_config(vpx_codec_enc_cfg_t *cfg, int width, int height)
{
	cfg->g_w = (unsigned)width;
	cfg->g_h = (unsigned)height;
	cfg->g_timebase.num = 1;
	cfg->g_timebase.den = 1000000;
	cfg->g_threads = 1;
	cfg->g_lag_in_frames = 0;
	cfg->g_error_resilient = 0;
	cfg->g_pass = VPX_RC_ONE_PASS;
	cfg->rc_end_usage = VPX_CBR;
	cfg->rc_target_bitrate = 20000; /* kbit/s; the fixed quantizer decides */
	cfg->rc_dropframe_thresh = 0;
	cfg->rc_resize_allowed = 0;
	cfg->kf_mode = VPX_KF_DISABLED;
	cfg->rc_min_quantizer = cfg->rc_max_quantizer = quantizer(26);
}

static int create(int width, int height, struct encoder **out)
{
	struct encoder_vp8 *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->base.ops = &encoder_vp8;
	if (vpx_codec_enc_config_default(vpx_codec_vp8_cx(), &e->cfg, 0) != VPX_CODEC_OK) {
		free(e);
		return FL_EUNSUPPORTED;
	}
	fill_config(&e->cfg, width, height);
	e->open = vpx_codec_enc_init(&e->ctx, vpx_codec_vp8_cx(), &e->cfg, 0) == VPX_CODEC_OK;
	if (!e->open || vpx_codec_control(&e->ctx, VP8E_SET_CPUUSED, CPU_USED) ||
	    vpx_codec_control(&e->ctx, VP8E_SET_SCREEN_CONTENT_MODE, 1) ||
	    vpx_codec_control(&e->ctx, VP8E_SET_STATIC_THRESHOLD, 1) ||
	    vpx_codec_control(&e->ctx, VP8E_SET_NOISE_SENSITIVITY, 0) ||
	    vpx_codec_control(&e->ctx, VP8E_SET_TOKEN_PARTITIONS, VP8_ONE_TOKENPARTITION)) {
		destroy(&e->base);
		return FL_EUNSUPPORTED;
	}
	*out = &e->base;
	return 0;
}

static int encode(struct encoder *base, const struct picture *p, usec_t at, int qp, bool *key,
		  struct span *out)
{
	struct encoder_vp8 *e = CONTAINER_OF(base, struct encoder_vp8, base);
	const vpx_codec_cx_pkt_t *packet;
	vpx_codec_iter_t iter = NULL;
	vpx_image_t image;

	if (e->cfg.rc_max_quantizer != quantizer(qp)) {
		e->cfg.rc_min_quantizer = e->cfg.rc_max_quantizer = quantizer(qp);
		if (vpx_codec_enc_config_set(&e->ctx, &e->cfg) != VPX_CODEC_OK)
			return FL_EUNSUPPORTED;
	}
	if (!vpx_img_wrap(&image, VPX_IMG_FMT_I420, (unsigned)p->width, (unsigned)p->height, 1,
			  p->y))
		return FL_EUNSUPPORTED;
	image.planes[VPX_PLANE_U] = p->u;
	image.planes[VPX_PLANE_V] = p->v;
	image.stride[VPX_PLANE_Y] = p->y_stride;
	image.stride[VPX_PLANE_U] = image.stride[VPX_PLANE_V] = p->uv_stride;
	/* strictly growing, whatever the clock does */
	e->pts = FL_MAX(e->pts + 1, (int64_t)at);
	if (vpx_codec_encode(&e->ctx, &image, e->pts, FRAME_US, *key ? VPX_EFLAG_FORCE_KF : 0,
			     VPX_DL_REALTIME) != VPX_CODEC_OK)
		return FL_EUNSUPPORTED;
	*key = false;
	*out = (struct span){ 0 };
	while ((packet = vpx_codec_get_cx_data(&e->ctx, &iter))) {
		if (packet->kind != VPX_CODEC_CX_FRAME_PKT)
			continue;
		*out = span_of(packet->data.frame.buf, packet->data.frame.sz);
		*key = packet->data.frame.flags & VPX_FRAME_IS_KEY;
	}
	return 0;
}

const struct encoder_ops encoder_vp8 = {
	.codec = "VP8",
	.refine_rounds = 4,
	.create = create,
	.destroy = destroy,
	.encode = encode,
};
