/*
 * Multicast DNS messages (RFC 6762 §18, RFC 1035 §4) as far as host names need them: questions, and
 * address records. Names come out as text with dots; a name that has other characters than letters,
 * digits, "-" and "_" comes out as "", so it can match nothing.
 *
 *	| id | flags | questions | answers | authorities | additionals |    six times 16 bits
 *	question: name, type, class       record: name, type, class, ttl (32), length, data
 *
 * A name's compression pointer must point before the name it stands in (RFC 1035 §4.1.4 says
 * "prior"), so following them always ends.
 */
#pragma once

#include <stdbool.h>

#include "base/addr.h"
#include "base/span.h"
#include "base/wire.h"

#define MDNS_NAME_MAX 255
#define MDNS_ITEMS_MAX 64     /* questions and address records kept of one message */
#define MDNS_MESSAGE_MAX 9000 /* RFC 6762 §17 */

#define MDNS_A 1
#define MDNS_NSEC 47
#define MDNS_AAAA 28
#define MDNS_ANY 255

struct mdns_question {
	char name[MDNS_NAME_MAX + 1];
	uint16_t type;
	bool unicast; /* the QU bit */
};

struct mdns_record {
	char name[MDNS_NAME_MAX + 1];
	struct addr addr; /* port 0 */
	uint32_t ttl;	  /* seconds; 0: goodbye */
};

struct mdns_msg {
	uint16_t id;
	bool response;
	size_t n_questions, n_records;
	struct mdns_question questions[MDNS_ITEMS_MAX];
	struct mdns_record records[MDNS_ITEMS_MAX]; /* of all sections; A and AAAA of class IN */
};

/* 0 or FL_EMALFORMED. What is beyond MDNS_ITEMS_MAX is left out. */
int mdns_parse(struct span data, struct mdns_msg *out) FL_WARN_UNUSED;

/* One message asking for A and AAAA of a name (without final dot). */
void mdns_write_query(struct writer *w, const char *name);
/* An answer with one address and a denial of the other family (NSEC, RFC 6762 §6.1), so that the
 * asker need not wait for it. id: 0, or with question the asker's (§6.7: "legacy unicast"). */
void mdns_write_answer(struct writer *w, const char *name, const struct addr *addr, uint32_t ttl,
		       uint16_t id, const struct mdns_question *question);
