/* From a policy as the hub signs it (policy/policy.h) to what libfairlead keeps to. */
#pragma once

#include <fairlead/peer.h>

#include "policy/policy.h"

/* Of a complete policy. out and config's ports are for fl_peer_create(); strings stay the policy's,
 * and config->policy becomes out. */
void policy_to_peer(const struct policy *p, struct fl_route_policy *out,
		    struct fl_peer_config *config);

/* For the console's end: kinds of routes, ways to a relay, marks and budgets; interfaces, subnets
 * and ports are those of the device's network. */
void policy_to_console(const struct policy *p, struct fl_route_policy *out,
		       struct fl_peer_config *config);

/* " The policy allows only local routes." or "", for the end of a message about a missing route. */
const char *policy_limits(const struct policy *p, char dst[100]);

/* fl_peer_create() said -EADDRINUSE: a sentence that names the range. */
const char *policy_ports_full(const struct policy *p, char dst[200]);
