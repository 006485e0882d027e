#include "proto/mdns/mdns.h"

#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/mdns/mdns_msg.h"

#define MSEC USEC_PER_MSEC
#define ANNOUNCE_AGAIN_US (1000 * MSEC) /* §8.3: at least twice, one second apart */
#define ANSWER_APART_US (1000 * MSEC)	/* §6: a record is multicast at most once a second */
#define GIVE_UP_US (3000 * MSEC)
#define TTL_MAX_S 3600 /* longer ones are not believed: candidates live shorter */
#define OUT_LEN 512
#define EVENTS_MAX 128

static const usec_t ask_at[] = { 0, 100 * MSEC, 300 * MSEC, 1000 * MSEC, GIVE_UP_US };

struct link {
	struct addr addr;
	unsigned prefix_bits;
};

struct cached {
	char name[MDNS_HOST_LEN + 1]; /* "": free */
	struct addr addr;
	usec_t until;
};

struct query {
	char name[MDNS_HOST_LEN + 1]; /* "": free */
	usec_t began, due;
	unsigned step; /* of ask_at */
	unsigned found;
};

struct own {
	char name[MDNS_HOST_LEN + 1]; /* "": free */
	struct addr addr;
	usec_t announce, answered; /* next announcement; last answer by multicast */
};

struct out {
	struct addr local, remote;
	size_t len;
	uint8_t data[OUT_LEN];
};

struct mdns {
	struct rng *rng;
	struct addr group_v4, group_v6;
	struct link links[MDNS_LINKS_MAX];
	size_t n_links;
	struct cached cache[MDNS_CACHE_MAX];
	struct query queries[MDNS_QUERIES_MAX];
	struct own own[MDNS_OWN_MAX];
	struct out outputs[MDNS_OUTPUT_MAX];
	size_t out_first, out_count;
	struct mdns_event events[EVENTS_MAX];
	size_t event_first, event_count;
	struct mdns_stats stats;
	struct mdns_msg msg; /* the one being handled; too large for the stack */
};

bool mdns_is_name(const char *name)
{
	if (strlen(name) != MDNS_HOST_LEN ||
	    !text_equal_nocase(span_str(name + MDNS_LABEL_LEN), span_str(".local")))
		return false;
	for (size_t i = 0; i < MDNS_LABEL_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		bool hex = (name[i] >= '0' && name[i] <= '9') ||
			   (name[i] >= 'a' && name[i] <= 'f') || (name[i] >= 'A' && name[i] <= 'F');

		if (dash ? name[i] != '-' : !hex)
			return false;
	}
	return true;
}

/* Names compare without case (RFC 6762 §16); kept in lower case they compare as bytes. */
static bool lower(char dst[MDNS_HOST_LEN + 1], const char *name)
{
	if (!mdns_is_name(name))
		return false;
	for (size_t i = 0; i <= MDNS_HOST_LEN; i++)
		dst[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
	return true;
}

struct mdns *mdns_create(struct rng *rng)
{
	struct mdns *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->rng = rng;
	if (addr_parse_ip(MDNS_GROUP_V4, &m->group_v4) < 0 ||
	    addr_parse_ip(MDNS_GROUP_V6, &m->group_v6) < 0)
		abort();
	m->group_v4.port = m->group_v6.port = MDNS_PORT;
	return m;
}

void mdns_destroy(struct mdns *m)
{
	free(m);
}

const struct mdns_stats *mdns_stats(const struct mdns *m)
{
	return &m->stats;
}

int mdns_add_link(struct mdns *m, const struct addr *addr, unsigned prefix_bits)
{
	for (size_t i = 0; i < m->n_links; i++)
		if (addr_ip_equal(&m->links[i].addr, addr))
			return -EEXIST;
	if (m->n_links == MDNS_LINKS_MAX)
		return FL_EQUOTA;
	m->links[m->n_links] = (struct link){ *addr, prefix_bits };
	m->links[m->n_links++].addr.port = MDNS_PORT;
	return 0;
}

void mdns_clear_links(struct mdns *m)
{
	m->n_links = 0;
}

/* The interface's address in whose network a is, or NULL. (Where a multicast came to says nothing.)
 */
static const struct link *link_of(const struct mdns *m, const struct addr *a)
{
	for (size_t i = 0; i < m->n_links; i++)
		if (addr_same_prefix(&m->links[i].addr, a, m->links[i].prefix_bits))
			return &m->links[i];
	return NULL;
}

static bool on_link(const struct mdns *m, const struct addr *a)
{
	return link_of(m, a) != NULL;
}

/* Room for one datagram, or NULL. */
static struct out *out_new(struct mdns *m, const struct addr *local, const struct addr *remote)
{
	struct out *o;

	if (m->out_count == MDNS_OUTPUT_MAX) {
		m->stats.over_limit++;
		return NULL;
	}
	o = &m->outputs[(m->out_first + m->out_count++) % MDNS_OUTPUT_MAX];
	o->local = *local;
	o->remote = *remote;
	o->len = 0;
	return o;
}

bool mdns_next_output(struct mdns *m, struct dgram *out)
{
	struct out *o = &m->outputs[m->out_first];

	if (m->out_count == 0)
		return false;
	m->out_first = (m->out_first + 1) % MDNS_OUTPUT_MAX;
	m->out_count--;
	*out = (struct dgram){ o->local, o->remote, span_of(o->data, o->len) };
	return true;
}

static void event_add(struct mdns *m, enum mdns_event_type type, const char *name,
		      const struct addr *addr)
{
	struct mdns_event *e;

	if (m->event_count == EVENTS_MAX) {
		m->stats.over_limit++;
		return;
	}
	e = &m->events[(m->event_first + m->event_count++) % EVENTS_MAX];
	e->type = type;
	text_copy(e->name, sizeof(e->name), name);
	e->addr = addr ? *addr : (struct addr){ 0 };
}

bool mdns_next_event(struct mdns *m, struct mdns_event *out)
{
	if (m->event_count == 0)
		return false;
	*out = m->events[m->event_first];
	m->event_first = (m->event_first + 1) % EVENTS_MAX;
	m->event_count--;
	return true;
}

/* The group of a link's family; ff02::fb is reached through its interface. */
static struct addr group_of(const struct mdns *m, const struct link *l)
{
	struct addr group = l->addr.family == ADDR_V4 ? m->group_v4 : m->group_v6;

	group.scope = l->addr.scope;
	return group;
}

static void send_query(struct mdns *m, const char *name)
{
	for (size_t i = 0; i < m->n_links; i++) {
		struct addr group = group_of(m, &m->links[i]);
		struct out *o = out_new(m, &m->links[i].addr, &group);
		struct writer w;

		if (!o)
			return;
		w = writer_of(o->data, sizeof(o->data));
		mdns_write_query(&w, name);
		o->len = writer_len(&w);
		m->stats.queries_sent++;
	}
}

static void send_answer(struct mdns *m, const struct own *own, uint32_t ttl)
{
	for (size_t i = 0; i < m->n_links; i++) {
		struct addr group = group_of(m, &m->links[i]);
		struct out *o = out_new(m, &m->links[i].addr, &group);
		struct writer w;

		if (!o)
			return;
		w = writer_of(o->data, sizeof(o->data));
		mdns_write_answer(&w, own->name, &own->addr, ttl, 0, NULL);
		o->len = writer_len(&w);
		m->stats.answers_sent++;
	}
}

int mdns_resolve(struct mdns *m, usec_t now, const char *name)
{
	char want[MDNS_HOST_LEN + 1];
	struct query *free_slot = NULL;

	if (!lower(want, name))
		return FL_EUNSUPPORTED;
	for (int i = 0; i < MDNS_QUERIES_MAX; i++) {
		if (strcmp(m->queries[i].name, want) == 0)
			return 0;
		if (!m->queries[i].name[0] && !free_slot)
			free_slot = &m->queries[i];
	}
	if (!free_slot) {
		m->stats.over_limit++;
		return FL_EQUOTA;
	}
	*free_slot = (struct query){ .began = now, .due = now };
	text_copy(free_slot->name, sizeof(free_slot->name), want);
	for (int i = 0; i < MDNS_CACHE_MAX; i++)
		if (strcmp(m->cache[i].name, want) == 0 && m->cache[i].until > now) {
			event_add(m, MDNS_EVENT_ADDRESS, want, &m->cache[i].addr);
			free_slot->found++;
		}
	if (free_slot->found) /* heard of it already: nobody needs to be asked */
		free_slot->name[0] = 0;
	mdns_timeout(m, now);
	return 0;
}

int mdns_publish(struct mdns *m, usec_t now, const struct addr *addr, char name[MDNS_HOST_LEN + 1])
{
	uint8_t b[16];
	char hex[TEXT_HEX_LEN(16)];

	for (int i = 0; i < MDNS_OWN_MAX; i++) {
		struct own *o = &m->own[i];

		if (o->name[0])
			continue;
		rng_bytes(m->rng, b, sizeof(b));
		b[6] = (uint8_t)((b[6] & 0x0F) | 0x40); /* RFC 9562 §5.4: version 4 */
		b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
		text_hex_encode(span_of(b, sizeof(b)), hex, sizeof(hex));
		snprintf(o->name, sizeof(o->name), "%.8s-%.4s-%.4s-%.4s-%.12s.local", hex, hex + 8,
			 hex + 12, hex + 16, hex + 20);
		o->addr = *addr;
		o->addr.port = 0;
		o->answered = now;
		o->announce = usec_add(now, ANNOUNCE_AGAIN_US);
		send_answer(m, o, MDNS_TTL_S);
		text_copy(name, MDNS_HOST_LEN + 1, o->name);
		return 0;
	}
	m->stats.over_limit++;
	return FL_EQUOTA;
}

void mdns_withdraw(struct mdns *m, usec_t now, const char *name)
{
	(void)now;
	for (int i = 0; i < MDNS_OWN_MAX; i++)
		if (m->own[i].name[0] && strcmp(m->own[i].name, name) == 0) {
			send_answer(m, &m->own[i], 0);
			m->own[i].name[0] = 0;
		}
}

/* A free place, or that of the entry that ends first. */
static struct cached *cache_slot(struct mdns *m)
{
	struct cached *first = &m->cache[0];

	for (int i = 0; i < MDNS_CACHE_MAX; i++) {
		if (!m->cache[i].name[0])
			return &m->cache[i];
		if (m->cache[i].until < first->until)
			first = &m->cache[i];
	}
	m->stats.over_limit++;
	return first;
}

static void found(struct mdns *m, const char *name, const struct addr *addr)
{
	for (int i = 0; i < MDNS_QUERIES_MAX; i++)
		if (strcmp(m->queries[i].name, name) == 0) {
			m->queries[i].found++;
			event_add(m, MDNS_EVENT_ADDRESS, name, addr);
		}
}

static void learn(struct mdns *m, usec_t now, const char *name, const struct addr *addr,
		  uint32_t ttl)
{
	struct cached *c = NULL;
	bool known;

	for (int i = 0; i < MDNS_CACHE_MAX && !c; i++)
		if (strcmp(m->cache[i].name, name) == 0 && addr_equal(&m->cache[i].addr, addr))
			c = &m->cache[i];
	if (ttl == 0) {
		if (c)
			c->name[0] = 0;
		return;
	}
	known = c && c->until > now;
	if (!c)
		c = cache_slot(m);
	text_copy(c->name, sizeof(c->name), name);
	c->addr = *addr;
	c->until = usec_add(now, FL_MIN(ttl, TTL_MAX_S) * USEC_PER_SEC);
	if (known)
		return;
	m->stats.addresses_learned++;
	found(m, name, addr);
}

static void input_response(struct mdns *m, usec_t now, const struct dgram *d)
{
	if (d->remote.port != MDNS_PORT) {
		m->stats.wrong_port++;
		return;
	}
	for (size_t i = 0; i < m->msg.n_records; i++) {
		const struct mdns_record *r = &m->msg.records[i];
		char name[MDNS_HOST_LEN + 1];
		struct addr addr = r->addr;

		if (!lower(name, r->name))
			continue;
		if (!on_link(m, &addr)) {
			m->stats.off_link++;
			continue;
		}
		if (addr_range(&addr) == ADDR_LINK_LOCAL)
			addr.scope = d->remote.scope;
		learn(m, now, name, &addr, r->ttl);
	}
}

/* A question from another port is from a simple resolver; it wants the answer back there (§6.7). */
static void answer_direct(struct mdns *m, const struct dgram *d, const struct own *own,
			  const struct mdns_question *q)
{
	bool legacy = d->remote.port != MDNS_PORT;
	const struct link *from = link_of(m, &d->remote);
	struct out *o = from ? out_new(m, &from->addr, &d->remote) : NULL;
	struct writer w;

	if (!o)
		return;
	w = writer_of(o->data, sizeof(o->data));
	mdns_write_answer(&w, own->name, &own->addr, MDNS_TTL_S, legacy ? m->msg.id : 0,
			  legacy ? q : NULL);
	o->len = writer_len(&w);
	m->stats.answers_sent++;
}

/* Both families are one question: the answer tells which one there is. At most one answer a second
 * and name, whoever asks. */
static void input_question(struct mdns *m, usec_t now, const struct dgram *d,
			   const struct mdns_question *q)
{
	char name[MDNS_HOST_LEN + 1];

	if (!lower(name, q->name) ||
	    (q->type != MDNS_A && q->type != MDNS_AAAA && q->type != MDNS_ANY))
		return;
	for (int i = 0; i < MDNS_OWN_MAX; i++) {
		struct own *o = &m->own[i];

		if (strcmp(o->name, name) != 0 || now < usec_add(o->answered, ANSWER_APART_US))
			continue;
		o->answered = now;
		if (q->unicast || d->remote.port != MDNS_PORT)
			answer_direct(m, d, o, q);
		else
			send_answer(m, o, MDNS_TTL_S);
	}
}

void mdns_input(struct mdns *m, usec_t now, const struct dgram *d)
{
	if (!on_link(m, &d->remote)) {
		m->stats.off_link++;
		return;
	}
	if (mdns_parse(d->data, &m->msg) < 0) {
		m->stats.malformed++;
		return;
	}
	if (m->msg.response)
		input_response(m, now, d);
	else
		for (size_t i = 0; i < m->msg.n_questions; i++)
			input_question(m, now, d, &m->msg.questions[i]);
}

static void query_timeout(struct mdns *m, usec_t now, struct query *q)
{
	if (!q->name[0] || now < q->due)
		return;
	if (q->step == ARRAY_LEN(ask_at) - 1) {
		if (!q->found)
			event_add(m, MDNS_EVENT_NOTHING, q->name, NULL);
		q->name[0] = 0;
		return;
	}
	/* One answer was found: the other family gets its chance, but is not asked for again. */
	if (!q->found)
		send_query(m, q->name);
	while (q->step < ARRAY_LEN(ask_at) - 1 && usec_add(q->began, ask_at[q->step]) <= now)
		q->step++;
	q->due = usec_add(q->began, ask_at[q->step]);
	if (q->due <= now)
		q->due = usec_add(now, 1);
}

void mdns_timeout(struct mdns *m, usec_t now)
{
	for (int i = 0; i < MDNS_QUERIES_MAX; i++)
		query_timeout(m, now, &m->queries[i]);
	for (int i = 0; i < MDNS_OWN_MAX; i++) {
		struct own *o = &m->own[i];

		if (o->name[0] && now >= o->announce) {
			o->announce = USEC_NEVER;
			send_answer(m, o, MDNS_TTL_S);
		}
	}
}

usec_t mdns_deadline(const struct mdns *m)
{
	usec_t at = USEC_NEVER;

	for (int i = 0; i < MDNS_QUERIES_MAX; i++)
		if (m->queries[i].name[0])
			at = usec_min(at, m->queries[i].due);
	for (int i = 0; i < MDNS_OWN_MAX; i++)
		if (m->own[i].name[0])
			at = usec_min(at, m->own[i].announce);
	return at;
}
