#include "proto/dtls/bio.h"

#include <stdatomic.h>

#include "base/wire.h"
#include "proto/dtls/dtls.h"

/* What does not fit is not repeated. */
static void keep(struct dtls_bio *b, struct span datagram)
{
	uint8_t *room;
	struct writer w;

	if (b->begun)
		buf_clear(b->flight);
	b->begun = false;
	room = buf_reserve(b->flight, 2 + datagram.len);
	if (!room)
		return;
	w = writer_of(room, 2 + datagram.len);
	writer_u16(&w, (uint16_t)datagram.len);
	writer_span_put(&w, datagram);
	buf_commit(b->flight, writer_len(&w));
}

static int bio_write(BIO *bio, const char *data, int len)
{
	struct dtls_bio *b = BIO_get_data(bio);
	uint8_t *room = pktq_reserve(b->out, b->prefix.len + (size_t)len);
	struct writer w;

	if (b->flight)
		keep(b, span_of(data, (size_t)len));
	/* a full queue loses the datagram, as a network would; OpenSSL repeats its flight */
	if (!room) {
		b->dropped++;
		return len;
	}
	w = writer_of(room, b->prefix.len + (size_t)len);
	writer_bytes(&w, b->prefix.ptr, b->prefix.len);
	writer_bytes(&w, data, (size_t)len);
	pktq_commit(b->out, 0, writer_len(&w));
	b->written++;
	return len;
}

static int bio_read(BIO *bio, char *dst, int cap)
{
	struct dtls_bio *b = BIO_get_data(bio);
	size_t n = FL_MIN(b->in.len, (size_t)cap);

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(dst, b->in.ptr, n); /* what does not fit is lost, as with a socket */
	b->in = (struct span){ NULL, 0 };
	return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return DTLS_LINK_MTU;
	default: /* no overhead, no time-out, nothing pending */
		return 0;
	}
}

static BIO_METHOD *method(void)
{
	/* constant once made; kept for the life of the process, whichever thread made it */
	static _Atomic(BIO_METHOD *) m;
	BIO_METHOD *made, *first = NULL;

	if (atomic_load(&m))
		return atomic_load(&m);
	made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams");
	if (!made || !BIO_meth_set_write(made, bio_write) || !BIO_meth_set_read(made, bio_read) ||
	    !BIO_meth_set_ctrl(made, bio_ctrl)) {
		BIO_meth_free(made);
		return NULL;
	}
	if (!atomic_compare_exchange_strong(&m, &first, made))
		BIO_meth_free(made);
	return atomic_load(&m);
}

BIO *dtls_bio_create(struct dtls_bio *state)
{
	BIO_METHOD *m = method();
	BIO *bio = m ? BIO_new(m) : NULL;

	if (!bio)
		return NULL;
	BIO_set_data(bio, state);
	BIO_set_init(bio, 1);
	return bio;
}
