#include "io/tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "io/curl.h"
#include "io/resolve.h"

#define SOCKETS_MAX 4 /* libcurl tries IPv6 and IPv4 side by side */
#define DEFAULT_LIMIT (10 * USEC_PER_SEC)
#define BY_PASSWORD (CURLAUTH_BASIC | CURLAUTH_DIGEST | CURLAUTH_NTLM)
#define BY_TICKET CURLAUTH_NEGOTIATE

struct tunnel_socket {
	struct tunnel *t;
	struct loop_watch watch;
	curl_socket_t fd; /* -1: free */
};

struct tunnel {
	struct stream_carrier carrier;
	struct loop *loop;
	struct stream *stream;
	struct proxy *proxy;
	struct proxy_asker asker;
	bool asked; /* proxy_ask() waits for proxy_answered() */
	char host[PROXY_HOST_MAX];
	uint16_t port;
	const struct curl_calls *curl;
	struct resolve *resolve;
	struct curl_slist *addresses;
	CURLM *multi;
	CURL *easy;
	unsigned long scheme; /* what this attempt may authenticate by */
	struct tunnel_socket sockets[SOCKETS_MAX];
	struct loop_timer start, timer, limit;
	struct loop_deferred release;
	bool over, dead;
	bool heard; /* it has said something */
	const char *cause;
	char why[500];
};

static void start_over(struct tunnel *t, unsigned long scheme);

static void answered(struct tunnel *t, enum proxy_answer answer)
{
	if (t->asked)
		proxy_answered(t->proxy, &t->asker, answer);
	t->asked = false;
}

static void stop_watching(struct tunnel *t)
{
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		loop_watch_stop(&t->sockets[i].watch);
		t->sockets[i].fd = -1;
	}
	loop_timer_stop(&t->timer);
}

/* Not from inside a function that libcurl calls. */
static void end_transfer(struct tunnel *t)
{
	stop_watching(t);
	if (t->easy) {
		if (t->multi)
			t->curl->multi_remove(t->multi, t->easy);
		t->curl->easy_cleanup(t->easy);
	}
	if (t->multi)
		t->curl->multi_cleanup(t->multi);
	stop_watching(t); /* libcurl may have asked once more while it went */
	t->easy = NULL;
	t->multi = NULL;
}

static void stop(struct tunnel *t)
{
	t->over = true;
	answered(t, PROXY_UNCLEAR);
	list_remove(&t->asker.node); /* when it still waited */
	resolve_cancel(t->resolve);
	t->resolve = NULL;
	loop_timer_stop(&t->start);
	loop_timer_stop(&t->limit);
	loop_timer_stop(&t->timer);
}

/* The one place where it does not come about. */
static void FL_PRINTF(3, 4) fail(struct tunnel *t, const char *cause, const char *fmt, ...)
{
	va_list ap;

	if (t->over)
		return;
	t->cause = cause;
	va_start(ap, fmt);
	(void)vsnprintf(t->why, sizeof(t->why), fmt, ap);
	va_end(ap);
	stop(t);
	stop_watching(t);
	stream_carrier_failed(t->stream, FL_EPROXY);
}

/* ---- what went wrong ---- */

static const char *name_of(const struct tunnel *t)
{
	return proxy_text(t->proxy);
}

static void fail_socket(struct tunnel *t, long err)
{
	if (err == ECONNREFUSED)
		fail(t, "proxy-refused",
		     "Nothing answers at the proxy %s (connection refused). Check its address and "
		     "port.",
		     name_of(t));
	else
		fail(t, "proxy-unreachable",
		     "The proxy %s cannot be reached (%s). Check its address and this machine's "
		     "network.",
		     name_of(t), err ? strerror((int)err) : "no reason given");
}

static void fail_timeout(struct tunnel *t)
{
	fail(t, "proxy-timeout",
	     "The proxy %s did not answer in time. Check its address, and whether it reaches "
	     "%.100s.",
	     name_of(t), t->host);
}

/* "Basic, NTLM" */
static const char *scheme_names(unsigned long bits, char *dst, size_t cap)
{
	static const struct {
		unsigned long bit;
		const char *name;
	} names[] = { { CURLAUTH_BASIC, "Basic" },
		      { CURLAUTH_DIGEST, "Digest" },
		      { CURLAUTH_NTLM, "NTLM" },
		      { CURLAUTH_NEGOTIATE, "Negotiate" },
		      { CURLAUTH_BEARER, "Bearer" } };
	size_t len = 0;

	*dst = 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (bits & names[i].bit && len < cap)
			len += (size_t)snprintf(dst + len, cap - len, "%s%s", len ? ", " : "",
						names[i].name);
	return len ? dst : "an unknown scheme";
}

static void fail_password(struct tunnel *t)
{
	fail(t, "proxy-password",
	     "The proxy %s refused the user or the password. They are not tried again until they "
	     "change: see --proxy-user and --proxy-password-file.",
	     name_of(t));
}

/* 407: it wants to know who we are (RFC 9110 §15.5.8). */
static void take_407(struct tunnel *t)
{
	struct proxy_inside *p = proxy_inside(t->proxy);
	unsigned long offered = 0;
	bool password = p->password || p->user;
	char names[64];

	t->curl->easy_get(t->easy, CURLINFO_PROXYAUTH_AVAIL, &offered);
	scheme_names(offered, names, sizeof(names));
	p->scheme = 0;
	if (t->scheme & offered & BY_PASSWORD) {
		answered(t, PROXY_REFUSED);
		fail_password(t);
	} else if (password && t->scheme != BY_PASSWORD && offered & BY_PASSWORD) {
		start_over(t, BY_PASSWORD); /* it asks for another one than the last time */
	} else if (offered & BY_TICKET && t->scheme != BY_TICKET) {
		start_over(t, BY_TICKET);
	} else if (!(offered & (BY_PASSWORD | BY_TICKET))) {
		fail(t, "proxy-scheme",
		     "The proxy %s asks for an authentication that Fairlead does not have (%s). "
		     "Let "
		     "it offer Basic, Digest, NTLM or Negotiate, or let %.100s through without.",
		     name_of(t), names, t->host);
	} else if (offered & BY_PASSWORD) {
		fail(t, "proxy-user",
		     "The proxy %s wants to know who is there (%s). Give a user and password with "
		     "--proxy-user and --proxy-password-file.",
		     name_of(t), names);
	} else {
		fail(t, "proxy-user",
		     "The proxy %s asks for Kerberos (Negotiate) and got no ticket that it takes. "
		     "Get one with kinit, or name a keytab in KRB5_CLIENT_KTNAME.",
		     name_of(t));
	}
}

/* Another answer to CONNECT than 2xx. */
static void take_status(struct tunnel *t, long status)
{
	if (status == 407) {
		take_407(t);
		return;
	}
	answered(t, PROXY_ACCEPTED);
	if (status == 403 || status == 405 || status == 451)
		fail(t, "proxy-denied",
		     "The proxy %s does not let us to %.100s:%u (it answered %ld). Allow CONNECT "
		     "to "
		     "it there.",
		     name_of(t), t->host, t->port, status);
	else if (status >= 500 && status <= 504)
		fail(t, "proxy-target",
		     "The proxy %s could not reach %.100s:%u (it answered %ld). Check that "
		     "address, "
		     "and the proxy's own way to it.",
		     name_of(t), t->host, t->port, status);
	else
		fail(t, "proxy-not-http",
		     "The proxy %s answered %ld to CONNECT. Is it a proxy, and is this its port?",
		     name_of(t), status);
}

/* RFC 1928 §6, and RFC 1929 */
static void take_socks(struct tunnel *t)
{
	struct proxy_inside *p = proxy_inside(t->proxy);
	long code = 0;

	t->curl->easy_get(t->easy, CURLINFO_PROXY_ERROR, &code);
	if (code == CURLPX_USER_REJECTED && p->password) {
		answered(t, PROXY_REFUSED);
		fail_password(t);
	} else if (code == CURLPX_USER_REJECTED || code == CURLPX_NO_AUTH) {
		fail(t, "proxy-user",
		     "The proxy %s wants to know who is there. Give a user and password with "
		     "--proxy-user and --proxy-password-file.",
		     name_of(t));
	} else if (code == CURLPX_REPLY_NOT_ALLOWED) {
		fail(t, "proxy-denied",
		     "The proxy %s does not let us to %.100s:%u. Allow it there.", name_of(t),
		     t->host, t->port);
	} else if (code >= CURLPX_REPLY_ADDRESS_TYPE_NOT_SUPPORTED &&
		   code <= CURLPX_REPLY_UNASSIGNED) {
		fail(t, "proxy-target",
		     "The proxy %s could not reach %.100s:%u. Check that address, and the proxy's "
		     "own way to it.",
		     name_of(t), t->host, t->port);
	} else if (code == CURLPX_CLOSED || code == CURLPX_RECV_CONNECT ||
		   code == CURLPX_RECV_ADDRESS || code == CURLPX_RECV_AUTH ||
		   code == CURLPX_RECV_REQACK) {
		fail(t, "proxy-closed",
		     "The proxy %s closed the connection. Does it speak SOCKS5 on this port?",
		     name_of(t));
	} else {
		fail(t, "proxy-not-http",
		     "The proxy %s did not answer as a SOCKS5 proxy does. Check its kind and port.",
		     name_of(t));
	}
}

static void take_failure(struct tunnel *t, CURLcode result)
{
	long status = 0, err = 0;

	t->curl->easy_get(t->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	t->curl->easy_get(t->easy, CURLINFO_OS_ERRNO, &err);
	if (status >= 300 || (status > 0 && status < 200))
		take_status(t, status);
	else if (result == CURLE_PROXY)
		take_socks(t);
	else if (result == CURLE_COULDNT_CONNECT)
		fail_socket(t, err);
	else if (result == CURLE_OPERATION_TIMEDOUT)
		fail_timeout(t);
	else if (result == CURLE_SSL_CACERT_BADFILE || result == CURLE_PEER_FAILED_VERIFICATION)
		fail(t, "proxy-tls",
		     "The certificate of the proxy %s is not trusted (%s). Name its CA with "
		     "--proxy-ca FILE.",
		     name_of(t), t->curl->easy_text(result));
	else if (result == CURLE_SSL_CONNECT_ERROR)
		fail(t, "proxy-tls",
		     "The proxy %s does not speak TLS on this port. Try it as http://.",
		     name_of(t));
	else if (!t->heard && (result == CURLE_RECV_ERROR || result == CURLE_GOT_NOTHING ||
			       result == CURLE_SEND_ERROR))
		fail(t, "proxy-closed",
		     "The proxy %s closed the connection instead of answering. Is it a proxy, and "
		     "does it let this machine in?",
		     name_of(t));
	else
		fail(t, "proxy-not-http",
		     "The proxy %s gave no answer to CONNECT that can be understood. Is it a "
		     "proxy, "
		     "and is this its port?",
		     name_of(t));
}

/* ---- open ---- */

/* Which one it took: libcurl chooses the strongest of what was offered. */
static unsigned long strongest(unsigned long offered)
{
	static const unsigned long order[] = { CURLAUTH_NEGOTIATE, CURLAUTH_NTLM, CURLAUTH_BASIC };

	if (offered & CURLAUTH_DIGEST && !(offered & CURLAUTH_NEGOTIATE))
		return 0; /* needs the proxy's challenge each time */
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (offered & order[i])
			return order[i];
	return 0;
}

static void opened(struct tunnel *t)
{
	struct proxy_inside *p = proxy_inside(t->proxy);
	bool bare = p->kind != PROXY_HTTPS;
	curl_socket_t fd = CURL_SOCKET_BAD;
	unsigned long offered = 0;
	int own;

	t->curl->easy_get(t->easy, CURLINFO_ACTIVESOCKET, &fd);
	t->curl->easy_get(t->easy, CURLINFO_PROXYAUTH_AVAIL, &offered);
	if (offered & t->scheme)
		p->scheme = strongest(offered & t->scheme);
	own = fd == CURL_SOCKET_BAD ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0) {
		fail(t, "proxy-closed", "The proxy %s closed the connection.", name_of(t));
		return;
	}
	answered(t, PROXY_ACCEPTED);
	stop(t);
	if (bare)
		end_transfer(t); /* closes its descriptor; ours stays */
	else
		stop_watching(t);
	stream_carrier_open(t->stream, own, bare);
}

/* After every call into libcurl. t->easy may be another one then, or gone. */
static void look(struct tunnel *t)
{
	int left;
	CURLMsg *m = t->multi ? t->curl->multi_result(t->multi, &left) : NULL;

	if (t->over || !m || m->msg != CURLMSG_DONE)
		return;
	if (m->data.result == CURLE_OK)
		opened(t);
	else
		take_failure(t, m->data.result);
}

/* ---- libcurl on our loop ---- */

static void act(struct tunnel *t, curl_socket_t fd, int what)
{
	int running;

	if (t->over || !t->multi)
		return;
	(void)t->curl->multi_action(t->multi, fd, what, &running);
	look(t);
}

static void on_socket_event(void *arg, uint32_t events)
{
	struct tunnel_socket *s = arg;
	int what = 0;

	if (events & (EPOLLIN | EPOLLHUP))
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		what |= CURL_CSELECT_ERR;
	act(s->t, s->fd, what);
}

static void on_curl_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_SOCKETFUNCTION */
static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	struct tunnel *t = arg;
	struct tunnel_socket *s = NULL;
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0U) |
			  (what & CURL_POLL_OUT ? EPOLLOUT : 0U);

	for (size_t i = 0; i < SOCKETS_MAX; i++)
		if (t->sockets[i].fd == fd || (!s && t->sockets[i].fd == -1))
			s = &t->sockets[i];
	if (what == CURL_POLL_REMOVE) {
		if (s && s->fd == fd) {
			loop_watch_stop(&s->watch);
			s->fd = -1;
		}
		return 0;
	}
	if (!s)
		return -1; /* the transfer fails */
	if (s->fd == fd)
		return loop_watch_set(&s->watch, events) < 0 ? -1 : 0;
	if (loop_watch_start(t->loop, &s->watch, fd, events, on_socket_event, s) < 0)
		return -1;
	s->fd = fd;
	return 0;
}

/* CURLMOPT_TIMERFUNCTION: never calls back from in here. */
static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct tunnel *t = arg;

	if (ms < 0)
		loop_timer_stop(&t->timer);
	else if (loop_timer_after(&t->timer, (usec_t)ms * USEC_PER_MSEC) < 0)
		return -1;
	return 0;
}

/* CURLOPT_HEADERFUNCTION: the answer to CONNECT comes by here, whatever it is. */
static size_t take_head(char *data, size_t size, size_t n, void *arg)
{
	struct tunnel *t = arg;

	t->heard = t->heard || n > 0;
	return size * n;
}

/* ---- the attempt ---- */

static void set_user(struct tunnel *t, const struct proxy_inside *p)
{
	bool ticket = t->scheme == BY_TICKET, socks = p->kind == PROXY_SOCKS5;

	t->curl->easy_set(t->easy, CURLOPT_PROXYAUTH, (long)t->scheme);
	t->curl->easy_set(t->easy, CURLOPT_SOCKS5_AUTH, (long)CURLAUTH_BASIC);
	if (ticket) { /* libcurl wants a name to begin with, and then takes the ticket's */
		t->curl->easy_set(t->easy, CURLOPT_PROXYUSERNAME, "");
		t->curl->easy_set(t->easy, CURLOPT_PROXYPASSWORD, "");
	} else if (p->user || (p->password && !socks)) {
		t->curl->easy_set(t->easy, CURLOPT_PROXYUSERNAME, p->user ? p->user : "");
		t->curl->easy_set(t->easy, CURLOPT_PROXYPASSWORD, p->password ? p->password : "");
	}
}

static void set_proxy(struct tunnel *t, const struct proxy_inside *p)
{
	/* without CURLOPT_NOPROXY and CURLOPT_PROXY libcurl would look into the environment */
	t->curl->easy_set(t->easy, CURLOPT_NOPROXY, "");
	t->curl->easy_set(t->easy, CURLOPT_PROXY, proxy_text(t->proxy));
	t->curl->easy_set(t->easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
	t->curl->easy_set(t->easy, CURLOPT_RESOLVE, t->addresses);
	if (p->ca_file)
		t->curl->easy_set(t->easy, CURLOPT_PROXY_CAINFO, p->ca_file);
	set_user(t, p);
}

static bool begin(struct tunnel *t)
{
	char url[PROXY_HOST_MAX + 32];

	t->multi = t->curl->multi_init();
	t->easy = t->curl->easy_init();
	if (!t->multi || !t->easy)
		return false;
	t->curl->multi_set(t->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	t->curl->multi_set(t->multi, CURLMOPT_SOCKETDATA, t);
	t->curl->multi_set(t->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	t->curl->multi_set(t->multi, CURLMOPT_TIMERDATA, t);
	/* plain http: TLS to the host is the stream's */
	snprintf(url, sizeof(url), strchr(t->host, ':') ? "http://[%s]:%u/" : "http://%s:%u/",
		 t->host, t->port);
	t->curl->easy_set(t->easy, CURLOPT_URL, url);
	t->curl->easy_set(t->easy, CURLOPT_CONNECT_ONLY, 1L);
	t->curl->easy_set(t->easy, CURLOPT_NOSIGNAL, 1L);
	t->curl->easy_set(t->easy, CURLOPT_USERAGENT, "fairlead");
	t->curl->easy_set(t->easy, CURLOPT_HEADERFUNCTION, take_head);
	t->curl->easy_set(t->easy, CURLOPT_HEADERDATA, t);
	t->heard = false;
	set_proxy(t, proxy_inside(t->proxy));
	return t->curl->multi_add(t->multi, t->easy) == CURLM_OK;
}

static void on_start(void *arg)
{
	struct tunnel *t = arg;

	end_transfer(t);
	if (!t->asked) {
		switch (proxy_ask(t->proxy, &t->asker)) {
		case PROXY_GO:
			t->asked = true;
			break;
		case PROXY_WAIT:
			return;
		case PROXY_NO:
			fail_password(t);
			return;
		}
	}
	if (!begin(t))
		fail(t, "proxy-library", "The way through the proxy %s could not be set up.",
		     name_of(t));
}

static void start_over(struct tunnel *t, unsigned long scheme)
{
	t->scheme = scheme;
	if (loop_timer_after(&t->start, 0) < 0)
		fail(t, "proxy-library", "Out of memory.");
}

static void on_wake(void *arg)
{
	struct tunnel *t = arg;

	start_over(t, t->scheme);
}

static void on_limit(void *arg)
{
	fail_timeout(arg);
}

/* libcurl gets the addresses from us: its own resolver would hold us up where it is slow to end. */
static void on_resolved(void *arg, int err, const char *why, const struct addr *addrs, size_t n)
{
	struct tunnel *t = arg;
	const struct proxy_inside *p = proxy_inside(t->proxy);
	char list[PROXY_HOST_MAX + 32 + RESOLVE_MAX * (ADDR_TEXT_MAX + 3)], ip[ADDR_TEXT_MAX];
	size_t len;

	t->resolve = NULL;
	if (err < 0 || n == 0) {
		fail(t, "proxy-name",
		     "The proxy's name %.200s was not found (%.80s). Check the name and this "
		     "machine's DNS.",
		     p->host, why && *why ? why : "no address");
		return;
	}
	len = (size_t)snprintf(list, sizeof(list), "%s:%u:", p->host, p->port);
	for (size_t i = 0; i < n && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len,
					addrs[i].family == ADDR_V6 ? "%s[%s]" : "%s%s",
					i ? "," : "", addr_format_ip(&addrs[i], ip));
	/* an address literal is not looked up, and its colons would not be understood there */
	t->addresses = strchr(p->host, ':') ? NULL : t->curl->slist_append(NULL, list);
	start_over(t, t->scheme);
}

/* ---- as a carrier ---- */

static ssize_t carrier_read(void *arg, void *dst, size_t cap)
{
	struct tunnel *t = arg;
	size_t n = 0;
	CURLcode result = t->curl->easy_recv(t->easy, dst, cap, &n);

	if (result == CURLE_AGAIN)
		return -EAGAIN;
	if (result != CURLE_OK)
		return -ECONNRESET;
	return n ? (ssize_t)n : FL_ECLOSED;
}

static ssize_t carrier_write(void *arg, const void *src, size_t len)
{
	struct tunnel *t = arg;
	size_t n = 0;
	CURLcode result = t->curl->easy_send(t->easy, src, len, &n);

	if (result == CURLE_AGAIN)
		return -EAGAIN;
	return result == CURLE_OK ? (ssize_t)n : -ECONNRESET;
}

static const char *carrier_error(const struct stream_carrier *c, const char **cause)
{
	const struct tunnel *t = CONTAINER_OF((struct stream_carrier *)(uintptr_t)c, struct tunnel,
					      carrier);

	*cause = t->cause;
	return t->cause ? t->why : NULL;
}

static void release(void *arg)
{
	struct tunnel *t = arg;

	end_transfer(t);
	if (t->addresses)
		t->curl->slist_free(t->addresses);
	proxy_unref(t->proxy);
	free(t);
}

/* libcurl may be what called us. */
static void carrier_destroy(struct stream_carrier *c)
{
	struct tunnel *t = CONTAINER_OF(c, struct tunnel, carrier);

	if (t->dead)
		return;
	t->dead = true;
	stop(t);
	stop_watching(t);
	loop_defer(t->loop, &t->release, release, t);
}

static void start_first(struct tunnel *t)
{
	const struct proxy_inside *p = proxy_inside(t->proxy);

	t->scheme = p->scheme ? p->scheme : p->user || p->password ? BY_PASSWORD : 0;
	t->curl = curl_load(t->why);
	if (!t->curl)
		fail(t, "proxy-library", "%s", t->why);
	else if (resolve_start(t->loop, p->host, p->port, on_resolved, t, &t->resolve) < 0)
		fail(t, "proxy-name", "The proxy's name %.200s cannot be looked up.", p->host);
}

int tunnel_connect(struct loop *loop, struct proxy *proxy, const char *host, uint16_t port,
		   const struct stream_config *config, const struct stream_handler *handler,
		   void *arg, struct stream **out)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->carrier = (struct stream_carrier){ .below = { carrier_read, carrier_write, t },
					      .error = carrier_error,
					      .destroy = carrier_destroy };
	t->loop = loop;
	t->proxy = proxy_ref(proxy);
	t->port = port;
	list_init(&t->asker.node);
	t->asker.wake = on_wake;
	t->asker.arg = t;
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		t->sockets[i] = (struct tunnel_socket){ .t = t, .fd = -1 };
	loop_timer_init(loop, &t->start, on_start, t);
	loop_timer_init(loop, &t->timer, on_curl_timer, t);
	loop_timer_init(loop, &t->limit, on_limit, t);
	err = stream_over(loop, &t->carrier, config, handler, arg, &t->stream);
	if (err < 0)
		return err; /* the carrier is gone with it */
	err = text_copy(t->host, sizeof(t->host), host) ? 0 : -ENAMETOOLONG;
	if (err == 0)
		err = loop_timer_after(&t->limit, config->open_timeout_us ? config->open_timeout_us
									  : DEFAULT_LIMIT);
	if (err < 0) {
		stream_destroy(t->stream);
		return err;
	}
	*out = t->stream;
	start_first(t);
	return 0;
}
