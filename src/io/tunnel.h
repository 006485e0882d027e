/*
 * Streams to a host and port through a proxy: an HTTP proxy's CONNECT (RFC 9110 §9.3.6), the same
 * over TLS to the proxy (HTTPS proxy), SOCKS5 (RFC 1928). The proxy resolves the host's name. What
 * it asks for is what it gets: no authentication, Basic (RFC 7617), Digest (RFC 7616), NTLM or
 * Negotiate (RFC 4559, with the Kerberos ticket of the environment; asking the KDC for it may hold
 * the loop up for as long as Kerberos lets it).
 *
 * libcurl does the talking to the proxy (curl.h), driven by the loop without a thread. Once the
 * tunnel is open its bytes go over the bare socket; only an HTTPS proxy's go on through libcurl.
 */
#pragma once

#include "io/proxy.h"
#include "io/stream.h"

/*
 * As stream_connect(). The time limit of config holds for the way through the proxy, and once more
 * for the TLS handshake behind it. on_close(FL_EPROXY): the proxy is the cause;
 * stream_error_text() is a sentence with the remedy, stream_error_cause() one of
 *
 *	proxy-library      libcurl is missing
 *	proxy-name         its name does not resolve
 *	proxy-refused      nothing listens there
 *	proxy-unreachable  no way to it from here
 *	proxy-timeout      it did not answer in time
 *	proxy-closed       it closed the connection
 *	proxy-not-http     it answered something that is no answer to CONNECT
 *	proxy-tls          its certificate is not trusted, or it speaks no TLS
 *	proxy-user         it wants a user and password, or a Kerberos ticket
 *	proxy-scheme       it wants an authentication that we do not have
 *	proxy-password     it refused the user or the password
 *	proxy-denied       it does not let us to that host and port
 *	proxy-target       it could not reach the host
 */
int tunnel_connect(struct loop *loop, struct proxy *proxy, const char *host, uint16_t port,
		   const struct stream_config *config, const struct stream_handler *handler,
		   void *arg, struct stream **out) FL_WARN_UNUSED;
