/*
 * Which key and modifiers make a keysym in a keyboard layout, as a core: the layout is a list of
 * what each key gives in each group (layout of several) and under each combination of the modifiers
 * it heeds. input.c fills it from XKB.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define KEYMAP_ENTRIES_MAX 65536

struct keymap_entry {
	uint32_t keysym; /* canonical, see keysym.h */
	uint8_t keycode, group;
	uint8_t mask; /* modifiers that this key heeds */
	uint8_t mods; /* those of them that must be on */
};

struct keymap {
	struct keymap_entry *entries;
	size_t n, cap;
};

struct keymap_state {
	uint8_t group;
	uint8_t held;	    /* modifiers on because keys are held */
	uint8_t locked;	    /* modifiers on because they are locked (Caps Lock, Num Lock) */
	uint8_t adjustable; /* modifiers that may be pressed and let go just for one key */
	uint8_t hint;	    /* keycode that wins among equals; 0: none */
};

struct keymap_choice {
	uint8_t keycode, group;
	uint8_t press, release; /* modifiers to change around the key press */
	uint8_t unlock;		/* locked ones to take off around it */
};

void keymap_clear(struct keymap *m); /* keeps the memory */
void keymap_finish(struct keymap *m);
int keymap_add(struct keymap *m,
	       const struct keymap_entry *e) FL_WARN_UNUSED; /* 0, -ENOMEM, FL_EQUOTA */

/* The way that changes least; false when the layout has no key for it. */
bool keymap_find(const struct keymap *m, uint32_t keysym, const struct keymap_state *state,
		 struct keymap_choice *out);
