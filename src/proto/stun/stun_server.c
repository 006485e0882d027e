#include "proto/stun/stun_server.h"

#define UNKNOWN_MAX 16	 /* that a 420 names */
#define PADDING_MAX 1440 /* of an answer; the rest of it fits beside this */
#define COOKIE_AT 4	 /* RFC 3489's transaction id begins here */
#define CLASSIC_MAX STUN_SHORT_MAX

/* What a request asks for, and where it finds us. */
struct asked {
	const struct stun_behaviour *behaviour; /* NULL: not here */
	unsigned address, port;			/* of behaviour: where the request arrived */
	unsigned change;			/* enum stun_origin */
	uint16_t response_port;
	bool padding;
	size_t padding_len;
	unsigned code; /* 0: success */
	uint16_t unknown[UNKNOWN_MAX];
	size_t n_unknown;
};

static void find_server(struct asked *a, const struct stun_behaviour *b, const struct addr *server)
{
	for (unsigned i = 0; b && i < 4; i++)
		if (addr_equal(&b->at[i / 2][i % 2], server)) {
			a->behaviour = b;
			a->address = i / 2;
			a->port = i % 2;
			return;
		}
}

/* 0 or an error code. */
static unsigned read_change(const struct stun_msg *m, struct asked *a)
{
	uint32_t flags;

	if (!stun_find(m, STUN_CHANGE_REQUEST))
		return 0;
	if (!stun_get_u32(m, STUN_CHANGE_REQUEST, &flags))
		return STUN_BAD_REQUEST;
	a->change = (flags & STUN_CHANGE_IP ? STUN_ORIGIN_OTHER_ADDRESS : 0) |
		    (flags & STUN_CHANGE_PORT ? STUN_ORIGIN_OTHER_PORT : 0);
	return 0;
}

/* RFC 5780 §6.1, §7.5, §7.6: not both. 0 or an error code. */
static unsigned read_port_and_padding(const struct stun_msg *m, struct asked *a)
{
	struct span value;
	struct reader r;

	a->padding = stun_get(m, STUN_PADDING, &value);
	a->padding_len = FL_MIN(value.len, (size_t)PADDING_MAX);
	if (!stun_get(m, STUN_RESPONSE_PORT, &value))
		return 0;
	r = reader_of(value);
	a->response_port = reader_u16(&r);
	return a->padding || a->response_port == 0 ? STUN_BAD_REQUEST : 0;
}

static void read_request(const struct stun_msg *m, struct asked *a)
{
	static const uint16_t known[] = { STUN_CHANGE_REQUEST, STUN_RESPONSE_PORT, STUN_PADDING };

	a->n_unknown = stun_unknown(m, known, a->behaviour ? ARRAY_LEN(known) : 0, a->unknown,
				    UNKNOWN_MAX);
	if (a->n_unknown)
		a->code = STUN_UNKNOWN_ATTRIBUTE;
	else if (a->behaviour)
		a->code = read_change(m, a);
	if (a->code == 0 && a->behaviour)
		a->code = read_port_and_padding(m, a);
}

/* RFC 3489 has CHANGE-REQUEST alone, and its clients send it even when nothing is to change. */
static void read_classic(const struct stun_msg *m, struct asked *a)
{
	static const uint16_t known[] = { STUN_CHANGE_REQUEST };

	a->n_unknown = stun_unknown(m, known, 1, a->unknown, UNKNOWN_MAX);
	a->code = a->n_unknown ? STUN_UNKNOWN_ATTRIBUTE : read_change(m, a);
	if (a->code == 0 && a->change && !a->behaviour) {
		a->code = STUN_UNKNOWN_ATTRIBUTE;
		a->unknown[a->n_unknown++] = STUN_CHANGE_REQUEST;
	}
}

/* The address that answers. */
static const struct addr *origin_of(const struct asked *a)
{
	return &a->behaviour->at[a->address ^ (a->change >> 1)][a->port ^ (a->change & 1)];
}

/* The address that shares nothing with the one asked. */
static const struct addr *other_of(const struct asked *a)
{
	return &a->behaviour->at[a->address ^ 1][a->port ^ 1];
}

static void begin(struct stun_out *o, uint8_t *buf, const struct stun_msg *m, const struct asked *a)
{
	stun_begin(o, buf, STUN_SERVER_ANSWER_MAX, a->code ? STUN_ERROR : STUN_SUCCESS,
		   STUN_BINDING, m->tid);
	if (a->code)
		stun_put_error(o, (uint16_t)a->code, "");
	if (a->n_unknown)
		stun_put_unknown(o, a->unknown, a->n_unknown);
}

static void finish(struct stun_out *o, const struct asked *a, struct stun_answer *out)
{
	int len = stun_end(o);

	*out = (struct stun_answer){ .len = len > 0 ? (size_t)len : 0 };
	if (a->code == 0) {
		out->origin = (enum stun_origin)a->change;
		out->port = a->response_port;
	}
}

static void put_padding(struct stun_out *o, size_t len)
{
	static const uint8_t zeros[PADDING_MAX];

	stun_put(o, STUN_PADDING, span_of(zeros, len));
}

void stun_server_binding(const struct stun_msg *m, const struct addr *client,
			 const struct addr *server, const struct stun_behaviour *behaviour,
			 bool over_stream, uint8_t buf[STUN_SERVER_ANSWER_MAX],
			 struct stun_answer *out)
{
	struct asked a = { 0 };
	struct addr mapped = addr_unmap(client);
	bool marked = stun_find(m, STUN_FINGERPRINT);
	struct stun_out o;

	*out = (struct stun_answer){ 0 };
	if (m->class != STUN_REQUEST || m->method != STUN_BINDING || client->port == 0 ||
	    (marked && stun_check_fingerprint(m) < 0))
		return;
	find_server(&a, over_stream ? NULL : behaviour, server);
	read_request(m, &a);
	begin(&o, buf, m, &a);
	if (a.code == 0)
		stun_put_xor_addr(&o, STUN_XOR_MAPPED_ADDRESS, &mapped);
	if (a.code == 0 && a.behaviour) {
		stun_put_addr(&o, STUN_MAPPED_ADDRESS, &mapped); /* both: RFC 5780 §6.1 */
		stun_put_addr(&o, STUN_RESPONSE_ORIGIN, origin_of(&a));
		stun_put_addr(&o, STUN_OTHER_ADDRESS, other_of(&a));
		if (a.padding)
			put_padding(&o, a.padding_len);
	}
	if (marked)
		stun_put_fingerprint(&o);
	finish(&o, &a, out);
}

/* As the message of today that has the same attributes; its cookie is *head then. */
static bool parse_classic(struct span datagram, uint8_t copy[CLASSIC_MAX], uint32_t *head,
			  struct stun_msg *m)
{
	struct writer w = writer_of(copy, CLASSIC_MAX);
	struct reader r = reader_of(datagram);

	reader_skip(&r, COOKIE_AT);
	*head = reader_u32(&r);
	writer_span_put(&w, datagram);
	if (reader_failed(&r) || writer_failed(&w))
		return false;
	writer_patch_u32(&w, COOKIE_AT, STUN_MAGIC);
	return stun_parse(writer_span(&w), m) == 0 && m->class == STUN_REQUEST &&
	       m->method == STUN_BINDING;
}

bool stun_server_classic(struct span datagram, const struct addr *client, const struct addr *server,
			 const struct stun_behaviour *behaviour,
			 uint8_t buf[STUN_SERVER_ANSWER_MAX], struct stun_answer *out)
{
	struct asked a = { 0 };
	struct addr mapped = addr_unmap(client);
	uint8_t copy[CLASSIC_MAX];
	struct stun_msg m;
	struct stun_out o;
	uint32_t head;

	*out = (struct stun_answer){ 0 };
	if (client->port == 0 || !parse_classic(datagram, copy, &head, &m) || head == STUN_MAGIC)
		return false;
	find_server(&a, behaviour, server);
	read_classic(&m, &a);
	begin(&o, buf, &m, &a);
	if (a.code == 0) {
		stun_put_addr(&o, STUN_MAPPED_ADDRESS, &mapped);
		stun_put_addr(&o, STUN_SOURCE_ADDRESS, a.behaviour ? origin_of(&a) : server);
	}
	if (a.code == 0 && a.behaviour)
		stun_put_addr(&o, STUN_CHANGED_ADDRESS, other_of(&a));
	writer_patch_u32(&o.w, COOKIE_AT, head);
	finish(&o, &a, out);
	return out->len > 0;
}
