/*
 * Where a worker reads datagrams: slots large enough for the longest one or a coalesced run
 * (UDP_GRO), filled by recvmmsg. What was read stays until area_clear(), so that several sockets'
 * datagrams can leave together, without a copy. Slots have room in front for a ChannelData header,
 * and begin in different sets of the cache. A slot's pages exist only once they were written.
 */
#pragma once

#include <sys/socket.h>

#include "base/span.h"
#include "base/util.h"
#include "relay/sock_name.h"

#define AREA_SLOTS 64
#define AREA_HEADROOM 64
#define AREA_STRIDE (65536 + 3 * 64) /* not a power of two: see above */
#define AREA_CONTROL 64		     /* UDP_GRO and IPV6_PKTINFO */

struct area {
	uint8_t *bytes;
	unsigned used;
	struct mmsghdr msgs[AREA_SLOTS];
	struct iovec iov[AREA_SLOTS];
	union sock_name names[AREA_SLOTS];
	_Alignas(struct cmsghdr) uint8_t control[AREA_SLOTS][AREA_CONTROL];
};

struct area *area_create(void);	   /* NULL: no memory */
void area_destroy(struct area *a); /* NULL is fine */

static inline unsigned area_room(const struct area *a)
{
	return AREA_SLOTS - a->used;
}

/* Forgets slots from first on. */
void area_drop(struct area *a, unsigned first);
static inline void area_clear(struct area *a)
{
	area_drop(a, 0);
}

/* At most want datagrams, want ≤ area_room(). How many, from slot a->used - count on; 0: none;
 * negative errno. */
int area_read(struct area *a, int fd, unsigned want);

/* The slot's bytes; writable, because AREA_HEADROOM bytes before them are the caller's too. */
static inline uint8_t *area_bytes(const struct area *a, unsigned slot)
{
	return a->bytes + (size_t)slot * AREA_STRIDE + AREA_HEADROOM;
}

static inline size_t area_len(const struct area *a, unsigned slot)
{
	return a->msgs[slot].msg_len;
}

/* Length of the datagrams in a coalesced read, the last of which may be shorter; 0: it is one.
 * Where the socket tells it, the IP it was sent to is put into local. */
size_t area_segment(struct area *a, unsigned slot, struct addr *local);
