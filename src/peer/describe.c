#include <errno.h>

#include "base/err.h"
#include "base/text.h"
#include "peer/internal.h"

#define DTLS_GRACE_US (60 * USEC_PER_MSEC)

void peer_forget_description(struct peer *p)
{
	for (size_t i = 0; i < p->n_candidate_texts; i++)
		free(p->candidate_texts[i]);
	p->n_candidate_texts = 0;
	sdp_free(p->offer);
	free(p->offer_text);
	p->offer = NULL;
	p->offer_text = NULL;
	p->video_media = NULL;
	p->have_video = false;
}

/* Into the description that is being written, or as an event. */
void peer_local_candidate(struct peer *p, const struct ice_candidate *c)
{
	char text[ICE_CANDIDATE_TEXT_MAX];

	if (ice_candidate_format(c, text, sizeof(text)) < 0)
		return;
	if (!p->describing)
		peer_emit(p, (struct fl_event){ .type = FL_EVENT_CANDIDATE }, text);
	else if (p->n_candidate_texts < CANDIDATE_TEXTS_MAX &&
		 (p->candidate_texts[p->n_candidate_texts] = strdup(text)))
		p->n_candidate_texts++;
}

static struct sdp_local local_description(const struct peer *p, enum sdp_setup setup)
{
	return (struct sdp_local){
		.session_id = p->session_id,
		.version = p->version,
		.ufrag = ice_local_ufrag(p->ice),
		.pwd = ice_local_pwd(p->ice),
		.fingerprint = dtls_identity_fingerprint_text(p->identity),
		.setup = setup,
		.candidates = (const char *const *)p->candidate_texts,
		.n_candidates = p->n_candidate_texts,
		.end_of_candidates = p->gathered,
		.ssrc = p->ssrc,
		.rtx_ssrc = p->rtx_ssrc,
		.cname = p->cname,
	};
}

/* The description out as an event, then the candidates that come later. */
static void describe(struct peer *p, const char *text)
{
	p->version++;
	for (size_t i = 0; i < p->n_candidate_texts; i++)
		free(p->candidate_texts[i]);
	p->n_candidate_texts = 0;
	peer_emit(p, (struct fl_event){ .type = FL_EVENT_DESCRIPTION }, text);
	p->describing = false;
	if (p->gathered)
		peer_emit(p, (struct fl_event){ .type = FL_EVENT_CANDIDATE }, "");
}

static int emit_offer(struct peer *p, usec_t now)
{
	FL_AUTOFREE char *text = malloc(SDP_TEXT_MAX);
	struct sdp_local l;
	int n;

	if (!text)
		return -ENOMEM;
	peer_pump(p, now);
	l = local_description(p, SDP_SETUP_ACTPASS);
	if (p->hello_offered && !p->restarting)
		l.hello = span_of(p->hello, p->hello_len);
	n = sdp_write_offer(&l, text, SDP_TEXT_MAX);
	if (n < 0)
		return n;
	describe(p, text);
	return 0;
}

/* Our ClientHello, for the offer: taken when it is one datagram. */
static int prepare_hello(struct peer *p, usec_t now)
{
	struct span hello;
	int err = peer_make_dtls(p, DTLS_ACTIVE);

	if (err == 0)
		err = dtls_start(p->dtls, now);
	if (err < 0)
		return err;
	if (dtls_next_output(p->dtls, &hello) && hello.len <= sizeof(p->hello)) {
		memcpy(p->hello, hello.ptr, hello.len);
		p->hello_len = hello.len;
		p->hello_offered = true;
	}
	return 0;
}

int peer_offer(struct peer *p, usec_t now)
{
	int err;

	if (p->state != PEER_NEW)
		return FL_ESTATE;
	p->offerer = p->describing = true;
	err = peer_make_ice(p, now);
	if (err == 0)
		err = prepare_hello(p, now);
	if (err == 0)
		err = emit_offer(p, now);
	if (err == 0)
		p->state = PEER_OFFERED;
	return err;
}

static void restart_ice(struct peer *p, usec_t now)
{
	p->gathered = false;
	p->route_told = false;
	p->n_names = 0;
	p->began_us = now;
	peer_found_restart(p);
	p->selected_us = 0;
	p->n_held = 0;
	ice_restart(p->ice, now);
	peer_policy_lost(p, now);
}

int peer_restart(struct peer *p, usec_t now)
{
	if (!p->offerer || (p->state != PEER_STARTED && p->state != PEER_CONNECTED))
		return FL_ESTATE;
	p->describing = p->restarting = true;
	restart_ice(p, now);
	return emit_offer(p, now);
}

void peer_to_agent(struct peer *p, usec_t now, const struct ice_candidate *c)
{
	uint64_t full = ice_stats(p->ice)->candidates_full;

	if (ice_add_remote(p->ice, now, c) == 0 && ice_stats(p->ice)->candidates_full > full)
		peer_found_dropped(p, c, PEER_IGNORED_LIMIT, "over the limit of addresses");
}

static void add_remote(struct peer *p, usec_t now, struct span text, enum found_from from)
{
	struct ice_candidate c;
	int err = ice_candidate_parse(text, &c);

	if (err < 0)
		p->ignored[err == FL_EUNSUPPORTED ? PEER_IGNORED_UNSUPPORTED
						  : PEER_IGNORED_MALFORMED]++;
	else if (peer_found_remote(p, now, &c, from))
		peer_policy_path(p, now); /* one that is not allowed may be in use already */
	else if (peer_policy_hold(p, &c))
		return;
	else if (c.addr.family != ADDR_NONE)
		peer_to_agent(p, now, &c);
	else if (p->n_names < NAMES_MAX)
		p->names[p->n_names++] = (struct remote_name){ .candidate = c };
	else
		peer_found_dropped(p, &c, PEER_IGNORED_LIMIT, "over the limit of 32 names");
}

int peer_candidate(struct peer *p, usec_t now, const char *text)
{
	if (!p->ice)
		return FL_ESTATE;
	if (strlen(text) > ICE_CANDIDATE_TEXT_MAX)
		p->ignored[PEER_IGNORED_MALFORMED]++;
	else if (!*text || !strcmp(text, "a="))
		ice_end_of_remotes(p->ice, now);
	else
		add_remote(p, now, span_str(text), FOUND_TRICKLE);
	peer_pump(p, now);
	peer_tell_fresh(p);
	return 0;
}

bool peer_next_name(struct peer *p, struct ice_candidate *out)
{
	for (size_t i = 0; i < p->n_names; i++)
		if (!p->names[i].fetched) {
			p->names[i].fetched = true;
			*out = p->names[i].candidate;
			return true;
		}
	return false;
}

void peer_resolved(struct peer *p, usec_t now, const struct ice_candidate *candidate)
{
	if (!p->ice)
		return;
	if (!peer_found_resolved(p, now, candidate))
		peer_to_agent(p, now, candidate);
	peer_pump(p, now);
	peer_tell_fresh(p);
}

/* A terminated copy of a borrowed span; false when it does not fit. */
static bool copy_text(char *dst, size_t cap, struct span s)
{
	return s.len > 0 && text_copy_span(dst, cap, s);
}

/* Credentials, fingerprint and candidates of the other side's description. */
static int use_remote(struct peer *p, usec_t now, const struct sdp *sdp, const struct sdp_media *m)
{
	char ufrag[ICE_UFRAG_MAX + 1], pwd[ICE_PWD_MAX + 1];
	struct ice_remote remote = { .ufrag = ufrag,
				     .pwd = pwd,
				     .lite = m->transport.lite,
				     .renomination = m->transport.renomination };
	uint8_t fp[DTLS_FINGERPRINT_LEN];
	int err = dtls_fingerprint_parse(m->transport.fingerprint, fp);

	if (err < 0)
		return err;
	if (!copy_text(ufrag, sizeof(ufrag), m->transport.ufrag) ||
	    !copy_text(pwd, sizeof(pwd), m->transport.pwd))
		return FL_EMALFORMED;
	err = ice_set_remote(p->ice, now, &remote);
	if (err == 0)
		err = dtls_set_fingerprint(p->dtls, now, fp);
	if (err < 0)
		return err;
	for (size_t i = 0; i < sdp->n_candidates; i++)
		add_remote(p, now, sdp->candidates[i], FOUND_DESCRIPTION);
	if (sdp->end_of_candidates)
		ice_end_of_remotes(p->ice, now);
	return 0;
}

/* Which of the two starts the handshake; the answerer says. */
static int choose_role(struct peer *p, usec_t now, const struct sdp *offer,
		       const struct sdp_media *m)
{
	uint8_t hello[SDP_HELLO_MAX];
	int n, err;

	if (m->transport.setup == SDP_SETUP_NONE)
		return FL_EMALFORMED;
	n = offer->hello.len ? text_b64_decode(offer->hello, hello, sizeof(hello)) : 0;
	if (p->remote_native && n > 0 && m->transport.setup == SDP_SETUP_ACTPASS) {
		err = peer_make_dtls(p, DTLS_PASSIVE);
		if (err == 0)
			err = dtls_input(p->dtls, now, span_of(hello, (size_t)n));
		p->dtls_started = true;
		return err;
	}
	return peer_make_dtls(p,
			      m->transport.setup == SDP_SETUP_ACTIVE ? DTLS_PASSIVE : DTLS_ACTIVE);
}

static void choose_video(struct peer *p)
{
	p->have_video = false;
	for (size_t i = 0; i < p->offer->n_media && !p->have_video; i++) {
		const struct sdp_media *m = &p->offer->media[i];

		if (sdp_media_usable(m) && m->bundled && m->rtcp_mux &&
		    sdp_choose_video(m, p->video_prefs, p->n_video_prefs, &p->video_choice) == 0) {
			p->video_media = m;
			p->have_video = true;
		}
	}
}

static int emit_answer(struct peer *p, usec_t now)
{
	FL_AUTOFREE char *text = malloc(SDP_TEXT_MAX);
	struct sdp_local l;
	int n;

	if (!text)
		return -ENOMEM;
	peer_pump(p, now);
	l = local_description(p, p->role == DTLS_ACTIVE ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE);
	n = sdp_write_answer(&l, p->offer, p->video_media, p->have_video ? &p->video_choice : NULL,
			     text, SDP_TEXT_MAX);
	if (n < 0)
		return n;
	describe(p, text);
	return 0;
}

static int first_answer(struct peer *p, usec_t now, const struct sdp_media *m)
{
	int err = peer_make_ice(p, now);

	if (err == 0)
		err = choose_role(p, now, p->offer, m);
	if (err < 0)
		return err;
	dcep_set_role(p->dcep, p->role == DTLS_ACTIVE);
	choose_video(p);
	p->state = PEER_STARTED;
	return 0;
}

/* Keeps the offer, in place of an earlier one when it is of use: video points into it. */
static int keep_offer(struct peer *p, const char *text)
{
	struct sdp *sdp;
	char *copy;
	int err;

	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	err = sdp_parse(span_str(copy), &sdp);
	if (err < 0) {
		free(copy);
		return err;
	}
	if (!sdp_transport_media(sdp) || !sdp_find(sdp, SDP_APPLICATION)) {
		sdp_free(sdp);
		free(copy);
		return FL_EMALFORMED;
	}
	peer_forget_description(p);
	p->offer = sdp;
	p->offer_text = copy;
	p->remote_native = sdp->fairlead;
	return 0;
}

static bool same_credentials(const struct peer *p, const struct sdp_media *m)
{
	char ufrag[ICE_UFRAG_MAX + 1], pwd[ICE_PWD_MAX + 1];

	return copy_text(ufrag, sizeof(ufrag), m->transport.ufrag) &&
	       copy_text(pwd, sizeof(pwd), m->transport.pwd) && ice_is_remote(p->ice, ufrag, pwd);
}

int peer_answer(struct peer *p, usec_t now, const char *offer_sdp)
{
	bool first = p->state == PEER_NEW;
	const struct sdp_media *m;
	int err;

	if (p->offerer || (!first && p->state != PEER_STARTED && p->state != PEER_CONNECTED))
		return FL_ESTATE;
	err = keep_offer(p, offer_sdp);
	if (err < 0)
		return err;
	m = sdp_transport_media(p->offer);
	p->describing = true;
	if (first) {
		err = first_answer(p, now, m);
	} else {
		choose_video(p);
		if (!same_credentials(p, m))
			restart_ice(p, now);
	}
	if (err == 0)
		err = use_remote(p, now, p->offer, m);
	if (err == 0)
		err = emit_answer(p, now);
	p->describing = false;
	if (err == 0 && p->remote_native && p->role == DTLS_ACTIVE)
		peer_start_dtls(p, now);
	if (err == 0) {
		peer_use_early(p, now);
		peer_pump(p, now);
	}
	return err;
}

/* The roles as the answer says, with the DTLS object that fits. */
static int settle_role(struct peer *p, usec_t now, const struct sdp_media *m)
{
	int err = 0;

	if (m->transport.setup == SDP_SETUP_ACTIVE)
		err = peer_make_dtls(p, DTLS_PASSIVE);
	else if (m->transport.setup != SDP_SETUP_PASSIVE)
		return FL_EMALFORMED;
	else if (p->remote_native && p->hello_offered)
		p->dtls_started = true; /* the other side has our ClientHello */
	else
		err = peer_make_dtls(p, DTLS_ACTIVE);
	p->dtls_not_before = usec_add(now, DTLS_GRACE_US);
	dcep_set_role(p->dcep, p->role == DTLS_ACTIVE);
	return err;
}

int peer_accept(struct peer *p, usec_t now, const char *answer_sdp)
{
	const struct sdp_media *m;
	struct sdp *sdp;
	bool first = p->state == PEER_OFFERED;
	int err;

	if (!first && !p->restarting)
		return FL_ESTATE;
	err = sdp_parse(span_str(answer_sdp), &sdp);
	if (err < 0)
		return err;
	m = sdp_transport_media(sdp);
	if (!m || m->kind != SDP_APPLICATION)
		err = FL_EMALFORMED;
	if (err == 0 && first) {
		p->remote_native = sdp->fairlead;
		err = settle_role(p, now, m);
	}
	if (err == 0)
		err = use_remote(p, now, sdp, m);
	sdp_free(sdp);
	if (err < 0)
		return err;
	p->restarting = false;
	if (first)
		p->state = PEER_STARTED;
	if (p->remote_native && p->role == DTLS_ACTIVE)
		peer_start_dtls(p, now);
	peer_use_early(p, now);
	peer_pump(p, now);
	return 0;
}
