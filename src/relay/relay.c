#include "relay/relay.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "relay/behaviour.h"
#include "relay/dtls_front.h"
#include "relay/offload.h"
#include "relay/shared_ports.h"
#include "relay/sock_name.h"
#include "relay/stream_front.h"
#include "relay/udp_front.h"
#include "relay/worker.h"

#define OTHER_FDS 1024 /* listeners, loops, clients' connections at the least */
#define LAST_ROUNDS 3  /* a hand-over is a post there and one back */

/* What the control loop's posts hold on to: they may run when the relay is gone. */
struct control {
	atomic_uint refs;
	struct loop *loop;
	struct relay *relay; /* control thread only; NULL: gone */
};

/* One listener in one worker. */
struct front {
	struct udp_front *udp;
	struct stream_front *stream;
	struct dtls_front *dtls;
};

struct seat {
	struct worker *worker;
	pthread_t thread;
	bool running;
	struct front fronts[SETTINGS_LISTENERS_MAX];
};

struct relay {
	struct control *control;
	struct settings *settings; /* of the start: what never changes */
	struct quotas *quotas;
	struct shared_ports *ports;
	struct offload *offload;
	struct stun_behaviour behaviour;
	bool has_behaviour;
	uint8_t ticket_key[16];
	atomic_size_t n_alive; /* allocations */
	atomic_bool draining;
	unsigned n_seats, n_drained;
	void (*on_empty)(void *arg);
	void *on_empty_arg;
	struct seat seats[];
};

/* ---- for workers ---- */

struct worker *relay_worker(struct relay *r, unsigned index)
{
	return index < r->n_seats ? r->seats[index].worker : NULL;
}

struct quotas *relay_quotas(struct relay *r)
{
	return r->quotas;
}

struct shared_ports *relay_ports(struct relay *r)
{
	return r->ports;
}

struct offload *relay_offload(struct relay *r)
{
	return r->offload;
}

const struct stun_behaviour *relay_behaviour(const struct relay *r)
{
	return r->has_behaviour ? &r->behaviour : NULL;
}

const uint8_t *relay_ticket_key(const struct relay *r)
{
	return r->ticket_key;
}

static struct control *control_ref(struct control *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

static void control_unref(struct control *c)
{
	if (c && atomic_fetch_sub(&c->refs, 1) == 1)
		free(c);
}

/* All workers refuse new allocations, and there is none. */
static void look_if_empty(struct relay *r)
{
	void (*fn)(void *arg) = r->on_empty;

	if (!fn || r->n_drained < r->n_seats || atomic_load(&r->n_alive) > 0)
		return;
	r->on_empty = NULL;
	fn(r->on_empty_arg);
}

static void last_is_gone(void *arg)
{
	struct control *c = arg;

	if (c->relay)
		look_if_empty(c->relay);
	control_unref(c);
}

void relay_count(struct relay *r, bool more)
{
	struct control *c;

	if (more) {
		atomic_fetch_add(&r->n_alive, 1);
		return;
	}
	if (atomic_fetch_sub(&r->n_alive, 1) > 1 || !atomic_load(&r->draining))
		return;
	c = control_ref(r->control);
	if (loop_post(c->loop, last_is_gone, c) < 0)
		control_unref(c); /* the drain's deadline ends it then */
}

/* ---- start ---- */

static unsigned count_threads(const struct settings *s)
{
	cpu_set_t set;
	int n;

	if (s->threads)
		return FL_MIN(s->threads, TURN_WORKERS_MAX);
	n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	return (unsigned)FL_MAX(1, FL_MIN(n, TURN_WORKERS_MAX));
}

/* A socket for each relayed port, if we may. */
static void raise_file_limit(const struct settings *s)
{
	struct rlimit limit;
	unsigned families = (s->relay[0].bound.family != ADDR_NONE) +
			    (s->relay[1].bound.family != ADDR_NONE);
	rlim_t want = families * (s->port_last - s->port_first + 1u) + OTHER_FDS;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max == RLIM_INFINITY)
		return;
	if (families && limit.rlim_max < want)
		log_warn("few-files",
			 "open-files-max=%llu wanted=%llu effect=\"allocations end at the first; "
			 "more clients get 508\" remedy=\"raise LimitNOFILE= of the service or "
			 "ulimit -n, or narrow the relayed ports\"",
			 (unsigned long long)limit.rlim_max, (unsigned long long)want);
}

static bool shared(int fd)
{
	int reuse = 0;
	socklen_t len = sizeof(reuse);

	return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse, &len) == 0 && reuse;
}

static int open_front(struct worker *w, const struct settings_listener *l, int fd, struct front *f)
{
	if (l->transport == TURN_UDP)
		return udp_front_create(w, &l->at, fd, &f->udp);
	if (l->transport == TURN_DTLS)
		return dtls_front_create(w, l, fd, &f->dtls);
	return stream_front_create(w, l, fd, &f->stream);
}

static void close_front(struct front *f)
{
	udp_front_destroy(f->udp);
	dtls_front_destroy(f->dtls);
	stream_front_destroy(f->stream);
	*f = (struct front){ 0 };
}

static struct addr front_addr(const struct front *f)
{
	if (f->udp)
		return udp_front_addr(f->udp);
	if (f->dtls)
		return dtls_front_addr(f->dtls);
	return f->stream ? stream_front_addr(f->stream) : (struct addr){ 0 };
}

/* SO_REUSEPORT would let a second relay of the same user in, and each would get half of the
 * clients: so the port is tried once without it. */
static int try_port(const struct settings_listener *l)
{
	bool stream = turn_transport_is_stream(l->transport);
	union sock_name name;
	socklen_t len = sock_name_from(&l->at, &name);
	int one = 1;

	if (l->inherited >= 0 || l->at.port == 0)
		return 0;
	FL_CLEANUP(fl_closep)
	int fd = socket(name.sa.sa_family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (l->at.family == ADDR_V6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (stream) /* connections that ended a moment ago do not count */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(fd, &name.sa, len) < 0 || (stream && listen(fd, 1) < 0) ? -errno : 0;
}

static void explain(const struct settings_listener *l, int err, char why[256])
{
	char text[ADDR_TEXT_MAX];

	snprintf(why, 256, "cannot listen on %s:%s: %s. %s", turn_transport_name(l->transport),
		 addr_format(&l->at, text), err_text(err),
		 err == -EACCES		 ? "Ports below 1024 need CAP_NET_BIND_SERVICE"
		 : err == -EADDRNOTAVAIL ? "No interface of this machine has that address"
					 : "Is another relay or another server running there?");
}

/* The listener in every worker; an inherited socket that nobody may bind beside is the first's. */
static int open_listener(struct relay *r, size_t n, char why[256])
{
	struct settings_listener l = r->settings->listeners[n];
	bool alone = l.inherited >= 0 && !shared(l.inherited);
	int err = try_port(&l);

	if (err < 0) {
		explain(&l, err, why);
		return err;
	}
	for (unsigned i = 0; i < r->n_seats; i++) {
		struct front *f = &r->seats[i].fronts[n];

		if (i > 0 && alone)
			break;
		err = open_front(r->seats[i].worker, &l, i == 0 ? l.inherited : -1, f);
		if (err < 0 && i > 0 && l.inherited >= 0)
			break; /* made by another user: the kernel lets nobody in beside it */
		if (err < 0) {
			explain(&l, err, why);
			return err;
		}
		l.at = front_addr(f);
	}
	return 0;
}

static int create_workers(struct relay *r)
{
	for (unsigned i = 0; i < r->n_seats; i++) {
		int err = worker_create(r, i, r->settings, &r->seats[i].worker);

		if (err < 0)
			return err;
		loop_set_busy_poll(r->seats[i].worker->loop, r->settings->busy_poll_us);
	}
	return 0;
}

static void *run(void *arg)
{
	struct seat *s = arg;
	int err = loop_run(s->worker->loop);

	if (err < 0)
		log_error("worker-failed", "worker=%u cause=\"%s\"", s->worker->index,
			  err_text(err));
	return NULL;
}

/* Signals are the control thread's. */
static int start_threads(struct relay *r)
{
	sigset_t all, before;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < r->n_seats && err == 0; i++) {
		char name[24];

		err = -pthread_create(&r->seats[i].thread, NULL, run, &r->seats[i]);
		r->seats[i].running = err == 0;
		snprintf(name, sizeof(name), "relay-%u", i); /* i < 256: short enough */
		if (err == 0)
			pthread_setname_np(r->seats[i].thread, name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

static int start(struct relay *r, char why[256])
{
	int err = quotas_create(&r->quotas);

	if (err == 0) {
		quotas_set(r->quotas, &r->settings->per_user, &r->settings->total);
		err = shared_ports_create(r->settings, &r->ports);
	}
	if (err == 0)
		err = create_workers(r);
	for (size_t n = 0; n < r->settings->n_listeners && err == 0; n++)
		err = open_listener(r, n, why);
	if (err == 0)
		err = offload_create(r->control->loop, r->settings, &r->offload);
	if (err == 0)
		err = start_threads(r);
	if (err < 0 && !why[0])
		snprintf(why, 256, "cannot start the workers: %s", err_text(err));
	return err;
}

int relay_create(struct loop *control, struct settings *settings, struct relay **out, char why[256])
{
	unsigned n = count_threads(settings);
	struct relay *r = calloc(1, sizeof(*r) + n * sizeof(r->seats[0]));
	int err;

	why[0] = 0;
	if (r)
		r->control = calloc(1, sizeof(*r->control));
	if (!r || !r->control) {
		free(r);
		snprintf(why, 256, "no memory");
		return -ENOMEM;
	}
	atomic_init(&r->control->refs, 1);
	r->control->loop = control;
	r->control->relay = r;
	r->settings = settings_ref(settings);
	r->n_seats = n;
	rng_bytes(rng_system(), r->ticket_key, sizeof(r->ticket_key));
	r->has_behaviour = behaviour_of(settings, &r->behaviour);
	raise_file_limit(settings);
	err = start(r, why);
	if (err < 0) {
		relay_destroy(r);
		return err;
	}
	*out = r;
	return 0;
}

/* ---- end ---- */

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

static void join_threads(struct relay *r)
{
	for (unsigned i = 0; i < r->n_seats; i++) {
		struct seat *s = &r->seats[i];

		if (!s->running)
			continue;
		while (loop_post(s->worker->loop, stop_loop, s->worker->loop) < 0)
			usleep(1000); /* no memory for a post: without it there is no end */
		pthread_join(s->thread, NULL);
		s->running = false;
	}
}

void relay_destroy(struct relay *r)
{
	if (!r)
		return;
	join_threads(r);
	/* what the workers had posted to each other */
	for (unsigned round = 0; round < LAST_ROUNDS; round++)
		for (unsigned i = 0; i < r->n_seats; i++)
			if (r->seats[i].worker)
				(void)loop_turn(r->seats[i].worker->loop, 0);
	for (unsigned i = 0; i < r->n_seats; i++)
		for (size_t n = 0; n < r->settings->n_listeners; n++)
			close_front(&r->seats[i].fronts[n]);
	for (unsigned i = 0; i < r->n_seats; i++)
		worker_destroy(r->seats[i].worker);
	offload_destroy(r->offload);
	shared_ports_destroy(r->ports);
	quotas_destroy(r->quotas);
	settings_unref(r->settings);
	r->control->relay = NULL;
	control_unref(r->control);
	free(r);
}

struct addr relay_listener_addr(const struct relay *r, size_t n)
{
	return n < r->settings->n_listeners ? front_addr(&r->seats[0].fronts[n])
					    : (struct addr){ 0 };
}

/* ---- reload and drain ---- */

struct reload {
	struct seat *seat;
	struct settings *settings;
};

static void reload_worker(void *arg)
{
	struct reload *job = arg;
	struct seat *s = job->seat;

	worker_set(s->worker, job->settings);
	for (size_t n = 0; n < SETTINGS_LISTENERS_MAX; n++) {
		struct front *f = &s->fronts[n];

		if (f->stream)
			stream_front_set(f->stream, job->settings);
		if (f->dtls && dtls_front_set(f->dtls, job->settings) < 0)
			log_error("certificate-kept", "listener=dtls cause=\"the new one cannot "
						      "be used\"");
	}
	settings_unref(job->settings);
	free(job);
}

void relay_reload(struct relay *r, struct settings *settings)
{
	quotas_set(r->quotas, &settings->per_user, &settings->total);
	for (unsigned i = 0; i < r->n_seats; i++) {
		struct reload *job = malloc(sizeof(*job));

		if (job)
			*job = (struct reload){ &r->seats[i], settings_ref(settings) };
		if (!job || worker_post(r->seats[i].worker, reload_worker, job) < 0) {
			log_error("not-reloaded", "worker=%u cause=\"no memory\"", i);
			if (job)
				settings_unref(job->settings);
			free(job);
		}
	}
}

struct drain {
	struct control *control;
	struct worker *worker;
};

static void worker_drains(void *arg)
{
	struct drain *d = arg;
	struct relay *r = d->control->relay;

	if (r) {
		r->n_drained++;
		look_if_empty(r);
	}
	control_unref(d->control);
	free(d);
}

static void drain_worker(void *arg)
{
	struct drain *d = arg;

	worker_drain(d->worker);
	while (loop_post(d->control->loop, worker_drains, d) < 0)
		usleep(1000);
}

void relay_drain(struct relay *r, void (*on_empty)(void *arg), void *arg)
{
	r->on_empty = on_empty;
	r->on_empty_arg = arg;
	if (atomic_exchange(&r->draining, true))
		return;
	for (unsigned i = 0; i < r->n_seats; i++) {
		struct drain *d = malloc(sizeof(*d));

		if (d)
			*d = (struct drain){ control_ref(r->control), r->seats[i].worker };
		if (!d || worker_post(r->seats[i].worker, drain_worker, d) < 0) {
			log_error("not-drained", "worker=%u cause=\"no memory\"", i);
			if (d)
				control_unref(d->control);
			free(d);
		}
	}
}

/* ---- figures ---- */

struct ask {
	struct control *control;
	void (*fn)(void *arg, const struct relay_snapshot *s);
	void *arg;
	unsigned waiting;
	struct relay_snapshot sum;
};

struct part {
	struct ask *ask;
	struct seat *seat;
	struct relay_snapshot value;
};

_Static_assert(sizeof(struct turn_server_stats) % sizeof(uint64_t) == 0, "summed as numbers");

static void add_numbers(void *to, const void *from, size_t bytes)
{
	uint64_t *sum = to;
	const uint64_t *more = from;

	for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
		sum[i] += more[i];
}

static void add_part(struct relay_snapshot *sum, const struct relay_snapshot *p)
{
	add_numbers(&sum->turn, &p->turn, sizeof(p->turn));
	add_numbers(sum->up, p->up, sizeof(p->up));
	add_numbers(sum->down, p->down, sizeof(p->down));
	add_numbers(sum->clients, p->clients, sizeof(p->clients));
	add_numbers(sum->allocations, p->allocations, sizeof(p->allocations));
	sum->over_quota += p->over_quota;
	sum->send_errors += p->send_errors;
	sum->handshakes_failed += p->handshakes_failed;
	sum->workers++;
}

static void end_part(struct ask *a)
{
	struct relay *r = a->control->relay;

	if (--a->waiting)
		return;
	if (r) {
		a->sum.ports_free = shared_ports_free(r->ports);
		offload_count(r->offload, &a->sum);
		a->fn(a->arg, &a->sum);
	}
	control_unref(a->control);
	free(a);
}

static void merge(void *arg)
{
	struct part *p = arg;

	add_part(&p->ask->sum, &p->value);
	end_part(p->ask);
	free(p);
}

static void look(void *arg)
{
	struct part *p = arg;
	struct worker *w = p->seat->worker;

	p->value = w->count;
	p->value.turn = *turn_server_stats(w->core);
	p->value.clients[TURN_UDP] = w->count.allocations[TURN_UDP];
	for (size_t n = 0; n < SETTINGS_LISTENERS_MAX; n++) {
		const struct front *f = &p->seat->fronts[n];
		enum turn_transport t;

		if (!f->stream && !f->dtls)
			continue;
		t = f->dtls ? TURN_DTLS : w->settings->listeners[n].transport;
		p->value.clients[t] += f->dtls ? dtls_front_count(f->dtls)
					       : stream_front_count(f->stream);
	}
	while (loop_post(p->ask->control->loop, merge, p) < 0)
		usleep(1000);
}

int relay_snapshot(struct relay *r, void (*fn)(void *arg, const struct relay_snapshot *s),
		   void *arg)
{
	struct ask *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->control = control_ref(r->control);
	a->fn = fn;
	a->arg = arg;
	a->waiting = r->n_seats + 1; /* one is ours, so that fn is not called before we return */
	for (unsigned i = 0; i < r->n_seats; i++) {
		struct part *p = calloc(1, sizeof(*p));

		if (p)
			*p = (struct part){ .ask = a, .seat = &r->seats[i] };
		if (!p || worker_post(r->seats[i].worker, look, p) < 0) {
			a->waiting--;
			free(p);
		}
	}
	if (a->waiting > 1) {
		a->waiting--;
		return 0;
	}
	control_unref(a->control);
	free(a);
	return -ENOMEM;
}
