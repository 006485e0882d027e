#include "proto/mdns/mdns_msg.h"

#include "base/err.h"

#define HEADER_LEN 12
#define FLAG_RESPONSE 0x8000
#define FLAG_AUTHORITATIVE 0x0400
#define CLASS_IN 1
#define CLASS_MASK 0x7FFF
#define CLASS_TOP 0x8000 /* QU in a question, cache-flush in a record */
#define LABEL_MAX 63
#define TTL_LEGACY_MAX 10 /* §6.7 */

static bool is_name_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '-' || c == '_';
}

struct name {
	char text[MDNS_NAME_MAX + 1];
	size_t len;
	bool odd; /* too long, or strange characters */
};

static void add_label(struct name *n, struct span label)
{
	if (n->len + label.len + 1 > MDNS_NAME_MAX) {
		n->odd = true;
		return;
	}
	if (n->len)
		n->text[n->len++] = '.';
	for (size_t i = 0; i < label.len; i++) {
		n->odd = n->odd || !is_name_char(label.ptr[i]);
		n->text[n->len++] = (char)label.ptr[i];
	}
}

/* Reads a name at r; out gets "" for one that cannot be ours. Fails r when it is malformed. */
static void read_name(struct span msg, struct reader *r, char out[MDNS_NAME_MAX + 1])
{
	struct name n = { .len = 0 };
	struct reader at = *r;
	size_t limit = msg.len - reader_left(r); /* a pointer must go before this */
	bool jumped = false;

	for (;;) {
		uint8_t len = reader_u8(&at);

		if ((len & 0xC0) == 0xC0) {
			size_t to = (size_t)(len & 0x3F) << 8 | reader_u8(&at);

			if (reader_failed(&at) || to >= limit) {
				reader_fail(r);
				break;
			}
			if (!jumped)
				*r = at;
			jumped = true;
			limit = to;
			at = reader_of(msg);
			reader_skip(&at, to);
			continue;
		}
		if (len > LABEL_MAX)
			reader_fail(&at);
		if (len && !reader_failed(&at))
			add_label(&n, reader_bytes(&at, len));
		if (reader_failed(&at)) {
			reader_fail(r);
			break;
		}
		if (len == 0) {
			if (!jumped)
				*r = at;
			break;
		}
	}
	n.text[n.odd || reader_failed(r) ? 0 : n.len] = 0;
	memcpy(out, n.text, sizeof(n.text));
}

static void read_question(struct span msg, struct reader *r, struct mdns_msg *m)
{
	struct mdns_question q;
	uint16_t class;

	read_name(msg, r, q.name);
	q.type = reader_u16(r);
	class = reader_u16(r);
	q.unicast = class & CLASS_TOP;
	if (!reader_failed(r) && (class & CLASS_MASK) == CLASS_IN && q.name[0] &&
	    m->n_questions < MDNS_ITEMS_MAX)
		m->questions[m->n_questions++] = q;
}

static void read_record(struct span msg, struct reader *r, struct mdns_msg *m)
{
	struct mdns_record rec = { .name = "" };
	struct reader data;
	uint16_t type, class;

	read_name(msg, r, rec.name);
	type = reader_u16(r);
	class = reader_u16(r);
	rec.ttl = reader_u32(r);
	data = reader_sub(r, reader_u16(r));
	if (type == MDNS_A) {
		rec.addr.family = ADDR_V4;
		reader_copy(&data, rec.addr.ip, 4);
	} else if (type == MDNS_AAAA) {
		rec.addr.family = ADDR_V6;
		reader_copy(&data, rec.addr.ip, 16);
	} else {
		return;
	}
	if (!reader_failed(r) && reader_done(&data) && (class & CLASS_MASK) == CLASS_IN &&
	    rec.name[0] && m->n_records < MDNS_ITEMS_MAX)
		m->records[m->n_records++] = rec;
}

int mdns_parse(struct span data, struct mdns_msg *out)
{
	struct reader r = reader_of(data);
	unsigned questions, records;

	out->n_questions = out->n_records = 0;
	if (data.len > MDNS_MESSAGE_MAX)
		return FL_EMALFORMED;
	out->id = reader_u16(&r);
	out->response = reader_u16(&r) & FLAG_RESPONSE;
	questions = reader_u16(&r);
	records = reader_u16(&r);
	records += reader_u16(&r);
	records += reader_u16(&r);
	while (questions-- > 0 && !reader_failed(&r))
		read_question(data, &r, out);
	while (records-- > 0 && !reader_failed(&r))
		read_record(data, &r, out);
	return reader_failed(&r) ? FL_EMALFORMED : 0;
}

static void write_header(struct writer *w, uint16_t id, uint16_t flags, uint16_t questions,
			 uint16_t answers, uint16_t additionals)
{
	writer_u16(w, id);
	writer_u16(w, flags);
	writer_u16(w, questions);
	writer_u16(w, answers);
	writer_u16(w, 0);
	writer_u16(w, additionals);
}

static void write_name(struct writer *w, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");

		if (len == 0 || len > LABEL_MAX)
			writer_fail(w);
		writer_u8(w, (uint8_t)len);
		writer_bytes(w, name, len);
		name += len + (name[len] == '.');
	}
	writer_u8(w, 0);
}

static void write_pointer(struct writer *w, size_t to)
{
	writer_u16(w, (uint16_t)(0xC000 | to));
}

void mdns_write_query(struct writer *w, const char *name)
{
	write_header(w, 0, 0, 2, 0, 0);
	write_name(w, name);
	writer_u16(w, MDNS_A);
	writer_u16(w, CLASS_IN);
	write_pointer(w, HEADER_LEN);
	writer_u16(w, MDNS_AAAA);
	writer_u16(w, CLASS_IN);
}

/* The types that exist for a name with one address: A is bit 1, AAAA bit 28 of window 0. */
static void write_nsec(struct writer *w, size_t name_at, uint16_t class, uint32_t ttl, bool v6)
{
	write_pointer(w, name_at);
	writer_u16(w, MDNS_NSEC);
	writer_u16(w, class);
	writer_u32(w, ttl);
	writer_u16(w, (uint16_t)(2 + 2 + (v6 ? 4 : 1)));
	write_pointer(w, name_at);
	writer_u8(w, 0);
	if (v6) {
		writer_u8(w, 4);
		writer_u32(w, 0x00000008);
	} else {
		writer_u8(w, 1);
		writer_u8(w, 0x40);
	}
}

void mdns_write_answer(struct writer *w, const char *name, const struct addr *addr, uint32_t ttl,
		       uint16_t id, const struct mdns_question *question)
{
	bool v6 = addr->family == ADDR_V6;
	uint16_t class = question ? CLASS_IN : CLASS_IN | CLASS_TOP;

	if (question)
		ttl = FL_MIN(ttl, TTL_LEGACY_MAX);
	write_header(w, id, FLAG_RESPONSE | FLAG_AUTHORITATIVE, question != NULL, 1, 1);
	write_name(w, name);
	if (question) {
		writer_u16(w, question->type);
		writer_u16(w, CLASS_IN);
		write_pointer(w, HEADER_LEN);
	}
	writer_u16(w, v6 ? MDNS_AAAA : MDNS_A);
	writer_u16(w, class);
	writer_u32(w, ttl);
	writer_u16(w, v6 ? 16 : 4);
	writer_bytes(w, addr->ip, v6 ? 16 : 4);
	write_nsec(w, HEADER_LEN, class, ttl, v6);
}
