#include "relay/settings.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/text.h"
#include "io/ifaces.h"
#include "relay/settings_options.h"

#define CERT_SOON_S (14 * 24 * 3600)

static const char *const tls_alpn[] = { "stun.turn", "stun.nat-discovery", NULL }; /* RFC 7443 */
static const char *const wss_alpn[] = { "http/1.1", NULL };

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static bool needs_certificate(const struct settings *s)
{
	for (size_t i = 0; i < s->n_listeners; i++)
		if (s->listeners[i].transport != TURN_UDP && s->listeners[i].transport != TURN_TCP)
			return true;
	return false;
}

/* ---- listeners ---- */

/* Nobody asked for IPv6, so a machine without it is fine. */
static bool has_v6(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	FL_CLEANUP(fl_closep) int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;
}

static void default_listeners(struct settings *s, bool certificate)
{
	static const struct {
		enum turn_transport transport;
		uint16_t port;
		bool certificate;
	} each[] = {
		{ TURN_UDP, TURN_PORT, false },
		{ TURN_TCP, TURN_PORT, false },
		{ TURN_TLS, TURNS_PORT, true },
		{ TURN_DTLS, TURNS_PORT, true },
	};
	enum addr_family last = has_v6() ? ADDR_V6 : ADDR_V4;

	for (size_t i = 0; i < ARRAY_LEN(each); i++)
		for (enum addr_family f = ADDR_V4; f <= last; f++)
			if (certificate || !each[i].certificate)
				s->listeners[s->n_listeners++] = (struct settings_listener){
					.transport = each[i].transport,
					.at = { .family = f, .port = each[i].port },
					.inherited = -1,
				};
}

/* A socket's name says what it is for: "tls", "wss+proxy"; else a stream is tcp, a datagram udp. */
static void listener_of_socket(struct sd_socket *from, struct settings_listener *l)
{
	size_t len = strcspn(from->name, "+");

	*l = (struct settings_listener){ .at = from->at, .inherited = from->fd };
	from->fd = -1;
	l->transport = from->type == SOCK_DGRAM ? TURN_UDP : TURN_TCP;
	for (int t = 0; t < TURN_TRANSPORTS; t++)
		if (strlen(turn_transport_name((enum turn_transport)t)) == len &&
		    strncmp(from->name, turn_transport_name((enum turn_transport)t), len) == 0 &&
		    turn_transport_is_stream((enum turn_transport)t) == (from->type == SOCK_STREAM))
			l->transport = (enum turn_transport)t;
	l->proxy_protocol = strcmp(from->name + len, "+proxy") == 0 && from->type == SOCK_STREAM;
}

static int take_inherited(struct settings *s, struct sd_sockets *from, struct opt_error *error)
{
	const struct settings_options *o = s->options;

	for (size_t i = 0; i < from->n; i++)
		if (from->at[i].dual) {
			snprintf(error->text, sizeof(error->text),
				 "the socket \"%.64s\" from systemd takes IPv4 on an IPv6 address; "
				 "set "
				 "BindIPv6Only=ipv6-only in its unit and list IPv4 apart",
				 from->at[i].name);
			return FL_EUNSUPPORTED;
		}
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct settings_listener *l = &s->listeners[i];
		bool stream = turn_transport_is_stream(l->transport);

		l->inherited = sd_sockets_claim(from, stream ? SOCK_STREAM : SOCK_DGRAM, &l->at);
	}
	for (size_t i = 0; i < from->n && o->n_listeners == 0; i++)
		if (from->at[i].fd >= 0 && s->n_listeners < SETTINGS_LISTENERS_MAX)
			listener_of_socket(&from->at[i], &s->listeners[s->n_listeners++]);
	for (size_t i = 0; i < from->n; i++) {
		char text[ADDR_TEXT_MAX];

		if (from->at[i].fd >= 0)
			log_warn("socket-unused", "name=%s address=%s why=\"no --listen has it\"",
				 from->at[i].name, addr_format(&from->at[i].at, text));
	}
	sd_sockets_close(from);
	return 0;
}

static int set_listeners(struct settings *s, struct sd_sockets *inherited, struct opt_error *error)
{
	const struct settings_options *o = s->options;
	int err = 0;

	memcpy(s->listeners, o->listeners, sizeof(s->listeners));
	s->n_listeners = o->n_listeners;
	if (inherited && inherited->n)
		err = take_inherited(s, inherited, error);
	if (err == 0 && s->n_listeners == 0)
		default_listeners(s, o->cert != NULL);
	return err;
}

/* ---- the relayed addresses ---- */

/* How good an address is to be found at; 0: not at all. */
static int worth(const struct iface *i)
{
	if (i->temporary || i->deprecated)
		return 0;
	switch (addr_range(&i->addr)) {
	case ADDR_PUBLIC:
		return 5;
	case ADDR_PRIVATE:
		return i->virtual_link ? 2 : 4;
	case ADDR_RESERVED:
		return 3;
	case ADDR_LOOPBACK:
		return 1;
	case ADDR_UNSPECIFIED:
	case ADDR_LINK_LOCAL:
	case ADDR_MULTICAST:
		return 0;
	}
	return 0;
}

/* The best of each family, but no private one beside a public one, and no loopback beside either.
 */
static void find_relay_addresses(struct settings *s)
{
	struct iface all[IFACES_MAX];
	int n = ifaces_list(all, ARRAY_LEN(all)), best[2] = { 0 };

	for (int i = 0; i < n; i++) {
		size_t k = all[i].addr.family == ADDR_V6;
		int w = worth(&all[i]);

		if (w <= best[k])
			continue;
		best[k] = w;
		s->relay[k] = (struct settings_relay_address){ all[i].addr, all[i].addr, true };
	}
	for (size_t k = 0; k < 2; k++)
		if ((best[!k] == 5 && best[k] < 5) || (best[!k] > 1 && best[k] == 1))
			s->relay[k] = (struct settings_relay_address){ 0 };
}

static bool relays(const struct settings *s)
{
	return s->relay[0].told.family || s->relay[1].told.family;
}

/* What a restart alone can change. */
static int set_frozen(struct settings *s, struct sd_sockets *inherited, struct opt_error *error)
{
	const struct settings_options *o = s->options;
	int err = set_listeners(s, inherited, error);

	if (err < 0)
		return err;
	memcpy(s->relay, o->relay, sizeof(s->relay));
	if (!relays(s)) /* also without users: a reload may bring some */
		find_relay_addresses(s);
	s->port_first = (uint16_t)o->port_first;
	s->port_last = (uint16_t)o->port_last;
	s->lifetime_max_s = (unsigned)o->lifetime_max_s;
	s->tcp_relay = o->tcp_relay;
	s->mobility = o->mobility;
	s->threads = (unsigned)o->threads;
	s->busy_poll_us = (unsigned)o->busy_poll_us;
	s->metrics = o->metrics;
	s->xdp_interface = copy(o->xdp);
	s->software = o->software ? strdup("Fairlead/" FAIRLEAD_VERSION) : NULL;
	return (o->xdp && !s->xdp_interface) || (o->software && !s->software) ? -ENOMEM : 0;
}

static int keep_frozen(struct settings *s, const struct settings *before)
{
	memcpy(s->listeners, before->listeners, sizeof(s->listeners));
	s->n_listeners = before->n_listeners;
	memcpy(s->relay, before->relay, sizeof(s->relay));
	s->port_first = before->port_first;
	s->port_last = before->port_last;
	s->lifetime_max_s = before->lifetime_max_s;
	s->tcp_relay = before->tcp_relay;
	s->mobility = before->mobility;
	s->threads = before->threads;
	s->busy_poll_us = before->busy_poll_us;
	s->metrics = before->metrics;
	s->xdp_interface = copy(before->xdp_interface);
	s->software = copy(before->software);
	return (before->xdp_interface && !s->xdp_interface) || (before->software && !s->software)
		       ? -ENOMEM
		       : 0;
}

/* ---- the rest ---- */

static void own_address(struct turn_peers *p, const struct addr *a)
{
	struct turn_network n = { .base = *a, .bits = a->family == ADDR_V4 ? 32 : 128 };

	if (a->family == ADDR_NONE || addr_range(a) == ADDR_UNSPECIFIED)
		return;
	n.base.port = 0;
	n.base.scope = 0;
	for (size_t i = 0; i < p->n_own; i++)
		if (addr_ip_equal(&p->own[i].base, &n.base))
			return;
	if (p->n_own < TURN_PEERS_NETWORKS_MAX)
		p->own[p->n_own++] = n;
}

/* Where other clients of this relay are peers. */
static void relayed_address(struct turn_peers *p, const struct addr *a)
{
	if (a->family != ADDR_NONE)
		p->relayed[p->n_relayed++] = *a;
}

static int set_peers(struct settings *s)
{
	const struct settings_options *o = s->options;
	struct turn_peers *p = calloc(1, sizeof(*p));
	struct iface all[TURN_PEERS_NETWORKS_MAX];
	int n = ifaces_list(all, ARRAY_LEN(all));

	if (!p)
		return -ENOMEM;
	s->peers = p;
	memcpy(p->allow, o->allow, sizeof(p->allow));
	memcpy(p->deny, o->deny, sizeof(p->deny));
	p->n_allow = o->n_allow;
	p->n_deny = o->n_deny;
	for (size_t i = 0; i < s->n_listeners; i++)
		own_address(p, &s->listeners[i].at);
	for (size_t i = 0; i < SETTINGS_RELAY_ADDRESSES_MAX; i++) {
		own_address(p, &s->relay[i].told);
		own_address(p, &s->relay[i].bound);
		relayed_address(p, &s->relay[i].told);
		relayed_address(p, &s->relay[i].bound);
	}
	p->relayed_first = s->port_first;
	p->relayed_last = s->port_last;
	for (int i = 0; i < n; i++)
		own_address(p, &all[i].addr);
	return 0;
}

static int set_auth(struct settings *s)
{
	const struct settings_options *o = s->options;
	struct turn_auth_config c = { .realm = o->realm, .n_users = o->n_users };
	struct turn_auth_user *users;
	int err;

	if (o->n_users == 0 && o->n_secrets == 0)
		return 0;
	users = calloc(o->n_users + 1, sizeof(*users));
	if (!users)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_users; i++)
		users[i] = (struct turn_auth_user){ o->users[i].name, o->users[i].password };
	c.users = users;
	for (size_t i = 0; i < o->n_secrets; i++)
		c.secrets[i] = o->secrets[i];
	memcpy(c.nonce_key, o->nonce_key, sizeof(c.nonce_key));
	err = turn_auth_create(&c, &s->auth);
	free(users);
	return err;
}

static void warn_expiry(const struct settings *s)
{
	int64_t left = s->cert_until_s - (int64_t)(usec_realtime() / USEC_PER_SEC);

	if (left <= 0)
		log_warn("certificate-expired", "file=%s hours_ago=%lld", s->cert_file,
			 (long long)(-left / 3600));
	else if (left < CERT_SOON_S)
		log_warn("certificate-expires", "file=%s in_hours=%lld", s->cert_file,
			 (long long)(left / 3600));
}

static int set_tls(struct settings *s, struct opt_error *error)
{
	const struct settings_options *o = s->options;
	char why[256];
	int err;

	if (!o->cert && needs_certificate(s))
		settings_fail(o, error, "cert",
			      "is missing; tls, dtls and wss listeners need a "
			      "certificate and its --key");
	else if (!o->cert != !o->key)
		settings_fail(o, error, o->cert ? "cert" : "key",
			      "belongs together with --%s, which is missing",
			      o->cert ? "key" : "cert");
	if (error->text[0] || !o->cert)
		return error->text[0] ? FL_EMALFORMED : 0;
	err = tls_server_create(o->cert, o->key, tls_alpn, &s->tls, why);
	if (err == 0)
		err = tls_server_create(o->cert, o->key, wss_alpn, &s->wss, why);
	if (err == 0 && tls_certificate_until(o->cert, &s->cert_until_s) < 0)
		s->cert_until_s = 0;
	if (err < 0) {
		settings_fail(o, error, "cert", "%s", why);
		return err;
	}
	warn_expiry(s);
	s->cert_file = copy(o->cert);
	s->key_file = copy(o->key);
	return s->cert_file && s->key_file ? 0 : -ENOMEM;
}

/* ---- checks across options ---- */

/* Names with commas between them. */
static void check_interfaces(const struct settings_options *o, struct opt_error *error)
{
	const char *name = o->xdp;

	while (name) {
		size_t len = strcspn(name, ",");
		char one[IF_NAMESIZE] = "";

		if (len < sizeof(one))
			memcpy(one, name, len);
		if (if_nametoindex(one) == 0)
			settings_fail(o, error, "xdp", "there is no network interface \"%.*s\"",
				      (int)FL_MIN(len, (size_t)IF_NAMESIZE), name);
		name = name[len] ? name + len + 1 : NULL;
	}
}

/* Otherwise each allocation would fail, one by one. */
static void check_relay_address(const struct settings_options *o,
				const struct settings_relay_address *a, struct opt_error *error)
{
	char text[ADDR_TEXT_MAX], hint[160] = "";
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&a->bound, &ss);

	if (a->bound.family == ADDR_NONE)
		return;
	FL_CLEANUP(fl_closep) int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0)
		return;
	if (fd < 0 || errno != EADDRNOTAVAIL) {
		settings_fail(o, error, "relay-address", "%s cannot be used: %s",
			      addr_format_ip(&a->bound, text), strerror(errno));
		return;
	}
	addr_format_ip(&a->bound, text);
	if (addr_ip_equal(&a->told, &a->bound))
		snprintf(hint, sizeof(hint), "; behind a 1:1 NAT name both: %s=LOCAL", text);
	settings_fail(o, error, "relay-address", "no interface of this machine has %s%s", text,
		      hint);
}

static void check(const struct settings_options *o, struct opt_error *error)
{
	if (o->port_first > o->port_last)
		settings_fail(o, error, "min-port", "%lld is above --max-port %lld",
			      (long long)o->port_first, (long long)o->port_last);
	if (!*o->realm || strlen(o->realm) > TURN_AUTH_REALM_MAX ||
	    !text_utf8_valid(span_str(o->realm)) || strpbrk(o->realm, "\"\\:"))
		settings_fail(o, error, "realm",
			      "is empty, longer than %d bytes, no UTF-8, or has a quote, backslash "
			      "or colon",
			      TURN_AUTH_REALM_MAX);
	check_interfaces(o, error);
}

/* What a running relay has already must not keep it from a reload. */
static void check_start(const struct settings_options *o, struct opt_error *error)
{
	for (size_t i = 0; i < SETTINGS_RELAY_ADDRESSES_MAX; i++)
		check_relay_address(o, &o->relay[i], error);
}

static int make(struct settings_options *o, struct sd_sockets *inherited,
		const struct settings *before, struct settings **out, struct opt_error *error)
{
	struct settings *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	s->options = settings_options_ref(o);
	s->started = settings_options_ref(before ? before->started : o);
	s->asked = o->asked;
	s->check_config = o->check_config;
	s->log_level = (enum log_level)o->log_level;
	s->per_user = o->per_user;
	s->total = o->total;
	s->drain_s = (unsigned)o->drain_s;
	s->realm = copy(o->realm);
	check(o, error);
	if (!before)
		check_start(o, error);
	err = before ? keep_frozen(s, before) : set_frozen(s, inherited, error);
	if (err == 0)
		err = set_peers(s);
	if (err == 0 && !error->text[0])
		err = set_auth(s);
	if (err == 0)
		err = set_tls(s, error);
	if (err == 0 && s->auth && !relays(s)) {
		settings_fail(o, error, "relay-address",
			      "is missing: this machine has no address to relay from");
		err = FL_EMALFORMED;
	}
	if (err == 0 && error->text[0])
		err = FL_EMALFORMED;
	if (err == 0 && !s->realm)
		err = -ENOMEM;
	if (err < 0 && !error->text[0])
		snprintf(error->text, sizeof(error->text), "%s", err_text(err));
	if (err < 0)
		settings_unref(s);
	else
		*out = s;
	return err;
}

int settings_read(int argc, char **argv, struct sd_sockets *inherited, struct settings **out,
		  struct opt_error *error)
{
	struct settings_options *o;
	int err = settings_options_read(argc, argv, &o, error);

	if (err < 0)
		return err;
	rng_bytes(rng_system(), o->nonce_key, sizeof(o->nonce_key));
	if (opt_is_asked(&o->asked)) {
		*out = calloc(1, sizeof(**out));
		err = *out ? 0 : -ENOMEM;
		if (err == 0) {
			atomic_init(&(*out)->refs, 1);
			(*out)->asked = o->asked;
		}
	} else {
		err = make(o, inherited, NULL, out, error);
	}
	settings_options_read_done(o);
	settings_options_unref(o);
	return err;
}

int settings_reread(const struct settings *before, int argc, char **argv, struct settings **out,
		    char *frozen, size_t frozen_cap, struct opt_error *error)
{
	struct settings_options *o;
	int err = settings_options_read(argc, argv, &o, error);

	if (err < 0)
		return err;
	memcpy(o->nonce_key, before->options->nonce_key, sizeof(o->nonce_key));
	err = make(o, NULL, before, out, error);
	if (err == 0)
		settings_frozen_difference(before, *out, frozen, frozen_cap);
	settings_options_read_done(o);
	settings_options_unref(o);
	return err;
}

int settings_renew(const struct settings *before, struct settings **out, struct opt_error *error)
{
	error->text[0] = 0;
	return make(before->options, NULL, before, out, error);
}

struct settings *settings_ref(struct settings *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void settings_unref(struct settings *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	turn_auth_destroy(s->auth);
	free(s->peers);
	tls_context_unref(s->tls);
	tls_context_unref(s->wss);
	settings_options_unref(s->options);
	settings_options_unref(s->started);
	free(s->realm);
	free(s->software);
	free(s->cert_file);
	free(s->key_file);
	free(s->xdp_interface);
	free(s);
}

/* ---- what a reload cannot change ---- */

static bool same_listeners(const struct settings *now, const struct settings_options *a,
			   const struct settings_options *b)
{
	if (a->n_listeners != b->n_listeners)
		return false;
	/* the default has more of them with a certificate; systemd's sockets are what they are */
	if (a->n_listeners == 0)
		return !a->cert == !b->cert || now->listeners[0].inherited >= 0;
	for (size_t i = 0; i < a->n_listeners; i++)
		if (a->listeners[i].transport != b->listeners[i].transport ||
		    a->listeners[i].proxy_protocol != b->listeners[i].proxy_protocol ||
		    !addr_equal(&a->listeners[i].at, &b->listeners[i].at))
			return false;
	return true;
}

static bool same_relay(const struct settings_options *a, const struct settings_options *b)
{
	for (size_t i = 0; i < SETTINGS_RELAY_ADDRESSES_MAX; i++)
		if (!addr_equal(&a->relay[i].told, &b->relay[i].told) ||
		    !addr_equal(&a->relay[i].bound, &b->relay[i].bound))
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

const char *settings_frozen_difference(const struct settings *now, const struct settings *next,
				       char *buf, size_t cap)
{
	const struct settings_options *a = now->started, *b = next->options;
	const struct {
		const char *name;
		bool same;
	} all[] = {
		{ "listen", same_listeners(now, a, b) },
		{ "relay-address", same_relay(a, b) },
		{ "min-port", a->port_first == b->port_first },
		{ "max-port", a->port_last == b->port_last },
		{ "max-lifetime", a->lifetime_max_s == b->lifetime_max_s },
		{ "tcp-relay", a->tcp_relay == b->tcp_relay },
		{ "mobility", a->mobility == b->mobility },
		{ "software", a->software == b->software },
		{ "metrics", addr_equal(&a->metrics, &b->metrics) },
		{ "threads", a->threads == b->threads },
		{ "busy-poll", a->busy_poll_us == b->busy_poll_us },
		{ "xdp", same_text(a->xdp, b->xdp) },
	};
	size_t at = 0;

	buf[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!all[i].same && at < cap)
			at += (size_t)snprintf(buf + at, cap - at, "%s%s", at ? ", " : "",
					       all[i].name);
	return buf;
}
