/*
 * Cuts a byte stream (TCP, TLS, the payload of WebSocket messages) into STUN messages and
 * ChannelData (RFC 8656 §12.5, RFC 8489 §6.2.2). Nothing is copied while a message lies whole in
 * what the caller shows.
 */
#pragma once

#include "base/span.h"
#include "base/util.h"

#define TURN_STREAM_MESSAGE_MAX (20 + 65532) /* a STUN message; ChannelData ends at 4 + 65536 */

/*
 * The next message at the start of bytes. 1: *message is whole and *used bytes (with padding) are
 * taken by it; 0: more bytes are needed; FL_EMALFORMED: neither STUN nor ChannelData, the stream
 * cannot be understood any further.
 */
int turn_stream_next(struct span bytes, struct span *message, size_t *used) FL_WARN_UNUSED;
