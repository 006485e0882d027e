/* A peer that sends video over the simulated network, and nothing else, to another one that says by
 * receiver reports that it arrives. */
#include "test.h"

#include "base/ct.h"
#include "peer/internal.h"
#include "peer_node.h"
#include "proto/rtp/rtcp.h"
#include "vclock.h"

#define FRAME_US (40 * USEC_PER_MSEC)
#define REPORT_US USEC_PER_SEC

struct net {
	struct sim *sim;
	struct peer_node a, b;	   /* a offers and sees, b sends */
	struct srtp_session *srtp; /* a's */
	usec_t frame_at, report_at;
	bool frames, reports;
};

static void run(struct net *t, usec_t until)
{
	sim_run(t->sim, until);
	vclock_set(sim_now(t->sim));
}

/* What a browser does in a's place. */
static void make_srtp(struct net *t)
{
	struct dtls *dtls = t->a.peer->dtls;
	enum srtp_protection profile = (enum srtp_protection)dtls_srtp_profile(dtls);
	uint8_t keying[SRTP_KEYING_MAX];
	size_t len = srtp_keying_len(profile);

	assert_true(len > 0);
	assert_int_equal(dtls_export(dtls, "EXTRACTOR-dtls_srtp", keying, len), 0);
	assert_int_equal(srtp_session_create(profile, span_of(keying, len),
					     t->a.peer->role == DTLS_ACTIVE, &t->srtp),
			 0);
	ct_wipe(keying, sizeof(keying));
}

static void begin(struct net *t)
{
	static const struct sim_path near = { .delay_us = 5000 };
	int lan;

	*t = (struct net){ .sim = sim_create(1), .frames = true, .reports = true };
	vclock_set(sim_now(t->sim));
	lan = sim_segment(t->sim, &near);
	peer_node_init(&t->a, t->sim, lan, "192.168.1.2", NULL);
	peer_node_init(&t->b, t->sim, lan, "192.168.1.3", NULL);
	t->b.peer->video_prefs[t->b.peer->n_video_prefs++] = SDP_VP8;
	t->a.wants_video = true;
	peer_node_link(&t->a, &t->b, 5000);
	peer_node_offer(&t->a, "x");
	run(t, sim_now(t->sim) + USEC_PER_SEC);
	assert_int_equal(t->b.videos, 1);
	make_srtp(t);
	t->frame_at = t->report_at = sim_now(t->sim);
}

static void end(struct net *t)
{
	srtp_session_destroy(t->srtp);
	peer_node_finish(&t->a);
	peer_node_finish(&t->b);
	sim_destroy(t->sim);
}

static void send_frame(struct net *t)
{
	uint8_t frame[500] = { 0 };

	assert_int_equal(peer_video_send(t->b.peer, sim_now(t->sim), span_of(frame, sizeof(frame)),
					 true, sim_now(t->sim)),
			 0);
	peer_node_turn(&t->b);
}

/* An empty receiver report (RFC 3550 §6.4.2). */
static void send_report(struct net *t)
{
	_Alignas(8) uint8_t packet[8 + SRTP_TRAILER_MAX] = { 0x80, RTCP_RR, 0, 1, 0, 0, 0, 7 };
	struct ice_path path;
	int n = srtp_session_protect(t->srtp, true, packet, 8, sizeof(packet));
	struct dgram d;

	assert_true(n > 0);
	peer_path(t->a.peer, &path);
	d = (struct dgram){ path.local, path.remote, span_of(packet, (size_t)n), path.via };
	sim_send(t->a.host, &d);
}

static void go_on(struct net *t, usec_t duration)
{
	usec_t until = sim_now(t->sim) + duration;

	while (sim_now(t->sim) < until) {
		run(t, usec_min(until, usec_min(t->frame_at, t->report_at)));
		if (t->frame_at <= sim_now(t->sim)) {
			t->frame_at += FRAME_US;
			if (t->frames)
				send_frame(t);
		}
		if (t->report_at <= sim_now(t->sim)) {
			t->report_at += REPORT_US;
			if (t->reports)
				send_report(t);
		}
	}
}

static uint64_t checks(const struct net *t)
{
	return ice_stats(t->b.peer->ice)->checks_sent;
}

/* Video that is reported on costs no checks but those of consent. */
static void test_reported(void **state)
{
	struct net t;
	uint64_t before;

	begin(&t);
	go_on(&t, 10 * USEC_PER_SEC);
	assert_int_equal(t.b.peer->stats.rtp_refused, 0);
	before = checks(&t);
	go_on(&t, 60 * USEC_PER_SEC);
	assert_true(checks(&t) - before <= 20);
	assert_int_equal(t.b.disconnected, 0);
	end(&t);
}

/* A picture that stands still is not sent, and nothing is to be reported. */
static void test_still(void **state)
{
	struct net t;
	uint64_t before;

	begin(&t);
	go_on(&t, 10 * USEC_PER_SEC);
	t.frames = t.reports = false;
	go_on(&t, 5 * USEC_PER_SEC);
	before = checks(&t);
	go_on(&t, 60 * USEC_PER_SEC);
	assert_true(checks(&t) - before <= 20);
	end(&t);
}

/* A receiver that never reports is looked after a little more, and not left. */
static void test_no_reports(void **state)
{
	struct net t;
	uint64_t before;

	begin(&t);
	t.reports = false;
	go_on(&t, 10 * USEC_PER_SEC);
	before = checks(&t);
	go_on(&t, 60 * USEC_PER_SEC);
	assert_in_range(checks(&t) - before, 20, 60);
	assert_int_equal(t.b.disconnected, 0);
	end(&t);
}

/* Reports that stay away tell that the path is dead, whenever in the time between two consent
 * checks that happens. */
static void test_dead_path(void **state)
{
	for (unsigned i = 0; i < 8; i++) {
		struct net t;

		begin(&t);
		go_on(&t, 10 * USEC_PER_SEC + i * 700 * USEC_PER_MSEC);
		assert_int_equal(t.b.disconnected, 0);
		sim_host_cut(t.a.host, true);
		go_on(&t, 3800 * USEC_PER_MSEC);
		assert_int_equal(t.b.disconnected, 1);
		sim_host_cut(t.a.host, false);
		end(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reported),
		TEST(test_still),
		TEST(test_no_reports),
		TEST(test_dead_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
