/* Inside proto/dtls: an OpenSSL BIO that keeps packet boundaries. A read takes one whole datagram,
 * a write makes one. */
#pragma once

#include <openssl/bio.h>

#include "base/buf.h"
#include "base/pktq.h"
#include "base/span.h"

struct dtls_bio {
	struct span in; /* the datagram being fed, or empty */
	struct pktq *out;
	struct span prefix; /* goes in front of each entry of out: where it is to be sent, say */
	uint64_t written, dropped;
	struct buf
		*flight; /* or NULL: a copy of what was written since begun, each with its length */
	bool begun;	 /* the next datagram is the first of a flight */
};

/* NULL when there is no memory. The BIO borrows state, which must outlive it. */
BIO *dtls_bio_create(struct dtls_bio *state);
