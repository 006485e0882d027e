#include "wayout/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "io/resolve.h"
#include "io/stream.h"
#include "io/tls.h"
#include "proto/http/http.h"
#include "wayout/pac_wire.h"
#include "wayout/url.h"

struct fetch {
	struct loop *loop;
	fetched *fn;
	void *arg;
	char shown[300]; /* the location, for people */
	char path[1024];
	struct wayout_url url;
	struct tls_context *tls;
	struct resolve *resolve;
	struct addr addrs[RESOLVE_MAX];
	size_t n_addrs, next;
	struct stream *stream;
	struct http_client *http;
	struct loop_timer timer;
	struct loop_deferred begin, release;
	bool begun, over, dead;
};

static void stop(struct fetch *f)
{
	f->over = true;
	loop_timer_stop(&f->timer);
	resolve_cancel(f->resolve);
	f->resolve = NULL;
	stream_destroy(f->stream);
	f->stream = NULL;
}

static void FL_PRINTF(3, 4) fail(struct fetch *f, const char *cause, const char *fmt, ...)
{
	char why[500];
	va_list ap;

	if (f->over)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap); // NOLINT(clang-analyzer-valist.Uninitialized)
	va_end(ap);
	stop(f);
	f->fn(f->arg, cause, why, span_of(NULL, 0));
}

static void succeed(struct fetch *f, struct span script)
{
	if (f->over)
		return;
	stop(f);
	f->fn(f->arg, NULL, "", script);
}

/* ---- from a path ---- */

static void read_path(struct fetch *f)
{
	FL_CLEANUP(fl_closep) int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FL_AUTOFREE uint8_t *text = malloc(PAC_SCRIPT_MAX + 1);
	size_t len = 0;
	ssize_t n = -1;

	if (fd >= 0 && text)
		while ((n = read(fd, text + len, PAC_SCRIPT_MAX + 1 - len)) > 0)
			len += (size_t)n;
	if (n < 0)
		fail(f, "pac-file", "The PAC file %s cannot be read (%s).", f->shown,
		     text ? strerror(errno) : "out of memory");
	else if (len > PAC_SCRIPT_MAX)
		fail(f, "pac-too-large", "The PAC file %s is larger than 1 MiB.", f->shown);
	else
		succeed(f, span_of(text, len));
}

/* ---- from a server ---- */

static void try_next(struct fetch *f, int err);

static void take_answer(struct fetch *f)
{
	struct http_client_event event;

	while (!f->over && http_client_next_event(f->http, &event)) {
		if (event.type == HTTP_CLIENT_RESPONSE && event.response->status == 200)
			succeed(f, event.response->body);
		else if (event.type == HTTP_CLIENT_RESPONSE)
			fail(f, "pac-status",
			     "The server answered %u to %s, where a PAC file should be.",
			     event.response->status, f->shown);
		else if (event.err == FL_EQUOTA)
			fail(f, "pac-too-large", "The PAC file %s is larger than 1 MiB.", f->shown);
		else
			fail(f, "pac-broken", "The answer to %s cannot be used (%.100s).", f->shown,
			     event.reason ? event.reason : "no reason given");
	}
}

static void on_open(void *arg)
{
	struct fetch *f = arg;
	static const struct http_field fields[] = {
		{ "accept", "application/x-ns-proxy-autoconfig, */*;q=0.5" },
		{ "user-agent", "Fairlead" },
	};
	struct http_client_request request = {
		.method = "GET",
		.target = f->url.target,
		.host = f->url.authority,
		.fields = fields,
		.field_count = ARRAY_LEN(fields),
		.close = true,
	};
	int err = http_client_request(f->http, loop_now(f->loop), &request);
	struct span out = http_client_output(f->http);

	if (err == 0)
		err = stream_write(f->stream, out);
	if (err < 0)
		fail(f, "pac-address", "%s cannot be asked for.", f->shown);
	else
		http_client_sent(f->http, out.len);
}

static void on_read(void *arg, struct buf *in)
{
	struct fetch *f = arg;
	int err = http_client_input(f->http, loop_now(f->loop), buf_span(in));

	buf_clear(in);
	if (err < 0)
		fail(f, "pac-too-large", "The PAC file %s is larger than 1 MiB.", f->shown);
	else
		take_answer(f);
}

static void on_close(void *arg, int err)
{
	struct fetch *f = arg;

	if (err == 0) {
		http_client_eof(f->http, loop_now(f->loop));
		take_answer(f);
	}
	if (!f->over)
		try_next(f, err ? err : -ECONNRESET);
}

static const struct stream_handler handler = {
	.on_open = on_open,
	.on_read = on_read,
	.on_close = on_close,
};

static void try_next(struct fetch *f, int err)
{
	struct stream_config config = {
		.open_timeout_us = FETCH_ADDRESS_US,
		.tls = f->tls,
		.server_name = f->url.host,
	};

	stream_destroy(f->stream);
	f->stream = NULL;
	while (f->next < f->n_addrs) {
		err = stream_connect(f->loop, &f->addrs[f->next++], &config, &handler, f,
				     &f->stream);
		if (err == 0)
			return;
	}
	if (err == FL_ETLS)
		fail(f, "pac-tls",
		     "The server of %s proves itself by no certificate that is trusted.", f->shown);
	else
		fail(f, "pac-unreachable", "The server of %s takes no connection (%s).", f->shown,
		     err_text(err));
}

static void on_resolved(void *arg, int err, const char *why, const struct addr *addrs, size_t n)
{
	struct fetch *f = arg;

	f->resolve = NULL;
	if (err < 0 || n == 0) {
		fail(f, "pac-name", "The name of the server of %s was not found (%.100s).",
		     f->shown, why && *why ? why : "no address");
		return;
	}
	f->n_addrs = n;
	memcpy(f->addrs, addrs, n * sizeof(*addrs));
	try_next(f, 0);
}

static void on_timer(void *arg)
{
	struct fetch *f = arg;

	fail(f, "pac-slow", "The PAC file %s did not come within 4 seconds.", f->shown);
}

/* ---- life ---- */

static void ask_server(struct fetch *f)
{
	static const struct http_client_config limits = { .body_max = PAC_SCRIPT_MAX,
							  .timeout_us = FETCH_US };
	char why[256] = "out of memory";
	int err = 0;

	f->http = http_client_create(&limits);
	if (f->url.tls)
		err = tls_client_create(NULL, TLS_VERIFY_FULL, NULL, &f->tls, why);
	if (err == 0 && f->http)
		err = resolve_start(f->loop, f->url.host, f->url.port, on_resolved, f, &f->resolve);
	if (err < 0 || !f->http)
		fail(f, "pac-unreachable", "%s cannot be asked for (%s).", f->shown, why);
}

static void begin(void *arg)
{
	struct fetch *f = arg;

	f->begun = true;
	if (f->dead || f->over)
		return;
	if (*f->path)
		read_path(f);
	else if (!f->url.port)
		fail(f, "pac-address",
		     "\"%s\" is not where a PAC file can be: it takes http://, https:// or a path.",
		     f->shown);
	else
		ask_server(f);
}

int fetch_start(struct loop *loop, const char *location, fetched *fn, void *arg, struct fetch **out)
{
	struct fetch *f = calloc(1, sizeof(*f));
	const char *path = strncmp(location, "file://", 7) == 0 ? location + 7 : location;

	if (!f)
		return -ENOMEM;
	f->loop = loop;
	f->fn = fn;
	f->arg = arg;
	text_printable(f->shown, sizeof(f->shown), span_str(location));
	loop_timer_init(loop, &f->timer, on_timer, f);
	if (*path == '/' && !text_copy(f->path, sizeof(f->path), path))
		*f->path = 0;
	if (*path == '/' || wayout_url_parse(span_str(location), &f->url) < 0)
		f->url.port = 0;
	loop_timer_after(&f->timer, FETCH_US);
	loop_defer(loop, &f->begin, begin, f);
	*out = f;
	return 0;
}

static void release(void *arg)
{
	struct fetch *f = arg;

	http_client_destroy(f->http);
	tls_context_unref(f->tls);
	free(f);
}

void fetch_cancel(struct fetch *f)
{
	if (!f || f->dead)
		return;
	f->dead = true;
	stop(f);
	/* behind the beginning, which was deferred earlier */
	loop_defer(f->loop, &f->release, release, f);
}
