/*
 * One data channel between two processes, as fast as it goes.
 *
 *	transfer [--rtt MS] [--seconds S] [--message BYTES]
 *
 * One line of JSON: MB/s (10^6 bytes, from the first message's arrival), and the CPU time each
 * process spent per gigabyte, which says more than wall-clock on a busy machine.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "rig.h"

struct transfer {
	int channel;
	bool open, writable;
	uint64_t bytes;
	usec_t first, last;
};

static void on_event(struct rig *rig, const struct fl_event *ev)
{
	struct transfer *t = rig->arg;

	if (ev->type == FL_EVENT_CHANNEL_OPEN) {
		t->open = true;
		t->channel = ev->channel;
	} else if (ev->type == FL_EVENT_WRITABLE) {
		t->writable = true;
	} else if (ev->type == FL_EVENT_CHANNEL_DATA) {
		t->bytes += ev->len;
		t->last = usec_monotonic();
		if (!t->first) {
			t->first = t->last;
			t->bytes = 0;
		}
	}
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
	       ((double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_usec) / 1e6;
}

static void sender(struct rig *rig, struct transfer *t, double seconds, size_t message)
{
	uint8_t *data = calloc(1, message);
	double cpu;
	char word[64];
	usec_t end;

	t->channel = fl_channel_open(rig->peer, "transfer", NULL);
	if (t->channel < 0 || fl_peer_offer(rig->peer) < 0)
		rig_die("offer", t->channel);
	while (!t->open)
		rig_turn(rig, 1000);
	end = usec_monotonic() + (usec_t)(seconds * 1e6);
	cpu = cpu_seconds();
	t->writable = true;
	while (usec_monotonic() < end) {
		while (t->writable) {
			int err = fl_channel_send(rig->peer, t->channel, data, message, false);

			t->writable = err == 0 && usec_monotonic() < end;
			if (err < 0 && err != -EAGAIN)
				rig_die("send", err);
		}
		rig_turn(rig, 100);
	}
	snprintf(word, sizeof(word), "done %.3f", cpu_seconds() - cpu);
	rig_say(rig, word);
	rig_await(rig, "bye");
	free(data);
}

static void receiver(struct rig *rig, struct transfer *t, unsigned rtt_ms, size_t message)
{
	double cpu = cpu_seconds(), sender_cpu, s, gb;

	while (strncmp(rig->said, "done", 4) != 0)
		rig_turn(rig, 100);
	sender_cpu = strtod(rig->said + 5, NULL);
	s = (double)(t->last - t->first) / 1e6;
	gb = (double)t->bytes / 1e9;
	printf("{\"rtt_ms\":%u,\"message\":%zu,\"mb_per_s\":%.1f,\"sender_cpu_s_per_gb\":%.2f,"
	       "\"receiver_cpu_s_per_gb\":%.2f}\n",
	       rtt_ms, message, gb * 1e3 / s, sender_cpu / gb, (cpu_seconds() - cpu) / gb);
	fflush(stdout);
	rig_say(rig, "bye");
}

int main(int argc, char **argv)
{
	unsigned rtt_ms = 0;
	double seconds = 5;
	size_t message = 65536;
	struct transfer t = { 0 };
	struct delay_link link;
	struct rig rig = { .on_event = on_event, .arg = &t };

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--rtt"))
			rtt_ms = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = strtod(argv[i + 1], NULL);
		else if (!strcmp(argv[i], "--message"))
			message = strtoul(argv[i + 1], NULL, 10);
	}
	if (rtt_ms && delay_start(&link, "127.0.0.1", rtt_ms * 500ull) < 0)
		rig_die("delay", -EIO);
	rig_start(&rig, rtt_ms ? &link : NULL, 0);
	rig_peer(&rig);
	if (rig.side == 0)
		sender(&rig, &t, seconds, message);
	else
		receiver(&rig, &t, rtt_ms, message);
	rig_end_peer(&rig);
	if (rig.side == 0 && rtt_ms)
		delay_stop(&link);
	return 0;
}
