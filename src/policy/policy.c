#include "policy/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

#define DSCP_MAX 63

const char *const policy_method_names[] = { "local", "punched", "relayed", NULL };
const char *const policy_turn_names[] = { "udp", "tcp", "tls", "wss", NULL };
const char *const policy_relay_names[] = { "allowed", "last-resort", "forbidden", NULL };

static int refuse(char why[POLICY_WHY_CAP], const char *fmt, ...) FL_PRINTF(2, 3);
static int refuse(char why[POLICY_WHY_CAP], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, POLICY_WHY_CAP, fmt, ap);
	va_end(ap);
	return FL_EMALFORMED;
}

/* ---- the kinds of value ---- */

/* "local, punched, relayed" */
static const char *words_text(const char *const *words, char buf[64])
{
	size_t at = 0;

	for (int i = 0; words[i]; i++)
		at += (size_t)snprintf(buf + at, 64 - at, "%s%s", i ? ", " : "", words[i]);
	return buf;
}

static int word_index(const json_t *value, const char *const *words)
{
	for (int i = 0; json_is_string(value) && words[i]; i++)
		if (strcmp(words[i], json_string_value(value)) == 0)
			return i;
	return -1;
}

/* A set of words, given as a list. */
static int take_set(const char *key, const json_t *value, const char *const *words, bool *set,
		    char why[POLICY_WHY_CAP])
{
	char all[64];
	int index;

	if (!json_is_array(value))
		return refuse(why, "policy.%s is not a list", key);
	for (int i = 0; words[i]; i++)
		set[i] = false;
	if (json_array_size(value) == 0)
		return refuse(why, "policy.%s is empty; name at least one of %s", key,
			      words_text(words, all));
	for (size_t i = 0; i < json_array_size(value); i++) {
		index = word_index(json_array_get(value, i), words);
		if (index < 0)
			return refuse(why, "policy.%s[%zu] is not one of %s", key, i,
				      words_text(words, all));
		if (set[index])
			return refuse(why, "policy.%s names %s twice", key, words[index]);
		set[index] = true;
	}
	return 0;
}

/* Nothing that JSON would write longer: the longest policy has to fit into a grant. */
static bool pattern_ok(const char *text)
{
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '/' || *c == '[' || *c == '\\' || *c == '"')
			return false;
	return text[0] != 0;
}

bool policy_subnet(const char *text, struct addr *base, unsigned *bits)
{
	const char *slash = strchr(text, '/');
	char ip[POLICY_TEXT_CAP];
	unsigned n = 0, max;

	if (!slash || (size_t)(slash - text) >= sizeof(ip))
		return false;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = 0;
	if (strchr(ip, '%') || addr_parse_ip(ip, base) < 0)
		return false;
	max = base->family == ADDR_V4 ? 32 : 128;
	if (!slash[1] || strlen(slash + 1) > 3 ||
	    strspn(slash + 1, "0123456789") != strlen(slash + 1))
		return false;
	for (const char *c = slash + 1; *c; c++)
		n = n * 10 + (unsigned)(*c - '0');
	*bits = n;
	return n <= max;
}

static int take_list(const char *key, const char *sub, const json_t *value, bool subnets,
		     struct policy_list *out, char why[POLICY_WHY_CAP])
{
	const size_t n = json_array_size(value);
	struct addr base;
	unsigned bits;

	if (!json_is_array(value))
		return refuse(why, "policy.%s.%s is not a list", key, sub);
	if (n > POLICY_LIST_MAX)
		return refuse(why, "policy.%s.%s has more than %d items", key, sub,
			      POLICY_LIST_MAX);
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(value, i);
		const char *text = json_string_value(item);

		if (!text || json_string_length(item) >= POLICY_TEXT_CAP)
			return refuse(why, "policy.%s.%s[%zu] is not a text of at most %d bytes",
				      key, sub, i, POLICY_TEXT_CAP - 1);
		if (!subnets && !pattern_ok(text))
			return refuse(why,
				      "policy.%s.%s[%zu] is not the name of an interface (* and ? "
				      "stand for others)",
				      key, sub, i);
		if (subnets && !policy_subnet(text, &base, &bits))
			return refuse(why,
				      "policy.%s.%s[%zu] is not a subnet such as 10.0.0.0/8 or "
				      "2001:db8::/32",
				      key, sub, i);
		text_copy(out->items[out->n++], POLICY_TEXT_CAP, text);
	}
	return 0;
}

static int take_number(const char *key, const json_t *value, int64_t max, uint32_t *out,
		       char why[POLICY_WHY_CAP])
{
	if (!json_is_integer(value))
		return refuse(why, "policy.%s is not a whole number", key);
	if (json_integer_value(value) < 0 || json_integer_value(value) > max)
		return refuse(why, "policy.%s is not between 0 and %lld", key, (long long)max);
	*out = (uint32_t)json_integer_value(value);
	return 0;
}

/* Up to five digits from *text on; 0: none, or too large. */
static uint32_t take_port(const char **text)
{
	uint32_t n = 0;

	for (int digits = 0; **text >= '0' && **text <= '9'; (*text)++)
		if (++digits <= 5)
			n = n * 10 + (uint32_t)(**text - '0');
		else
			return 0;
	return n <= UINT16_MAX ? n : 0;
}

static int take_ports(const json_t *value, struct policy *out, char why[POLICY_WHY_CAP])
{
	const char *text = json_string_value(value);
	uint32_t low, high = 0;

	if (text && strcmp(text, "any") == 0) {
		out->port_min = out->port_max = 0;
		return 0;
	}
	if (!text || json_string_length(value) != strlen(text))
		return refuse(why, "policy.udpPorts is not a text such as \"50000-50999\"");
	low = take_port(&text);
	if (*text == '-') {
		text++;
		high = take_port(&text);
	}
	if (*text || low == 0 || high == 0)
		return refuse(why, "policy.udpPorts is neither \"any\" nor two ports from 1 to "
				   "65535 such as \"50000-50999\"");
	if (low > high)
		return refuse(why, "policy.udpPorts begins above its end");
	out->port_min = (uint16_t)low;
	out->port_max = (uint16_t)high;
	return 0;
}

/* ---- the keys ---- */

static int unknown_key(const char *group, enum policy_unknown unknown, char why[POLICY_WHY_CAP])
{
	if (unknown == POLICY_SKIP_UNKNOWN)
		return 0;
	/* its name is not repeated: it comes from outside, and may be anything */
	return refuse(why, "policy%s has a key that is not known", group);
}

struct list_keys {
	const char *key;
	bool subnets;
	struct policy_list *prefer, *exclude;
	enum policy_key prefer_bit, exclude_bit;
};

static int take_lists(const struct list_keys *k, const json_t *value, enum policy_unknown unknown,
		      unsigned *keys, char why[POLICY_WHY_CAP])
{
	char group[24];
	const char *sub;
	json_t *item;
	int err = 0;

	if (!json_is_object(value))
		return refuse(why, "policy.%s is not an object with prefer and exclude", k->key);
	snprintf(group, sizeof(group), ".%s", k->key);
	json_object_foreach((json_t *)value, sub, item)
	{
		if (strcmp(sub, "prefer") == 0) {
			err = take_list(k->key, sub, item, k->subnets, k->prefer, why);
			*keys |= k->prefer_bit;
		} else if (strcmp(sub, "exclude") == 0) {
			err = take_list(k->key, sub, item, k->subnets, k->exclude, why);
			*keys |= k->exclude_bit;
		} else {
			err = unknown_key(group, unknown, why);
		}
		if (err < 0)
			return err;
	}
	return 0;
}

static int take_relay(const json_t *value, struct policy *out, char why[POLICY_WHY_CAP])
{
	int index = word_index(value, policy_relay_names);
	char all[64];

	if (index < 0)
		return refuse(why, "policy.relay is not one of %s",
			      words_text(policy_relay_names, all));
	out->relay = (enum policy_relay)index;
	return 0;
}

static int take_dscp(const json_t *value, struct policy *out, char why[POLICY_WHY_CAP])
{
	uint32_t n = 0;
	int err = take_number("dscp", value, DSCP_MAX, &n, why);

	out->dscp = (uint8_t)n;
	return err;
}

static int take_key(const char *key, const json_t *value, enum policy_unknown unknown,
		    struct policy *out, char why[POLICY_WHY_CAP])
{
	const struct list_keys interfaces = { "interfaces",
					      false,
					      &out->prefer_interfaces,
					      &out->exclude_interfaces,
					      POLICY_INTERFACES_PREFER,
					      POLICY_INTERFACES_EXCLUDE };
	const struct list_keys subnets = { "subnets",
					   true,
					   &out->prefer_subnets,
					   &out->exclude_subnets,
					   POLICY_SUBNETS_PREFER,
					   POLICY_SUBNETS_EXCLUDE };
	enum policy_key bit;
	int err;

	if (strcmp(key, "interfaces") == 0)
		return take_lists(&interfaces, value, unknown, &out->keys, why);
	if (strcmp(key, "subnets") == 0)
		return take_lists(&subnets, value, unknown, &out->keys, why);
	if (strcmp(key, "methods") == 0) {
		bit = POLICY_METHODS;
		err = take_set(key, value, policy_method_names, out->methods, why);
	} else if (strcmp(key, "relay") == 0) {
		bit = POLICY_RELAY;
		err = take_relay(value, out, why);
	} else if (strcmp(key, "turnTransports") == 0) {
		bit = POLICY_TURN_TRANSPORTS;
		err = take_set(key, value, policy_turn_names, out->turn, why);
	} else if (strcmp(key, "udpPorts") == 0) {
		bit = POLICY_UDP_PORTS;
		err = take_ports(value, out, why);
	} else if (strcmp(key, "dscp") == 0) {
		bit = POLICY_DSCP;
		err = take_dscp(value, out, why);
	} else if (strcmp(key, "deviceKbit") == 0) {
		bit = POLICY_DEVICE_KBIT;
		err = take_number(key, value, POLICY_KBIT_MAX, &out->device_kbit, why);
	} else if (strcmp(key, "siteKbit") == 0) {
		bit = POLICY_SITE_KBIT;
		err = take_number(key, value, POLICY_KBIT_MAX, &out->site_kbit, why);
	} else {
		return unknown_key("", unknown, why);
	}
	out->keys |= bit;
	return err;
}

int policy_parse(const json_t *value, enum policy_unknown unknown, struct policy *out,
		 char why[POLICY_WHY_CAP])
{
	const char *key;
	json_t *item;
	int err;

	memset(out, 0, sizeof(*out));
	why[0] = 0;
	if (!json_is_object(value))
		return refuse(why, "policy is not an object");
	json_object_foreach((json_t *)value, key, item)
	{
		err = take_key(key, item, unknown, out, why);
		if (err < 0)
			return err;
	}
	if ((out->keys & POLICY_METHODS) && (out->keys & POLICY_RELAY) &&
	    out->relay == POLICY_RELAY_FORBIDDEN && !out->methods[POLICY_LOCAL] &&
	    !out->methods[POLICY_PUNCHED])
		return refuse(why,
			      "policy.methods allows relayed only, and policy.relay forbids it");
	return 0;
}

int policy_parse_text(struct span text, enum policy_unknown unknown, struct policy *out,
		      char why[POLICY_WHY_CAP])
{
	json_error_t error;
	json_t *value = NULL;
	int err;

	memset(out, 0, sizeof(*out));
	if (text.len > POLICY_TEXT_MAX)
		return refuse(why, "policy is longer than %d bytes", POLICY_TEXT_MAX);
	value = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
	if (!value)
		return refuse(why, "policy is not JSON (line %d, column %d)", error.line,
			      error.column);
	err = policy_parse(value, unknown, out, why);
	json_decref(value);
	return err;
}

/* ---- formatting ---- */

static json_t *set_json(const bool *set, const char *const *words)
{
	json_t *list = json_array();

	for (int i = 0; words[i]; i++)
		if (set[i])
			json_array_append_new(list, json_string(words[i]));
	return list;
}

static json_t *list_json(const struct policy_list *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < l->n; i++)
		json_array_append_new(list, json_string(l->items[i]));
	return list;
}

static void put_lists(json_t *o, const char *key, const struct policy_list *prefer,
		      const struct policy_list *exclude, bool has_prefer, bool has_exclude)
{
	json_t *lists = has_prefer || has_exclude ? json_object() : NULL;

	if (lists && has_prefer)
		json_object_set_new(lists, "prefer", list_json(prefer));
	if (lists && has_exclude)
		json_object_set_new(lists, "exclude", list_json(exclude));
	if (lists)
		json_object_set_new(o, key, lists);
}

static json_t *ports_json(const struct policy *p)
{
	return p->port_max ? json_sprintf("%u-%u", p->port_min, p->port_max) : json_string("any");
}

json_t *policy_json(const struct policy *p)
{
	json_t *o = json_object();

	if (!o)
		return NULL;
	if (p->keys & POLICY_METHODS)
		json_object_set_new(o, "methods", set_json(p->methods, policy_method_names));
	if (p->keys & POLICY_RELAY)
		json_object_set_new(o, "relay", json_string(policy_relay_names[p->relay]));
	if (p->keys & POLICY_TURN_TRANSPORTS)
		json_object_set_new(o, "turnTransports", set_json(p->turn, policy_turn_names));
	put_lists(o, "interfaces", &p->prefer_interfaces, &p->exclude_interfaces,
		  p->keys & POLICY_INTERFACES_PREFER, p->keys & POLICY_INTERFACES_EXCLUDE);
	put_lists(o, "subnets", &p->prefer_subnets, &p->exclude_subnets,
		  p->keys & POLICY_SUBNETS_PREFER, p->keys & POLICY_SUBNETS_EXCLUDE);
	if (p->keys & POLICY_UDP_PORTS)
		json_object_set_new(o, "udpPorts", ports_json(p));
	if (p->keys & POLICY_DSCP)
		json_object_set_new(o, "dscp", json_integer(p->dscp));
	if (p->keys & POLICY_DEVICE_KBIT)
		json_object_set_new(o, "deviceKbit", json_integer(p->device_kbit));
	if (p->keys & POLICY_SITE_KBIT)
		json_object_set_new(o, "siteKbit", json_integer(p->site_kbit));
	return o;
}

char *policy_text(const struct policy *p)
{
	json_t *o = policy_json(p);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

/* ---- inheritance ---- */

void policy_inherit(struct policy *p, const struct policy *above)
{
	const unsigned take = above->keys & ~p->keys;

	if (take & POLICY_METHODS)
		memcpy(p->methods, above->methods, sizeof(p->methods));
	if (take & POLICY_RELAY)
		p->relay = above->relay;
	if (take & POLICY_TURN_TRANSPORTS)
		memcpy(p->turn, above->turn, sizeof(p->turn));
	if (take & POLICY_INTERFACES_PREFER)
		p->prefer_interfaces = above->prefer_interfaces;
	if (take & POLICY_INTERFACES_EXCLUDE)
		p->exclude_interfaces = above->exclude_interfaces;
	if (take & POLICY_SUBNETS_PREFER)
		p->prefer_subnets = above->prefer_subnets;
	if (take & POLICY_SUBNETS_EXCLUDE)
		p->exclude_subnets = above->exclude_subnets;
	if (take & POLICY_UDP_PORTS) {
		p->port_min = above->port_min;
		p->port_max = above->port_max;
	}
	if (take & POLICY_DSCP)
		p->dscp = above->dscp;
	if (take & POLICY_DEVICE_KBIT)
		p->device_kbit = above->device_kbit;
	if (take & POLICY_SITE_KBIT)
		p->site_kbit = above->site_kbit;
	p->keys |= take;
}

void policy_complete(struct policy *p)
{
	struct policy defaults = { .keys = (POLICY_SITE_KBIT << 1) - 1,
				   .methods = { true, true, true },
				   .turn = { true, true, true, true } };

	policy_inherit(p, &defaults);
}

bool policy_relays(const struct policy *p)
{
	return p->methods[POLICY_RELAYED] && p->relay != POLICY_RELAY_FORBIDDEN;
}

uint32_t policy_kbit(const struct policy *p)
{
	if (p->device_kbit == 0 || p->site_kbit == 0)
		return p->device_kbit + p->site_kbit;
	return FL_MIN(p->device_kbit, p->site_kbit);
}
