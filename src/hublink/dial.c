#include "hublink/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/x509_vfy.h>

#include "base/err.h"
#include "base/text.h"
#include "io/resolve.h"
#include "io/tls.h"
#include "io/tunnel.h"

#define ADDRESS_TIMEOUT (8 * USEC_PER_SEC) /* connect and handshake on one address */
#define NEXT_ADDRESS (250 * USEC_PER_MSEC) /* then the next one is tried as well (RFC 8305 §5) */
#define PROXY_TIMEOUT (10 * USEC_PER_SEC)  /* through the proxy, and again for the handshake */

/* A connection that is tried: to one address, or through the proxy. */
struct lane {
	struct hub_dial *d;
	struct stream *stream;
};

struct hub_dial {
	struct loop *loop;
	struct hub_url url;
	struct tls_context *tls;
	struct proxy *proxy; /* NULL: directly */
	const struct hub_dial_handler *handler;
	void *arg;
	struct resolve *resolve;
	struct addr addrs[RESOLVE_MAX];
	size_t n_addrs, next;
	struct lane lanes[RESOLVE_MAX];
	size_t n_lanes;
	struct lane *lane; /* the one that is open */
	struct loop_timer timer;
	bool told; /* on_close was called or is no longer wanted */
	int err;   /* of the last address tried */
	char why[HUB_DIAL_WHY];
	struct loop_deferred later;
	bool later_set;
};

static void give_up(struct hub_dial *d)
{
	if (d->told)
		return;
	d->told = true;
	loop_timer_stop(&d->timer);
	d->handler->on_close(d->arg, d->err, d->why);
}

/* A date that does not fit is more often this machine's clock than the hub's certificate. */
static const char *tls_remedy(const struct stream *stream)
{
	const struct tls_session *session = stream ? stream_tls(stream) : NULL;
	const char *text;
	long verify = session ? tls_session_verify_result(session, &text) : X509_V_OK;

	if (verify == X509_V_ERR_CERT_NOT_YET_VALID || verify == X509_V_ERR_CERT_HAS_EXPIRED)
		return "Check this machine's clock; if it is right, renew the hub's certificate.";
	return "If the hub has a certificate of its own, name its CA with --ca FILE.";
}

/* A proxy may let us through and then answer in the hub's place. */
static bool somebody_else_answers(const struct hub_dial *d, const struct stream *stream)
{
	const struct tls_session *session = stream ? stream_tls(stream) : NULL;
	uint8_t cert[32], key[32];

	return d->proxy && session && !tls_session_peer_fingerprint(session, cert, key);
}

static void explain(struct hub_dial *d, const struct stream *stream, int err)
{
	const char *at = d->url.authority;
	const char *tls = stream ? stream_error_text(stream) : NULL;

	d->err = err;
	if (err == FL_EPROXY)
		snprintf(d->why, sizeof(d->why), "%s", tls ? tls : err_text(err));
	else if (!d->lane && (err == FL_ETLS || err == -ETIMEDOUT) &&
		 somebody_else_answers(d, stream))
		snprintf(d->why, sizeof(d->why),
			 "The proxy %.100s said that it reached %.120s, but what answers there "
			 "speaks "
			 "no TLS. Look at https://%.120s/ in a browser behind this proxy: it may "
			 "show "
			 "a page to sign in, or one that says why.",
			 proxy_text(d->proxy), at, at);
	else if (err == -ECONNREFUSED)
		snprintf(
			d->why, sizeof(d->why),
			"Nothing answers at %.200s (connection refused). Is the hub running there?",
			at);
	else if (err == -ETIMEDOUT)
		snprintf(d->why, sizeof(d->why),
			 "%.200s did not answer in time. Check the address and that no firewall "
			 "drops the connection.",
			 at);
	else if (err == -ENETUNREACH || err == -EHOSTUNREACH)
		snprintf(d->why, sizeof(d->why),
			 "There is no way to %.200s from here. Check this machine's network.", at);
	else if (err == FL_ETLS && !d->lane)
		snprintf(d->why, sizeof(d->why),
			 "The secure connection to %.150s failed: %.120s. %s", at,
			 tls ? tls : "no reason given", tls_remedy(stream));
	else if (err == -ECONNRESET || err == -EPIPE || err == FL_ECLOSED || err == FL_ETLS)
		snprintf(d->why, sizeof(d->why),
			 "%.200s closed the connection. Is it a Fairlead hub, and does it run?",
			 at);
	else if (err == 0)
		snprintf(d->why, sizeof(d->why), "%.200s closed the connection.", at);
	else
		snprintf(d->why, sizeof(d->why), "The connection to %.200s failed: %s.", at,
			 err_text(err));
}

static void try_next(struct hub_dial *d);

static void on_stream_open(void *arg)
{
	struct lane *lane = arg;
	struct hub_dial *d = lane->d;

	d->lane = lane;
	loop_timer_stop(&d->timer);
	for (size_t i = 0; i < d->n_lanes; i++) {
		if (&d->lanes[i] == lane)
			continue;
		stream_destroy(d->lanes[i].stream);
		d->lanes[i].stream = NULL;
	}
	d->handler->on_open(d->arg);
}

static void on_stream_read(void *arg, struct buf *in)
{
	struct lane *lane = arg;

	lane->d->handler->on_read(lane->d->arg, in);
}

static void on_stream_close(void *arg, int err)
{
	struct lane *lane = arg;
	struct hub_dial *d = lane->d;

	explain(d, lane->stream, !d->lane && err == 0 ? -ECONNRESET : err);
	if (d->lane) {
		give_up(d);
		return;
	}
	stream_destroy(lane->stream);
	lane->stream = NULL;
	try_next(d);
}

static const struct stream_handler stream_handler = {
	.on_open = on_stream_open,
	.on_read = on_stream_read,
	.on_close = on_stream_close,
};

static bool any_lane(const struct hub_dial *d)
{
	for (size_t i = 0; i < d->n_lanes; i++)
		if (d->lanes[i].stream)
			return true;
	return false;
}

/* Never tells its caller's caller from inside hub_dial_create(). */
static void try_next(struct hub_dial *d)
{
	struct stream_config config = {
		.open_timeout_us = ADDRESS_TIMEOUT,
		.tls = d->tls,
		.server_name = d->url.host,
	};

	while (d->next < d->n_addrs) {
		struct lane *lane = &d->lanes[d->n_lanes++];

		lane->d = d;
		int err = stream_connect(d->loop, &d->addrs[d->next++], &config, &stream_handler,
					 lane, &lane->stream);
		if (err == 0) {
			if (d->next < d->n_addrs)
				loop_timer_after(&d->timer, NEXT_ADDRESS);
			return;
		}
		explain(d, NULL, err);
	}
	if (!any_lane(d))
		give_up(d);
}

static void on_timer(void *arg)
{
	try_next(arg);
}

static void on_resolved(void *arg, int err, const char *why, const struct addr *addrs, size_t n)
{
	struct hub_dial *d = arg;

	d->resolve = NULL;
	if (err < 0 || n == 0) {
		d->err = err < 0 ? err : -ENOENT;
		snprintf(d->why, sizeof(d->why),
			 "The hub's name %.120s was not found (%.120s). Check the name and this "
			 "machine's DNS.",
			 d->url.host, why ? why : "no address");
		give_up(d);
		return;
	}
	d->n_addrs = FL_MIN(n, (size_t)RESOLVE_MAX);
	memcpy(d->addrs, addrs, d->n_addrs * sizeof(*addrs));
	try_next(d);
}

/* The proxy resolves the name; there is one try. */
static int connect_by_proxy(struct hub_dial *d)
{
	struct lane *lane = &d->lanes[d->n_lanes++];
	struct stream_config config = {
		.open_timeout_us = PROXY_TIMEOUT,
		.tls = d->tls,
		.server_name = d->url.host,
	};

	lane->d = d;
	return tunnel_connect(d->loop, d->proxy, d->url.host, d->url.port, &config, &stream_handler,
			      lane, &lane->stream);
}

int hub_dial_create(struct loop *loop, const struct hub_url *url, struct tls_context *tls,
		    struct proxy *proxy, const struct hub_dial_handler *handler, void *arg,
		    struct hub_dial **out)
{
	struct hub_dial *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->loop = loop;
	d->url = *url;
	d->tls = tls_context_ref(tls);
	d->handler = handler;
	d->arg = arg;
	d->proxy = proxy ? proxy_ref(proxy) : NULL;
	loop_timer_init(loop, &d->timer, on_timer, d);
	int err = proxy ? connect_by_proxy(d)
			: resolve_start(loop, url->host, url->port, on_resolved, d, &d->resolve);
	if (err < 0) {
		hub_dial_destroy(d);
		return err;
	}
	*out = d;
	return 0;
}

static void release(void *arg)
{
	free(arg);
}

void hub_dial_destroy(struct hub_dial *d)
{
	if (!d || d->later_set)
		return;
	d->told = true;
	d->later_set = true;
	resolve_cancel(d->resolve);
	loop_timer_stop(&d->timer);
	for (size_t i = 0; i < d->n_lanes; i++)
		stream_destroy(d->lanes[i].stream);
	d->n_lanes = 0;
	d->lane = NULL;
	tls_context_unref(d->tls);
	proxy_unref(d->proxy);
	d->proxy = NULL;
	loop_defer(d->loop, &d->later, release, d);
}

struct stream *hub_dial_stream(const struct hub_dial *d)
{
	return d->lane ? d->lane->stream : NULL;
}

bool hub_dial_is_local(const struct hub_dial *d)
{
	struct stream *stream = hub_dial_stream(d);
	struct addr at;

	if (!d->proxy)
		return stream && stream_remote(stream, &at) && addr_range(&at) == ADDR_LOOPBACK;
	if (addr_parse_ip(d->url.host, &at) == 0)
		return addr_range(&at) == ADDR_LOOPBACK;
	return strcasecmp(d->url.host, "localhost") == 0;
}
