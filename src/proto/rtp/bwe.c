#include "proto/rtp/bwe.h"

#include <math.h>
#include <stdlib.h>

#include "proto/rtp/trend.h"

#define SENT_MAX 8192	  /* packets whose feedback we still know how to read */
#define ARRIVALS_MAX 1024 /* latest arrivals, for rates and delays over a window */
#define WINDOW_US 100000  /* the window in which a full link shows */
#define ACKED_WINDOW_US 500000
#define BASE_BUCKETS 8 /* least one-way delay: of the last BASE_BUCKETS · BASE_BUCKET_US */
#define BASE_BUCKET_US 2000000
#define STANDING_US 6000 /* a queue that never was shorter than this stands */
#define DRAINED_US 4000	 /* …and has gone when it was shorter than this */
#define GROWING_US 40000 /* a queue this long that still grows by that much per feedback */
#define GROWING_STEP_US 5000
#define HOLD_OFF_US 4000000 /* after a full link: this long nothing but small steps up */
#define FORGET_US 10000000  /* …and this long its capacity is remembered */
#define LOSS_PACKETS 30
#define LOSS_US 200000
#define LOSS_HIGH 100 /* permille */
#define TRAIN_PACKETS 6
#define FEEDBACK_OVERDUE_US 1000000
#define PROBE_FIRST_US 250000
#define PROBE_LATER_US 5000000
#define PROBES_FIRST 4
#define RTT_UNKNOWN_US 100000
#define PACE_FACTOR 2.5

enum sent_state { SENT_NONE, SENT_IN_FLIGHT, SENT_RECEIVED, SENT_LOST };

struct sent {
	usec_t at_us;
	uint32_t train;
	uint16_t seq, len;
	enum sent_state state;
};

struct arrival {
	int64_t at_us, delay_us; /* delay: arrival minus sending, on two clocks */
	size_t len;
};

struct train {
	uint32_t id;
	unsigned n, lost;
	size_t bytes, first_len, last_len;
	usec_t first_sent, last_sent;
	int64_t first_arrival, last_arrival;
};

struct bwe {
	struct bwe_config config;
	double rate;	    /* bit/s */
	double capacity;    /* of a full link, when capacity_at is not 0 */
	usec_t capacity_at; /* when the link was last seen full */
	usec_t increased_at;
	bool draining;
	int64_t queue_us; /* that stood at the latest feedback */
	double cap;	  /* REMB; 0: none */

	struct sent sent[SENT_MAX];
	uint16_t next_seq, highest_seen; /* highest sequence number in any feedback */
	bool has_feedback;
	usec_t last_sent_at, last_feedback_at;

	bool has_reference;
	uint32_t reference; /* of the last feedback, and its time without wrap */
	int64_t reference_us;

	struct arrival arrivals[ARRIVALS_MAX];
	size_t n_arrivals; /* ever; the latest is at (n_arrivals - 1) % ARRIVALS_MAX */
	int64_t base[BASE_BUCKETS];
	int64_t base_started_us;
	size_t base_at;
	bool has_base;
	struct trend trend;
	struct train train;

	unsigned loss_sent, loss_lost;
	usec_t loss_since;
	uint32_t loss_permille;
	usec_t rtt_us, rtt_base_us;
	bool slow_start; /* of the report mode */
	usec_t reported_at;

	unsigned probes;
	usec_t probed_at;
};

static void set_rate(struct bwe *b, double rate)
{
	double max = b->config.max_bps;

	if (b->cap > 0)
		max = fmin(max, b->cap);
	b->rate = fmax(fmin(rate, max), b->config.min_bps);
}

void bwe_reset(struct bwe *b, usec_t now, uint32_t start_bps)
{
	uint16_t next = b->next_seq;
	struct bwe_config config = b->config;

	/* what is in flight was sent on the old path: its feedback is not read */
	*b = (struct bwe){ .config = config,
			   .next_seq = next,
			   .highest_seen = (uint16_t)(next - 1),
			   .slow_start = true,
			   .increased_at = now,
			   .loss_since = now,
			   .probed_at = now };
	trend_init(&b->trend);
	set_rate(b, start_bps);
}

void bwe_set_max(struct bwe *b, uint32_t max_bps)
{
	b->config.max_bps = max_bps;
	set_rate(b, b->rate);
}

struct bwe *bwe_create(const struct bwe_config *config)
{
	struct bwe *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->config = *config;
	bwe_reset(b, 0, config->start_bps);
	return b;
}

void bwe_destroy(struct bwe *b)
{
	free(b);
}

uint16_t bwe_sent(struct bwe *b, usec_t now, size_t len, uint32_t train)
{
	uint16_t seq = b->next_seq++;

	/* after a pause the wait for feedback begins anew */
	if ((uint16_t)(seq - 1) == b->highest_seen)
		b->last_feedback_at = now;
	b->sent[seq % SENT_MAX] = (struct sent){ .at_us = now,
						 .train = train,
						 .seq = seq,
						 .len = (uint16_t)len,
						 .state = SENT_IN_FLIGHT };
	b->last_sent_at = now;
	return seq;
}

static const struct arrival *arrival_at(const struct bwe *b, size_t back)
{
	return &b->arrivals[(b->n_arrivals - 1 - back) % ARRIVALS_MAX];
}

static size_t arrivals_kept(const struct bwe *b)
{
	return FL_MIN(b->n_arrivals, (size_t)ARRIVALS_MAX);
}

/* Bit/s that arrived in the window that ends with the latest arrival; 0: too little to say. */
static double arrival_rate(const struct bwe *b, int64_t window_us)
{
	size_t kept = arrivals_kept(b), bytes = 0, n = 0;
	int64_t end, begin;

	if (kept < 3)
		return 0;
	begin = end = arrival_at(b, 0)->at_us;
	for (; n < kept; n++) {
		const struct arrival *a = arrival_at(b, n);

		if (end - a->at_us > window_us)
			break;
		begin = FL_MIN(begin, a->at_us);
		bytes += a->len;
	}
	if (n < 3 || end - begin < 5000)
		return 0;
	bytes -= arrival_at(b, n - 1)->len; /* it arrived as the interval began */
	return (double)bytes * 8e6 / (double)(end - begin);
}

/* The queue that stood all through the latest window: the least delay in it above the base. */
static int64_t standing_queue(const struct bwe *b)
{
	size_t kept = arrivals_kept(b), n = 0;
	int64_t end, least = INT64_MAX, base = INT64_MAX;

	if (kept == 0 || !b->has_base)
		return 0;
	end = arrival_at(b, 0)->at_us;
	for (; n < kept; n++) {
		const struct arrival *a = arrival_at(b, n);

		if (n >= 3 && end - a->at_us > WINDOW_US)
			break;
		least = FL_MIN(least, a->delay_us);
	}
	for (size_t i = 0; i < BASE_BUCKETS; i++)
		base = FL_MIN(base, b->base[i]);
	return n < 3 ? 0 : least - base;
}

/* Time of one full packet on the link, as far as its rate is known. */
static int64_t packet_us(const struct bwe *b)
{
	return (int64_t)(1200 * 8e6 / (b->draining ? b->capacity : b->rate));
}

static void update_base(struct bwe *b, const struct arrival *a)
{
	if (!b->has_base) {
		for (size_t i = 0; i < BASE_BUCKETS; i++)
			b->base[i] = INT64_MAX;
		b->has_base = true;
		b->base_started_us = a->at_us;
	}
	/* a long pause leaves the old base standing until traffic renews it bucket by bucket */
	if (a->at_us - b->base_started_us > BASE_BUCKET_US) {
		b->base_at = (b->base_at + 1) % BASE_BUCKETS;
		b->base[b->base_at] = INT64_MAX;
		b->base_started_us = a->at_us;
	}
	b->base[b->base_at] = FL_MIN(b->base[b->base_at], a->delay_us);
}

static void set_capacity(struct bwe *b, usec_t now, double bps)
{
	b->capacity = bps;
	b->capacity_at = now;
}

static bool is_full_lately(const struct bwe *b, usec_t now)
{
	return b->capacity_at && now - b->capacity_at < HOLD_OFF_US;
}

/*
 * What a train says: it left at one rate and arrived at another. Arrived as fast as it left: the
 * path carries that. Slower: it was spread by the link, whose capacity this is.
 */
static void judge_train(struct bwe *b, usec_t now)
{
	struct train *t = &b->train;
	double sent_us = (double)(t->last_sent - t->first_sent);
	double arrived_us = (double)(t->last_arrival - t->first_arrival);
	double sent, arrived, rate;
	bool hold = is_full_lately(b, now), spread;

	if (t->n < TRAIN_PACKETS)
		return;
	/* under a millisecond clocks and wake-ups are what is measured */
	arrived = (double)(t->bytes - t->first_len) * 8e6 / fmax(arrived_us, 1000);
	sent = (double)(t->bytes - t->last_len) * 8e6 / fmax(sent_us, 1000);
	spread = arrived < 0.9 * sent;
	if (spread && t->lost >= 2 && t->lost * 10 > t->n) {
		/* a queue too short for the train: only slower trains get through */
		set_capacity(b, now, arrived);
		set_rate(b, FL_MIN(b->rate, 0.9 * arrived));
		return;
	}
	if (t->lost * 10 > t->n || hold || b->draining ||
	    standing_queue(b) > STANDING_US + packet_us(b))
		return;
	rate = spread ? 0.9 * arrived : FL_MIN(arrived, sent);
	rate = fmin(rate, 3 * b->rate);
	if (rate > b->rate) {
		set_rate(b, rate);
		b->increased_at = now;
	}
}

static void train_packet(struct bwe *b, usec_t now, const struct sent *s, int64_t arrival)
{
	struct train *t = &b->train;

	if (s->train != t->id || t->id == 0) {
		if (t->id)
			judge_train(b, now);
		*t = (struct train){ .id = s->train };
	}
	if (t->id == 0)
		return;
	if (s->state == SENT_LOST) {
		t->lost++;
		return;
	}
	if (t->n++ == 0) {
		t->first_sent = s->at_us;
		t->first_arrival = arrival;
		t->first_len = s->len;
	}
	t->last_sent = s->at_us;
	t->last_arrival = FL_MAX(arrival, t->first_arrival);
	t->last_len = s->len;
	t->bytes += s->len;
}

static void on_arrival(struct bwe *b, const struct sent *s, int64_t arrival)
{
	struct arrival *a = &b->arrivals[b->n_arrivals++ % ARRIVALS_MAX];

	*a = (struct arrival){ arrival, arrival - (int64_t)s->at_us, s->len };
	update_base(b, a);
	trend_packet(&b->trend, s->at_us, arrival);
}

/* The reference time has 24 bits of 64 ms: it wraps every twelve days. */
static int64_t unwrap_reference(struct bwe *b, uint32_t reference)
{
	int32_t step = (int32_t)((reference - b->reference) << 8) >> 8;

	if (!b->has_reference) {
		b->has_reference = true;
		b->reference_us = (int64_t)reference * TWCC_REFERENCE_US;
	} else {
		b->reference_us += (int64_t)step * TWCC_REFERENCE_US;
	}
	b->reference = reference;
	return b->reference_us;
}

static void take_status(struct bwe *b, usec_t now, const struct twcc_status *st, int64_t shift_us)
{
	struct sent *s = &b->sent[st->seq % SENT_MAX];

	if (s->seq != st->seq || s->state == SENT_NONE || s->state == SENT_RECEIVED)
		return;
	if ((int16_t)(uint16_t)(st->seq - b->highest_seen) > 0)
		b->highest_seen = st->seq;
	if (!st->received) {
		if (s->state == SENT_LOST)
			return;
		s->state = SENT_LOST;
		b->loss_sent++;
		b->loss_lost++;
		train_packet(b, now, s, 0);
		return;
	}
	if (s->state == SENT_IN_FLIGHT)
		b->loss_sent++;
	else if (b->loss_lost) /* called lost too early */
		b->loss_lost--;
	s->state = SENT_RECEIVED;
	b->rtt_us = FL_MIN(b->rtt_us, now - s->at_us);
	train_packet(b, now, s, st->at_us + shift_us);
	on_arrival(b, s, st->at_us + shift_us);
}

static void loss_control(struct bwe *b, usec_t now)
{
	if (b->loss_sent < LOSS_PACKETS || now - b->loss_since < LOSS_US)
		return;
	b->loss_permille = 1000 * b->loss_lost / b->loss_sent;
	/* while a queue drains its overflow is old news, and the rate already below capacity */
	if (b->loss_permille > LOSS_HIGH && !b->draining) {
		set_rate(b, b->rate * (1 - 0.5 * b->loss_permille / 1000));
		b->increased_at = now;
	}
	b->loss_sent = b->loss_lost = 0;
	b->loss_since = now;
}

/* The longer the queue, the further below capacity, so that it is gone in a few hundred ms. */
static double drain_factor(int64_t queue_us)
{
	return queue_us > 150000 ? 0.5 : queue_us > 50000 ? 0.7 : 0.85;
}

static void increase(struct bwe *b, usec_t now)
{
	double dt = (double)FL_MIN(now - b->increased_at, USEC_PER_SEC) / 1e6;
	double acked = arrival_rate(b, ACKED_WINDOW_US), rate;
	double response_s = (double)(b->rtt_us ? b->rtt_us : RTT_UNKNOWN_US) / 1e6 + 0.1;

	b->increased_at = now;
	if (b->loss_permille > LOSS_HIGH)
		return;
	if (b->capacity_at && now - b->capacity_at < FORGET_US)
		rate = b->rate + dt * fmax(8 * 1200 / response_s, 0.02 * b->rate);
	else
		rate = b->rate * pow(b->capacity_at ? 1.08 : 1.5, dt);
	/* what is not sent is not tested: no growth far beyond what arrives */
	if (rate < 1.5 * acked + 10000)
		set_rate(b, fmax(rate, b->rate));
}

static void delay_control(struct bwe *b, usec_t now)
{
	int64_t queue = standing_queue(b);
	double arrived;
	/* so long and still growing: no need to wait for the trend */
	bool grows = queue > GROWING_US && queue > b->queue_us + GROWING_STEP_US;

	b->queue_us = queue;
	if ((b->trend.state == TREND_OVERUSE || grows) && queue > STANDING_US + packet_us(b)) {
		/* the queue stood all the window long: what arrived in it is what the link carries
		 */
		arrived = arrival_rate(b, WINDOW_US);
		if (arrived > 0) {
			set_capacity(b, now, arrived);
			b->draining = true;
		}
	}
	if (b->draining && queue < DRAINED_US + packet_us(b)) {
		b->draining = false;
		set_rate(b, FL_MIN(0.92 * b->capacity, FL_MAX(b->rate, 0.9 * b->capacity)));
		b->increased_at = now;
	} else if (b->draining) {
		set_rate(b, FL_MIN(b->rate, drain_factor(queue) * b->capacity));
		b->increased_at = now;
		/* a queue that does not go is somebody else's */
		if (now - b->capacity_at > HOLD_OFF_US)
			b->draining = false;
	} else if (b->trend.state == TREND_NORMAL) {
		increase(b, now);
	} else {
		b->increased_at = now;
	}
}

void bwe_input_twcc(struct bwe *b, usec_t now, const struct twcc *feedback)
{
	int64_t shift = unwrap_reference(b, feedback->reference) -
			(int64_t)feedback->reference * TWCC_REFERENCE_US;
	size_t before = b->n_arrivals;
	usec_t rtt = b->rtt_us;
	struct twcc_status status;
	struct twcc_walk walk;

	b->rtt_us = USEC_NEVER;
	twcc_walk_start(feedback, &walk);
	while (twcc_walk_next(feedback, &walk, &status))
		take_status(b, now, &status, shift);
	if (b->rtt_us == USEC_NEVER)
		b->rtt_us = rtt;
	b->last_feedback_at = now;
	b->has_feedback = true;
	loss_control(b, now);
	if (b->n_arrivals == before)
		return;
	if (b->train.id && (uint16_t)(b->highest_seen + 1) == b->next_seq) {
		judge_train(b, now);
		b->train.id = 0;
	}
	delay_control(b, now);
}

void bwe_input_report(struct bwe *b, usec_t now, uint32_t loss_permille, usec_t rtt_us)
{
	double factor = b->slow_start ? 1.5 : 1.08;

	if (b->has_feedback)
		return;
	b->loss_permille = loss_permille;
	if (rtt_us) {
		b->rtt_us = rtt_us;
		b->rtt_base_us = b->rtt_base_us ? FL_MIN(b->rtt_base_us, rtt_us) : rtt_us;
	}
	if (now - b->reported_at < LOSS_US)
		return;
	b->reported_at = now;
	if (loss_permille > LOSS_HIGH) {
		b->slow_start = false;
		set_rate(b, b->rate * (1 - 0.5 * loss_permille / 1000));
	} else if (rtt_us > b->rtt_base_us + 80000) {
		b->slow_start = false;
		set_rate(b, b->rate * 0.85);
	} else if (loss_permille < 20) {
		set_rate(b, b->rate * factor);
	}
}

void bwe_input_remb(struct bwe *b, usec_t now, uint64_t bps)
{
	if (b->has_feedback)
		return;
	b->cap = fmax((double)bps, b->config.min_bps);
	set_rate(b, b->rate);
}

static bool waits_for_feedback(const struct bwe *b)
{
	return b->has_feedback && (uint16_t)(b->highest_seen + 1) != b->next_seq;
}

usec_t bwe_deadline(const struct bwe *b)
{
	return waits_for_feedback(b) ? b->last_feedback_at + FEEDBACK_OVERDUE_US : USEC_NEVER;
}

void bwe_timeout(struct bwe *b, usec_t now)
{
	if (now < bwe_deadline(b))
		return;
	set_rate(b, b->rate / 2);
	b->last_feedback_at = now;
	/* nothing more is expected when nothing was sent since the last halving */
	if (now - b->last_sent_at > FEEDBACK_OVERDUE_US)
		b->highest_seen = (uint16_t)(b->next_seq - 1);
}

uint32_t bwe_take_probe(struct bwe *b, usec_t now)
{
	usec_t interval = b->probes < PROBES_FIRST ? PROBE_FIRST_US : PROBE_LATER_US;
	double acked = arrival_rate(b, ACKED_WINDOW_US);

	if (!b->has_feedback || now - b->probed_at < interval || b->draining ||
	    b->loss_permille > LOSS_HIGH || b->rate >= b->config.max_bps ||
	    (b->capacity_at && now - b->capacity_at < PROBE_LATER_US) || acked > 0.7 * b->rate)
		return 0;
	b->probes++;
	b->probed_at = now;
	return (uint32_t)fmin(2 * b->rate, 1.2 * b->config.max_bps);
}

uint32_t bwe_rate(const struct bwe *b)
{
	return (uint32_t)b->rate;
}

double bwe_pace(const struct bwe *b, usec_t now, double least)
{
	/* more than a full link carries would only move the queue from here to there */
	if (is_full_lately(b, now))
		return fmax(1.15 * b->rate, 1.1 * b->capacity);
	return fmax(PACE_FACTOR * b->rate, least);
}

uint32_t bwe_acked(const struct bwe *b)
{
	return (uint32_t)arrival_rate(b, ACKED_WINDOW_US);
}

uint32_t bwe_loss_permille(const struct bwe *b)
{
	return b->loss_permille;
}

usec_t bwe_rtt(const struct bwe *b)
{
	return b->rtt_us;
}

bool bwe_is_acked(const struct bwe *b, uint16_t seq)
{
	const struct sent *s = &b->sent[seq % SENT_MAX];

	return s->seq == seq && s->state == SENT_RECEIVED;
}
