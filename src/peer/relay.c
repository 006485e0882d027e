/*
 * Relayed candidates: an allocation at each TURN server that the configuration names, over each
 * transport it names, asked for at once and side by side; those over a stream through the proxy,
 * too, when there is one, but a moment later and only while the direct way is not there. The core
 * sees a relayed address like any other local one; what it sends from there goes through the
 * allocation here.
 *
 * Allocations that are not in use end when another route has carried the session for a while. They
 * are asked for again, at the addresses known from before, as soon as that route is under
 * suspicion; those that are there are asked whether they still are. One that breaks, as with its
 * stream, is made anew while there is a need.
 */
#include <errno.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "peer/driver.h"

#define KEEP_US (15 * USEC_PER_SEC)	     /* after another route took over */
#define AGAIN_FIRST_US (250 * USEC_PER_MSEC) /* between attempts, doubling */
#define AGAIN_MAX_US (4 * USEC_PER_SEC)
#define HEAD_START_US (100 * USEC_PER_MSEC)
#define BY_PROXY 10 /* below the same transport without it */

static void pump(struct driver_relay *r);
static void try_next(struct driver_relay *r);
static void stop(struct driver_relay *r);
static void on_resolved(void *arg, int err, const char *why, const struct addr *addrs, size_t n);

/* Below the addresses of this machine, and the faster transport first. */
static uint8_t preference(enum turn_transport t)
{
	switch (t) {
	case TURN_UDP:
		return 200;
	case TURN_TCP:
		return 150;
	case TURN_TLS:
	case TURN_DTLS:
		return 100;
	case TURN_WSS:
	case TURN_TRANSPORTS:
		return 50;
	}
	return 0;
}

static bool is_there(const struct driver_relay *r)
{
	return r->client &&
	       (r->relayed[0].family != ADDR_NONE || r->relayed[1].family != ADDR_NONE);
}

/* No other one that is there is better. */
static bool is_best(const struct driver_relay *r)
{
	const struct fl_peer *p = r->peer;

	for (size_t i = 0; i < p->n_relays; i++) {
		const struct driver_relay *o = &p->relays[i];

		if (is_there(o) && preference(o->url.transport) > preference(r->url.transport))
			return false;
	}
	return r->client != NULL;
}

static bool uses(const struct driver_relay *r, const struct addr *local)
{
	return addr_equal(local, &r->relayed[0]) || addr_equal(local, &r->relayed[1]);
}

static bool in_use(const struct driver_relay *r)
{
	return r->link || r->resolve || loop_timer_running(&r->head_start);
}

static void gathered(struct driver_relay *r)
{
	if (!r->gathering)
		return;
	r->gathering = false;
	driver_gathered(r->peer);
}

static void drop_addresses(struct driver_relay *r)
{
	for (size_t i = 0; i < ARRAY_LEN(r->relayed); i++) {
		if (r->relayed[i].family != ADDR_NONE)
			peer_remove_local(r->peer->core, usec_monotonic(), &r->relayed[i],
					  DGRAM_UDP);
		r->relayed[i] = (struct addr){ 0 };
	}
}

/* The link and what was on it; the server's name and addresses stay. */
static void end_link(struct driver_relay *r)
{
	loop_timer_stop(&r->timer);
	drop_addresses(r);
	turn_client_destroy(r->client);
	r->client = NULL;
	relay_link_destroy(r->link);
	r->link = NULL;
}

/* The direct way is there: the same through the proxy need not be, unless it carries data. */
static void drop_twin(struct driver_relay *r)
{
	struct driver_relay *twin = r + 1;
	struct ice_path path;

	peer_path(r->peer->core, &path);
	if (!in_use(twin) || (path.local_type == ICE_RELAY && uses(twin, &path.local)))
		return;
	stop(twin);
	driver_server_failed(twin->server, FL_SERVER_UNUSED, 0, "the direct way is there");
	gathered(twin);
}

/* The direct way is not to be had: its twin need not wait. */
static void hurry_twin(struct driver_relay *r)
{
	if (r->has_twin && loop_timer_running(&r[1].head_start))
		(void)loop_timer_after(&r[1].head_start, 0);
}

/* So that the other side's checks come through, whenever it begins with them; one relay is enough
 * for that. Private addresses of the other side are beyond any relay. */
static void permit(struct driver_relay *r)
{
	struct addr targets[TURN_CLIENT_PEERS_MAX];
	size_t n = is_best(r) ? peer_relay_targets(r->peer->core, targets, ARRAY_LEN(targets)) : 0;

	for (size_t i = 0; i < n; i++)
		if (turn_client_permit(r->client, usec_monotonic(), &targets[i]) < 0)
			continue; /* another family, or too many */
}

static void allocated(struct driver_relay *r, const struct turn_client_event *e)
{
	r->fails = 0;
	for (size_t i = 0; i < ARRAY_LEN(r->relayed); i++) {
		struct peer_local local = { .ice = { .type = ICE_RELAY,
						     .addr = e->relayed[i],
						     .related = e->mapped,
						     .preference = preference(r->url.transport) } };

		if (r->by_proxy)
			local.ice.preference -= BY_PROXY;
		text_copy(local.origin, sizeof(local.origin), r->name);
		if (e->relayed[i].family == ADDR_NONE)
			continue;
		if (peer_add_local(r->peer->core, usec_monotonic(), &local) == 0)
			r->relayed[i] = e->relayed[i];
	}
	driver_server_answered(r->server, &e->mapped);
	permit(r);
	gathered(r);
	if (r->has_twin)
		drop_twin(r);
}

static void note_failure(struct driver_relay *r, const struct turn_client_failure *f)
{
	if (f->code)
		driver_server_refused(r->server, f->code, f->reason);
	else
		driver_server_failed(r->server, FL_SERVER_SILENT, 0, f->reason);
}

/* False: the client is gone. */
static bool take_event(struct driver_relay *r, const struct turn_client_event *e)
{
	switch (e->type) {
	case TURN_CLIENT_ALLOCATED:
		allocated(r, e);
		return true;
	case TURN_CLIENT_FAILED:
		note_failure(r, &e->failure);
		try_next(r);
		return false;
	case TURN_CLIENT_REDIRECTED:
		driver_server_failed(r->server, FL_SERVER_REFUSED, STUN_TRY_ALTERNATE,
				     "sends us to another server");
		try_next(r);
		return false;
	case TURN_CLIENT_CLOSED:
		try_next(r);
		return false;
	case TURN_CLIENT_CHANGED:
	case TURN_CLIENT_ICMP:
	case TURN_CLIENT_MOVED:
	case TURN_CLIENT_CREDENTIALS:
		return true;
	}
	return true;
}

static void send_outputs(struct driver_relay *r)
{
	struct span message;

	while (turn_client_next_output(r->client, &message))
		relay_link_send(r->link, message, (struct span){ 0 }, 0);
	(void)loop_timer_at(&r->timer, turn_client_deadline(r->client));
}

/* The client's outputs and events; r->client may be gone after it. */
static void pump(struct driver_relay *r)
{
	struct turn_client_event e;

	send_outputs(r);
	while (r->client && turn_client_next_event(r->client, &e))
		if (!take_event(r, &e))
			return;
	if (r->client)
		(void)loop_timer_at(&r->timer, turn_client_deadline(r->client));
}

static void on_timer(void *arg)
{
	struct driver_relay *r = arg;

	turn_client_timeout(r->client, usec_monotonic());
	pump(r);
	driver_flush(r->peer);
}

static void on_open(void *arg)
{
	struct driver_relay *r = arg;
	struct turn_client_config config = {
		.stream = turn_transport_is_stream(r->url.transport),
		.v4 = true,
		.v6 = true,
		.mobility = true,
		.server = r->addrs[r->next - 1],
		.username = r->username,
		.password = r->password,
	};

	r->client = turn_client_create(&config, rng_system());
	if (!r->client || turn_client_start(r->client, usec_monotonic()) < 0) {
		try_next(r);
		return;
	}
	pump(r);
}

static void on_message(void *arg, struct span message)
{
	struct driver_relay *r = arg;
	struct turn_client_data data;
	usec_t now = usec_monotonic();

	if (!r->client)
		return;
	if (turn_client_input(r->client, now, message, &data)) {
		int family = data.peer.family == ADDR_V6;
		struct dgram d = { r->relayed[family], data.peer, data.payload, DGRAM_UDP };

		if (d.local.family != ADDR_NONE && peer_input(r->peer->core, now, &d) < 0)
			return;
	}
	pump(r);
	driver_flush_later(r->peer);
}

/* The first sentence: the report has no room for the remedy. */
static void note_proxy(struct driver_relay *r)
{
	const char *text = relay_link_error_text(r->link), *end = strstr(text, ". ");
	char first[200];

	(void)text_copy_span(first, sizeof(first),
			     span_of(text, end ? (size_t)(end - text) : strlen(text)));
	driver_server_failed(r->server, FL_SERVER_FAILED, 0, first);
}

static void on_close(void *arg, int err)
{
	struct driver_relay *r = arg;

	if (err == FL_EPROXY)
		note_proxy(r);
	else
		driver_server_broken(r->server, err);
	try_next(r);
	driver_flush(r->peer);
}

static const struct relay_link_handler link_handler = {
	.on_open = on_open,
	.on_message = on_message,
	.on_close = on_close,
};

/* The one that answered is tried first the next time. */
static void keep_address(struct driver_relay *r)
{
	struct addr good = r->next ? r->addrs[r->next - 1] : r->addrs[0];

	if (!r->client || !r->next)
		return;
	r->addrs[r->next - 1] = r->addrs[0];
	r->addrs[0] = good;
}

static void resolve(struct driver_relay *r)
{
	r->next = r->n_addrs = 0;
	r->known = false;
	if (resolve_start(r->peer->loop, r->url.host, r->url.port, on_resolved, r, &r->resolve) <
	    0) {
		driver_server_broken(r->server, -ENOMEM);
		gathered(r);
	}
}

/* The next address of the server; when there is none, this relay is not to be had now. */
static void try_next(struct driver_relay *r)
{
	end_link(r);
	while (r->next < r->n_addrs) {
		const struct relay_link_to to = { .server = r->addrs[r->next++],
						  .proxy = r->by_proxy ? r->peer->proxy : NULL,
						  .dscp = r->peer->rules.dscp,
						  .ports = r->peer->rules.ports };
		int err = relay_link_create(r->peer->loop, &r->url, &to, &link_handler, r,
					    &r->link);

		if (err == 0)
			return;
		driver_server_broken(r->server, err);
	}
	if (r->known) { /* the name may mean others by now */
		resolve(r);
		return;
	}
	r->not_before = usec_add(usec_monotonic(),
				 usec_min(AGAIN_FIRST_US << FL_MIN(r->fails, 8u), AGAIN_MAX_US));
	r->fails++;
	gathered(r);
	hurry_twin(r);
}

static void on_resolved(void *arg, int err, const char *why, const struct addr *addrs, size_t n)
{
	struct driver_relay *r = arg;

	r->resolve = NULL;
	if (err == 0) {
		r->n_addrs = FL_MIN(n, ARRAY_LEN(r->addrs));
		memcpy(r->addrs, addrs, r->n_addrs * sizeof(*addrs));
	} else {
		driver_server_failed(r->server, FL_SERVER_FAILED, 0, why);
	}
	try_next(r);
	driver_flush(r->peer);
}

/* The proxy finds the server by its name. */
static void on_head_start(void *arg)
{
	struct driver_relay *r = arg;

	driver_server_asking(r->server);
	r->addrs[0] = (struct addr){ 0 };
	r->n_addrs = 1;
	try_next(r);
	driver_flush(r->peer);
}

static void start(struct driver_relay *r)
{
	r->gathering = true;
	r->peer->n_gathering++;
	r->next = 0;
	r->known = !r->by_proxy && r->n_addrs > 0;
	if (r->by_proxy && loop_timer_after(&r->head_start, HEAD_START_US) == 0)
		return;
	driver_server_asking(r->server);
	if (r->known)
		try_next(r);
	else
		resolve(r);
}

static void stop(struct driver_relay *r)
{
	resolve_cancel(r->resolve);
	r->resolve = NULL;
	loop_timer_stop(&r->head_start);
	if (r->client) { /* gives the allocation back; nobody waits for the answer */
		turn_client_close(r->client, usec_monotonic());
		send_outputs(r);
		relay_link_flush(r->link);
	}
	keep_address(r);
	end_link(r);
}

/* Another route has carried the session for a while: what it does not use can go. */
static void on_release(void *arg)
{
	struct fl_peer *p = arg;
	struct ice_path path;

	peer_path(p->core, &path);
	if (path.level != ICE_PATH_SELECTED || peer_suspicious(p->core)) {
		(void)loop_timer_after(&p->relays_timer, KEEP_US);
		return;
	}
	for (size_t i = 0; i < p->n_relays; i++) {
		struct driver_relay *r = &p->relays[i];
		bool carries = uses(r, &path.local);

		if (in_use(r) && !carries && path.remote_type != ICE_RELAY)
			stop(r);
	}
	driver_flush(p);
}

/* A channel for the pair that carries data. */
static void bind_path(struct fl_peer *p)
{
	struct ice_path path;

	peer_path(p->core, &path);
	if (path.level < ICE_PATH_VALID || path.local_type != ICE_RELAY)
		return;
	for (size_t i = 0; i < p->n_relays; i++) {
		struct driver_relay *r = &p->relays[i];

		if (r->client && uses(r, &path.local) &&
		    turn_client_bind(r->client, usec_monotonic(), &path.remote) == 0)
			pump(r);
	}
}

/* No allocation is asked for before it is needed; the other side is not told that these were all
 * our candidates, either. */
static void hold(struct driver_relay *r)
{
	struct fl_peer *p = r->peer;

	driver_server_failed(r->server, FL_SERVER_UNUSED, 0,
			     "the policy keeps it as the last resort");
	p->n_gathering += !p->holds_end;
	p->relays_held = p->holds_end = true;
}

static void release_end(struct fl_peer *p)
{
	if (p->holds_end) {
		p->holds_end = false;
		driver_gathered(p);
	}
}

void driver_relays_event(struct fl_peer *p, const struct fl_event *event)
{
	if (event->type == FL_EVENT_ROUTE && p->n_relays) {
		bind_path(p);
		release_end(p);
		(void)loop_timer_after(&p->relays_timer, KEEP_US);
	}
}

/* Shows the server our credentials: if it knows nothing of the allocation, it says so now and not
 * at the next refreshing in minutes. */
static void ask_alive(struct driver_relay *r)
{
	if (r->client &&
	    turn_client_set_credentials(r->client, usec_monotonic(), r->username, r->password) == 0)
		pump(r);
}

void driver_relays_watch(struct fl_peer *p)
{
	bool was = p->suspicious;
	struct ice_path path;
	usec_t now;

	p->suspicious = peer_suspicious(p->core);
	if (!p->suspicious || !p->n_relays || !peer_relay_open(p->core))
		return;
	if (!was)
		(void)loop_timer_after(&p->relays_timer, KEEP_US);
	now = usec_monotonic();
	peer_path(p->core, &path);
	for (size_t i = 0; i < p->n_relays; i++) {
		struct driver_relay *r = &p->relays[i];

		if (!in_use(r) && now >= r->not_before && !(r->by_proxy && is_there(r - 1)))
			start(r);
		else if (!was && (is_best(r) || uses(r, &path.local)))
			ask_alive(r);
	}
}

void driver_relays_permit(struct fl_peer *p)
{
	for (size_t i = 0; i < p->n_relays; i++)
		if (is_best(&p->relays[i])) {
			permit(&p->relays[i]);
			pump(&p->relays[i]);
		}
}

void driver_relays_flush(struct fl_peer *p)
{
	for (size_t i = 0; i < p->n_relays; i++)
		if (p->relays[i].link)
			relay_link_flush(p->relays[i].link);
}

void driver_relays_moved(struct fl_peer *p)
{
	for (size_t i = 0; i < p->n_relays; i++) {
		struct driver_relay *r = &p->relays[i];

		r->not_before = 0;
		r->fails = 0;
		if (r->link && !relay_link_usable(r->link)) {
			gathered(r);
			keep_address(r);
			end_link(r);
			start(r);
		} else if (r->client && r->url.transport == TURN_UDP &&
			   turn_client_moved(r->client, usec_monotonic()) == 0) {
			pump(r);
		}
	}
}

bool driver_relay_send(struct fl_peer *p, const struct dgram *d)
{
	for (size_t i = 0; i < p->n_relays; i++) {
		struct driver_relay *r = &p->relays[i];
		struct turn_client_wrap w;

		if (!r->client || !uses(r, &d->local))
			continue;
		int err = turn_client_wrap(r->client, usec_monotonic(), &d->remote, d->data.len,
					   &w);

		if (err == -EACCES)
			peer_note_error(p->core, &d->local, &d->remote, DGRAM_UDP, err);
		if (err < 0)
			return true; /* refused or full: lost */
		send_outputs(r);     /* the request for the permission goes first */
		if (r->link)
			relay_link_send(r->link, span_of(w.head, w.head_len), d->data, w.pad);
		return true;
	}
	return false;
}

static const struct driver_relay *carrier(const struct fl_peer *p)
{
	struct ice_path path;

	peer_path(p->core, &path);
	for (size_t i = 0; i < p->n_relays; i++)
		if (path.local_type == ICE_RELAY && uses(&p->relays[i], &path.local))
			return &p->relays[i];
	return NULL;
}

void driver_relays_describe(const struct fl_peer *p, struct fl_route *route)
{
	const struct driver_relay *r = route->method == FL_ROUTE_RELAYED ? carrier(p) : NULL;

	if (!r)
		return;
	text_copy(route->relay_transport, sizeof(route->relay_transport),
		  turn_transport_name(r->url.transport));
	route->relay_proxy = r->by_proxy;
}

void driver_relays_open(struct fl_peer *p)
{
	p->relays_held = false;
	for (size_t i = 0; i < p->n_relays; i++)
		if (!in_use(&p->relays[i]))
			start(&p->relays[i]);
	release_end(p);
}

static void add(struct fl_peer *p, const struct ice_url *url, const struct fl_ice_server *server,
		bool by_proxy)
{
	struct driver_relay *r = &p->relays[p->n_relays];

	*r = (struct driver_relay){ .peer = p, .url = *url, .by_proxy = by_proxy };
	text_copy(r->name, sizeof(r->name), server->url);
	r->server = driver_server_add(p, server->url, turn_transport_name(url->transport),
				      by_proxy);
	text_copy(r->username, sizeof(r->username), server->username);
	text_copy(r->password, sizeof(r->password), server->credential);
	loop_timer_init(p->loop, &r->timer, on_timer, r);
	loop_timer_init(p->loop, &r->head_start, on_head_start, r);
	if (p->n_relays++ == 0)
		loop_timer_init(p->loop, &p->relays_timer, on_release, p);
	if (peer_relay_open(p->core))
		start(r);
	else
		hold(r);
}

/* Of use only where the transport is a stream, and the proxy knows the way. */
static bool wants_twin(const struct fl_peer *p, const struct ice_url *url)
{
	return p->proxy && turn_transport_is_stream(url->transport) &&
	       p->n_relays + 1 < DRIVER_RELAYS_MAX && proxy_is_for(p->proxy, url->host);
}

int driver_relays_add(struct fl_peer *p, const struct ice_url *url,
		      const struct fl_ice_server *server)
{
	struct driver_relay *r = &p->relays[p->n_relays];
	const char *rule = driver_rules_relay(&p->rules, url->transport);
	bool twin;

	if (rule) {
		driver_server_failed(driver_server_add(p, server->url,
						       turn_transport_name(url->transport), false),
				     FL_SERVER_UNUSED, 0, rule);
		return 0;
	}
	if (p->n_relays == DRIVER_RELAYS_MAX) {
		driver_server_failed(driver_server_add(p, server->url,
						       turn_transport_name(url->transport), false),
				     FL_SERVER_UNUSED, 0, "over the limit of 16 relays");
		return FL_EQUOTA;
	}
	if (url->transport == TURN_DTLS) {
		driver_server_failed(driver_server_add(p, server->url, "udp", false),
				     FL_SERVER_UNUSED, 0, "DTLS to the relay is not spoken");
		return 0;
	}
	if (!server->username || !server->credential ||
	    strlen(server->username) > DRIVER_CREDENTIAL_MAX ||
	    strlen(server->credential) > DRIVER_CREDENTIAL_MAX)
		return -EINVAL;
	twin = wants_twin(p, url);
	add(p, url, server, false);
	if (twin)
		add(p, url, server, true);
	r->has_twin = twin;
	return 0;
}

void driver_relays_finish(struct fl_peer *p)
{
	for (size_t i = 0; i < p->n_relays; i++) {
		stop(&p->relays[i]);
		ct_wipe(p->relays[i].password, sizeof(p->relays[i].password));
	}
	if (p->n_relays)
		loop_timer_stop(&p->relays_timer);
}
