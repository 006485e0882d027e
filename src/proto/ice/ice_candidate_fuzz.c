#include <string.h>

#include "proto/ice/ice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Text that parses is written again as text that parses to the same candidate. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ice_candidate a, b;
	char first[2 * ICE_CANDIDATE_TEXT_MAX], second[2 * ICE_CANDIDATE_TEXT_MAX];
	int len;

	if (ice_candidate_parse(span_of(data, size), &a) < 0)
		return 0;
	len = ice_candidate_format(&a, first, sizeof(first));
	if (len < 0 || strlen(first) != (size_t)len)
		__builtin_trap();
	if (len > ICE_CANDIDATE_TEXT_MAX)
		return 0;
	if (ice_candidate_parse(span_of(first, (size_t)len), &b) < 0 ||
	    ice_candidate_format(&b, second, sizeof(second)) != len || strcmp(first, second) != 0)
		__builtin_trap();
	return 0;
}
