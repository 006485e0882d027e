/*
 * The messages between fairlead-client and a module (docs/protocol.md §5), for both sides.
 *
 *   0                   4     5      6          8
 *   +-------------------+-----+------+----------+----------- - - -
 *   | u32 length        | type| flags| channel  | payload
 *   +-------------------+-----+------+----------+----------- - - -
 *
 * The length counts everything after itself. Spans are borrowed from the bytes they were read from.
 * This file knows sizes, types and directions; what a message means is its user's business.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define MODULE_MESSAGE_MAX (4u * 1024 * 1024) /* the largest value of the length field */
#define MODULE_HEADER_LEN 8
#define MODULE_FRAME_MAX (MODULE_MESSAGE_MAX - 4 - 8) /* bytes of one encoded video frame */
#define MODULE_DATA_MAX 65536			      /* bytes of one data channel message */

enum module_type {
	MODULE_HELLO = 0x01,
	MODULE_OPEN = 0x02,
	MODULE_DATA = 0x03,
	MODULE_CLOSE = 0x04,
	MODULE_PAUSE = 0x05,
	MODULE_RESUME = 0x06,
	MODULE_VIDEO_START = 0x10,
	MODULE_VIDEO_STOP = 0x11,
	MODULE_KEYFRAME = 0x12,
	MODULE_RATE = 0x13,
	MODULE_READY = 0x81,
	MODULE_VIDEO_READY = 0x90,
	MODULE_FRAME = 0x91,
};

#define MODULE_FLAG_TEXT 0x01 /* of DATA */
#define MODULE_FLAG_KEY 0x01  /* of FRAME */

enum module_side { MODULE_FROM_CLIENT, MODULE_FROM_MODULE };

struct module_message {
	uint8_t type, flags;
	uint16_t channel;
	struct span payload;
	/* of FRAME and RATE, taken off the payload */
	uint64_t capture_us;
	uint32_t rate_bps;
};

/*
 * Reads one message from the front of what arrived. 1: *out and *used are set; 0: not all of it is
 * there yet; FL_EMALFORMED: a length, type, direction, flag or payload size that the protocol does
 * not know, after which the connection cannot be used.
 */
int module_wire_get(struct span in, enum module_side from, struct module_message *out,
		    size_t *used) FL_WARN_UNUSED;

/*
 * Writes the header, and for FRAME and RATE the number in front of the payload, to head, which has
 * room for MODULE_HEAD_MAX bytes. The bytes written, or FL_EQUOTA when the payload is too long.
 */
#define MODULE_HEAD_MAX (MODULE_HEADER_LEN + 8)
int module_wire_head(const struct module_message *m, uint8_t head[MODULE_HEAD_MAX]) FL_WARN_UNUSED;

/* Appends the whole message. 0, FL_EQUOTA (too long, or out is full), -ENOMEM. */
int module_wire_put(struct buf *out, const struct module_message *m) FL_WARN_UNUSED;
