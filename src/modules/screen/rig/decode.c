#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libyuv/convert_argb.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <wels/codec_api.h>

#include "modules/screen/rig/rig.h"

struct rig_decoder {
	bool vp8;
	ISVCDecoder *svc;
	vpx_codec_ctx_t vpx;
	const uint8_t *plane[3];
	int stride[3], width, height;
};

struct rig_decoder *rig_decoder_create(const char *codec)
{
	struct rig_decoder *d = calloc(1, sizeof(*d));
	SDecodingParam param = { .sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC };

	if (!d)
		rig_die("memory");
	d->vp8 = strcmp(codec, "VP8") == 0;
	if (d->vp8 ? vpx_codec_dec_init(&d->vpx, vpx_codec_vp8_dx(), NULL, 0) != VPX_CODEC_OK
		   : WelsCreateDecoder(&d->svc) != 0 || (*d->svc)->Initialize(d->svc, &param) != 0)
		rig_die("decoder");
	return d;
}

void rig_decoder_destroy(struct rig_decoder *d)
{
	if (d->vp8) {
		vpx_codec_destroy(&d->vpx);
	} else {
		(*d->svc)->Uninitialize(d->svc);
		WelsDestroyDecoder(d->svc);
	}
	free(d);
}

static bool decode_vp8(struct rig_decoder *d, struct span frame)
{
	vpx_codec_iter_t iter = NULL;
	vpx_image_t *image;

	if (vpx_codec_decode(&d->vpx, frame.ptr, (unsigned)frame.len, NULL, 0) != VPX_CODEC_OK)
		return false;
	image = vpx_codec_get_frame(&d->vpx, &iter);
	if (!image)
		return false;
	for (int i = 0; i < 3; i++) {
		d->plane[i] = image->planes[i];
		d->stride[i] = image->stride[i];
	}
	d->width = (int)image->d_w;
	d->height = (int)image->d_h;
	return true;
}

static bool decode_h264(struct rig_decoder *d, struct span frame)
{
	unsigned char *plane[3] = { 0 };
	SBufferInfo info = { 0 };

	if ((*d->svc)->DecodeFrameNoDelay(d->svc, frame.ptr, (int)frame.len, plane, &info) !=
		    dsErrorFree ||
	    info.iBufferStatus != 1)
		return false;
	for (int i = 0; i < 3; i++) {
		d->plane[i] = plane[i];
		d->stride[i] = info.UsrData.sSystemBuffer.iStride[i > 0];
	}
	d->width = info.UsrData.sSystemBuffer.iWidth;
	d->height = info.UsrData.sSystemBuffer.iHeight;
	return true;
}

bool rig_decode(struct rig_decoder *d, struct span frame)
{
	return d->vp8 ? decode_vp8(d, frame) : decode_h264(d, frame);
}

void rig_size(const struct rig_decoder *d, int *width, int *height)
{
	*width = d->width;
	*height = d->height;
}

static uint32_t clamp(double v)
{
	return v < 0 ? 0 : v > 255 ? 255 : (uint32_t)(v + 0.5);
}

uint32_t rig_pixel(const struct rig_decoder *d, int x, int y)
{
	int cx = x / 2, cy = y / 2;
	double luma = 1.164 * (d->plane[0][y * d->stride[0] + x] - 16);
	double cb = d->plane[1][cy * d->stride[1] + cx] - 128;
	double cr = d->plane[2][cy * d->stride[2] + cx] - 128;

	return clamp(luma + 1.596 * cr) << 16 | clamp(luma - 0.813 * cr - 0.391 * cb) << 8 |
	       clamp(luma + 2.018 * cb);
}

uint8_t *rig_picture(const struct rig_decoder *d)
{
	uint8_t *argb = malloc((size_t)d->width * (size_t)d->height * 4);

	if (!argb)
		rig_die("memory");
	I420ToARGB(d->plane[0], d->stride[0], d->plane[1], d->stride[1], d->plane[2], d->stride[2],
		   argb, d->width * 4, d->width, d->height);
	return argb;
}

bool rig_close(uint32_t a, uint32_t b, int tolerance)
{
	for (int shift = 0; shift < 24; shift += 8)
		if (abs((int)(a >> shift & 255) - (int)(b >> shift & 255)) > tolerance)
			return false;
	return true;
}
