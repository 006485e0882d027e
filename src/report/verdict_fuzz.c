/* Lines: flags (a digit), the console's report, the device's, a policy. Whatever they say, the
 * verdict is printable, names no host but the relay's and addresses, and comes out the same again.
 */
#include "base/text.h"
#include "report/verdict.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *next_line(const uint8_t **at, size_t *left)
{
	const uint8_t *end = *left ? memchr(*at, '\n', *left) : NULL;
	size_t len = end ? (size_t)(end - *at) : *left;
	json_t *v = json_loadb((const char *)*at, len, 0, NULL);

	*at += len + !!end;
	*left -= len + !!end;
	return v;
}

static void check_text(const char *text, size_t cap)
{
	if (strlen(text) >= cap - 1 || !text_utf8_valid(span_str(text)))
		__builtin_trap();
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '<')
			__builtin_trap();
}

static void check(const struct verdict *v)
{
	struct addr a;
	json_t *o = verdict_json(v);

	if (!o || !v->sentence[0] || v->n_remedies > VERDICT_REMEDIES_MAX)
		__builtin_trap();
	json_decref(o);
	check_text(v->sentence, sizeof(v->sentence));
	for (size_t i = 0; i < v->n_remedies; i++) {
		const struct verdict_remedy *r = &v->remedy[i];

		check_text(r->text, sizeof(r->text));
		check_text(r->ports, sizeof(r->ports));
		if (strcmp(r->host, "*") != 0 && strcmp(r->host, "relay.example.org") != 0 &&
		    addr_parse_ip(r->host, &a) < 0)
			__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct verdict_relay relays[VERDICT_RELAYS_MAX];
	struct route_seen console, device;
	struct verdict_question q = { .console = &console, .device = &device, .relays = relays };
	struct policy policy;
	struct verdict *v = calloc(2, sizeof(*v));
	char why[POLICY_WHY_CAP];
	json_t *lines[4];

	if (!v)
		return 0;
	for (int i = 0; i < 4; i++)
		lines[i] = next_line(&data, &size);
	q.ended = json_integer_value(lines[0]) & 1;
	q.device_last = json_integer_value(lines[0]) & 2;
	if (!(json_integer_value(lines[0]) & 4))
		verdict_relay_add(relays, &q.n_relays, "turn:relay.example.org:3478");
	route_seen_take(lines[1], &console);
	route_seen_take(lines[2], &device);
	if (policy_parse(lines[3], POLICY_SKIP_UNKNOWN, &policy, why) == 0) {
		policy_complete(&policy);
		q.policy = &policy;
	}
	if (verdict_make(&q, &v[0])) {
		check(&v[0]);
		if (!verdict_make(&q, &v[1]) || strcmp(v[0].sentence, v[1].sentence) != 0)
			__builtin_trap();
	}
	for (int i = 0; i < 4; i++)
		json_decref(lines[i]);
	free(v);
	return 0;
}
