/*
 * How long two native peers take from the offer to an open channel.
 *
 *	connect [--rtt MS] [--count N]
 *
 * The network has the round trip, the signalling half of it one way. Two times are taken: until the
 * offerer's channel is open, and until the first message, sent at once, has arrived at the other
 * side. One line of JSON with medians and worst cases in milliseconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define COUNT_MAX 10000

struct connect {
	int channel;
	usec_t open, arrived;
};

static void on_event(struct rig *rig, const struct fl_event *ev)
{
	struct connect *c = rig->arg;

	if (ev->type == FL_EVENT_CHANNEL_OPEN && !ev->remote)
		c->open = usec_monotonic();
	else if (ev->type == FL_EVENT_CHANNEL_DATA)
		c->arrived = usec_monotonic();
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double offer_once(struct rig *rig, struct connect *c, double *arrived)
{
	usec_t began;

	*c = (struct connect){ 0 };
	rig_peer(rig);
	rig_say(rig, "ready");
	rig_await(rig, "ready");
	began = usec_monotonic();
	c->channel = fl_channel_open(rig->peer, "c", NULL);
	if (fl_channel_send(rig->peer, c->channel, "hello", 5, true) < 0 ||
	    fl_peer_offer(rig->peer) < 0)
		rig_die("offer", -EIO);
	while (!c->open)
		rig_turn(rig, 1000);
	while (strncmp(rig->said, "arrived", 7) != 0)
		rig_turn(rig, 1000);
	*arrived = (double)(strtoull(rig->said + 8, NULL, 10) - began) / 1e3;
	rig->said[0] = 0;
	rig_say(rig, "next");
	rig_end_peer(rig);
	return (double)(c->open - began) / 1e3;
}

static void answer_once(struct rig *rig, struct connect *c)
{
	char word[64];

	*c = (struct connect){ 0 };
	rig_peer(rig);
	rig_say(rig, "ready");
	rig_await(rig, "ready");
	while (!c->arrived)
		rig_turn(rig, 1000);
	snprintf(word, sizeof(word), "arrived %llu", (unsigned long long)c->arrived);
	rig_say(rig, word);
	rig_await(rig, "next");
	rig_end_peer(rig);
}

int main(int argc, char **argv)
{
	static double open[COUNT_MAX], arrived[COUNT_MAX];
	unsigned rtt_ms = 0, count = 25;
	struct connect c = { 0 };
	struct delay_link link;
	struct rig rig = { .on_event = on_event, .arg = &c };

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--rtt"))
			rtt_ms = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--count"))
			count = (unsigned)strtoul(argv[i + 1], NULL, 10);
	}
	if (count < 1 || count > COUNT_MAX ||
	    (rtt_ms && delay_start(&link, "127.0.0.1", rtt_ms * 500ull) < 0))
		rig_die("delay", -EIO);
	rig_start(&rig, rtt_ms ? &link : NULL, rtt_ms * 500ull);
	for (unsigned i = 0; i < count; i++) {
		if (rig.side == 0)
			open[i] = offer_once(&rig, &c, &arrived[i]);
		else
			answer_once(&rig, &c);
	}
	if (rig.side == 0) {
		qsort(open, count, sizeof(open[0]), compare);
		qsort(arrived, count, sizeof(arrived[0]), compare);
		printf("{\"pair\":\"native-native\",\"rtt_ms\":%u,\"count\":%u,\"open_ms\":%.1f,"
		       "\"open_max_ms\":%.1f,\"first_message_ms\":%.1f,\"first_message_max_ms\":%."
		       "1f}\n",
		       rtt_ms, count, open[count / 2], open[count - 1], arrived[count / 2],
		       arrived[count - 1]);
		if (rtt_ms)
			delay_stop(&link);
	}
	return 0;
}
