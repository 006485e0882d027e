#include "test.h"

#include "proto/rtp/video_world.h"

#define FRAME_LEN_MAX 400000

struct flying {
	usec_t at;
	size_t len;
	bool rtcp;
	uint8_t data[1500];
};

/* The packet that arrives next; the caller frees it. NULL: none is under way. */
static struct flying *link_pop(struct world_link *l)
{
	struct flying *f;

	if (l->n_packets == 0)
		return NULL;
	f = l->packets[l->first];
	l->first = (l->first + 1) % WORLD_FLYING_MAX;
	l->n_packets--;
	return f;
}

static void link_push(struct world_link *l, struct flying *f)
{
	assert_true(l->n_packets < WORLD_FLYING_MAX);
	l->packets[(l->first + l->n_packets++) % WORLD_FLYING_MAX] = f;
}

static void link_close(struct world_link *l)
{
	struct flying *f;

	while ((f = link_pop(l)))
		free(f);
}

static void link_send(struct world *w, struct world_link *l, struct span data, bool rtcp)
{
	usec_t start = FL_MAX(w->now, l->free_at), took;
	struct flying *f;

	l->sent++;
	l->bytes += data.len;
	if (l->drop_next)
		l->drop_next--;
	else if (rng_below(&w->rng, 1000) >= l->loss_permille &&
		 !(l->rate_bps && start - w->now > l->queue_us)) {
		took = l->rate_bps ? data.len * 8 * USEC_PER_SEC / l->rate_bps : 0;
		l->free_at = start + took;
		f = malloc(sizeof(*f));
		assert_non_null(f);
		assert_true(data.len <= sizeof(f->data));
		f->at = l->free_at + l->delay_us;
		if (l->jitter_us)
			f->at += rng_below(&w->rng, (uint32_t)l->jitter_us);
		f->at = l->last_at = FL_MAX(f->at, l->last_at);
		f->len = data.len;
		f->rtcp = rtcp;
		memcpy(f->data, data.ptr, data.len);
		link_push(l, f);
		return;
	}
	l->dropped++;
}

static usec_t link_deadline(const struct world_link *l)
{
	return l->n_packets ? l->packets[l->first]->at : USEC_NEVER;
}

static uint32_t hash(struct span s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.ptr[i]) * 16777619u;
	return h;
}

void world_open(struct world *w, const struct world_config *config)
{
	const struct video_config *v = &config->video;
	struct sink_config sink = { .codec = v->codec,
				    .payload_type = v->payload_type,
				    .rtx = v->rtx,
				    .rtx_payload_type = v->rtx_payload_type,
				    .ext = v->ext,
				    .local_ssrc = 77,
				    .nack = config->nack };

	*w = (struct world){ .now = 1000000000,
			     .fps = config->fps,
			     .codec_vp8 = v->codec == VIDEO_VP8,
			     .key_wanted = true };
	rng_seed(&w->rng, config->seed);
	assert_int_equal(video_create(v, &w->rng, &w->video), 0);
	sink.ssrc = video_ssrc(w->video);
	sink.rtx_ssrc = video_rtx_ssrc(w->video);
	if (config->no_feedback)
		sink.ext.twcc = 0;
	w->sink = sink_create(&sink);
	assert_non_null(w->sink);
	w->there = config->there;
	w->back = config->back;
	w->frame_at = w->fps ? w->now : USEC_NEVER;
	w->encoder_bps = VIDEO_RATE_START;
}

void world_close(struct world *w)
{
	video_destroy(w->video);
	sink_destroy(w->sink);
	link_close(&w->there);
	link_close(&w->back);
}

void world_measure(struct world *w)
{
	w->worst_us = w->sum_us = 0;
	w->n_measured = w->received_bytes = 0;
}

/* H.264 in Annex B or something like VP8, without accidental start codes. */
static const uint8_t key_start[] = { 0, 0, 0,	 1,   0x67, 'x', 'y', 'z', 0,	0,
				     0, 1, 0x68, 'q', 0,    0,	 0,   1,   0x65 };
static const uint8_t delta_start[] = { 0, 0, 0, 1, 0x41 };

static void make_frame(struct world *w, uint8_t *f, size_t len, bool keyframe)
{
	for (size_t i = 0; i < len; i++)
		f[i] = (uint8_t)(1 + rng_below(&w->rng, 255));
	if (len < 20)
		return;
	if (w->codec_vp8) {
		f[0] = (uint8_t)((f[0] & ~1) | !keyframe);
		return;
	}
	if (keyframe)
		memcpy(f, key_start, sizeof(key_start));
	else
		memcpy(f, delta_start, sizeof(delta_start));
}

int world_send(struct world *w, size_t len, bool keyframe)
{
	static uint8_t frame[FRAME_LEN_MAX];
	struct span s = span_of(frame, FL_MIN(FL_MAX(len, (size_t)30), sizeof(frame)));
	int err;

	make_frame(w, frame, s.len, keyframe);
	err = video_send_frame(w->video, w->now, s, keyframe, w->now);
	if (err < 0)
		return err;
	assert_true(w->n_sent < WORLD_FRAMES_MAX);
	w->sent_hash[w->n_sent] = hash(s);
	w->sent_at[w->n_sent++] = w->now;
	return 0;
}

static void source(struct world *w)
{
	size_t mean = w->encoder_bps / 8 / w->fps;
	bool key = w->key_wanted;

	w->frame_at += USEC_PER_SEC / w->fps;
	if (world_send(w, (mean * (70 + rng_below(&w->rng, 61)) / 100) * (key ? 3 : 1), key) == 0 &&
	    key)
		w->key_wanted = false;
}

static void take_frames(struct world *w)
{
	struct sink_frame f;

	while (sink_next_frame(w->sink, &f)) {
		uint32_t h = hash(f.data);

		/* in order, and each as it was sent; some may have been given up */
		while (w->n_received < w->n_sent && w->sent_hash[w->n_received] != h)
			w->n_received++;
		assert_true(w->n_received < w->n_sent);
		usec_t took = w->now - w->sent_at[w->n_received++];

		w->worst_us = FL_MAX(w->worst_us, took);
		w->sum_us += took;
		w->n_measured++;
		w->received_bytes += f.data.len;
	}
}

static void drain(struct world *w)
{
	struct video_output out;
	struct video_event event;
	struct span report;

	take_frames(w);
	while (sink_next_output(w->sink, &report))
		link_send(w, &w->back, report, true);
	while (video_next_output(w->video, &out)) {
		assert_true(out.cap - out.len >= 24);
		if (!w->on_packet || w->on_packet(w, span_of(out.data, out.len), out.rtcp))
			link_send(w, &w->there, span_of(out.data, out.len), out.rtcp);
	}
	while (video_next_event(w->video, &event)) {
		if (event.type == VIDEO_EVENT_KEYFRAME) {
			w->key_wanted = true;
			w->keyframe_events++;
		} else {
			w->encoder_bps = event.rate_bps;
			w->rate_events++;
		}
	}
}

static void deliver(struct world *w, struct world_link *l, bool to_sink)
{
	while (link_deadline(l) <= w->now) {
		struct flying *f = link_pop(l);
		struct span data = span_of(f->data, f->len);

		if (!to_sink)
			video_input_rtcp(w->video, w->now, data);
		else if (f->rtcp)
			sink_input_rtcp(w->sink, w->now, data);
		else
			sink_input_rtp(w->sink, w->now, data);
		free(f);
		drain(w);
	}
}

void world_run(struct world *w, usec_t for_us)
{
	usec_t end = w->now + for_us, at;
	unsigned still = 0;

	drain(w);
	for (;;) {
		at = usec_min(video_deadline(w->video), sink_deadline(w->sink));
		at = usec_min(at, usec_min(link_deadline(&w->there), link_deadline(&w->back)));
		at = usec_min(at, w->frame_at);
		if (at > end)
			break;
		/* a core that asks for the same moment again and again would spin its driver */
		still = at > w->now ? 0 : still + 1;
		assert_true(still < 1000);
		w->now = FL_MAX(w->now, at);
		if (w->now >= w->frame_at)
			source(w);
		video_timeout(w->video, w->now);
		sink_timeout(w->sink, w->now);
		drain(w);
		deliver(w, &w->there, true);
		deliver(w, &w->back, false);
	}
	w->now = end;
}
