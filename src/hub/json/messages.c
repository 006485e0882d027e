#include "hub/json/messages.h"

#define NAME_MAX_BYTES 64
#define SESSIONS_NAMED_MAX 64 /* running sessions that one client may name */
#define MODULE_NAME_MAX 32
#define NUMBER_MAX ((int64_t)1 << 48)

#define END                                                                                        \
	{                                                                                          \
		0                                                                                  \
	}
#define TEXT(n, lo, hi) .name = (n), .kind = SCHEMA_STRING, .min = (lo), .max = (hi)

static const struct schema module_name = { TEXT("", 1, MODULE_NAME_MAX) };
#define MODULES                                                                                    \
	.name = "modules", .kind = SCHEMA_LIST, .max = MESSAGE_MODULES_MAX, .item = &module_name

const struct schema message_empty[] = { END };

const struct schema message_sign_in[] = {
	{ TEXT("name", 1, NAME_MAX_BYTES) },
	{ TEXT("password", 0, 256) },
	END,
};

const struct schema message_link[] = {
	{ TEXT("code", 1, 128) },
	END,
};

const struct schema message_password[] = {
	{ TEXT("password", 8, 256) },
	END,
};

static const struct schema platform[] = {
	{ TEXT("os", 0, SCHEMA_TEXT_MAX) },
	{ TEXT("version", 0, SCHEMA_TEXT_MAX) },
	{ TEXT("arch", 0, SCHEMA_TEXT_MAX) },
	END,
};

const struct schema message_enrol[] = {
	{ .name = "tokenId", .kind = SCHEMA_ID },
	{ TEXT("proof", 43, 43) },
	{ TEXT("publicKey", 43, 43) },
	{ TEXT("name", 1, SCHEMA_TEXT_MAX) },
	{ .name = "platform", .kind = SCHEMA_OBJECT, .fields = platform },
	{ TEXT("version", 0, SCHEMA_TEXT_MAX) },
	END,
};

const struct schema message_enrolment_token[] = {
	{ .name = "uses", .kind = SCHEMA_INTEGER, .optional = true, .min = 1, .max = 100000 },
	{ .name = "expiresIn",
	  .kind = SCHEMA_INTEGER,
	  .optional = true,
	  .min = 1,
	  .max = 366 * 24 * 3600 },
	{ .name = "place", .kind = SCHEMA_ID, .optional = true },
	END,
};

static const char *const place_kinds[] = { "organisation", "site", "group", NULL };

const struct schema message_place_add[] = {
	{ .name = "kind", .kind = SCHEMA_ONE_OF, .words = place_kinds },
	{ TEXT("name", 1, MESSAGE_PLACE_NAME_MAX) },
	{ .name = "parent", .kind = SCHEMA_ID, .optional = true },
	{ .name = "policy", .kind = SCHEMA_ANY, .optional = true }, /* policy/policy.h */
	END,
};

const struct schema message_place_change[] = {
	{ TEXT("name", 1, MESSAGE_PLACE_NAME_MAX), .optional = true },
	{ .name = "parent", .kind = SCHEMA_ID, .optional = true },
	{ .name = "policy", .kind = SCHEMA_ANY, .optional = true },
	END,
};

const struct schema message_device_place[] = {
	{ .name = "place", .kind = SCHEMA_ID },
	END,
};

const struct schema message_ice_servers[] = {
	{ .name = "device", .kind = SCHEMA_ID, .optional = true },
	END,
};

static const char *const candidate_types[] = { "host", "srflx", "prflx", "relay", NULL };
static const char *const methods[] = { "local", "punched", "relayed", "none", NULL };
static const char *const transports[] = { "udp", "tcp", "tls", "wss", NULL };
static const char *const protocols[] = { "udp", "tcp", "tls", "wss", "dtls", NULL };
static const char *const states[] = { "succeeded", "failed", "in-progress",
				      "waiting",   "frozen", NULL };

static const struct schema candidate[] = {
	{ .name = "type", .kind = SCHEMA_ONE_OF, .words = candidate_types },
	{ TEXT("address", 0, SCHEMA_TEXT_MAX) },
	{ .name = "port", .kind = SCHEMA_INTEGER, .min = 0, .max = UINT16_MAX },
	{ .name = "protocol", .kind = SCHEMA_ONE_OF, .words = protocols },
	END,
};

#define CANDIDATE(n) .name = (n), .kind = SCHEMA_OBJECT, .fields = candidate
#define MILLISECONDS(n) .name = (n), .kind = SCHEMA_NUMBER, .max = NUMBER_MAX

static const struct schema pair[] = {
	{ CANDIDATE("local") },
	{ CANDIDATE("remote") },
	END,
};

static const struct schema tried[] = {
	{ CANDIDATE("local") },
	{ CANDIDATE("remote") },
	{ .name = "state", .kind = SCHEMA_ONE_OF, .words = states },
	{ .name = "sent", .kind = SCHEMA_INTEGER, .max = NUMBER_MAX, .optional = true },
	{ .name = "answered", .kind = SCHEMA_INTEGER, .max = NUMBER_MAX, .optional = true },
	{ .name = "received", .kind = SCHEMA_INTEGER, .max = NUMBER_MAX, .optional = true },
	{ MILLISECONDS("rtt_ms"), .nullable = true, .optional = true },
	{ TEXT("error", 0, SCHEMA_TEXT_MAX), .nullable = true, .optional = true },
	END,
};

static const struct schema tried_item = { .name = "", .kind = SCHEMA_OBJECT, .fields = tried };

#define WORD(n, w) .name = (n), .kind = SCHEMA_ONE_OF, .words = (w)

static const char *const sides[] = { "local", "remote", NULL };
static const char *const nets[] = { "physical", "temporary", "virtual", "link-local", "", NULL };
static const char *const uses[] = { "selected", "tried", "unused", "ignored", "gone", NULL };

static const struct schema found[] = {
	{ WORD("side", sides) },
	{ WORD("type", candidate_types) },
	{ TEXT("address", 0, SCHEMA_TEXT_MAX) },
	{ .name = "port", .kind = SCHEMA_INTEGER, .min = 0, .max = UINT16_MAX },
	{ WORD("protocol", protocols), .optional = true },
	{ TEXT("origin", 0, MESSAGE_URL_MAX), .nullable = true, .optional = true },
	{ WORD("net", nets), .nullable = true, .optional = true },
	{ MILLISECONDS("ms"), .nullable = true, .optional = true },
	{ WORD("use", uses), .nullable = true, .optional = true },
	{ TEXT("why", 0, SCHEMA_TEXT_MAX), .nullable = true, .optional = true },
	END,
};

static const struct schema found_item = { .name = "", .kind = SCHEMA_OBJECT, .fields = found };

static const char *const ways[] = { "direct", "proxy", NULL };
static const char *const server_states[] = { "asking", "answered", "silent", "refused",
					     "failed", "unused",   NULL };

static const struct schema server[] = {
	{ TEXT("url", 0, MESSAGE_URL_MAX) },
	{ WORD("transport", transports) },
	{ WORD("via", ways), .optional = true },
	{ WORD("state", server_states) },
	{ MILLISECONDS("ms"), .nullable = true, .optional = true },
	{ TEXT("mapped", 0, SCHEMA_TEXT_MAX), .nullable = true, .optional = true },
	{ .name = "code",
	  .kind = SCHEMA_INTEGER,
	  .max = UINT16_MAX,
	  .nullable = true,
	  .optional = true },
	{ TEXT("error", 0, SCHEMA_TEXT_MAX), .nullable = true, .optional = true },
	END,
};

static const struct schema server_item = { .name = "", .kind = SCHEMA_OBJECT, .fields = server };

static const char *const mappings[] = { "unknown", "none", "independent", "address", "port", NULL };
static const char *const filterings[] = { "unknown", "open", "address", "port", NULL };

static const struct schema nat[] = {
	{ WORD("mapping", mappings) },
	{ WORD("filtering", filterings) },
	END,
};

static const struct schema route[] = {
	{ .name = "method", .kind = SCHEMA_ONE_OF, .words = methods },
	{ .name = "transport", .kind = SCHEMA_ONE_OF, .words = transports },
	{ WORD("via", ways), .optional = true },
	{ MILLISECONDS("rtt_ms"), .nullable = true },
	{ MILLISECONDS("setup_ms"), .nullable = true, .optional = true },
	{ TEXT("reason", 0, 1024) },
	{ .name = "pair", .kind = SCHEMA_OBJECT, .fields = pair, .nullable = true },
	{ .name = "tried",
	  .kind = SCHEMA_LIST,
	  .max = MESSAGE_TRIED_MAX,
	  .item = &tried_item,
	  .optional = true },
	{ .name = "candidates",
	  .kind = SCHEMA_LIST,
	  .max = MESSAGE_FOUND_MAX,
	  .item = &found_item,
	  .optional = true },
	{ .name = "servers",
	  .kind = SCHEMA_LIST,
	  .max = MESSAGE_FOUND_MAX,
	  .item = &server_item,
	  .optional = true },
	{ .name = "nat", .kind = SCHEMA_OBJECT, .fields = nat, .optional = true },
	{ .name = "ignored", .kind = SCHEMA_COUNTS, .max = MESSAGE_IGNORED_MAX, .optional = true },
	END,
};

#define SESSION                                                                                    \
	{                                                                                          \
		.name = "session", .kind = SCHEMA_ID                                               \
	}
#define SDP                                                                                        \
	{                                                                                          \
		TEXT("sdp", 1, MESSAGE_SDP_MAX)                                                    \
	}

const struct schema message_connect[] = {
	{ .name = "device", .kind = SCHEMA_ID },
	{ MODULES },
	SDP,
	{ .name = "trickle", .kind = SCHEMA_BOOL, .optional = true },
	END,
};

const struct schema message_trickle[] = {
	SESSION,
	{ TEXT("candidate", 0, MESSAGE_CANDIDATE_MAX) },
	{ TEXT("mid", 0, 64) },
	END,
};

const struct schema message_route[] = {
	SESSION,
	{ .name = "route", .kind = SCHEMA_OBJECT, .fields = route },
	END,
};

const struct schema message_session[] = { SESSION, END };

const struct schema message_restart[] = { SESSION, SDP, END };

const struct schema message_end[] = {
	SESSION,
	{ TEXT("reason", 0, SCHEMA_TEXT_MAX) },
	END,
};

const struct schema message_status[] = {
	{ TEXT("name", 1, SCHEMA_TEXT_MAX) },
	{ .name = "platform", .kind = SCHEMA_OBJECT, .fields = platform },
	{ TEXT("user", 0, SCHEMA_TEXT_MAX), .nullable = true },
	{ TEXT("address", 0, SCHEMA_TEXT_MAX) },
	{ MODULES },
	{ .name = "display", .kind = SCHEMA_BOOL },
	{ .name = "clockOff",
	  .kind = SCHEMA_INTEGER,
	  .optional = true,
	  .min = -MESSAGE_CLOCK_OFF_MAX,
	  .max = MESSAGE_CLOCK_OFF_MAX },
	{ TEXT("inspectedBy", 0, SCHEMA_TEXT_MAX), .optional = true },
	END,
};

static const struct schema running[] = {
	{ .name = "id", .kind = SCHEMA_ID },
	END,
};
static const struct schema running_item = { .name = "", .kind = SCHEMA_OBJECT, .fields = running };

const struct schema message_prove[] = {
	{ .name = "device", .kind = SCHEMA_ID },
	{ TEXT("nonce", 43, 43) },
	{ TEXT("signature", 86, 86) },
	{ TEXT("version", 0, SCHEMA_TEXT_MAX) },
	{ .name = "status", .kind = SCHEMA_OBJECT, .fields = message_status },
	{ .name = "sessions",
	  .kind = SCHEMA_LIST,
	  .max = SESSIONS_NAMED_MAX,
	  .item = &running_item },
	END,
};

const struct schema message_answer[] = {
	SESSION,
	SDP,
	{ TEXT("fingerprint", 1, MESSAGE_FINGERPRINT_MAX) },
	{ TEXT("signature", 86, 86) },
	END,
};

const struct schema message_refuse[] = {
	SESSION,
	{ TEXT("code", 1, 32) },
	{ TEXT("message", 0, SCHEMA_TEXT_MAX) },
	END,
};
