/*
 * For tests: a video sender and a sink joined by two links in virtual time. A link has a rate, a
 * queue of limited length, a delay and random loss; everything comes from one seed.
 */
#pragma once

#include "base/rng.h"
#include "proto/rtp/sink.h"
#include "proto/rtp/video.h"

#define WORLD_FLYING_MAX 4096

struct flying;

struct world_link {
	uint32_t rate_bps;	    /* 0: without limit */
	usec_t delay_us, jitter_us; /* jitter: added, uniform, without reordering */
	usec_t queue_us;	    /* packets that would wait longer are dropped */
	unsigned loss_permille;
	unsigned drop_next; /* so many packets are lost for certain */
	usec_t free_at, last_at;
	struct flying *packets[WORLD_FLYING_MAX]; /* a ring, in order of arrival */
	size_t first, n_packets;
	uint64_t sent, dropped, bytes;
};

struct world_config {
	uint64_t seed;
	struct video_config video;
	struct world_link there, back;
	unsigned fps; /* 0: no source, the test sends by itself */
	bool nack;
	bool no_feedback; /* the sink does not know the transport-wide extension */
};

#define WORLD_FRAMES_MAX 8192

struct world {
	usec_t now;
	struct rng rng;
	struct video *video;
	struct sink *sink;
	struct world_link there, back;
	unsigned fps;
	bool codec_vp8;
	usec_t frame_at;
	uint32_t encoder_bps;
	bool key_wanted;
	unsigned keyframe_events, rate_events;
	uint32_t sent_hash[WORLD_FRAMES_MAX]; /* frames in the order they were accepted */
	usec_t sent_at[WORLD_FRAMES_MAX];
	size_t n_sent, n_received, first_lost;
	uint64_t received_bytes;
	usec_t worst_us, sum_us; /* from capture to the sink, of frames since the last reset */
	uint64_t n_measured;
	bool (*on_packet)(struct world *w, struct span packet, bool rtcp); /* false: drop it */
};

/* Asserts by cmocka when it fails. */
void world_open(struct world *w, const struct world_config *config);
void world_close(struct world *w);
void world_run(struct world *w, usec_t for_us);
/* Sends a random frame of so many bytes now; what video_send_frame() said. */
int world_send(struct world *w, size_t len, bool keyframe);
void world_measure(struct world *w); /* zeroes worst_us, sum_us, n_measured, received_bytes */
