/*
 * Who may have how much: allocations, bytes and packets a second, per user and in all. Shared by
 * the workers: taking and putting an allocation locks, passing packets is a few atomic operations,
 * and nothing at all when no rate is limited.
 */
#pragma once

#include "base/usec.h"
#include "base/util.h"
#include "relay/settings.h"

#define QUOTA_USERS_MAX 100000 /* with allocations at one time; more is "no capacity" */

struct quotas;
/* Lives while it has allocations. What it owes of a rate is remembered a while longer, so that a
 * new allocation is no new allowance. */
struct quota_user;

int quotas_create(struct quotas **out) FL_WARN_UNUSED;
void quotas_destroy(struct quotas *q); /* NULL is fine */
/* Limits of a reload; they hold for what comes next. */
void quotas_set(struct quotas *q, const struct settings_quota *per_user,
		const struct settings_quota *total);

/* One more allocation. 0 and *out; 486 (this user's quota), 508 (all together or no memory). */
int quota_take(struct quotas *q, const char *user, struct quota_user **out) FL_WARN_UNUSED;
void quota_put(struct quotas *q, struct quota_user *u);

/*
 * May so many packets with so many bytes of user data pass now? Books them when so. A second's
 * worth may pass at once; a batch passes whole and is owed, so over time the rate holds exactly.
 * now is the same monotonic clock for all callers.
 */
bool quota_pass(struct quota_user *u, usec_t now, size_t packets, size_t bytes);

/* Another number for each user, for what keeps its own books (XDP). */
uint32_t quota_id(const struct quota_user *u);
/* Rates that hold for u, for what enforces them elsewhere (XDP); 0: no limit. */
void quota_rates(const struct quota_user *u, uint64_t *bytes_per_s, uint64_t *packets_per_s);
/* The same for all users together. */
void quotas_rates(struct quotas *q, uint64_t *bytes_per_s, uint64_t *packets_per_s);
