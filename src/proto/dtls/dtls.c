#include "proto/dtls/dtls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/time.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/pktq.h"
#include "base/wire.h"
#include "proto/dtls/bio.h"
#include "proto/dtls/identity.h"
#include "proto/dtls/record.h"

#define PLAIN_MAX (4 << 20)		  /* decrypted bytes waiting for next_event */
#define HELD_BYTES (DTLS_HELD_MAX * 2048) /* records waiting for keys or the fingerprint */
#define FLIGHT_MAX 8192
#define RECORD_MAX (RECORD_HEADER_LEN + 2048 + (1 << 14))

enum state {
	ST_HANDSHAKE, /* OpenSSL is not through, or the fingerprint is not known */
	ST_EARLY,     /* active: our Finished is out and the certificate is right (RFC 7918) */
	ST_CONNECTED,
	ST_CLOSED, /* by either side */
	ST_FAILED,
};

struct dtls {
	struct dtls_identity *id;
	enum dtls_role role;
	enum state state;
	SSL *ssl;
	struct dtls_bio bio;
	struct buf flight; /* our last one, until we are connected */
	struct pktq out;   /* datagrams */
	struct pktq plain; /* decrypted, for next_event */
	struct pktq held;  /* application data records that came too early */
	unsigned n_held;
	struct record_layer records;
	uint8_t expected[DTLS_FINGERPRINT_LEN];
	bool have_expected, started;
	/* events that are not data, in this order */
	bool tell_may_send, tell_connected, tell_closed, tell_failed;
	char reason[160];
	usec_t deadline;
	struct dtls_stats stats;
};

/* The sentence is what and, when there is one, why in brackets. */
static void fail(struct dtls *d, const char *what, const char *why)
{
	if (d->state == ST_FAILED || d->state == ST_CLOSED)
		return;
	snprintf(d->reason, sizeof(d->reason), why ? "DTLS: %s (%s)." : "DTLS: %s.", what, why);
	d->state = ST_FAILED;
	d->tell_failed = true;
	d->deadline = USEC_NEVER;
}

static unsigned retransmit_after(SSL *ssl, unsigned us)
{
	return us == 0 ? DTLS_RETRANSMIT_US : FL_MIN(us * 2, (unsigned)DTLS_RETRANSMIT_MAX_US);
}

int dtls_create(struct dtls_identity *id, enum dtls_role role, struct dtls **out)
{
	struct dtls *d = calloc(1, sizeof(*d));
	BIO *bio;

	if (!d)
		return -ENOMEM;
	d->id = dtls_identity_ref(id);
	d->role = role;
	d->deadline = USEC_NEVER;
	d->out = PKTQ_INIT(DTLS_OUTPUT_MAX);
	d->plain = PKTQ_INIT(PLAIN_MAX);
	d->held = PKTQ_INIT(HELD_BYTES);
	d->flight = BUF_INIT(FLIGHT_MAX);
	d->bio.out = &d->out;
	d->bio.flight = &d->flight;
	d->ssl = SSL_new(id->ctx);
	bio = d->ssl ? dtls_bio_create(&d->bio) : NULL;
	if (!bio) {
		dtls_destroy(d);
		return -ENOMEM;
	}
	SSL_set_bio(d->ssl, bio, bio);
	DTLS_set_link_mtu(d->ssl, DTLS_LINK_MTU);
	DTLS_set_timer_cb(d->ssl, retransmit_after);
	if (role == DTLS_ACTIVE)
		SSL_set_connect_state(d->ssl);
	else
		SSL_set_accept_state(d->ssl);
	*out = d;
	return 0;
}

void dtls_destroy(struct dtls *d)
{
	if (!d)
		return;
	record_finish(&d->records);
	SSL_free(d->ssl);
	dtls_identity_unref(d->id);
	ct_wipe(d->plain.mem, d->plain.cap);
	pktq_finish(&d->plain);
	pktq_finish(&d->out);
	pktq_finish(&d->held);
	buf_finish(&d->flight);
	free(d);
}

/* OpenSSL says how long its timer still runs, in its own clock. */
static void update_deadline(struct dtls *d, usec_t now)
{
	struct timeval left;

	if (d->state != ST_FAILED && d->state != ST_CLOSED && DTLSv1_get_timeout(d->ssl, &left))
		d->deadline = usec_add(now,
				       (usec_t)left.tv_sec * USEC_PER_SEC + (usec_t)left.tv_usec);
	else
		d->deadline = USEC_NEVER;
}

/* 1: the peer's certificate is the expected one, 0: cannot say yet, negative: it is another. */
static int check_certificate(struct dtls *d)
{
	X509 *cert = SSL_get0_peer_certificate(d->ssl);
	uint8_t fp[DTLS_FINGERPRINT_LEN];
	unsigned len = 0;

	if (!cert || !d->have_expected)
		return 0;
	if (!X509_digest(cert, EVP_sha256(), fp, &len) || len != sizeof(fp))
		return FL_ETLS;
	return ct_equal(span_of(fp, sizeof(fp)), span_of(d->expected, sizeof(fp)))
		       ? 1
		       : FL_EUNAUTHENTICATED;
}

/* One application data record. */
static int open_record(struct dtls *d, struct span record)
{
	uint8_t *dst = pktq_reserve(&d->plain, record.len);
	int n;

	if (!dst) {
		d->stats.dropped++;
		return 0;
	}
	n = record_open(&d->records, record, dst, record.len);
	if (n < 0) {
		d->stats.malformed++;
		return 0;
	}
	d->stats.records_in++;
	pktq_commit(&d->plain, 0, (size_t)n);
	return 0;
}

static void open_held(struct dtls *d)
{
	struct span record;

	while (pktq_pop(&d->held, NULL, &record))
		open_record(d, record);
	d->n_held = 0;
}

static void hold(struct dtls *d, struct span record)
{
	if (d->n_held >= DTLS_HELD_MAX || pktq_push(&d->held, 0, record) < 0)
		d->stats.dropped++;
	else
		d->n_held++;
}

static void become_sendable(struct dtls *d, enum state next)
{
	if (!record_ready(&d->records)) {
		int err = record_init(&d->records, d->ssl, d->role == DTLS_ACTIVE);

		if (err < 0) {
			fail(d, "no keys", err_name(err));
			return;
		}
		d->tell_may_send = true;
	}
	d->state = next;
}

/* Moves on as far as OpenSSL and the fingerprint allow. */
static void advance(struct dtls *d)
{
	bool through = SSL_is_init_finished(d->ssl);
	/* our Finished is out, the server's certificate and key exchange are verified */
	bool early = d->role == DTLS_ACTIVE && SSL_get_state(d->ssl) == TLS_ST_CW_FINISHED;
	int right;

	if (d->state != ST_HANDSHAKE && d->state != ST_EARLY)
		return;
	right = check_certificate(d);
	if (right < 0) {
		fail(d, "the other side's certificate is not the one its description names", NULL);
		return;
	}
	if (!right || (!through && !early))
		return;
	become_sendable(d, through ? ST_CONNECTED : ST_EARLY);
	if (d->state == ST_CONNECTED) {
		d->tell_connected = true;
		open_held(d);
		d->bio.flight = NULL;
		buf_finish(&d->flight);
	}
}

static const char *openssl_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;

	return text ? text : "no reason given";
}

/* What SSL_do_handshake() or SSL_read() said. */
static void judge(struct dtls *d, int ret)
{
	switch (SSL_get_error(d->ssl, ret)) {
	case SSL_ERROR_NONE:
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		break;
	case SSL_ERROR_ZERO_RETURN:
		if (d->state != ST_CLOSED && d->state != ST_FAILED) {
			d->state = ST_CLOSED;
			d->tell_closed = true;
		}
		break;
	default:
		fail(d, "the handshake failed", openssl_reason());
	}
	ERR_clear_error();
}

static void run_openssl(struct dtls *d)
{
	char none[1];
	int ret;

	ERR_clear_error();
	d->bio.begun = true;
	if (!SSL_is_init_finished(d->ssl)) {
		ret = SSL_do_handshake(d->ssl);
		if (ret != 1) {
			judge(d, ret);
			return;
		}
	}
	/* alerts, and repeated flights of a peer that did not get our last one */
	ret = SSL_peek(d->ssl, none, sizeof(none));
	if (ret <= 0)
		judge(d, ret);
}

/* A record of the handshake: OpenSSL's. */
static void feed_openssl(struct dtls *d, struct span record)
{
	uint64_t before = d->bio.written;

	d->bio.in = record;
	run_openssl(d);
	if (d->bio.in.len) { /* not looked at: the handshake ended on an earlier one */
		d->bio.in = (struct span){ NULL, 0 };
	}
	d->stats.records_out += d->bio.written - before;
	d->stats.records_in++;
	advance(d);
}

int dtls_start(struct dtls *d, usec_t now)
{
	if (d->started || d->role != DTLS_ACTIVE)
		return 0;
	d->started = true;
	run_openssl(d);
	update_deadline(d, now);
	return 0;
}

int dtls_input(struct dtls *d, usec_t now, struct span datagram)
{
	struct reader r = reader_of(datagram);
	bool handshake = false;

	if (d->state == ST_FAILED || d->state == ST_CLOSED)
		return 0;
	d->started = true;
	while (reader_left(&r) > 0) {
		struct reader start = r;
		uint8_t type = reader_u8(&r);
		uint16_t epoch, len;
		struct span record;

		reader_skip(&r, 2);
		epoch = reader_u16(&r);
		reader_skip(&r, 6);
		len = reader_u16(&r);
		reader_skip(&r, len);
		record = reader_bytes(&start, RECORD_HEADER_LEN + (size_t)len);
		if (reader_failed(&r) || reader_failed(&start) || record.len > RECORD_MAX) {
			d->stats.malformed++;
			break;
		}
		if (type == RECORD_APPLICATION_DATA && epoch == 1) {
			if (d->state == ST_CONNECTED)
				open_record(d, record);
			else if (d->state == ST_HANDSHAKE || d->state == ST_EARLY)
				hold(d, record);
		} else if (type >= RECORD_CHANGE_CIPHER_SPEC && type <= RECORD_HANDSHAKE) {
			handshake = true;
			feed_openssl(d, record);
		} else {
			d->stats.malformed++;
		}
	}
	if (handshake)
		update_deadline(d, now);
	return 0;
}

int dtls_timeout(struct dtls *d, usec_t now)
{
	uint64_t before = d->bio.written;

	if (now < d->deadline)
		return 0;
	d->bio.begun = true;
	/* negative: OpenSSL gave up after its own limit of repeats */
	if (DTLSv1_handle_timeout(d->ssl) < 0)
		fail(d, "no answer from the other side", NULL);
	d->stats.retransmissions += d->bio.written - before;
	d->stats.records_out += d->bio.written - before;
	ERR_clear_error();
	update_deadline(d, now);
	/* its clock may be a moment behind ours: never a deadline that is already due */
	if (d->deadline <= now)
		d->deadline = now + USEC_PER_MSEC;
	return 0;
}

void dtls_repeat(struct dtls *d)
{
	struct reader r = reader_of(buf_span(&d->flight));

	/* answered, over, or not even sent once */
	if (d->deadline == USEC_NEVER || !pktq_empty(&d->out))
		return;
	while (reader_left(&r) > 0) {
		size_t len = reader_u16(&r);
		struct span datagram = reader_bytes(&r, len);

		if (reader_failed(&r) || pktq_push(&d->out, 0, datagram) < 0)
			break; /* as if it was lost */
		d->stats.retransmissions++;
		d->stats.records_out++;
	}
}

bool dtls_next_output(struct dtls *d, struct span *datagram)
{
	return pktq_pop(&d->out, NULL, datagram);
}

static bool tell(bool *flag, struct dtls_event *event, enum dtls_event_type type)
{
	if (!*flag)
		return false;
	*flag = false;
	event->type = type;
	return true;
}

bool dtls_next_event(struct dtls *d, struct dtls_event *event)
{
	*event = (struct dtls_event){ .reason = d->reason };
	if (tell(&d->tell_may_send, event, DTLS_MAY_SEND) ||
	    tell(&d->tell_connected, event, DTLS_CONNECTED))
		return true;
	event->type = DTLS_DATA;
	if (pktq_pop(&d->plain, NULL, &event->data))
		return true;
	return tell(&d->tell_closed, event, DTLS_CLOSED) ||
	       tell(&d->tell_failed, event, DTLS_FAILED);
}

usec_t dtls_deadline(const struct dtls *d)
{
	return d->deadline;
}

int dtls_set_fingerprint(struct dtls *d, usec_t now, const uint8_t fp[DTLS_FINGERPRINT_LEN])
{
	if (d->have_expected && memcmp(d->expected, fp, DTLS_FINGERPRINT_LEN) != 0) {
		fail(d, "the other side's description names another certificate than before", NULL);
		return 0;
	}
	memcpy(d->expected, fp, DTLS_FINGERPRINT_LEN);
	d->have_expected = true;
	advance(d);
	update_deadline(d, now);
	return 0;
}

int dtls_send(struct dtls *d, struct span data)
{
	uint8_t *dst;
	struct writer w;
	int err;

	if (d->state != ST_CONNECTED && d->state != ST_EARLY)
		return FL_ESTATE;
	if (data.len > DTLS_LINK_MTU - DTLS_RECORD_OVERHEAD)
		return -EMSGSIZE;
	dst = pktq_reserve(&d->out, DTLS_LINK_MTU);
	if (!dst) {
		d->stats.dropped++;
		return FL_EQUOTA;
	}
	w = writer_of(dst, DTLS_LINK_MTU);
	err = record_seal(&d->records, RECORD_APPLICATION_DATA, data, &w);
	if (err < 0)
		return err;
	pktq_commit(&d->out, 0, writer_len(&w));
	d->stats.records_out++;
	return 0;
}

int dtls_export(struct dtls *d, const char *label, uint8_t *out, size_t len)
{
	if (d->state != ST_CONNECTED)
		return FL_ESTATE;
	return SSL_export_keying_material(d->ssl, out, len, label, strlen(label), NULL, 0, 0) == 1
		       ? 0
		       : FL_ETLS;
}

enum dtls_srtp_profile dtls_srtp_profile(const struct dtls *d)
{
	SRTP_PROTECTION_PROFILE *p = SSL_get_selected_srtp_profile(d->ssl);

	if (p && p->id == SRTP_AEAD_AES_128_GCM)
		return DTLS_SRTP_AEAD_AES_128_GCM;
	if (p && p->id == SRTP_AES128_CM_SHA1_80)
		return DTLS_SRTP_AES128_CM_SHA1_80;
	return DTLS_SRTP_NONE;
}

void dtls_close(struct dtls *d)
{
	static const uint8_t close_notify[] = { 1, 0 };
	uint8_t *dst;
	struct writer w;

	if (d->state == ST_CONNECTED || d->state == ST_EARLY) {
		dst = pktq_reserve(&d->out, DTLS_LINK_MTU);
		if (dst) {
			w = writer_of(dst, DTLS_LINK_MTU);
			if (record_seal(&d->records, RECORD_ALERT,
					span_of(close_notify, sizeof(close_notify)), &w) == 0)
				pktq_commit(&d->out, 0, writer_len(&w));
		}
	}
	if (d->state != ST_FAILED)
		d->state = ST_CLOSED;
	d->deadline = USEC_NEVER;
}

bool dtls_connected(const struct dtls *d)
{
	return d->state == ST_CONNECTED;
}

const struct dtls_stats *dtls_stats(const struct dtls *d)
{
	return &d->stats;
}
