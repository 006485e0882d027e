/*
 * One SCTP association over DTLS (RFC 8261, RFC 9260), as data channels need it (RFC 8831):
 * messages on streams, ordered or not, reliable or partly (RFC 3758), streams that can be reset
 * (RFC 6525). Both ends may send INIT at once; ports are 5000 at both.
 *
 * Behind it is usrsctp without its threads. What is not pure here:
 * - usrsctp's state is of the process: one table of associations, one timer wheel. So all
 *   associations of a process belong to one thread, and time that passes for one passes for all: a
 *   call on one association may leave output for another, which its own next deadline (at most
 *   ASSOC_TICK_US away while it has something to do) brings out.
 * - it reads gettimeofday() to measure round trips and takes its randomness from its own generator.
 *   A test in virtual time defines gettimeofday() in its own executable.
 * The names here begin with assoc_, because usrsctp's library exports hundreds of sctp_ names.
 *
 * The SCTP checksum is written for the other side, but not verified: every packet has been
 * authenticated by DTLS before (RFC 9653 §1 has the argument).
 *
 * Left to others: DTLS, channels and their labels (proto/dcep).
 */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"

#define ASSOC_MESSAGE_MAX 65536 /* what we announce and enforce, both ways */
#define ASSOC_STREAMS_MAX 1024
#define ASSOC_SEND_BUFFER (4 << 20)
#define ASSOC_RECEIVE_BUFFER (6 << 20) /* the window that is announced */
#define ASSOC_OUTPUT_MAX (8 << 20)
#define ASSOC_TICK_US (10 * USEC_PER_MSEC)

/* Payload protocol identifiers (RFC 8831 §8). */
enum assoc_ppid {
	ASSOC_DCEP = 50,
	ASSOC_STRING = 51,
	ASSOC_BINARY = 53,
	ASSOC_STRING_EMPTY = 56, /* one byte of padding stands for no byte */
	ASSOC_BINARY_EMPTY = 57,
};

struct assoc_config {
	size_t mtu; /* bytes of one packet at most: what one DTLS record takes */
};

struct assoc_message {
	uint16_t stream;
	uint32_t ppid;
	bool unordered;
	enum { ASSOC_RELIABLE, ASSOC_RETRANSMITS, ASSOC_LIFETIME } reliability;
	uint32_t limit; /* retransmissions at most, or milliseconds */
	struct span data;
};

enum assoc_event_type {
	ASSOC_UP,	 /* established */
	ASSOC_MESSAGE,	 /* message */
	ASSOC_WRITABLE,	 /* after -EAGAIN: there is room again, perhaps: try */
	ASSOC_RESET_IN,	 /* stream: the other side reset its outgoing half */
	ASSOC_RESET_OUT, /* stream: our reset was accepted */
	ASSOC_TOO_LONG,	 /* stream: a message over ASSOC_MESSAGE_MAX was dropped */
	ASSOC_LOST,	 /* aborted, shut down or given up; reason */
};

struct assoc_event {
	enum assoc_event_type type;
	uint16_t stream;
	struct assoc_message message; /* data borrowed until the next call */
	const char *reason;
};

struct assoc_stats {
	uint64_t packets_in, packets_out, messages_in, messages_out, bytes_in, bytes_out;
	uint64_t malformed; /* shorter than a header */
	uint64_t too_long, dropped;
};

struct assoc;

int assoc_create(const struct assoc_config *config, usec_t now, struct assoc **out) FL_WARN_UNUSED;
void assoc_destroy(struct assoc *a); /* NULL is fine; at once, sends nothing */

/* Sends INIT. Before it, packets that arrive are answered all the same. 0 or negative errno. */
int assoc_connect(struct assoc *a, usec_t now) FL_WARN_UNUSED;

int assoc_input(struct assoc *a, usec_t now, struct span packet) FL_WARN_UNUSED;
int assoc_timeout(struct assoc *a, usec_t now) FL_WARN_UNUSED;
/* Borrowed until the next call on any association. */
bool assoc_next_output(struct assoc *a, struct span *packet);
bool assoc_next_event(struct assoc *a, usec_t now, struct assoc_event *event);
usec_t assoc_deadline(const struct assoc *a);

/*
 * Queues one message, also before ASSOC_UP: it then travels with the last packet of the handshake.
 * 0; -EAGAIN: the send buffer is full, ASSOC_WRITABLE follows; -EMSGSIZE; FL_ESTATE before
 * assoc_connect() or after ASSOC_LOST; -EINVAL: a stream the other side did not grant.
 */
int assoc_send(struct assoc *a, usec_t now, const struct assoc_message *m) FL_WARN_UNUSED;

/* Ends our half of a stream once what is queued on it is through (RFC 8831 §6.7). ASSOC_RESET_OUT
 * follows. 0, FL_EQUOTA. */
int assoc_reset_stream(struct assoc *a, usec_t now, uint16_t stream) FL_WARN_UNUSED;

bool assoc_up(const struct assoc *a);
void assoc_abort(struct assoc *a, usec_t now); /* sends ABORT; ASSOC_LOST does not follow */
const struct assoc_stats *assoc_stats(const struct assoc *a);
