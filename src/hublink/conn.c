#include "hublink/conn.h"

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
#define PROXY_TIMEOUT (10 * USEC_PER_SEC)  /* through the proxy, and again for the handshake */

struct hub_conn {
	struct loop *loop;
	struct hub_url url;
	struct tls_context *tls;
	struct proxy *proxy; /* NULL: directly */
	const struct hub_conn_handler *handler;
	void *arg;
	struct resolve *resolve;
	struct addr addrs[RESOLVE_MAX];
	size_t n_addrs, next;
	struct stream *stream;
	bool open;
	bool told; /* on_close was called or is no longer wanted */
	int err;   /* of the last address tried */
	char why[600];
	struct loop_deferred later;
	bool later_set;
};

static void give_up(struct hub_conn *c)
{
	if (c->told)
		return;
	c->told = true;
	c->handler->on_close(c->arg, c->err, c->why);
}

/* A date that does not fit is more often this machine's clock than the hub's certificate. */
static const char *tls_remedy(const struct hub_conn *c)
{
	const struct tls_session *session = c->stream ? stream_tls(c->stream) : NULL;
	const char *text;
	long verify = session ? tls_session_verify_result(session, &text) : X509_V_OK;

	if (verify == X509_V_ERR_CERT_NOT_YET_VALID || verify == X509_V_ERR_CERT_HAS_EXPIRED)
		return "Check this machine's clock; if it is right, renew the hub's certificate.";
	return "If the hub has a certificate of its own, name its CA with --ca FILE.";
}

/* A proxy may let us through and then answer in the hub's place. */
static bool somebody_else_answers(const struct hub_conn *c)
{
	const struct tls_session *session = c->stream ? stream_tls(c->stream) : NULL;
	uint8_t cert[32], key[32];

	return c->proxy && session && !tls_session_peer_fingerprint(session, cert, key);
}

static void explain(struct hub_conn *c, int err)
{
	const char *at = c->url.authority;
	const char *tls = c->stream ? stream_error_text(c->stream) : NULL;

	c->err = err;
	if (err == FL_EPROXY)
		snprintf(c->why, sizeof(c->why), "%s", tls ? tls : err_text(err));
	else if (!c->open && (err == FL_ETLS || err == -ETIMEDOUT) && somebody_else_answers(c))
		snprintf(c->why, sizeof(c->why),
			 "The proxy %.100s said that it reached %.120s, but what answers there "
			 "speaks "
			 "no TLS. Look at https://%.120s/ in a browser behind this proxy: it may "
			 "show "
			 "a page to sign in, or one that says why.",
			 proxy_text(c->proxy), at, at);
	else if (err == -ECONNREFUSED)
		snprintf(
			c->why, sizeof(c->why),
			"Nothing answers at %.200s (connection refused). Is the hub running there?",
			at);
	else if (err == -ETIMEDOUT)
		snprintf(c->why, sizeof(c->why),
			 "%.200s did not answer in time. Check the address and that no firewall "
			 "drops the connection.",
			 at);
	else if (err == -ENETUNREACH || err == -EHOSTUNREACH)
		snprintf(c->why, sizeof(c->why),
			 "There is no way to %.200s from here. Check this machine's network.", at);
	else if (err == FL_ETLS && !c->open)
		snprintf(c->why, sizeof(c->why),
			 "The secure connection to %.150s failed: %.120s. %s", at,
			 tls ? tls : "no reason given", tls_remedy(c));
	else if (err == -ECONNRESET || err == -EPIPE || err == FL_ECLOSED || err == FL_ETLS)
		snprintf(c->why, sizeof(c->why),
			 "%.200s closed the connection. Is it a Fairlead hub, and does it run?",
			 at);
	else if (err == 0)
		snprintf(c->why, sizeof(c->why), "%.200s closed the connection.", at);
	else
		snprintf(c->why, sizeof(c->why), "The connection to %.200s failed: %s.", at,
			 err_text(err));
}

static void try_next(struct hub_conn *c);

static void on_stream_open(void *arg)
{
	struct hub_conn *c = arg;

	c->open = true;
	c->handler->on_open(c->arg);
}

static void on_stream_read(void *arg, struct buf *in)
{
	struct hub_conn *c = arg;

	c->handler->on_read(c->arg, in);
}

static void on_stream_close(void *arg, int err)
{
	struct hub_conn *c = arg;

	explain(c, !c->open && err == 0 ? -ECONNRESET : err);
	if (c->open)
		give_up(c);
	else
		try_next(c);
}

static const struct stream_handler stream_handler = {
	.on_open = on_stream_open,
	.on_read = on_stream_read,
	.on_close = on_stream_close,
};

/* Never tells its caller's caller from inside hub_conn_create(). */
static void try_next(struct hub_conn *c)
{
	struct stream_config config = {
		.open_timeout_us = ADDRESS_TIMEOUT,
		.tls = c->tls,
		.server_name = c->url.host,
	};

	stream_destroy(c->stream);
	c->stream = NULL;
	while (c->next < c->n_addrs) {
		int err = stream_connect(c->loop, &c->addrs[c->next++], &config, &stream_handler, c,
					 &c->stream);
		if (err == 0)
			return;
		explain(c, err);
	}
	give_up(c);
}

static void on_resolved(void *arg, int err, const char *why, const struct addr *addrs, size_t n)
{
	struct hub_conn *c = arg;

	c->resolve = NULL;
	if (err < 0 || n == 0) {
		c->err = err < 0 ? err : -ENOENT;
		snprintf(c->why, sizeof(c->why),
			 "The hub's name %.120s was not found (%.120s). Check the name and this "
			 "machine's DNS.",
			 c->url.host, why ? why : "no address");
		give_up(c);
		return;
	}
	c->n_addrs = FL_MIN(n, (size_t)RESOLVE_MAX);
	memcpy(c->addrs, addrs, c->n_addrs * sizeof(*addrs));
	try_next(c);
}

/* The proxy resolves the name; there is one try. */
static int connect_by_proxy(struct hub_conn *c)
{
	struct stream_config config = {
		.open_timeout_us = PROXY_TIMEOUT,
		.tls = c->tls,
		.server_name = c->url.host,
	};

	return tunnel_connect(c->loop, c->proxy, c->url.host, c->url.port, &config, &stream_handler,
			      c, &c->stream);
}

int hub_conn_create(struct loop *loop, const struct hub_url *url, struct tls_context *tls,
		    struct proxy *proxy, const struct hub_conn_handler *handler, void *arg,
		    struct hub_conn **out)
{
	struct hub_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->url = *url;
	c->tls = tls_context_ref(tls);
	c->handler = handler;
	c->arg = arg;
	c->proxy = proxy ? proxy_ref(proxy) : NULL;
	int err = proxy ? connect_by_proxy(c)
			: resolve_start(loop, url->host, url->port, on_resolved, c, &c->resolve);
	if (err < 0) {
		hub_conn_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

static void release(void *arg)
{
	free(arg);
}

void hub_conn_destroy(struct hub_conn *c)
{
	if (!c || c->later_set)
		return;
	c->told = true;
	c->later_set = true;
	resolve_cancel(c->resolve);
	stream_destroy(c->stream);
	c->stream = NULL;
	tls_context_unref(c->tls);
	proxy_unref(c->proxy);
	c->proxy = NULL;
	loop_defer(c->loop, &c->later, release, c);
}

int hub_conn_write(struct hub_conn *c, struct span data)
{
	return c->stream ? stream_write(c->stream, data) : -EPIPE;
}

void hub_conn_close(struct hub_conn *c)
{
	if (c->stream)
		stream_close(c->stream);
}

const struct stream *hub_conn_stream(const struct hub_conn *c)
{
	return c->stream;
}

bool hub_conn_is_local(const struct hub_conn *c)
{
	struct addr at;

	if (!c->proxy)
		return c->stream && stream_remote(c->stream, &at) &&
		       addr_range(&at) == ADDR_LOOPBACK;
	if (addr_parse_ip(c->url.host, &at) == 0)
		return addr_range(&at) == ADDR_LOOPBACK;
	return strcasecmp(c->url.host, "localhost") == 0;
}
