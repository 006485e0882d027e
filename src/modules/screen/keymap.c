#include "modules/screen/keymap.h"

#include <errno.h>

#include "base/err.h"

void keymap_clear(struct keymap *m)
{
	m->n = 0;
}

void keymap_finish(struct keymap *m)
{
	free(m->entries);
	*m = (struct keymap){ 0 };
}

int keymap_add(struct keymap *m, const struct keymap_entry *e)
{
	if (m->n == KEYMAP_ENTRIES_MAX)
		return FL_EQUOTA;
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 1024;
		struct keymap_entry *mem = realloc(m->entries, cap * sizeof(*mem));
		if (!mem)
			return -ENOMEM;
		m->entries = mem;
		m->cap = cap;
	}
	m->entries[m->n++] = *e;
	return 0;
}

static int bits(uint8_t v)
{
	return __builtin_popcount(v);
}

/*
 * What it takes to press this entry now, as a cost: nothing is best, then the key that the other
 * keyboard used, then few modifiers, then another group, then taking a lock off. Control, Alt and
 * their like are never let go, since Control + key is meant to stay that: they only break ties.
 * -1: it needs a modifier that cannot be pressed.
 */
static int weigh(const struct keymap_entry *e, const struct keymap_state *s,
		 struct keymap_choice *out)
{
	uint8_t on = s->held | s->locked;
	uint8_t wrong = (uint8_t)((on ^ e->mods) & e->mask);
	uint8_t too_many = wrong & on;

	*out = (struct keymap_choice){
		.keycode = e->keycode,
		.group = e->group,
		.press = wrong & (uint8_t)~on & s->adjustable,
		.release = too_many & s->held & s->adjustable,
		.unlock = too_many & s->locked,
	};
	if (wrong & (uint8_t)~on & (uint8_t)~s->adjustable)
		return -1;
	return (e->keycode != s->hint) + 2 * bits(out->press) + 3 * bits(out->release) +
	       20 * bits(out->unlock) + 40 * (e->group != s->group) +
	       100 * bits(wrong & (uint8_t) ~(s->adjustable | out->unlock));
}

bool keymap_find(const struct keymap *m, uint32_t keysym, const struct keymap_state *state,
		 struct keymap_choice *out)
{
	struct keymap_choice choice;
	int best = -1;

	for (size_t i = 0; i < m->n; i++) {
		if (m->entries[i].keysym != keysym)
			continue;
		int cost = weigh(&m->entries[i], state, &choice);
		if (cost < 0 || (best >= 0 && cost >= best))
			continue;
		best = cost;
		*out = choice;
	}
	return best >= 0;
}
