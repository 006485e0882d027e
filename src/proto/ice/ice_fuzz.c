/*
 * The whole agent, driven by a script of steps: u8 what, u8 delay in 1/16 of a second, u8 length,
 * that many bytes. So that the script gets past authentication, it can have what it says signed
 * with the right passwords, and can answer the agent's own checks.
 */
#include <stdio.h>
#include <string.h>

#include "base/wire.h"
#include "proto/ice/ice.h"
#include "proto/stun/stun.h"

#define REMOTE_UFRAG "ufra"
#define REMOTE_PWD "0123456789012345678901"
#define ASKED_MAX 16
#define STEPS_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct asked {
	uint8_t tid[STUN_TID_LEN];
	struct addr local, remote;
};

struct run {
	struct ice *ice;
	struct rng rng;
	usec_t now;
	struct asked asked[ASKED_MAX]; /* the agent's latest requests */
	unsigned n_asked;
};

static void check(bool ok)
{
	if (!ok)
		__builtin_trap();
}

static void drain(struct run *r)
{
	struct ice_event e;
	struct dgram d;
	struct stun_msg m;
	char text[ICE_CANDIDATE_TEXT_MAX];

	while (ice_next_output(r->ice, &d)) {
		check(stun_parse(d.data, &m) == 0 && stun_check_fingerprint(&m) == 0);
		if (m.class == STUN_REQUEST) {
			struct asked *a = &r->asked[r->n_asked++ % ASKED_MAX];

			memcpy(a->tid, m.tid, sizeof(a->tid));
			a->local = d.local;
			a->remote = d.remote;
		}
	}
	while (ice_next_event(r->ice, &e))
		if (e.type == ICE_EVENT_CANDIDATE)
			check(ice_candidate_format(&e.candidate, text, sizeof(text)) > 0);
}

static void settle(struct run *r)
{
	struct ice_pair_info pairs[ICE_PAIRS_MAX + 1];
	struct ice_path path;
	size_t n = ice_pairs(r->ice, pairs, ICE_PAIRS_MAX + 1), selected = 0;

	check(n <= ICE_PAIRS_MAX);
	for (size_t i = 0; i < n; i++)
		selected += pairs[i].selected;
	check(selected <= 1);
	check(ice_state(r->ice) != ICE_CONNECTED || selected == 1);
	check(ice_path(r->ice, &path) != ICE_PATH_SELECTED || selected == 1);
}

static void pass_time(struct run *r, usec_t until)
{
	while (ice_deadline(r->ice) <= until) {
		r->now = FL_MAX(r->now, ice_deadline(r->ice));
		ice_timeout(r->ice, r->now);
		drain(r);
		check(ice_deadline(r->ice) > r->now);
	}
	r->now = until;
}

static struct addr address(struct reader *r)
{
	static const uint8_t bases[][4] = {
		{ 10, 0, 0, 1 }, { 10, 0, 0, 2 }, { 192, 0, 2, 1 }, { 198, 51, 100, 1 }
	};
	struct addr a = { .family = ADDR_V4 };
	uint8_t b = reader_u8(r);

	memcpy(a.ip, bases[b % 4], 4);
	a.port = (uint16_t)(5000 + (b >> 4));
	return a;
}

static void input(struct run *r, const struct addr *local, const struct addr *remote,
		  const uint8_t *buf, int len)
{
	struct dgram d = { .local = *local, .remote = *remote };

	if (len < 0)
		return;
	d.data = span_of(buf, (size_t)len);
	ice_input(r->ice, r->now, &d);
}

/* Type and length of each attribute come from the script. */
static void put_attributes(struct stun_out *o, struct reader *s)
{
	while (reader_left(s) > 2) {
		uint16_t type = reader_u16(s);
		size_t len = reader_u8(s);

		stun_put(o, type, reader_bytes(s, FL_MIN(len, reader_left(s))));
	}
}

static void signed_request(struct run *r, struct reader *s)
{
	struct addr local = address(s), remote = address(s);
	uint8_t flags = reader_u8(s), buf[1024], tid[STUN_TID_LEN];
	char name[64];
	struct stun_out o;

	rng_bytes(&r->rng, tid, sizeof(tid));
	snprintf(name, sizeof(name), "%s:" REMOTE_UFRAG, ice_local_ufrag(r->ice));
	stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, tid);
	stun_put(&o, STUN_USERNAME, span_str(name));
	if (flags & 1)
		stun_put_flag(&o, STUN_USE_CANDIDATE);
	if (flags & 2)
		stun_put_u64(&o, flags & 4 ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED,
			     flags & 8 ? UINT64_MAX : 0);
	if (flags & 16)
		stun_put_u32(&o, STUN_NOMINATION, flags >> 5);
	put_attributes(&o, s);
	stun_put_integrity(&o, span_str(ice_local_pwd(r->ice)));
	stun_put_fingerprint(&o);
	input(r, &local, &remote, buf, stun_end(&o));
}

static void signed_answer(struct run *r, struct reader *s)
{
	const struct asked *a = &r->asked[reader_u8(s) % ASKED_MAX];
	uint8_t flags = reader_u8(s), buf[1024];
	struct addr mapped = address(s);
	struct stun_out o;

	if (a->local.family == ADDR_NONE)
		return; /* nothing was asked yet */
	stun_begin(&o, buf, sizeof(buf), flags & 1 ? STUN_ERROR : STUN_SUCCESS, STUN_BINDING,
		   a->tid);
	if (flags & 1)
		stun_put_error(&o, flags & 2 ? STUN_ROLE_CONFLICT : STUN_UNAUTHENTICATED, "no");
	else
		stun_put_xor_addr(&o, STUN_XOR_MAPPED_ADDRESS, flags & 4 ? &mapped : &a->local);
	put_attributes(&o, s);
	stun_put_integrity(&o, span_str(REMOTE_PWD));
	stun_put_fingerprint(&o);
	input(r, &a->local, flags & 8 ? &mapped : &a->remote, buf, stun_end(&o));
}

static void add_candidate(struct run *r, struct reader *s)
{
	struct ice_candidate c;

	if (ice_candidate_parse(reader_rest(s), &c) == 0)
		ice_add_remote(r->ice, r->now, &c);
}

static void add_address(struct run *r, struct reader *s)
{
	uint8_t flags = reader_u8(s);
	struct ice_local l = { .addr = address(s), .base = address(s), .related = address(s) };

	l.type = (enum ice_type)(flags & 3);
	l.net = (enum ice_net)(flags >> 2 & 3);
	l.preference = flags;
	if (flags & 64)
		ice_remove_local(r->ice, r->now, &l.addr, ice_via(l.transport));
	else if (flags & 128)
		(void)!ice_add_stun_server(r->ice, r->now, &l.addr);
	else
		(void)!ice_add_local(r->ice, r->now, &l);
}

static void raw(struct run *r, struct reader *s)
{
	struct addr local = address(s), remote = address(s);
	struct span bytes = reader_rest(s);

	input(r, &local, &remote, bytes.ptr, (int)bytes.len);
}

static void step(struct run *r, uint8_t what, struct reader *s)
{
	static const struct ice_remote remote = { REMOTE_UFRAG, REMOTE_PWD, false, true };
	struct addr a, b;

	switch (what % 10) {
	case 0:
		raw(r, s);
		break;
	case 1:
		signed_request(r, s);
		break;
	case 2:
	case 3:
		signed_answer(r, s);
		break;
	case 4:
		add_candidate(r, s);
		break;
	case 5:
		add_address(r, s);
		break;
	case 6:
		(void)!ice_set_remote(r->ice, r->now, &remote);
		break;
	case 7:
		ice_restart(r->ice, r->now);
		break;
	case 8:
		a = address(s);
		b = address(s);
		ice_note_data(r->ice, r->now, &(struct dgram){ .local = a, .remote = b });
		ice_note_error(r->ice, &a, &b, DGRAM_UDP, -1);
		ice_suspect(r->ice, r->now);
		break;
	case 9:
		ice_end_of_locals(r->ice, r->now);
		ice_end_of_remotes(r->ice, r->now);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader script = reader_of(span_of(data, size));
	struct ice_config config = { .controlling = reader_u8(&script) & 1 };
	struct run r = { .now = USEC_PER_SEC };

	rng_seed(&r.rng, 1);
	r.ice = ice_create(&config, &r.rng);
	check(r.ice != NULL);
	for (int steps = 0; steps < STEPS_MAX && reader_left(&script) > 0; steps++) {
		uint8_t what = reader_u8(&script), delay = reader_u8(&script);
		size_t len = reader_u8(&script);
		struct reader s = reader_sub(&script, FL_MIN(len, reader_left(&script)));

		pass_time(&r, r.now + delay * USEC_PER_SEC / 16);
		step(&r, what, &s);
		drain(&r);
		settle(&r);
	}
	ice_destroy(r.ice);
	return 0;
}
