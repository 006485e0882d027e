/*
 * The whole TURN core, two workers of it, driven by a script: first one byte of options, then steps
 * of an opcode and what it needs. Requests are put together from the script and sealed with good
 * credentials, or there would be nothing behind authentication to reach; raw bytes go in as well.
 * The harness is the driver too, and keeps its own books of what must be true.
 */
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "proto/turn/turn_attr.h"
#include "proto/turn/turn_server.h"

#define WORKERS 2
#define CLIENTS 6
#define PEERS 8
#define ALLOCS_MAX 12
#define CONNECTIONS_MAX 64
#define TICKETS 2
#define STEPS_MAX 150
#define SEC USEC_PER_SEC
#define UNIX_START 1900000000
#define REALM "r"
#define PREFIX_ALLOWANCE 700

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A macro, so that static analysis sees what holds after it. */
#define check(ok)                                                                                  \
	do {                                                                                       \
		if (!(ok))                                                                         \
			__builtin_trap();                                                          \
	} while (0)

/* An allocation as the driver knows it. */
struct held {
	struct turn_alloc *alloc; /* NULL: free */
	unsigned worker;
	usec_t permitted[PEERS]; /* until when, by our own books */
};

struct connection {
	uint32_t id;
	struct held *held; /* NULL: free */
	bool connecting;
};

struct run {
	struct reader script;
	struct turn_server *s[WORKERS];
	struct rng rng;
	usec_t now;
	bool lazy; /* events are taken now and then only */
	bool denied;
	struct held held[ALLOCS_MAX];
	struct connection connections[CONNECTIONS_MAX];
	uint8_t tickets[TICKETS][64];
	size_t ticket_lens[TICKETS], n_tickets;
	uint32_t last_id;
	/* what messages brought and unproved ones got in this second, by client */
	usec_t second;
	size_t brought[CLIENTS], got[CLIENTS];
	/* the message under way */
	unsigned client, worker;
	bool proved;
	uint8_t tid[STUN_TID_LEN];
	uint16_t method;
	struct addr asked[8]; /* XOR-PEER-ADDRESS */
	size_t n_asked;
	uint8_t message[1024];
};

/* ---- what is the same in every run ---- */

static struct turn_auth *auth;
static struct turn_limit *limits[WORKERS];
static struct turn_peers peers[2];
static struct addr peer_at[PEERS];
static struct turn_flow flows[CLIENTS];
static struct stun_behaviour behaviour;
static uint8_t keys[3][32];
static size_t key_lens[3];
static char timed_user[32];
static usec_t epoch = 1000 * SEC; /* of the next run: limits begin afresh with each second */

static const char *const peer_texts[PEERS] = {
	"1.2.3.4:5000", "1.2.3.4:5001",		 "1.2.3.5:5000", "[2600::1]:9",
	"10.0.0.1:80",	"[::ffff:1.2.3.4]:5000", "1.2.3.6:0",	 "[2600::2]:10",
};

static const char *const client_texts[CLIENTS] = {
	"8.1.1.1:1000", "8.1.2.1:1000", "[2601:1::1]:1000",
	"8.1.3.1:1000", "8.1.4.1:1000", "8.1.1.1:1001",
};

static const enum turn_transport client_transports[CLIENTS] = {
	TURN_UDP, TURN_UDP, TURN_UDP, TURN_TCP, TURN_TLS, TURN_DTLS,
};

static void address(const char *text, struct addr *out)
{
	check(addr_parse(text, out) == 0);
}

static void set_up_credentials(void)
{
	static const struct turn_auth_user users[] = { { "anna", "a" }, { "bert", "b" } };
	struct turn_auth_config config = {
		.realm = REALM,
		.users = users,
		.n_users = 2,
		.secrets = { "secret" },
	};
	char password[TURN_AUTH_PASSWORD_LEN];
	struct writer w = writer_of(timed_user, sizeof(timed_user) - 1);

	check(turn_auth_create(&config, &auth) == 0);
	key_lens[0] = turn_auth_key("anna", REALM, "a", false, keys[0]);
	key_lens[1] = turn_auth_key("bert", REALM, "b", false, keys[1]);
	writer_fmt(&w, "%u:anna", UNIX_START + 900);
	turn_auth_password("secret", timed_user, password);
	key_lens[2] = turn_auth_key(timed_user, REALM, password, false, keys[2]);
}

static void set_up(void)
{
	struct turn_limit_config limit = { .prefix_bytes = PREFIX_ALLOWANCE,
					   .prefix_bytes_per_s = PREFIX_ALLOWANCE,
					   .all_bytes = 2000,
					   .all_bytes_per_s = 2000 };
	struct rng rng;

	rng_seed(&rng, 7);
	set_up_credentials();
	for (int i = 0; i < WORKERS; i++)
		check((limits[i] = turn_limit_create(&limit, &rng)) != NULL);
	for (int i = 0; i < PEERS; i++)
		address(peer_texts[i], &peer_at[i]);
	check(turn_network_parse("1.2.3.4", &peers[1].deny[0]) == 0);
	peers[1].n_deny = 1;
	for (int i = 0; i < CLIENTS; i++) {
		flows[i].transport = client_transports[i];
		address(client_texts[i], &flows[i].client);
		address("9.9.9.9:3478", &flows[i].server);
	}
	address("9.9.9.9:3478", &behaviour.at[0][0]);
	address("9.9.9.9:3479", &behaviour.at[0][1]);
	address("9.9.9.8:3478", &behaviour.at[1][0]);
	address("9.9.9.8:3479", &behaviour.at[1][1]);
}

static void begin(struct run *r, uint8_t options)
{
	struct turn_server_config config = {
		.relay_v4 = !(options & 1),
		.relay_v6 = !(options & 2),
		.tcp_relay = !(options & 4),
		.mobility = !(options & 8),
		.allocations_max = options & 16 ? 2 : ALLOCS_MAX / WORKERS,
		.software = "fuzz",
		.auth = auth,
		.peers = &peers[0],
		.behaviour = &behaviour,
	};

	rng_seed(&r->rng, 1);
	r->now = epoch;
	r->lazy = options & 32;
	for (unsigned i = 0; i < WORKERS; i++) {
		config.worker = i;
		config.limit = limits[i];
		r->s[i] = turn_server_create(&config, &r->rng);
		check(r->s[i] != NULL);
		turn_server_set_wall(r->s[i], (int64_t)UNIX_START * 1000000 - (int64_t)epoch);
	}
}

/* ---- books ---- */

static struct held *held_of(struct run *r, const struct turn_alloc *a)
{
	for (int i = 0; i < ALLOCS_MAX; i++)
		if (r->held[i].alloc == a)
			return &r->held[i];
	return NULL;
}

/* One of those that there are, or NULL. */
static struct held *some_held(struct run *r)
{
	unsigned n = reader_u8(&r->script);

	for (unsigned i = 0; i < ALLOCS_MAX; i++)
		if (r->held[(n + i) % ALLOCS_MAX].alloc)
			return &r->held[(n + i) % ALLOCS_MAX];
	return NULL;
}

static struct connection *connection_of(struct run *r, uint32_t id)
{
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		if (r->connections[i].held && r->connections[i].id == id)
			return &r->connections[i];
	return NULL;
}

static void keep_connection(struct run *r, struct held *h, uint32_t id, bool connecting)
{
	check(connection_of(r, id) == NULL);
	r->last_id = id;
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		if (!r->connections[i].held) {
			r->connections[i] = (struct connection){ id, h, connecting };
			return;
		}
	turn_server_disconnected(r->s[h->worker], h->alloc, id);
}

static void permitted(struct run *r, struct held *h, const struct addr *peer)
{
	for (int i = 0; i < PEERS; i++)
		if (addr_ip_equal(&peer_at[i], peer))
			h->permitted[i] = r->now + TURN_PERMISSION_S * SEC;
}

/* Whatever passes between client and peer has a permission, and the peer is not forbidden. */
static void may_pass(struct run *r, const struct turn_alloc *a, const struct addr *peer)
{
	struct held *h = held_of(r, a);
	bool found = false;

	check(h != NULL && peer->port != 0);
	check(turn_peers_check(&peers[r->denied], peer, true) == TURN_PEER_ALLOWED);
	for (int i = 0; i < PEERS; i++)
		found = found || (addr_ip_equal(&peer_at[i], peer) && h->permitted[i] > r->now);
	check(found);
	check(turn_alloc_until(a) > r->now && turn_alloc_relayed(a, peer->family));
}

static void count_bytes(struct run *r, size_t brought, size_t got)
{
	size_t prefix_brought, prefix_got;

	if (r->now / SEC != r->second) {
		memset(r->brought, 0, sizeof(r->brought));
		memset(r->got, 0, sizeof(r->got));
		r->second = r->now / SEC;
	}
	if (flows[r->client].transport != TURN_UDP)
		return;
	r->brought[r->client] += brought;
	r->got[r->client] += r->proved ? 0 : got;
	/* each worker has a limit of its own */
	prefix_brought = r->brought[r->client];
	prefix_got = r->got[r->client];
	check(prefix_got <= prefix_brought + WORKERS * 2 * PREFIX_ALLOWANCE);
}

/* ---- the driver ---- */

static void take_events(struct run *r, unsigned worker)
{
	struct turn_event e;
	struct stun_msg m;
	struct held *h;

	while (turn_server_next_event(r->s[worker], &e)) {
		h = held_of(r, e.alloc);
		check(h && h->worker == worker);
		if (e.type == TURN_EVENT_CLOSED) {
			for (int i = 0; i < CONNECTIONS_MAX; i++)
				if (r->connections[i].held == h)
					r->connections[i].held = NULL;
			memset(h, 0, sizeof(*h));
		} else if (e.type == TURN_EVENT_DISCONNECT) {
			check(r->lazy || connection_of(r, e.connection));
			if (connection_of(r, e.connection))
				connection_of(r, e.connection)->held = NULL;
		} else if (e.type == TURN_EVENT_SEND) {
			check(stun_parse(e.data, &m) == 0);
		} else if (e.type == TURN_EVENT_BINDING) {
			check(e.channel >= TURN_CHANNEL_MIN && e.channel <= TURN_CHANNEL_MAX);
			check(e.until == 0 || e.until > r->now);
			if (e.until)
				may_pass(r, e.alloc, &e.peer);
		} else if (e.type == TURN_EVENT_RELEASED) {
			check(!turn_alloc_relayed(e.alloc, e.peer.family));
		}
	}
}

/* After all events were taken. */
static void check_books(struct run *r, unsigned worker)
{
	const struct turn_server_stats *stats = turn_server_stats(r->s[worker]);
	uint64_t alive = 0;

	for (int i = 0; i < ALLOCS_MAX; i++) {
		const struct turn_alloc *a = r->held[i].alloc;

		if (!a || r->held[i].worker != worker)
			continue;
		alive++;
		check(turn_alloc_data(a) == r);
		check(turn_alloc_until(a) <= r->now + TURN_LIFETIME_MAX_S * SEC);
		if (turn_alloc_flow(a)->client.family != ADDR_NONE)
			check(turn_server_find(r->s[worker], turn_alloc_flow(a)) == a);
	}
	check(stats->allocations == alive);
}

static void let_time_pass(struct run *r, usec_t us)
{
	r->now += us;
	for (unsigned i = 0; i < WORKERS; i++) {
		turn_server_timeout(r->s[i], r->now);
		check(turn_server_deadline(r->s[i]) > r->now);
	}
}

static void relayed_address(struct run *r, struct turn_opened *o, int row)
{
	address(row ? "[2602::9]:0" : "9.9.9.9:0", &o->relayed[row]);
	o->relayed[row].port = (uint16_t)(50000 + rng_below(&r->rng, 10000));
}

static void open_alloc(struct run *r, struct turn_verdict *v)
{
	static const unsigned codes[] = { 0, 0, 0, 0, 0, 486, 508, 440 };
	uint8_t how = reader_u8(&r->script);
	struct turn_opened o = { .code = codes[how & 7], .data = r };
	struct held *h = held_of(r, NULL);

	check(v->open.v4 || v->open.v6);
	if (v->open.v4 && !(how & 8))
		relayed_address(r, &o, 0);
	if (v->open.v6 && !(how & 16))
		relayed_address(r, &o, 1);
	o.reserved = v->open.reserve_next;
	if (!h)
		o.code = 508;
	turn_server_opened(r->s[r->worker], r->now, &o, v);
	check(v->type == TURN_VERDICT_REPLY);
	if (v->alloc) {
		check(o.code == 0);
		*h = (struct held){ .alloc = v->alloc, .worker = r->worker };
	}
}

static void see_answer(struct run *r, struct span answer)
{
	struct turn_alloc *a = turn_server_find(r->s[r->worker], &flows[r->client]);
	struct stun_msg m;
	struct span s;

	if (!stun_is_message(answer))
		return; /* to a Binding request of RFC 3489 */
	check(stun_parse(answer, &m) == 0 && answer.len <= STUN_SERVER_ANSWER_MAX);
	check(memcmp(m.tid, r->tid, sizeof(m.tid)) == 0);
	check(m.class == STUN_SUCCESS || m.class == STUN_ERROR);
	if (m.class != STUN_SUCCESS || m.method == STUN_BINDING)
		return;
	check(r->proved); /* nothing is granted to strangers */
	if (stun_get(&m, TURN_MOBILITY_TICKET, &s) && s.len <= sizeof(r->tickets[0])) {
		memcpy(r->tickets[r->n_tickets % TICKETS], s.ptr, s.len);
		r->ticket_lens[r->n_tickets++ % TICKETS] = s.len;
	}
	if (m.method == TURN_CREATE_PERMISSION || m.method == TURN_CHANNEL_BIND) {
		check(a && held_of(r, a));
		for (size_t i = 0; i < r->n_asked; i++)
			permitted(r, held_of(r, a), &r->asked[i]);
	}
}

static void hand_elsewhere(struct run *r, struct span message, struct turn_verdict *v)
{
	unsigned other = v->worker;
	struct turn_alloc *moved;
	struct held *h;

	check(other != r->worker);
	if (other >= WORKERS)
		return;
	take_events(r, other);
	turn_server_foreign(r->s[other], r->now, r->worker, &flows[r->client], message, v, &moved);
	check(v->type != TURN_VERDICT_ELSEWHERE && v->type != TURN_VERDICT_OPEN);
	if (!moved)
		return;
	h = held_of(r, moved);
	check(h && h->worker == other);
	if (turn_server_attach(r->s[r->worker], r->now, moved) == 0) {
		h->worker = r->worker;
	} else {
		turn_alloc_destroy(moved);
		memset(h, 0, sizeof(*h));
	}
}

static void carry_out(struct run *r, struct span message, struct turn_verdict *v)
{
	switch (v->type) {
	case TURN_VERDICT_REPLY:
		count_bytes(r, 0, v->data.len);
		see_answer(r, v->data);
		break;
	case TURN_VERDICT_TO_PEER:
		may_pass(r, v->alloc, &v->peer);
		check(v->data.len <= message.len);
		break;
	case TURN_VERDICT_CONNECT:
		check(turn_peers_check(&peers[r->denied], &v->peer, true) == TURN_PEER_ALLOWED);
		keep_connection(r, held_of(r, v->alloc), v->connection, true);
		break;
	case TURN_VERDICT_JOIN:
		check(connection_of(r, v->connection) &&
		      connection_of(r, v->connection)->held == held_of(r, v->alloc));
		see_answer(r, v->data);
		break;
	case TURN_VERDICT_DROP:
		break;
	case TURN_VERDICT_TO_CLIENT:
	case TURN_VERDICT_OPEN:
	case TURN_VERDICT_ELSEWHERE:
		check(false);
	}
}

static void client_sends(struct run *r, struct span message)
{
	struct turn_verdict v;

	count_bytes(r, message.len, 0);
	turn_server_client(r->s[r->worker], r->now, &flows[r->client], message, &v);
	if (v.type == TURN_VERDICT_OPEN)
		open_alloc(r, &v);
	if (v.type == TURN_VERDICT_ELSEWHERE)
		hand_elsewhere(r, message, &v);
	carry_out(r, message, &v);
}

/* ---- the client ---- */

static void put_peer(struct run *r, struct stun_out *o)
{
	struct addr a = peer_at[reader_u8(&r->script) % PEERS];

	stun_put_xor_addr(o, TURN_XOR_PEER_ADDRESS, &a);
	if (r->n_asked < ARRAY_LEN(r->asked))
		r->asked[r->n_asked++] = a;
}

static uint32_t some_number(struct run *r)
{
	static const uint32_t numbers[] = { 0, 1, 30, 600, 601, 3600, 86400, UINT32_MAX };

	return numbers[reader_u8(&r->script) % ARRAY_LEN(numbers)];
}

static void put_ticket(struct run *r, struct stun_out *o)
{
	size_t n = reader_u8(&r->script) % (TICKETS + 1);

	stun_put(o, TURN_MOBILITY_TICKET,
		 n < TICKETS ? span_of(r->tickets[n], r->ticket_lens[n]) : (struct span){ 0 });
}

static void put_raw(struct run *r, struct stun_out *o)
{
	uint16_t type = reader_u16(&r->script);
	size_t len = reader_u8(&r->script) % 40;

	if (type != TURN_XOR_PEER_ADDRESS) /* our books need to know those */
		stun_put(o, type, reader_bytes(&r->script, len));
}

static void put_attribute(struct run *r, struct stun_out *o, uint8_t which)
{
	uint8_t value = which >> 4;

	switch (which & 15) {
	case 0:
		turn_put_transport(o, value == 1   ? TURN_PROTOCOL_TCP
				      : value == 2 ? 99
						   : TURN_PROTOCOL_UDP);
		break;
	case 1:
	case 2:
		put_peer(r, o);
		break;
	case 3:
		turn_put_channel(o, (uint16_t)(TURN_CHANNEL_MIN + value));
		break;
	case 4:
		stun_put_u32(o, TURN_LIFETIME, some_number(r));
		break;
	case 5:
		turn_put_family(o, TURN_REQUESTED_ADDRESS_FAMILY, value % 4);
		break;
	case 6:
		turn_put_family(o, TURN_ADDITIONAL_ADDRESS_FAMILY, 2 - value % 3);
		break;
	case 7:
		turn_put_even_port(o, value & 1);
		break;
	case 8:
		stun_put_flag(o, TURN_DONT_FRAGMENT);
		break;
	case 9:
		stun_put_u64(o, TURN_RESERVATION_TOKEN, value);
		break;
	case 10:
		stun_put_u32(o, TURN_CONNECTION_ID, r->last_id + value / 8);
		break;
	case 11:
		put_ticket(r, o);
		break;
	case 12:
		stun_put(o, TURN_DATA_ATTR, reader_bytes(&r->script, value));
		break;
	default:
		put_raw(r, o);
		break;
	}
}

/* Seals as one of the users, with a nonce of this second; or does not. */
static void seal(struct run *r, struct stun_out *o, uint8_t how)
{
	static const char *const names[] = { "anna", "bert", timed_user };
	struct stun_out challenge;
	struct stun_msg m;
	uint8_t buf[256];
	struct span nonce;
	unsigned who = how & 3;
	int len;

	if (who == 3)
		return;
	stun_begin(&challenge, buf, sizeof(buf), STUN_ERROR, TURN_ALLOCATE, r->tid);
	turn_auth_challenge(auth, &challenge, &flows[r->client].client,
			    UNIX_START + (int64_t)((r->now - epoch) / SEC) - (how & 4 ? 4000 : 0));
	len = stun_end(&challenge);
	check(len > 0 && stun_parse(span_of(buf, (size_t)len), &m) == 0);
	check(stun_get(&m, STUN_NONCE, &nonce));
	stun_put(o, STUN_USERNAME, span_str(names[who]));
	stun_put(o, STUN_REALM, span_str(REALM));
	stun_put(o, STUN_NONCE, nonce);
	stun_put_integrity(o, span_of(keys[who], how & 8 ? 8 : key_lens[who]));
	r->proved = !(how & 4);
}

static void step_request(struct run *r)
{
	static const uint16_t methods[] = {
		TURN_ALLOCATE, TURN_REFRESH,	     TURN_CREATE_PERMISSION, TURN_CHANNEL_BIND,
		TURN_CONNECT,  TURN_CONNECTION_BIND, STUN_BINDING,	     TURN_SEND,
	};
	uint8_t what = reader_u8(&r->script), how = reader_u8(&r->script);
	enum stun_class class = (what & 7) == 7 || what & 128 ? STUN_INDICATION : STUN_REQUEST;
	struct stun_out o;
	int len;

	r->method = methods[what & 7];
	if (!(how & 64)) /* else it is the id of the last */
		rng_bytes(&r->rng, r->tid, sizeof(r->tid));
	stun_begin(&o, r->message, sizeof(r->message), class, r->method, r->tid);
	for (unsigned n = what >> 3 & 7; n > 0; n--)
		put_attribute(r, &o, reader_u8(&r->script));
	if (class == STUN_REQUEST)
		seal(r, &o, how);
	if (how & 16)
		stun_put_fingerprint(&o);
	len = stun_end(&o);
	if (len > 0)
		client_sends(r, span_of(r->message, (size_t)len));
}

static void step_raw(struct run *r)
{
	size_t len = reader_u8(&r->script);
	struct span bytes = reader_bytes(&r->script, FL_MIN(len, reader_left(&r->script)));

	if (bytes.len >= 8 + STUN_TID_LEN)
		memcpy(r->tid, bytes.ptr + 8, STUN_TID_LEN);
	client_sends(r, bytes);
}

static void step_channel_data(struct run *r)
{
	uint8_t number = reader_u8(&r->script), len = reader_u8(&r->script) % 64;
	size_t more = reader_u8(&r->script) % 4;

	memset(r->message, 0, sizeof(r->message));
	turn_channel_header((uint16_t)(TURN_CHANNEL_MIN + number % 16), len, r->message);
	client_sends(r, span_of(r->message, TURN_CHANNEL_HEADER_LEN + len + more - number / 128));
}

/* ---- peers and other things that happen ---- */

static void step_peer(struct run *r)
{
	struct held *h = some_held(r);
	const struct addr *peer = &peer_at[reader_u8(&r->script) % PEERS];
	uint8_t len = reader_u8(&r->script);
	uint16_t number = 0;
	bool may;
	struct turn_verdict v;

	if (!h)
		return;
	may = turn_alloc_from_peer(h->alloc, r->now, peer, &number);
	if (len & 1)
		turn_server_peer(r->s[h->worker], r->now, h->alloc, peer, span_of(r->message, len),
				 &v);
	else
		turn_server_icmp(r->s[h->worker], r->now, h->alloc, peer, len, number & 3, 1400,
				 &v);
	check(v.type == TURN_VERDICT_DROP || v.type == TURN_VERDICT_TO_CLIENT);
	if (v.type == TURN_VERDICT_TO_CLIENT) {
		check(may);
		may_pass(r, h->alloc, peer);
	}
	if (number) {
		check(may && addr_equal(turn_alloc_channel(h->alloc, r->now, number), peer));
	}
}

static void step_connection(struct run *r)
{
	uint8_t what = reader_u8(&r->script);
	struct connection *c = &r->connections[what % CONNECTIONS_MAX];
	struct held *h = c->held;
	uint32_t id;

	if (what & 128) {
		h = some_held(r);
		if (h && turn_server_accepted(r->s[h->worker], r->now, h->alloc,
					      &peer_at[what % PEERS], &id)) {
			may_pass(r, h->alloc, &peer_at[what % PEERS]);
			keep_connection(r, h, id, false);
		}
		return;
	}
	if (!h)
		return;
	if (c->connecting && !(what & 64)) {
		unsigned code = reader_u8(&r->script) & 1 ? TURN_CONNECTION_FAILED : 0;

		c->connecting = false;
		if (code)
			c->held = NULL;
		turn_server_connected(r->s[h->worker], r->now, h->alloc, c->id, code);
	} else {
		c->held = NULL;
		turn_server_disconnected(r->s[h->worker], h->alloc, c->id);
	}
}

static void step_reload(struct run *r)
{
	r->denied = !r->denied;
	for (int w = 0; w < WORKERS; w++)
		turn_server_set(r->s[w], r->now, auth, &peers[r->denied]);
	for (int i = 0; r->denied && i < ALLOCS_MAX; i++)
		for (int p = 0; p < PEERS; p++)
			if (turn_peers_check(&peers[1], &peer_at[p], false) != TURN_PEER_ALLOWED)
				r->held[i].permitted[p] = 0;
}

static void step_time(struct run *r)
{
	static const uint16_t seconds[] = { 0,	 1,   29,  30,	31,  100,  299,	 300,
					    301, 599, 600, 601, 900, 1800, 3599, 3600 };
	uint8_t what = reader_u8(&r->script);
	usec_t next = turn_server_deadline(r->s[r->worker]);

	if (what & 16 && next != USEC_NEVER)
		let_time_pass(r, next - r->now - (what & 32 ? 1 : 0));
	else
		let_time_pass(r, seconds[what & 15] * SEC);
}

static void step_other(struct run *r)
{
	switch (reader_u8(&r->script) & 3) {
	case 0:
		step_reload(r);
		break;
	case 1:
		turn_server_drain(r->s[r->worker], reader_u8(&r->script) & 1);
		break;
	case 2:
		turn_server_flow_gone(r->s[r->worker], r->now, &flows[r->client]);
		break;
	default:
		for (unsigned i = 0; i < WORKERS; i++)
			take_events(r, i);
		break;
	}
}

/* opcode: 3 bits what, 3 bits client, 1 bit worker */
static void step(struct run *r)
{
	uint8_t op = reader_u8(&r->script);

	r->client = (op >> 3 & 7) % CLIENTS;
	r->worker = op >> 6 & 1;
	r->proved = false;
	r->n_asked = 0;
	switch (op & 7) {
	case 0:
	case 1:
		step_request(r);
		break;
	case 2:
		step_channel_data(r);
		break;
	case 3:
		step_peer(r);
		break;
	case 4:
		step_time(r);
		break;
	case 5:
		step_connection(r);
		break;
	case 6:
		step_other(r);
		break;
	default:
		step_raw(r);
		break;
	}
	for (unsigned i = 0; i < WORKERS && !r->lazy; i++) {
		take_events(r, i);
		check_books(r, i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;

	if (!auth)
		set_up();
	memset(&r, 0, sizeof(r));
	r.script = reader_of(span_of(data, size));
	begin(&r, reader_u8(&r.script));
	for (int i = 0; i < STEPS_MAX && reader_left(&r.script) > 0; i++)
		step(&r);
	for (unsigned i = 0; i < WORKERS; i++) {
		take_events(&r, i);
		check_books(&r, i);
		turn_server_destroy(r.s[i]);
	}
	epoch = r.now + 10 * SEC;
	return 0;
}
