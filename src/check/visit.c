#include "check/visit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509_vfy.h>

#include "base/err.h"
#include "base/text.h"
#include "check/visit_internal.h"
#include "io/tunnel.h"

#define STAGGER_US (250 * USEC_PER_MSEC)

void visit_note(struct visit *v, const char *fmt, ...)
{
	char text[VISIT_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_printable(v->result.seen, sizeof(v->result.seen), span_str(text));
}

void visit_finish(struct visit *v, enum check_cause cause)
{
	if (v->done)
		return;
	v->done = true;
	loop_timer_stop(&v->stagger);
	loop_timer_stop(&v->limit);
	v->result.cause = cause;
	if (cause == CAUSE_NONE)
		v->result.reached = VISIT_DONE;
	if (v->opened)
		v->result.answer_us = usec_sub(loop_now(v->loop), v->opened);
	v->fn(v->arg, &v->result);
}

/* ---- the certificate ---- */

static enum check_cause certificate_cause(long verify)
{
	switch (verify) {
	case X509_V_OK:
		return CAUSE_NONE;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return CAUSE_TLS_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return CAUSE_TLS_NOT_YET_VALID;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return CAUSE_TLS_NAME;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return CAUSE_TLS_ISSUER;
	default:
		return CAUSE_TLS_INVALID;
	}
}

static void look_at_certificate(struct visit *v)
{
	const struct tls_session *session = stream_tls(v->stream);
	char issuer[VISIT_TEXT_MAX / 2];
	uint8_t cert[32];
	const char *text;

	if (!session)
		return;
	v->result.tls_cause = certificate_cause(tls_session_verify_result(session, &text));
	tls_session_issuer(session, issuer, sizeof(issuer));
	text_printable(v->result.issuer, sizeof(v->result.issuer), span_str(issuer));
	if (!tls_session_peer_fingerprint(session, cert, v->result.spki))
		memset(v->result.spki, 0, sizeof(v->result.spki));
}

/* ---- how an attempt ends ---- */

static enum check_cause tcp_cause(int err)
{
	switch (err) {
	case -ECONNREFUSED:
	case -ECONNRESET:
		return CAUSE_TCP_REFUSED;
	case -EPERM:
	case -EACCES:
		return CAUSE_LOCAL_FIREWALL;
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -ENETDOWN:
	case -EADDRNOTAVAIL:
	case -EAFNOSUPPORT:
	case -EINVAL:
		return CAUSE_TCP_UNREACHABLE;
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		return CAUSE_INTERNAL;
	default:
		return CAUSE_TCP_TIMEOUT;
	}
}

/* What is said by somebody who does not know TLS looks like a record of a wrong version. */
static bool says_not_tls(const char *text)
{
	static const char *const signs[] = { "wrong version number",   "http request",
					     "packet length too long", "bad record type",
					     "unexpected message",     "record layer failure" };

	for (size_t i = 0; i < ARRAY_LEN(signs); i++)
		if (strstr(text, signs[i]))
			return true;
	return false;
}

static enum check_cause tls_cause(const struct stream *s, int err)
{
	const char *text = stream_error_text(s);

	if (err == -ETIMEDOUT)
		return CAUSE_TLS_SILENT;
	if (err != FL_ETLS)
		return CAUSE_TLS_CLOSED;
	if (text && says_not_tls(text))
		return CAUSE_NOT_TLS;
	return text && strstr(text, "unexpected eof") ? CAUSE_TLS_CLOSED : CAUSE_TLS_REFUSED;
}

/* The attempt that came furthest tells the cause; of those that came as far a refusal says more
 * than silence. */
static unsigned weight_of(enum visit_step reached, enum check_cause cause)
{
	return (unsigned)reached * 10 + (cause == CAUSE_TCP_REFUSED	 ? 3
					 : cause == CAUSE_LOCAL_FIREWALL ? 2
					 : cause == CAUSE_TCP_TIMEOUT	 ? 1
									 : 0);
}

static void leg_failed(struct leg *leg, int err)
{
	struct visit *v = leg->visit;
	bool tls = leg->stream && stream_tls(leg->stream);
	enum visit_step reached = tls ? VISIT_TLS : VISIT_TCP;
	enum check_cause cause = tls ? tls_cause(leg->stream, err) : tcp_cause(err);
	const char *text = leg->stream ? stream_error_text(leg->stream) : NULL;
	char at[ADDR_TEXT_MAX];

	if (err == FL_EPROXY)
		cause = cause_of_word(stream_error_cause(leg->stream));
	if (v->failed++ == 0 ||
	    weight_of(reached, cause) > weight_of(v->result.reached, v->result.cause)) {
		v->result.reached = reached;
		v->result.cause = cause;
		v->result.at = leg->to;
		if (v->config.proxy)
			visit_note(v, "%s", text ? text : err_text(err));
		else
			visit_note(v, "%s: %s", addr_format(&leg->to, at),
				   text ? text : err_text(err));
	}
	if (v->failed == v->n_legs)
		visit_finish(v, v->result.cause);
}

/* ---- the connection ---- */

static void start_next(struct visit *v);

static void on_open(void *arg)
{
	struct leg *leg = arg;
	struct visit *v = leg->visit;

	if (v->done || v->stream)
		return;
	v->stream = leg->stream;
	for (size_t i = 0; i < v->n_legs; i++)
		if (&v->legs[i] != leg) {
			stream_destroy(v->legs[i].stream);
			v->legs[i].stream = NULL;
		}
	loop_timer_stop(&v->stagger);
	v->opened = loop_now(v->loop);
	v->result.at = leg->to;
	v->result.reached = VISIT_APP;
	v->result.open_us = usec_sub(v->opened, leg->began);
	v->result.seen[0] = 0;
	look_at_certificate(v);
	if (loop_timer_after(&v->limit, VISIT_ANSWER_US) < 0)
		visit_finish(v, CAUSE_INTERNAL);
	else
		visit_app_open(v);
}

static void on_read(void *arg, struct buf *in)
{
	struct leg *leg = arg;

	if (leg->visit->done)
		buf_clear(in);
	else
		visit_app_read(leg->visit, in);
}

static void on_close(void *arg, int err)
{
	struct leg *leg = arg;
	struct visit *v = leg->visit;

	if (v->done)
		return;
	if (v->stream == leg->stream && v->stream) {
		visit_app_closed(v, err);
		return;
	}
	leg_failed(leg, err ? err : -ECONNRESET);
	stream_destroy(leg->stream);
	leg->stream = NULL;
	if (!v->done && !v->stream)
		start_next(v);
}

static const struct stream_handler handler = { .on_open = on_open,
					       .on_read = on_read,
					       .on_close = on_close };

static void start_next(struct visit *v)
{
	struct stream_config config = { .open_timeout_us = VISIT_OPEN_US,
					.tls = v->config.tls,
					.server_name = v->host };
	struct leg *leg;
	int err;

	if (v->next >= v->n_legs)
		return;
	leg = &v->legs[v->next++];
	leg->began = loop_now(v->loop);
	if (v->config.proxy)
		err = tunnel_connect(v->loop, v->config.proxy, v->host, v->config.port, &config,
				     &handler, leg, &leg->stream);
	else
		err = stream_connect(v->loop, &leg->to, &config, &handler, leg, &leg->stream);
	if (err == 0 && v->next < v->n_legs)
		err = loop_timer_after(&v->stagger, STAGGER_US);
	if (err < 0) {
		stream_destroy(leg->stream);
		leg->stream = NULL;
		leg_failed(leg, err);
		if (!v->done)
			start_next(v);
	}
}

static void on_stagger(void *arg)
{
	start_next(arg);
}

static void on_limit(void *arg)
{
	struct visit *v = arg;

	if (v->opened)
		visit_app_silent(v);
	else
		start_next(v); /* the first one: not from inside visit_start() */
}

int visit_start(struct loop *loop, const struct visit_config *config,
		void (*fn)(void *arg, struct visit_result *result), void *arg, struct visit **out)
{
	struct visit *v = calloc(1, sizeof(*v));
	const char *bracket = strchr(config->host, ':') ? "[" : "";
	uint8_t random[16];
	int err;

	if (!v)
		return -ENOMEM;
	v->loop = loop;
	v->config = *config;
	v->fn = fn;
	v->arg = arg;
	v->cut = BUF_INIT(65536);
	text_copy(v->host, sizeof(v->host), config->host);
	text_copy(v->upgrade, sizeof(v->upgrade), config->upgrade ? config->upgrade : "websocket");
	text_copy(v->pinned, sizeof(v->pinned), config->hub_key ? config->hub_key : "");
	snprintf(v->authority, sizeof(v->authority), "%s%s%s:%u", bracket, v->host,
		 *bracket ? "]" : "", config->port);
	rng_bytes(rng_system(), random, sizeof(random));
	text_b64url_encode(span_of(random, sizeof(random)), v->nonce, sizeof(v->nonce));
	rng_bytes(rng_system(), v->tid, sizeof(v->tid));
	v->n_legs = config->proxy ? 1 : FL_MIN(config->n_addrs, (size_t)VISIT_ADDRS_MAX);
	for (size_t i = 0; i < v->n_legs; i++) {
		v->legs[i].visit = v;
		if (!config->proxy) {
			v->legs[i].to = config->addrs[i];
			v->legs[i].to.port = config->port;
		}
	}
	if (config->tls)
		tls_context_ref(config->tls);
	if (config->proxy)
		proxy_ref(config->proxy);
	loop_timer_init(loop, &v->stagger, on_stagger, v);
	loop_timer_init(loop, &v->limit, on_limit, v);
	err = v->n_legs ? loop_timer_after(&v->limit, 0) : -EINVAL;
	if (err < 0) {
		visit_destroy(v);
		return err;
	}
	*out = v;
	return 0;
}

static void release(void *arg)
{
	struct visit *v = arg;

	http_client_destroy(v->http);
	ws_destroy(v->ws);
	signalr_destroy(v->signalr);
	buf_finish(&v->cut);
	json_decref(v->result.network);
	free(v);
}

void visit_destroy(struct visit *v)
{
	if (!v || v->dead)
		return;
	v->dead = v->done = true;
	loop_timer_stop(&v->stagger);
	loop_timer_stop(&v->limit);
	for (size_t i = 0; i < v->n_legs; i++)
		stream_destroy(v->legs[i].stream);
	tls_context_unref(v->config.tls);
	proxy_unref(v->config.proxy);
	loop_defer(v->loop, &v->release, release, v);
}
