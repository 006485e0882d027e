#include "client/grant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"

static int refuse(char why[256], const char *what)
{
	snprintf(why, 256, "%s", what);
	return FL_EUNAUTHENTICATED;
}

static json_t *decode_json(struct span text)
{
	uint8_t bytes[GRANT_TEXT_MAX];
	int n = text_b64url_decode(text, bytes, sizeof(bytes));

	return n < 0 ? NULL
		     : json_loadb((const char *)bytes, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
}

static bool take_text(json_t *claims, const char *name, char *dst, size_t cap)
{
	const char *s = json_string_value(json_object_get(claims, name));

	return s && *s && text_copy(dst, cap, s);
}

static bool take_modules(json_t *claims, struct grant *g)
{
	json_t *list = json_object_get(claims, "mod"), *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > GRANT_MODULES_MAX)
		return false;
	json_array_foreach(list, i, item)
	{
		const char *s = json_string_value(item);
		if (!s || !text_copy(g->modules[g->n_modules++], GRANT_MODULE_MAX, s))
			return false;
	}
	return true;
}

/* What cannot be kept to is refused, rather than passed over. A hub of before has none. */
static bool take_policy(json_t *claims, struct grant *g)
{
	json_t *policy = json_object_get(claims, "pol");
	char why[POLICY_WHY_CAP];

	if (policy && policy_parse(policy, POLICY_SKIP_UNKNOWN, &g->policy, why) < 0)
		return false;
	policy_complete(&g->policy);
	return true;
}

static int check_claims(json_t *claims, const struct grant_check *check, struct grant *g,
			char why[256])
{
	json_t *exp = json_object_get(claims, "exp"), *iat = json_object_get(claims, "iat");
	const char *fp = json_string_value(json_object_get(claims, "fp"));
	char device[128];

	if (!take_text(claims, "jti", g->session, sizeof(g->session)) ||
	    !take_text(claims, "sub", g->user_id, sizeof(g->user_id)) ||
	    !take_text(claims, "name", g->user_name, sizeof(g->user_name)) ||
	    !take_text(claims, "dev", device, sizeof(device)) || !take_modules(claims, g) ||
	    !json_is_integer(exp) || !json_is_integer(iat) || !fp ||
	    !sign_fingerprint(fp, g->fingerprint))
		return refuse(why,
			      "The grant lacks something, or has it in a form that is not known.");
	if (!take_policy(claims, g))
		return refuse(why, "The grant's policy has a value that is not known; update this "
				   "client.");
	g->expires = json_integer_value(exp);
	if (strcmp(device, check->device) != 0)
		return refuse(why, "The grant is for another device.");
	if (strcmp(g->session, check->session) != 0)
		return refuse(why, "The grant is for another session.");
	if (strcmp(g->fingerprint, check->offer_fingerprint) != 0)
		return refuse(why,
			      "The grant is for another console than the one that made the offer.");
	if (check->now > g->expires + GRANT_LEEWAY_S)
		return refuse(why, "The grant has expired.");
	if (json_integer_value(iat) > check->now + GRANT_LEEWAY_S)
		return refuse(why,
			      "The grant is from the future; the clocks of hub and device differ.");
	return 0;
}

int grant_verify(const char *text, const struct grant_check *check, struct grant *out,
		 char why[256])
{
	const char *dot = strchr(text, '.'), *dot2 = dot ? strchr(dot + 1, '.') : NULL;
	struct grant g = { 0 };

	if (!dot2 || strlen(text) > GRANT_TEXT_MAX)
		return refuse(why, "The grant is no compact JWS.");
	json_t *header = decode_json(span_of(text, (size_t)(dot - text)));
	const char *alg = json_string_value(json_object_get(header, "alg"));
	const char *typ = json_string_value(json_object_get(header, "typ"));
	bool known = alg && strcmp(alg, "EdDSA") == 0 && typ &&
		     strcmp(typ, "fairlead-grant") == 0 && !json_object_get(header, "crit");
	json_decref(header);
	if (!known)
		return refuse(why, "The grant's header is not the one of a grant.");
	if (!sign_check(check->hub_key, span_of(text, (size_t)(dot2 - text)), dot2 + 1))
		return refuse(why,
			      "The grant was not signed by the hub that this device belongs to.");
	json_t *claims = decode_json(span_of(dot + 1, (size_t)(dot2 - dot - 1)));
	int err = check_claims(claims, check, &g, why);
	json_decref(claims);
	if (err == 0)
		*out = g;
	return err;
}

int grant_used_add(struct grant_used *used, const struct grant *g, int64_t now)
{
	for (size_t i = used->n; i-- > 0;)
		if (used->items[i].until < now)
			used->items[i] = used->items[--used->n];
	for (size_t i = 0; i < used->n; i++)
		if (strcmp(used->items[i].session, g->session) == 0)
			return -EEXIST;
	if (used->n == GRANT_USED_MAX)
		return FL_EQUOTA;
	memcpy(used->items[used->n].session, g->session, sizeof(g->session));
	used->items[used->n++].until = g->expires + GRANT_LEEWAY_S;
	return 0;
}
