/*
 * A long cable: takes every frame of one interface and puts it on the other one a fixed time later,
 * both ways; loses some, and lets some come late, behind those that were sent after them. For labs
 * on kernels without netem.
 *
 *	delay LEFT RIGHT MICROSECONDS [LOST_OF_1000 [LATE_OF_1000 [SEED]]]
 *
 * Says "ready" when it forwards. The seed decides the fate of a way's first, second, and any later
 * frame: a run can be repeated as far as the programs at both ends send the same. The checksums are
 * made by the far ends (ethtool -K ... tx off): what arrives here is sent as it is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define QUEUE_MAX 65536 /* frames on their way in one direction; what is beyond is lost */
#define FRAME_MAX 65536
#define BATCH 64
#define NEVER UINT64_MAX
#define RETRY_NS 50000	 /* the interface's own queue was full */
#define LATE_NS 15000000 /* on top of the delay; some frames of a burst, not a pause of its own */

struct frame {
	uint64_t due; /* ns */
	size_t len;
	uint8_t *bytes;
};

/* All frames of a queue are held for the same time, so the first one is due first. */
struct queue {
	struct frame frames[QUEUE_MAX];
	unsigned head, tail; /* count up without end */
};

struct way {
	int from, to;
	uint64_t random;
	struct queue timely, late;
};

static struct way ways[2];
static uint64_t delay_ns, lost_permille, late_permille;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64*; below 1000. */
static uint64_t draw(struct way *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return (w->random * 2685821657736338717u >> 32) % 1000;
}

static int open_interface(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1,
	    room = 8 << 20;

	at.sll_ifindex = all.mr_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !at.sll_ifindex ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		fprintf(stderr, "delay: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
		   sizeof(room)); /* root of the machine only */
	return fd;
}

static void hold(struct queue *q, uint64_t due, const uint8_t *bytes, size_t len)
{
	struct frame *f = &q->frames[q->tail % QUEUE_MAX];

	if (q->tail - q->head == QUEUE_MAX)
		return;
	*f = (struct frame){ due, len, malloc(len) };
	if (!f->bytes)
		return;
	memcpy(f->bytes, bytes, len);
	q->tail++;
}

static void take(struct way *w)
{
	static uint8_t bytes[FRAME_MAX];

	for (int i = 0; i < BATCH; i++) {
		ssize_t len = recv(w->from, bytes, sizeof(bytes), 0);
		bool lost, late;

		if (len <= 0)
			return;
		lost = draw(w) < lost_permille;
		late = draw(w) < late_permille;
		if (!lost)
			hold(late ? &w->late : &w->timely,
			     now_ns() + delay_ns + (late ? LATE_NS : 0), bytes, (size_t)len);
	}
}

/* Sends what is due. When the next one is. */
static uint64_t give(struct queue *q, int to)
{
	while (q->head != q->tail) {
		struct frame *f = &q->frames[q->head % QUEUE_MAX];
		uint64_t now = now_ns();

		if (f->due > now)
			return f->due;
		if (send(to, f->bytes, f->len, 0) < 0 && (errno == EAGAIN || errno == ENOBUFS))
			return now + RETRY_NS;
		free(f->bytes);
		q->head++;
	}
	return NEVER;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t give_way(struct way *w)
{
	return earlier(give(&w->timely, w->to), give(&w->late, w->to));
}

static void wait_until(uint64_t at)
{
	struct pollfd fds[2] = { { ways[0].from, POLLIN, 0 }, { ways[1].from, POLLIN, 0 } };
	uint64_t now = now_ns(), left = at > now ? at - now : 0;
	struct timespec t = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };

	ppoll(fds, 2, at == NEVER ? NULL : &t, NULL);
}

static uint64_t number(int argc, char **argv, int at, uint64_t otherwise)
{
	return at < argc ? strtoull(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: delay LEFT RIGHT MICROSECONDS [LOST_OF_1000 [LATE_OF_1000 "
				"[SEED]]]\n");
		return 2;
	}
	delay_ns = number(argc, argv, 3, 0) * 1000;
	lost_permille = number(argc, argv, 4, 0);
	late_permille = number(argc, argv, 5, 0);
	for (int i = 0; i < 2; i++) {
		/* never 0, and not alike for neighbouring seeds */
		ways[i].random = (number(argc, argv, 6, 1) * 2 + (uint64_t)i) *
					 0x9e3779b97f4a7c15u |
				 1;
		draw(&ways[i]);
	}
	prctl(PR_SET_TIMERSLACK, 1);
	ways[0].from = ways[1].to = open_interface(argv[1]);
	ways[1].from = ways[0].to = open_interface(argv[2]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		wait_until(earlier(give_way(&ways[0]), give_way(&ways[1])));
		take(&ways[0]);
		take(&ways[1]);
	}
}
