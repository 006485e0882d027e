#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "peer/driver.h"
#include "proto/sdp/sdp.h"

int fl_identity_create(struct fl_identity **out)
{
	struct fl_identity *id = calloc(1, sizeof(*id));
	int err = id ? dtls_identity_create(&id->dtls) : -ENOMEM;

	if (err < 0) {
		free(id);
		return err;
	}
	*out = id;
	return 0;
}

void fl_identity_destroy(struct fl_identity *identity)
{
	if (!identity)
		return;
	dtls_identity_unref(identity->dtls);
	free(identity);
}

const char *fl_identity_fingerprint(const struct fl_identity *identity)
{
	return dtls_identity_fingerprint_text(identity->dtls);
}

int fl_peer_create(const struct fl_peer_config *config, struct fl_peer **out)
{
	struct fl_peer *p;
	int err;

	if (!config->identity)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	err = driver_init(p, config);
	if (err < 0) {
		driver_finish(p);
		free(p);
		return err;
	}
	*out = p;
	return 0;
}

void fl_peer_destroy(struct fl_peer *peer)
{
	if (!peer)
		return;
	peer_close(peer->core, usec_monotonic());
	driver_flush(peer);
	driver_finish(peer);
	free(peer);
}

int fl_peer_fd(const struct fl_peer *peer)
{
	return loop_fd(peer->loop);
}

int fl_peer_dispatch(struct fl_peer *peer)
{
	return loop_turn(peer->loop, 0);
}

/* What the core was told may make it speak. */
static int flushed(struct fl_peer *peer, int result)
{
	driver_flush(peer);
	return result;
}

static int as_public(int err)
{
	return err == FL_EMALFORMED || err == FL_EUNSUPPORTED || err == FL_EQUOTA ? -EINVAL : err;
}

int fl_peer_offer(struct fl_peer *peer)
{
	return flushed(peer, peer_offer(peer->core, usec_monotonic()));
}

int fl_peer_answer(struct fl_peer *peer, const char *offer_sdp)
{
	int err = peer_answer(peer->core, usec_monotonic(), offer_sdp);

	driver_relays_permit(peer);
	return flushed(peer, as_public(err));
}

int fl_peer_accept(struct fl_peer *peer, const char *answer_sdp)
{
	int err = peer_accept(peer->core, usec_monotonic(), answer_sdp);

	driver_relays_permit(peer);
	return flushed(peer, as_public(err));
}

int fl_peer_candidate(struct fl_peer *peer, const char *candidate)
{
	int err = peer_candidate(peer->core, usec_monotonic(), candidate);

	driver_relays_permit(peer);
	return flushed(peer, err);
}

void fl_peer_limit(struct fl_peer *peer, uint32_t kbit)
{
	peer_limit(peer->core, usec_monotonic(), kbit);
	driver_flush(peer);
}

int fl_peer_restart(struct fl_peer *peer)
{
	return flushed(peer, peer_restart(peer->core, usec_monotonic()));
}

void fl_peer_close(struct fl_peer *peer)
{
	peer_close(peer->core, usec_monotonic());
	driver_flush(peer);
}

int fl_sdp_fingerprint(const char *sdp, char *dst, size_t cap)
{
	char text[DTLS_FINGERPRINT_TEXT_MAX];
	uint8_t fp[DTLS_FINGERPRINT_LEN];
	const struct sdp_media *m;
	struct sdp *parsed;
	int err = sdp_parse(span_str(sdp), &parsed);

	if (err < 0)
		return err;
	m = sdp_transport_media(parsed);
	err = m ? dtls_fingerprint_parse(m->transport.fingerprint, fp) : FL_EMALFORMED;
	sdp_free(parsed);
	if (err < 0)
		return err;
	dtls_fingerprint_format(fp, text);
	return snprintf(dst, cap, "%s", text) < (int)cap ? 0 : FL_EQUOTA;
}

int fl_channel_open(struct fl_peer *peer, const char *label,
		    const struct fl_channel_options *options)
{
	return flushed(peer, peer_channel_open(peer->core, usec_monotonic(), label, options));
}

int fl_channel_send(struct fl_peer *peer, int channel, const void *data, size_t len, bool text)
{
	return flushed(peer, peer_channel_send(peer->core, usec_monotonic(), channel,
					       span_of(data, len), text));
}

size_t fl_channel_buffered(const struct fl_peer *peer, int channel)
{
	return peer_channel_buffered(peer->core, channel);
}

void fl_channel_close(struct fl_peer *peer, int channel)
{
	peer_channel_close(peer->core, usec_monotonic(), channel);
	driver_flush(peer);
}

int fl_video_send(struct fl_peer *peer, const void *frame, size_t len, bool keyframe,
		  uint64_t capture_us)
{
	return flushed(peer, peer_video_send(peer->core, usec_monotonic(), span_of(frame, len),
					     keyframe, capture_us));
}

bool fl_peer_next_event(struct fl_peer *peer, struct fl_event *event)
{
	if (peer_next_event(peer->core, usec_monotonic(), event)) {
		driver_relays_event(peer, event);
		return true;
	}
	driver_flush(peer); /* acknowledgements of what was taken */
	return false;
}

void fl_peer_route(const struct fl_peer *peer, struct fl_route *out)
{
	peer_route(peer->core, out);
	driver_relays_describe(peer, out);
	driver_servers_describe(peer, out);
}
