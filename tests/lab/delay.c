/*
 * A long cable: takes every frame of one interface and puts it on the other one a fixed time later,
 * both ways, and loses some. For labs on kernels without netem.
 *
 *	delay LEFT RIGHT MICROSECONDS [LOST_OF_1000]
 *
 * Says "ready" when it forwards. Which frames are lost is the same in each run. Both interfaces
 *have their checksums made by their far ends (ethtool -K … tx off): what arrives here is sent as it
 *is.
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
#define RETRY_NS 50000 /* the interface's own queue was full */

struct frame {
	uint64_t due; /* ns */
	size_t len;
	uint8_t *bytes;
};

struct way {
	int from, to;
	struct frame frames[QUEUE_MAX];
	unsigned head, tail; /* count up without end */
};

static struct way ways[2];
static uint64_t delay_ns;
static int lost_permille;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
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

static void take(struct way *w)
{
	static uint8_t bytes[FRAME_MAX];

	for (int i = 0; i < BATCH; i++) {
		ssize_t len = recv(w->from, bytes, sizeof(bytes), 0);
		struct frame *f = &w->frames[w->tail % QUEUE_MAX];

		if (len <= 0)
			return;
		if (w->tail - w->head == QUEUE_MAX || rand() % 1000 < lost_permille)
			continue;
		*f = (struct frame){ now_ns() + delay_ns, (size_t)len, malloc((size_t)len) };
		if (!f->bytes)
			continue;
		memcpy(f->bytes, bytes, (size_t)len);
		w->tail++;
	}
}

/* Sends what is due. When the next one is. */
static uint64_t give(struct way *w)
{
	while (w->head != w->tail) {
		struct frame *f = &w->frames[w->head % QUEUE_MAX];
		uint64_t now = now_ns();

		if (f->due > now)
			return f->due;
		if (send(w->to, f->bytes, f->len, 0) < 0 && (errno == EAGAIN || errno == ENOBUFS))
			return now + RETRY_NS;
		free(f->bytes);
		w->head++;
	}
	return NEVER;
}

static void wait_until(uint64_t at)
{
	struct pollfd fds[2] = { { ways[0].from, POLLIN, 0 }, { ways[1].from, POLLIN, 0 } };
	uint64_t now = now_ns(), left = at > now ? at - now : 0;
	struct timespec t = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };

	ppoll(fds, 2, at == NEVER ? NULL : &t, NULL);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: delay LEFT RIGHT MICROSECONDS [LOST_OF_1000]\n");
		return 2;
	}
	delay_ns = strtoull(argv[3], NULL, 10) * 1000;
	lost_permille = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 0;
	prctl(PR_SET_TIMERSLACK, 1);
	ways[0].from = ways[1].to = open_interface(argv[1]);
	ways[1].from = ways[0].to = open_interface(argv[2]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		uint64_t a = give(&ways[0]), b = give(&ways[1]);

		wait_until(a < b ? a : b);
		take(&ways[0]);
		take(&ways[1]);
	}
}
