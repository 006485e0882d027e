/* The words that docs/protocol.md §1.1 has for the public enums. */
#include "base/err.h"
#include "peer/driver.h"

#define WORD(table, value) ((size_t)(value) < ARRAY_LEN(table) ? (table)[value] : (table)[0])

const char *fl_route_method_name(enum fl_route_method method)
{
	static const char *const words[] = {
		[FL_ROUTE_NONE] = "none",
		[FL_ROUTE_LOCAL] = "local",
		[FL_ROUTE_PUNCHED] = "punched",
		[FL_ROUTE_RELAYED] = "relayed",
	};

	return WORD(words, method);
}

const char *fl_candidate_type_name(enum fl_candidate_type type)
{
	static const char *const words[] = {
		[FL_CANDIDATE_HOST] = "host",
		[FL_CANDIDATE_SRFLX] = "srflx",
		[FL_CANDIDATE_PRFLX] = "prflx",
		[FL_CANDIDATE_RELAY] = "relay",
	};

	return WORD(words, type);
}

const char *fl_pair_state_name(enum fl_pair_state state)
{
	static const char *const words[] = {
		[FL_PAIR_FROZEN] = "frozen",	       [FL_PAIR_WAITING] = "waiting",
		[FL_PAIR_IN_PROGRESS] = "in-progress", [FL_PAIR_SUCCEEDED] = "succeeded",
		[FL_PAIR_FAILED] = "failed",
	};

	return WORD(words, state);
}

const char *fl_net_name(enum fl_net net)
{
	static const char *const words[] = {
		[FL_NET_UNKNOWN] = "",
		[FL_NET_PHYSICAL] = "physical",
		[FL_NET_TEMPORARY] = "temporary",
		[FL_NET_VIRTUAL] = "virtual",
		[FL_NET_LINK_LOCAL] = "link-local",
	};

	return WORD(words, net);
}

const char *fl_candidate_use_name(enum fl_candidate_use use)
{
	static const char *const words[] = {
		[FL_USE_UNUSED] = "unused",	[FL_USE_TRIED] = "tried",
		[FL_USE_SELECTED] = "selected", [FL_USE_IGNORED] = "ignored",
		[FL_USE_GONE] = "gone",
	};

	return WORD(words, use);
}

const char *fl_server_state_name(enum fl_server_state state)
{
	static const char *const words[] = {
		[FL_SERVER_ASKING] = "asking", [FL_SERVER_ANSWERED] = "answered",
		[FL_SERVER_SILENT] = "silent", [FL_SERVER_REFUSED] = "refused",
		[FL_SERVER_FAILED] = "failed", [FL_SERVER_UNUSED] = "unused",
	};

	return WORD(words, state);
}

const char *fl_nat_mapping_name(enum fl_nat_mapping mapping)
{
	static const char *const words[] = {
		[FL_MAPPING_UNKNOWN] = "unknown",
		[FL_MAPPING_NONE] = "none",
		[FL_MAPPING_INDEPENDENT] = "independent",
		[FL_MAPPING_ADDRESS] = "address",
		[FL_MAPPING_PORT] = "port",
	};

	return WORD(words, mapping);
}

const char *fl_nat_filtering_name(enum fl_nat_filtering filtering)
{
	static const char *const words[] = {
		[FL_FILTERING_UNKNOWN] = "unknown",
		[FL_FILTERING_OPEN] = "open",
		[FL_FILTERING_ADDRESS] = "address",
		[FL_FILTERING_PORT] = "port",
	};

	return WORD(words, filtering);
}

const char *fl_error_text(int err)
{
	return err_text(err);
}
