/*
 * A byte stream with the same calls whatever carries it: TCP, TLS over TCP, a socketpair, a tunnel
 * through a proxy (tunnel.h). It owns its descriptor and two bounded queues. Writes are queued and
 * sent as the socket takes them; reading can be paused, so that a slow consumer slows the sender
 * down.
 *
 * Life: created connecting or accepted → on_open (handshake done) → on_read … → on_close exactly
 * once, with the reason, unless stream_destroy() came first. All functions run in the loop. A
 * stream may be destroyed from inside any of its own functions.
 */
#pragma once

#include <sys/types.h>

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"
#include "io/tls.h"

struct stream;

struct stream_handler {
	void (*on_open)(void *arg);
	/* in holds all bytes that have arrived and not been consumed; consume with buf_consume().
	 */
	void (*on_read)(void *arg, struct buf *in);
	/* The write queue fell below half of its maximum after stream_write() had reported it full.
	 * May be NULL. */
	void (*on_drain)(void *arg);
	/* 0: the other side closed in good order; else a negative error. */
	void (*on_close)(void *arg, int err);
	/* The other side has said its last byte; all of it was handed out. Writing goes on until
	 * stream_end(). NULL: the stream closes then, as if both sides had ended. */
	void (*on_eof)(void *arg);
};

struct stream_config {
	size_t read_max;	 /* most unconsumed bytes; reaching it pauses reading. 0: 256 KiB */
	size_t write_max;	 /* most queued bytes. 0: 1 MiB */
	usec_t open_timeout_us;	 /* connect and handshake together; 0: 10 s; then
				    on_close(-ETIMEDOUT) */
	struct tls_context *tls; /* NULL: plain. Kept referenced while the stream lives */
	const char *server_name; /* TLS client: SNI and certificate check */
	/* stream_connect(): from here, a port that other sockets of this process share
	 * (SO_REUSEPORT). NULL: the kernel chooses. */
	const struct addr *bind;
	unsigned dscp; /* of what it sends (RFC 2474), whatever brought the socket about */
};

/* Connects to one address. 0 and *out, or negative; later failures come as on_close. */
int stream_connect(struct loop *loop, const struct addr *to, const struct stream_config *config,
		   const struct stream_handler *handler, void *arg,
		   struct stream **out) FL_WARN_UNUSED;

/* Takes fd over (also on failure): an accepted or otherwise connected stream socket. */
int stream_adopt(struct loop *loop, int fd, const struct stream_config *config,
		 const struct stream_handler *handler, void *arg,
		 struct stream **out) FL_WARN_UNUSED;

void stream_destroy(
	struct stream *s); /* NULL is fine; drops what is queued; no on_close after it */

/* All or nothing. 0, FL_EQUOTA (the queue would exceed its maximum: wait for on_drain), -ENOMEM,
 * -EPIPE. */
int stream_write(struct stream *s, struct span data) FL_WARN_UNUSED;

/*
 * The same for one message in parts, without waiting for the end of the turn: the kernel takes what
 * it can at once (in one call; over TLS in as few records as hold it), and only the rest is copied
 * into the queue.
 */
int stream_write_parts(struct stream *s, const struct span *parts, size_t n) FL_WARN_UNUSED;

/* Sends what is queued, then closes; on_close(0) follows. */
void stream_close(struct stream *s);
/* Sends what is queued, then says that nothing more comes (FIN, over TLS close_notify). Reading
 * goes on; on_close(0) follows when the other side has ended too. */
void stream_end(struct stream *s);

/*
 * Moves an open stream to another thread's loop. stream_park() takes it off its loop, with all that
 * is queued; not from inside one of its own functions. Parked, it may only be resumed or destroyed,
 * by any one thread. stream_resume() belongs into the new loop's thread; unconsumed bytes come to
 * on_read again and a pause is over. 0, or negative: then it is still parked.
 */
void stream_park(struct stream *s);
int stream_resume(struct stream *s, struct loop *loop, const struct stream_handler *handler,
		  void *arg) FL_WARN_UNUSED;

/* Ending a pause also calls on_read again with what is queued and was not consumed. */
void stream_pause_read(struct stream *s, bool pause);
size_t stream_queued(const struct stream *s); /* bytes not yet handed to the kernel */
bool stream_remote(const struct stream *s, struct addr *out);
bool stream_local(const struct stream *s, struct addr *out);
struct tls_session *stream_tls(const struct stream *s); /* NULL when plain */

/* Text of the last TLS error, or NULL; valid until the next call. For messages after
 * on_close(FL_ETLS); after on_close(FL_EPROXY) a whole sentence with the remedy. */
const char *stream_error_text(const struct stream *s);
/* After on_close(FL_EPROXY): one stable word ("proxy-password"); else NULL. */
const char *stream_error_cause(const struct stream *s);

/*
 * What brings a stream about and may carry its bytes, instead of a socket that connects by itself.
 * It belongs to its stream from stream_over() on. It says once that it is open or has failed, later
 * than stream_over(); open_timeout_us begins when it is open, so it has to limit its own time.
 */
struct stream_carrier {
	struct tls_below below; /* for the bytes, when they do not go over the bare descriptor */
	/* NULL, or a sentence and a word */
	const char *(*error)(const struct stream_carrier *c, const char **cause);
	void (*destroy)(struct stream_carrier *c);
};

int stream_over(struct loop *loop, struct stream_carrier *carrier,
		const struct stream_config *config, const struct stream_handler *handler, void *arg,
		struct stream **out) FL_WARN_UNUSED;
/* fd is taken over. bare: bytes go over it as over any socket; else by its calls, and fd only
 * tells when. */
void stream_carrier_open(struct stream *s, int fd, bool bare);
void stream_carrier_failed(struct stream *s, int err);

/* A listening TCP socket (IPv6 ones are dual-stack off). port 0: the kernel chooses. */
struct listener;
int listener_create(struct loop *loop, const struct addr *at,
		    void (*on_accept)(void *arg, int fd, const struct addr *from), void *arg,
		    struct listener **out) FL_WARN_UNUSED;
struct listener_config {
	struct addr at;
	unsigned dscp;	 /* of the connections, their handshake included */
	bool reuse_port; /* each worker has a socket of its own on the same port (SO_REUSEPORT) */
	bool adopt; /* take fd over, also on failure: bound, or listening already (inherited) */
	int fd;
};
int listener_open(struct loop *loop, const struct listener_config *config,
		  void (*on_accept)(void *arg, int fd, const struct addr *from), void *arg,
		  struct listener **out) FL_WARN_UNUSED;
void listener_destroy(struct listener *l); /* NULL is fine; inside on_accept too */
struct addr listener_addr(const struct listener *l);
