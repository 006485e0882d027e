#include "proto/ice/ice.h"

#include "base/text.h"
#include "proto/ice/ice_internal.h"

const char *ice_state_name(enum ice_state state)
{
	switch (state) {
	case ICE_NEW:
		return "new";
	case ICE_CHECKING:
		return "checking";
	case ICE_CONNECTED:
		return "connected";
	case ICE_DISCONNECTED:
		return "disconnected";
	case ICE_FAILED:
		return "failed";
	}
	return "unknown";
}

/* The alphabet of base64 is exactly ice-char (RFC 8839 §5.4). */
static void random_text(struct ice *ice, char *dst, size_t len)
{
	uint8_t bytes[32];

	rng_bytes(ice->rng, bytes, len / 4 * 3);
	text_b64_encode(span_of(bytes, len / 4 * 3), dst, len + 1);
	ct_wipe(bytes, sizeof(bytes));
}

static void new_credentials(struct ice *ice)
{
	struct creds *c = &ice->creds[ice->gen];

	ct_wipe(c, sizeof(*c));
	random_text(ice, c->ufrag, UFRAG_LEN);
	random_text(ice, c->pwd, PWD_LEN);
}

struct ice *ice_create(const struct ice_config *config, struct rng *rng)
{
	struct ice *ice = calloc(1, sizeof(*ice));

	if (!ice)
		return NULL;
	ice->config = *config;
	if (!ice->config.fail_after_us)
		ice->config.fail_after_us = FAIL_AFTER_US;
	ice->rng = rng;
	ice->controlling = config->controlling;
	ice->tie = rng_u64(rng);
	ice->foundation_key = rng_u64(rng);
	ice->selected = -1;
	ice->fail_at = USEC_NEVER;
	new_credentials(ice);
	return ice;
}

void ice_destroy(struct ice *ice)
{
	if (!ice)
		return;
	ct_wipe(ice->creds, sizeof(ice->creds));
	free(ice);
}

const char *ice_local_ufrag(const struct ice *ice)
{
	return ice->creds[ice->gen].ufrag;
}

const char *ice_local_pwd(const struct ice *ice)
{
	return ice->creds[ice->gen].pwd;
}

bool ice_controlling(const struct ice *ice)
{
	return ice->controlling;
}

enum ice_state ice_state(const struct ice *ice)
{
	return ice->state;
}

static bool ice_chars(const char *s, size_t min, size_t max)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/");

	return s[len] == 0 && len >= min && len <= max;
}

bool ice_is_remote(const struct ice *ice, const char *ufrag, const char *pwd)
{
	const struct creds *c = &ice->creds[ice->gen];

	return c->have_remote && strcmp(c->remote_ufrag, ufrag) == 0 &&
	       ct_equal(span_str(c->remote_pwd), span_str(pwd));
}

/* Credentials that answered a restart which another one overtook have shown nothing yet. */
static bool replaceable(const struct ice *ice)
{
	return ice->was_connected && !ice->stats.valid_us;
}

int ice_set_remote(struct ice *ice, usec_t now, const struct ice_remote *remote)
{
	struct creds *c = &ice->creds[ice->gen];

	if (!ice_chars(remote->ufrag, 4, ICE_UFRAG_MAX) || !ice_chars(remote->pwd, 22, ICE_PWD_MAX))
		return FL_EMALFORMED;
	if (ice_is_remote(ice, remote->ufrag, remote->pwd))
		return 0;
	if (c->have_remote && !replaceable(ice))
		return FL_ESTATE;
	text_copy(c->remote_ufrag, sizeof(c->remote_ufrag), remote->ufrag);
	text_copy(c->remote_pwd, sizeof(c->remote_pwd), remote->pwd);
	c->have_remote = true;
	c->lite = remote->lite;
	c->renomination = remote->renomination;
	if (remote->lite)
		ice__set_role(ice, true);
	ice->stats.began_us = now;
	ice->fail_at = usec_add(now, ice->config.fail_after_us);
	ice__remote_take_early(ice);
	ice__turn_end(ice, now);
	return 0;
}

void ice_restart(struct ice *ice, usec_t now)
{
	const struct pair *keep = ice->selected >= 0 ? &ice->pairs[ice->selected] : NULL;

	for (int i = 0; i < ICE_PAIRS_MAX; i++)
		if (i != ice->selected)
			ice->pairs[i].used = false;
	for (int i = 0; i < ICE_REMOTES_MAX; i++)
		if (!keep || i != keep->remote)
			ice->remotes[i].used = false;
	ice__local_forget_mapped(ice, keep ? keep->mapped : -1);
	/* the kept pair's credentials stay in their slot, the others' slot is taken anew */
	ice->gen = 1 - (keep ? keep->gen : ice->gen);
	new_credentials(ice);
	ice->remotes_done = false;
	ice->failed = false;
	ice->was_connected = keep != NULL;
	ice->fail_at = USEC_NEVER;
	ice->nominations = 0;
	ice->renominate = ice->chooses = false;
	ice->pace = 0;
	ice->checks_paced = 0;
	ice->stats.began_us = ice->stats.valid_us = ice->stats.selected_us = 0;
	ice__probe_restart(ice, now);
	ice__turn_end(ice, now);
}

int ice_timeout(struct ice *ice, usec_t now)
{
	ice__turn_end(ice, now);
	return 0;
}

usec_t ice_deadline(const struct ice *ice)
{
	return usec_min(usec_min(ice__probe_deadline(ice), ice__check_deadline(ice)),
			ice__select_deadline(ice));
}

void ice_note_data(struct ice *ice, usec_t now, const struct dgram *d)
{
	int base = ice__local_of_base(ice, &d->local, d->via), pair;

	if (base < 0)
		return;
	pair = ice__pair_find(ice, ice->gen, base, &d->remote);
	if (pair < 0 || ice->pairs[pair].heard)
		return;
	ice->pairs[pair].heard = true;
	ice__turn_end(ice, now);
}

void ice_note_error(struct ice *ice, const struct addr *local, const struct addr *remote,
		    enum dgram_via via, int err)
{
	int base = ice__local_of_base(ice, local, via), pair;

	if (base < 0)
		return;
	pair = ice__pair_find(ice, ice->gen, base, remote);
	if (pair < 0)
		return;
	ice->pairs[pair].error = ICE_PAIR_SEND;
	ice->pairs[pair].send_error = err;
}

static void describe(const struct ice *ice, const struct lcand *l, struct ice_candidate *out)
{
	*out = (struct ice_candidate){
		.type = l->type,
		.transport = l->transport,
		.component = 1,
		.priority = l->priority,
		.addr = l->addr,
		.related = l->related,
	};
	out->addr.scope = out->related.scope = 0;
	text_copy(out->foundation, sizeof(out->foundation), l->foundation);
	text_copy(out->ufrag, sizeof(out->ufrag), ice->creds[ice->gen].ufrag);
}

static bool take(bool *flag)
{
	bool was = *flag;

	*flag = false;
	return was;
}

bool ice_next_event(struct ice *ice, struct ice_event *out)
{
	for (int i = 0; i < ICE_LOCALS_MAX; i++)
		if (ice->locals[i].used && take(&ice->locals[i].announce)) {
			out->type = ICE_EVENT_CANDIDATE;
			describe(ice, &ice->locals[i], &out->candidate);
			return true;
		}
	out->state = ice->state;
	if (take(&ice->event_gathered))
		out->type = ICE_EVENT_GATHERED;
	else if (take(&ice->event_role))
		out->type = ICE_EVENT_ROLE;
	else if (take(&ice->event_state))
		out->type = ICE_EVENT_STATE;
	else if (take(&ice->event_path))
		out->type = ICE_EVENT_PATH;
	else
		return false;
	return true;
}
