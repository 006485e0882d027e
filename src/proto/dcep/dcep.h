/*
 * The data channel establishment protocol (RFC 8832) and the table of channels with their states
 * (RFC 8831 §6): who opens which stream, when a channel is open, how it closes.
 *
 * A channel has an id of ours from the moment it is asked for; its SCTP stream follows when the
 * DTLS role is known (the active side takes even streams, RFC 8832 §6). It is open as soon as its
 * DATA_CHANNEL_OPEN can be sent; the ACK only ends the time in which unordered channels must send
 * in order. Closing resets our half of the stream, and the channel is gone when both halves are.
 *
 * No time, no bytes but DCEP's own: the caller sends what dcep_next_output() gives with PPID 50,
 * ordered and reliable, and passes the stream resets of SCTP both ways.
 */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "base/util.h"

#define DCEP_LABEL_MAX 255
#define DCEP_PROTOCOL_MAX 255
#define DCEP_CHANNELS_MAX 64
#define DCEP_MESSAGE_MAX (12 + DCEP_LABEL_MAX + DCEP_PROTOCOL_MAX)

enum dcep_reliability { DCEP_RELIABLE, DCEP_RETRANSMITS, DCEP_LIFETIME };

struct dcep_params {
	struct span label, protocol; /* UTF-8, not checked */
	bool unordered;
	enum dcep_reliability reliability;
	uint32_t limit; /* retransmissions, or milliseconds */
	uint16_t priority;
};

/*
 *	DATA_CHANNEL_OPEN (RFC 8832 §5.1)
 *	 0                   1                   2                   3
 *	+---------------+---------------+-------------------------------+
 *	| type = 3      | channel type  |           priority            |
 *	+---------------+---------------+-------------------------------+
 *	|                     reliability parameter                     |
 *	+-------------------------------+-------------------------------+
 *	|         label length          |        protocol length        |
 *	+-------------------------------+-------------------------------+
 *	| label … | protocol …
 */
enum dcep_type { DCEP_OPEN = 3, DCEP_ACK = 2 };

struct dcep_message {
	enum dcep_type type;
	struct dcep_params params; /* of an OPEN; borrowed from the message */
};

/* 0, FL_EMALFORMED, or FL_EUNSUPPORTED (another message or channel type). */
int dcep_parse(struct span text, struct dcep_message *out) FL_WARN_UNUSED;
/* The length, or FL_EQUOTA when dst is too small. */
int dcep_write_open(const struct dcep_params *params, uint8_t *dst, size_t cap) FL_WARN_UNUSED;

enum dcep_event_type {
	DCEP_EVENT_OPENED, /* messages flow; remote: by the other side */
	DCEP_EVENT_CLOSED, /* gone, with what was queued; the id may come again much later */
	DCEP_EVENT_RESET,  /* reset our half of stream */
};

struct dcep_event {
	enum dcep_event_type type;
	int id;
	bool remote;
	uint16_t stream;
};

enum dcep_state {
	DCEP_WAITING, /* for a role, or for the association */
	DCEP_OPENED,
	DCEP_CLOSING,
};

struct dcep_channel {
	int id; /* 0…65534 */
	enum dcep_state state;
	bool remote, has_stream, acked, unordered;
	bool in_reset, out_reset; /* halves of a closing stream that are done */
	uint16_t stream;
	enum dcep_reliability reliability;
	uint32_t limit;
	char label[DCEP_LABEL_MAX + 1];
	char protocol[DCEP_PROTOCOL_MAX + 1];
};

struct dcep_stats {
	uint64_t malformed; /* broken or unexpected messages */
	uint64_t refused;   /* channels beyond a limit, or on a stream that is not theirs */
};

struct dcep;

struct dcep *dcep_create(void); /* NULL: no memory */
void dcep_destroy(struct dcep *d);

/* The channel's id; FL_EQUOTA: too many channels, or a label too long; -ENOMEM. */
int dcep_open(struct dcep *d, const struct dcep_params *params) FL_WARN_UNUSED;
/* Our DTLS role is settled. */
void dcep_set_role(struct dcep *d, bool active);
/* The association takes messages: waiting channels open. */
void dcep_start(struct dcep *d);
void dcep_close(struct dcep *d, int id); /* fine for one that is not there */

/* A message with PPID 50. */
void dcep_input(struct dcep *d, uint16_t stream, struct span message);
void dcep_reset_in(struct dcep *d, uint16_t stream);  /* the other side reset its half */
void dcep_reset_out(struct dcep *d, uint16_t stream); /* our reset went through */

/* Borrowed until the next call. */
bool dcep_next_output(struct dcep *d, uint16_t *stream, struct span *message);
bool dcep_next_event(struct dcep *d, struct dcep_event *event);

/* NULL when there is none; borrowed until the channel is gone. */
const struct dcep_channel *dcep_by_id(const struct dcep *d, int id);
const struct dcep_channel *dcep_by_stream(const struct dcep *d, uint16_t stream);
const struct dcep_stats *dcep_stats(const struct dcep *d);
