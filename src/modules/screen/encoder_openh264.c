/*
 * H.264 by openh264 in its mode for screens: it finds scrolled and unchanged blocks by comparing
 * with the last picture, which is what makes scrolling text cheap. Constrained baseline; the level
 * follows from the size. Its rate control is off: the quantizer is set before each frame, which
 * costs some 40 µs and no key frame.
 */
#include "modules/screen/encoder.h"

#include <errno.h>

#include <wels/codec_api.h>

#include "base/err.h"

#define RATE_NOMINAL 20000000 /* bit/s; only a bound that the level must allow */

struct encoder_h264 {
	struct encoder base;
	ISVCEncoder *svc;
	SEncParamExt params;
	int qp;
	struct span frame;
	uint8_t *mem; /* for frames that openh264 hands out in pieces */
	size_t cap;
};

static void destroy(struct encoder *base)
{
	struct encoder_h264 *e = CONTAINER_OF(base, struct encoder_h264, base);

	if (e->svc) {
		(*e->svc)->Uninitialize(e->svc);
		WelsDestroySVCEncoder(e->svc);
	}
	free(e->mem);
	free(e);
}

static void fill_params(SEncParamExt *p, int width, int height)
{
	SSpatialLayerConfig *layer = &p->sSpatialLayers[0];

	p->iUsageType = SCREEN_CONTENT_REAL_TIME;
	p->iPicWidth = layer->iVideoWidth = width;
	p->iPicHeight = layer->iVideoHeight = height;
	p->fMaxFrameRate = layer->fFrameRate = 60;
	p->iTargetBitrate = layer->iSpatialBitrate = RATE_NOMINAL;
	p->iRCMode = RC_OFF_MODE;
	p->bEnableFrameSkip = false;
	p->iMultipleThreadIdc = 1;
	p->iSpatialLayerNum = 1;
	p->iTemporalLayerNum = 1;
	p->iNumRefFrame = 1;
	p->uiIntraPeriod = 0;
	p->eSpsPpsIdStrategy = CONSTANT_ID;
	p->iEntropyCodingModeFlag = 0;
	p->bEnableLongTermReference = false;
	p->bEnableBackgroundDetection = false;
	p->bEnableAdaptiveQuant = false;
	p->bEnableDenoise = false;
	p->bEnableSceneChangeDetect = true; /* also finds scrolling */
	layer->uiProfileIdc = PRO_BASELINE;
	layer->uiLevelIdc = LEVEL_UNKNOWN;
	layer->sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
	/* what libyuv makes: BT.601, limited range; without it decoders guess by the size */
	layer->bVideoSignalTypePresent = true;
	layer->uiVideoFormat = VF_UNDEF;
	layer->bFullRange = false;
	layer->bColorDescriptionPresent = true;
	layer->uiColorPrimaries = CP_BT709;
	layer->uiTransferCharacteristics = TRC_IEC61966_2_1;
	layer->uiColorMatrix = CM_SMPTE170M;
}

static int create(int width, int height, struct encoder **out)
{
	struct encoder_h264 *e = calloc(1, sizeof(*e));
	int quiet = WELS_LOG_QUIET, format = videoFormatI420;

	if (!e)
		return -ENOMEM;
	e->base.ops = &encoder_openh264;
	if (WelsCreateSVCEncoder(&e->svc) != 0) {
		destroy(&e->base);
		return -ENOMEM;
	}
	(*e->svc)->SetOption(e->svc, ENCODER_OPTION_TRACE_LEVEL, &quiet);
	(*e->svc)->GetDefaultParams(e->svc, &e->params);
	fill_params(&e->params, width, height);
	e->qp = e->params.sSpatialLayers[0].iDLayerQp;
	if ((*e->svc)->InitializeExt(e->svc, &e->params) != cmResultSuccess ||
	    (*e->svc)->SetOption(e->svc, ENCODER_OPTION_DATAFORMAT, &format) != cmResultSuccess) {
		destroy(&e->base);
		return FL_EUNSUPPORTED;
	}
	*out = &e->base;
	return 0;
}

static int set_qp(struct encoder_h264 *e, int qp)
{
	if (qp == e->qp)
		return 0;
	e->params.sSpatialLayers[0].iDLayerQp = qp;
	e->qp = qp;
	return (*e->svc)->SetOption(e->svc, ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, &e->params) ==
			       cmResultSuccess
		       ? 0
		       : FL_EUNSUPPORTED;
}

/* The layers (parameter sets, slices) lie apart; the frame is them in a row. */
static int join_layers(struct encoder_h264 *e, const SFrameBSInfo *info)
{
	size_t len = 0, need = (size_t)info->iFrameSizeInBytes;

	if (need > e->cap) {
		uint8_t *mem = realloc(e->mem, need);
		if (!mem)
			return -ENOMEM;
		e->mem = mem;
		e->cap = need;
	}
	for (int i = 0; i < info->iLayerNum; i++) {
		const SLayerBSInfo *layer = &info->sLayerInfo[i];
		size_t size = 0;
		for (int n = 0; n < layer->iNalCount; n++)
			size += (size_t)layer->pNalLengthInByte[n];
		if (len + size > e->cap)
			return FL_EQUOTA;
		memcpy(e->mem + len, layer->pBsBuf, size);
		len += size;
	}
	e->frame = span_of(e->mem, len);
	return 0;
}

static int encode(struct encoder *base, const struct picture *p, usec_t at, int qp, bool *key,
		  struct span *out)
{
	struct encoder_h264 *e = CONTAINER_OF(base, struct encoder_h264, base);
	SSourcePicture source = {
		.iColorFormat = videoFormatI420,
		.iStride = { p->y_stride, p->uv_stride, p->uv_stride },
		.pData = { p->y, p->u, p->v },
		.iPicWidth = p->width,
		.iPicHeight = p->height,
		.uiTimeStamp = (long long)(at / USEC_PER_MSEC),
	};
	SFrameBSInfo info = { 0 };
	int err = set_qp(e, qp);

	if (err < 0)
		return err;
	if (*key)
		(*e->svc)->ForceIntraFrame(e->svc, true);
	if ((*e->svc)->EncodeFrame(e->svc, &source, &info) != cmResultSuccess)
		return FL_EUNSUPPORTED;
	*key = info.eFrameType == videoFrameTypeIDR;
	*out = (struct span){ 0 };
	if (info.eFrameType == videoFrameTypeSkip || info.eFrameType == videoFrameTypeInvalid)
		return 0;
	err = join_layers(e, &info);
	*out = e->frame;
	return err;
}

const struct encoder_ops encoder_openh264 = {
	.codec = "H264",
	.refine_rounds = 1,
	.create = create,
	.destroy = destroy,
	.encode = encode,
};
