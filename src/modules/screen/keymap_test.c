#include "test.h"

#include "modules/screen/keymap.h"
#include "modules/screen/keysym.h"

enum { SHIFT = 1, LOCK = 2, CONTROL = 4, ALT = 8, LEVEL3 = 128 };
enum { KEY_1 = 10, KEY_Q = 24, KEY_W = 25, KEY_KP_1 = 87, KEY_F1 = 67 };

#define U(c) (KEYSYM_UNICODE | (uint32_t)(c))

static void add(struct keymap *m, uint32_t keysym, uint8_t keycode, uint8_t group, uint8_t mask,
		uint8_t mods)
{
	struct keymap_entry e = { keysym, keycode, group, mask, mods };

	assert_int_equal(keymap_add(m, &e), 0);
}

/* A letter: capital with Shift or Caps Lock, not with both. */
static void add_letter(struct keymap *m, char small, char large, uint8_t keycode, uint8_t group)
{
	add(m, U(small), keycode, group, SHIFT | LOCK, 0);
	add(m, U(large), keycode, group, SHIFT | LOCK, SHIFT);
	add(m, U(large), keycode, group, SHIFT | LOCK, LOCK);
	add(m, U(small), keycode, group, SHIFT | LOCK, SHIFT | LOCK);
}

static int setup(void **state)
{
	static struct keymap m;

	keymap_clear(&m);
	add_letter(&m, 'q', 'Q', KEY_Q, 0);
	add(&m, U('@'), KEY_Q, 0, SHIFT | LEVEL3, LEVEL3);
	add(&m, U('1'), KEY_1, 0, SHIFT, 0);
	add(&m, U('!'), KEY_1, 0, SHIFT, SHIFT);
	add(&m, U('1'), KEY_KP_1, 0, SHIFT, SHIFT);
	add(&m, U(0x439), KEY_Q, 1, SHIFT, 0);
	add(&m, 0xffbe, KEY_F1, 0, SHIFT | CONTROL | ALT, 0);
	add(&m, 0xffbe, KEY_F1, 0, SHIFT | CONTROL | ALT, SHIFT);
	add(&m, U('x'), KEY_W, 0, 16, 16); /* a modifier that nobody can press */
	*state = &m;
	return 0;
}

static int teardown(void **state)
{
	keymap_finish(*state);
	return 0;
}

static struct keymap_choice find(void **state, uint32_t keysym, struct keymap_state s)
{
	struct keymap_choice c = { 0 };

	s.adjustable = SHIFT | LEVEL3;
	assert_true(keymap_find(*state, keysym, &s, &c));
	return c;
}

static void test_plain_key_changes_nothing(void **state)
{
	struct keymap_choice c = find(state, U('q'), (struct keymap_state){ 0 });

	assert_int_equal(c.keycode, KEY_Q);
	assert_int_equal(c.press | c.release | c.unlock, 0);
}

static void test_missing_modifier_is_pressed(void **state)
{
	assert_int_equal(find(state, U('!'), (struct keymap_state){ 0 }).press, SHIFT);
	assert_int_equal(find(state, U('@'), (struct keymap_state){ 0 }).press, LEVEL3);
}

static void test_held_shift_stays_where_it_helps(void **state)
{
	struct keymap_choice c = find(state, U('Q'), (struct keymap_state){ .held = SHIFT });

	assert_int_equal(c.press | c.release, 0);
	/* 1 with Shift held: the key of the number block needs nothing changed */
	c = find(state, U('1'), (struct keymap_state){ .held = SHIFT });
	assert_int_equal(c.keycode, KEY_KP_1);
	c = find(state, U('q'), (struct keymap_state){ .held = SHIFT });
	assert_int_equal(c.release, SHIFT);
}

static void test_caps_lock_is_met_by_shift(void **state)
{
	struct keymap_choice c = find(state, U('q'), (struct keymap_state){ .locked = LOCK });

	assert_int_equal(c.press, SHIFT);
	assert_int_equal(c.unlock, 0);
	c = find(state, U('Q'), (struct keymap_state){ .locked = LOCK });
	assert_int_equal(c.press | c.unlock, 0);
}

static void test_control_and_alt_stay(void **state)
{
	struct keymap_state held = { .held = CONTROL | ALT };
	struct keymap_choice c = find(state, 0xffbe, held);

	assert_int_equal(c.keycode, KEY_F1);
	assert_int_equal(c.press | c.release, 0);
	assert_int_equal(find(state, U('q'), held).release, 0);
}

static void test_other_group_and_hint(void **state)
{
	struct keymap_choice c = find(state, U(0x439), (struct keymap_state){ 0 });

	assert_int_equal(c.keycode, KEY_Q);
	assert_int_equal(c.group, 1);
	c = find(state, U('1'), (struct keymap_state){ .hint = KEY_1 });
	assert_int_equal(c.keycode, KEY_1);
}

static void test_what_the_layout_lacks(void **state)
{
	struct keymap_choice c;
	struct keymap_state s = { .adjustable = SHIFT | LEVEL3 };

	assert_false(keymap_find(*state, U(0xe9), &s, &c));
	assert_false(keymap_find(*state, U('x'), &s, &c));
}

static void test_canonical_keysyms(void **state)
{
	assert_int_equal(keysym_canonical('a'), U('a'));
	assert_int_equal(keysym_canonical(0xe9), U(0xe9));
	assert_int_equal(keysym_canonical(0x6d6), U(0x436));   /* Cyrillic_zhe */
	assert_int_equal(keysym_canonical(0x1b1), U(0x105));   /* aogonek */
	assert_int_equal(keysym_canonical(0x20ac), U(0x20ac)); /* EuroSign */
	assert_int_equal(keysym_canonical(U(0x1f600)), U(0x1f600));
	assert_int_equal(keysym_canonical(U('\n')), 0xff0d);
	assert_int_equal(keysym_canonical(U('\t')), 0xff09);
	assert_int_equal(keysym_canonical(U(1)), 0);
	assert_int_equal(keysym_canonical(0xff0d), 0xff0d);
	assert_int_equal(keysym_plain(U(0xe9)), 0xe9);
	assert_int_equal(keysym_plain(U(0x436)), U(0x436));
	assert_true(keysym_is_modifier(0xffe1));
	assert_true(keysym_is_modifier(0xfe03));
	assert_false(keysym_is_modifier(0xff0d));
}

static void test_code_positions(void **state)
{
	assert_int_equal(keysym_code_position("KeyQ"), 24);
	assert_int_equal(keysym_code_position("AltRight"), 108);
	assert_int_equal(keysym_code_position(""), 0);
	assert_int_equal(keysym_code_position("KeyÄ"), 0);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_plain_key_changes_nothing),
		CASE(test_missing_modifier_is_pressed),
		CASE(test_held_shift_stays_where_it_helps),
		CASE(test_caps_lock_is_met_by_shift),
		CASE(test_control_and_alt_stay),
		CASE(test_other_group_and_hint),
		CASE(test_what_the_layout_lacks),
		TEST(test_canonical_keysyms),
		TEST(test_code_positions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
