/*
 * The packets of one stream, in sequence: those that were sent, kept for retransmission, and behind
 * them those that wait. One ring of bytes and one of slots; the oldest sent ones make room for new
 * ones, waiting ones never do.
 *
 *   oldest … | sent, kept | next to send … waiting … | end
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"

#define STORE_PACKETS_MAX 4096 /* a power of two */
#define STORE_BYTES_MAX (2 * 1024 * 1024)

struct store_packet {
	uint8_t *data; /* in the ring */
	uint16_t len, seq;
	uint16_t header_len; /* RTP header with extension */
	bool first, last;    /* of its frame */
	bool keyframe;
	uint16_t transport_seq; /* of the latest sending */
	usec_t sent_us;		/* 0: waiting */
	usec_t resent_us;	/* latest retransmission */
};

struct store; /* indices count packets from the first on and never wrap */

struct store *store_create(uint16_t first_seq); /* NULL: no memory */
void store_destroy(struct store *s);		/* NULL is fine */

/* Room for a packet of at most max bytes behind the last one, or NULL when waiting packets fill the
 * ring. store_push() then makes it one. */
uint8_t *store_reserve(struct store *s, size_t max);
struct store_packet *store_push(struct store *s, size_t len); /* its seq is set, all else 0 */

uint64_t store_end(const struct store *s);     /* index behind the last packet */
uint64_t store_next(const struct store *s);    /* of the next to send; store_end(): none waits */
uint16_t store_end_seq(const struct store *s); /* sequence number of the next store_push() */
size_t store_waiting_bytes(const struct store *s);

/* By index; NULL when it is not kept. */
struct store_packet *store_at(struct store *s, uint64_t index);

/* By sequence number, among those sent; NULL when it is not kept. */
struct store_packet *store_find(struct store *s, uint16_t seq);

/* The next waiting packet becomes a sent one. There must be one. */
struct store_packet *store_send(struct store *s, usec_t now);

/* Takes back waiting packets from index on; it must not be before store_next(). */
void store_truncate(struct store *s, uint64_t index);
