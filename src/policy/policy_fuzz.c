/* What is taken formats into what is taken again, the same; inheriting from itself changes nothing.
 */
#include <string.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span text, enum policy_unknown unknown)
{
	struct policy once, twice, whole;
	char why[POLICY_WHY_CAP];
	char *first, *second;

	if (policy_parse_text(text, unknown, &once, why) < 0) {
		if (!why[0])
			__builtin_trap();
		return;
	}
	first = policy_text(&once);
	if (!first || policy_parse_text(span_str(first), POLICY_REFUSE_UNKNOWN, &twice, why) < 0)
		__builtin_trap();
	policy_inherit(&twice, &once);
	second = policy_text(&twice);
	if (!second || strcmp(first, second) != 0)
		__builtin_trap();
	free(first);
	free(second);
	whole = once;
	policy_complete(&whole);
	first = policy_text(&whole);
	if (!first || policy_parse_text(span_str(first), POLICY_REFUSE_UNKNOWN, &twice, why) < 0)
		__builtin_trap();
	free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(span_of(data, size), POLICY_REFUSE_UNKNOWN);
	check(span_of(data, size), POLICY_SKIP_UNKNOWN);
	return 0;
}
