/*
 * STUN messages (RFC 8489): parsing, checking and writing, for ICE and TURN alike. Pure functions
 * over caller's memory.
 *
 *	 0                   1                   2                   3
 *	|0 0|     method and class      |         message length        |
 *	|                   magic cookie 0x2112A442                     |
 *	|                   transaction id (96 bits)                    |
 *	|        attribute type         |        attribute length       | value, padded to 4 …
 *
 * A message is parsed into a table of its attributes; the typed getters read from there. What a
 * method's attributes mean, and which are needed, is the user's business, so another protocol over
 * STUN only adds attribute numbers. Everything is borrowed from the datagram.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/span.h"
#include "base/util.h"
#include "base/wire.h"

#define STUN_MAGIC 0x2112A442u
#define STUN_HEADER_LEN 20
#define STUN_TID_LEN 12
#define STUN_ATTRS_MAX 32	/* in one message; more is malformed */
#define STUN_MESSAGE_MAX 65555	/* the length field's limit and the header */
#define STUN_INTEGRITY_MAX 2048 /* longest message whose MESSAGE-INTEGRITY is made or checked */
#define STUN_USERNAME_MAX 508	/* RFC 8489 §14.3: less than 509 bytes */
#define STUN_SHORT_MAX 548	/* what we write as Binding fits; below any path's MTU (§6.1) */

enum stun_class {
	STUN_REQUEST = 0,
	STUN_INDICATION = 1,
	STUN_SUCCESS = 2,
	STUN_ERROR = 3,
};

#define STUN_BINDING 0x001

/* Attribute types. Below 0x8000 the receiver must understand them (§14). */
#define STUN_MAPPED_ADDRESS 0x0001
#define STUN_USERNAME 0x0006
#define STUN_MESSAGE_INTEGRITY 0x0008
#define STUN_ERROR_CODE 0x0009
#define STUN_UNKNOWN_ATTRIBUTES 0x000A
#define STUN_REALM 0x0014
#define STUN_NONCE 0x0015
#define STUN_MESSAGE_INTEGRITY_SHA256 0x001C
#define STUN_PASSWORD_ALGORITHM 0x001D
#define STUN_USERHASH 0x001E
#define STUN_XOR_MAPPED_ADDRESS 0x0020
#define STUN_PRIORITY 0x0024	  /* RFC 8445 §16.1 */
#define STUN_USE_CANDIDATE 0x0025 /* RFC 8445 §16.1 */
#define STUN_PASSWORD_ALGORITHMS 0x8002
#define STUN_ALTERNATE_DOMAIN 0x8003
#define STUN_SOFTWARE 0x8022
#define STUN_ALTERNATE_SERVER 0x8023
#define STUN_FINGERPRINT 0x8028
#define STUN_ICE_CONTROLLED 0x8029  /* RFC 8445 §16.1 */
#define STUN_ICE_CONTROLLING 0x802A /* RFC 8445 §16.1 */
#define STUN_NOMINATION 0xC001	    /* draft-thatcher-ice-renomination */

/* Error codes (§14.8, RFC 8445 §16.2). */
#define STUN_TRY_ALTERNATE 300
#define STUN_BAD_REQUEST 400
#define STUN_UNAUTHENTICATED 401
#define STUN_UNKNOWN_ATTRIBUTE 420
#define STUN_STALE_NONCE 438
#define STUN_ROLE_CONFLICT 487
#define STUN_SERVER_ERROR 500

struct stun_attr {
	uint16_t type;
	uint32_t at; /* offset of the attribute's header in the message */
	struct span value;
};

struct stun_msg {
	enum stun_class class;
	uint16_t method;
	uint8_t tid[STUN_TID_LEN];
	struct span raw; /* the whole message */
	/*
	 * Attributes that count: after MESSAGE-INTEGRITY none but MESSAGE-INTEGRITY-SHA256 and
	 * FINGERPRINT (§14.5), after MESSAGE-INTEGRITY-SHA256 none but FINGERPRINT (§14.6).
	 */
	size_t n_attrs;
	struct stun_attr attrs[STUN_ATTRS_MAX];
};

/* RFC 7983 demultiplexing: the first byte, the cookie and the length say STUN. */
bool stun_is_message(struct span data);

/* 0 or FL_EMALFORMED. Nothing is authenticated yet. */
int stun_parse(struct span data, struct stun_msg *out) FL_WARN_UNUSED;

/* The first attribute of a type (§14: later ones are ignored), or NULL. */
const struct stun_attr *stun_find(const struct stun_msg *m, uint16_t type);

/* Typed getters: false when absent or of the wrong shape. */
bool stun_get(const struct stun_msg *m, uint16_t type, struct span *value);
bool stun_get_u32(const struct stun_msg *m, uint16_t type, uint32_t *value);
bool stun_get_u64(const struct stun_msg *m, uint16_t type, uint64_t *value);
bool stun_get_flag(const struct stun_msg *m, uint16_t type); /* present; the value is ignored */
bool stun_get_addr(const struct stun_msg *m, uint16_t type, struct addr *value);     /* plain */
bool stun_get_xor_addr(const struct stun_msg *m, uint16_t type, struct addr *value); /* §14.2 */
bool stun_get_error(const struct stun_msg *m, uint16_t *code, struct span *reason);

/*
 * Types below 0x8000 that are neither in known[] nor one of those every user knows (those of
 * credentials, ERROR-CODE, UNKNOWN-ATTRIBUTES). Writes at most cap; returns how many.
 */
size_t stun_unknown(const struct stun_msg *m, const uint16_t *known, size_t n_known, uint16_t *out,
		    size_t cap);

/* 0; -ENOENT when there is none; FL_EUNAUTHENTICATED; FL_EQUOTA over STUN_INTEGRITY_MAX. */
int stun_check_integrity(const struct stun_msg *m, struct span key) FL_WARN_UNUSED;
/*
 * The same for MESSAGE-INTEGRITY-SHA256. A shortened one has 16 to 31 bytes, a multiple of 4; what
 * is shorter than min_len is FL_EUNAUTHENTICATED. §14.6: 32 is meant unless the usage says that
 * shorter ones are allowed; ICE and TURN do not.
 */
int stun_check_integrity_sha256(const struct stun_msg *m, struct span key,
				size_t min_len) FL_WARN_UNUSED;
/* 0; -ENOENT when there is none; FL_EMALFORMED when it is wrong or not the last attribute. */
int stun_check_fingerprint(const struct stun_msg *m) FL_WARN_UNUSED;

/* A message being written into a caller's buffer. What does not fit makes stun_end() fail. */
struct stun_out {
	struct writer w;
	uint8_t tid[STUN_TID_LEN];
};

void stun_begin(struct stun_out *o, void *buf, size_t cap, enum stun_class class, uint16_t method,
		const uint8_t tid[STUN_TID_LEN]);
void stun_put(struct stun_out *o, uint16_t type, struct span value);
void stun_put_u32(struct stun_out *o, uint16_t type, uint32_t value);
void stun_put_u64(struct stun_out *o, uint16_t type, uint64_t value);
void stun_put_flag(struct stun_out *o, uint16_t type);
void stun_put_addr(struct stun_out *o, uint16_t type, const struct addr *value);
void stun_put_xor_addr(struct stun_out *o, uint16_t type, const struct addr *value);
void stun_put_error(struct stun_out *o, uint16_t code, const char *reason); /* 300…699 */
void stun_put_unknown(struct stun_out *o, const uint16_t *types, size_t n);
void stun_put_integrity(struct stun_out *o, struct span key);
/* len: 32, or less where the usage allows it (see above). After MESSAGE-INTEGRITY if both. */
void stun_put_integrity_sha256(struct stun_out *o, struct span key, size_t len);
void stun_put_fingerprint(struct stun_out *o); /* last */
/* The message's length, or FL_EQUOTA. */
int stun_end(struct stun_out *o) FL_WARN_UNUSED;
