#include "modules/screen/input.h"

#include <errno.h>
#include <string.h>

#include <X11/XKBlib.h>
#include <X11/Xatom.h>
#include <X11/Xutil.h>
#include <X11/extensions/XTest.h>
#include <X11/keysym.h>

#include "base/err.h"
#include "base/log.h"
#include "modules/screen/keymap.h"
#include "modules/screen/keysym.h"
#include "modules/screen/x11.h"

#define MODIFIERS 8
#define BUTTONS 10
#define STALE_MAX (4 * (INPUT_HELD_MAX + INPUT_BORROWED_MAX + BUTTONS + 4))

struct held_key {
	uint32_t keysym; /* canonical, as the console named it */
	uint8_t keycode;
	bool repeat_off; /* by us */
};

struct borrowed_key {
	uint32_t keysym; /* 0: free */
	uint8_t keycode;
	usec_t used_at;
};

struct input {
	struct x11 *x;
	struct x11_listener listener;
	struct screen_display area;
	Atom held_atom;

	struct keymap keymap;
	bool keymap_stale;
	uint8_t modifier_key[MODIFIERS]; /* a key for each modifier bit, 0: none */
	uint8_t key_modifiers[256];	 /* the bits that a key is bound to */
	uint8_t adjustable;
	char repeats[32]; /* bit per keycode: the server repeats it */

	struct held_key held[INPUT_HELD_MAX];
	size_t n_held;
	uint16_t buttons;     /* bit per button held */
	int wheel_x, wheel_y; /* rest of a notch, in 1/120 */

	struct borrowed_key borrowed[INPUT_BORROWED_MAX];
	size_t n_borrowed; /* that have a keycode */
};

/* --- the layout ------------------------------------------------------------------------- */

/* All combinations of the modifiers that the key's type heeds, with what each gives. */
static int add_group(struct input *in, XkbDescPtr xkb, uint8_t keycode, int group)
{
	const XkbKeyTypeRec *type = XkbKeyKeyType(xkb, keycode, group);
	uint8_t mask = type->mods.mask, combo = 0;

	do {
		int level = 0;
		for (int i = 0; i < type->map_count; i++)
			if (type->map[i].active && type->map[i].mods.mask == combo)
				level = type->map[i].level;
		KeySym sym = XkbKeySymEntry(xkb, keycode, level, group);
		struct keymap_entry e = {
			.keysym = sym ? keysym_canonical((uint32_t)sym) : 0,
			.keycode = keycode,
			.group = (uint8_t)group,
			.mask = mask,
			.mods = combo,
		};
		if (e.keysym) {
			int err = keymap_add(&in->keymap, &e);
			if (err < 0)
				return err;
		}
		combo = (uint8_t)((combo - mask) & mask); /* the next subset of the mask */
	} while (combo);
	return 0;
}

/* A key for each modifier, and which modifiers may be switched for a single key. */
static void read_modifiers(struct input *in, XkbDescPtr xkb)
{
	static const KeySym switchable[] = { XK_Shift_L, XK_Shift_R, XK_ISO_Level3_Shift,
					     XK_Mode_switch, XK_ISO_Level5_Shift };

	memset(in->modifier_key, 0, sizeof(in->modifier_key));
	in->adjustable = 0;
	for (int key = xkb->min_key_code; key <= xkb->max_key_code; key++) {
		uint8_t bound = xkb->map->modmap ? xkb->map->modmap[key] : 0;
		KeySym sym = XkbKeyNumSyms(xkb, key) ? XkbKeySymEntry(xkb, key, 0, 0) : NoSymbol;
		in->key_modifiers[key] = bound;
		for (size_t i = 0; i < ARRAY_LEN(switchable); i++)
			if (bound && sym == switchable[i]) {
				int bit = __builtin_ctz(bound);
				if (!in->modifier_key[bit])
					in->modifier_key[bit] = (uint8_t)key;
				in->adjustable |= (uint8_t)(1 << bit);
			}
	}
}

/* Keys that give nothing and do nothing, from the top, where no keyboard has any. */
static void find_spare_keys(struct input *in, XkbDescPtr xkb)
{
	for (int key = xkb->max_key_code;
	     key >= xkb->min_key_code && in->n_borrowed < INPUT_BORROWED_MAX; key--) {
		bool taken = in->key_modifiers[key] != 0;
		for (int i = 0; i < XkbKeyNumSyms(xkb, key); i++)
			taken = taken || XkbKeySymsPtr(xkb, key)[i] != NoSymbol;
		for (size_t i = 0; i < in->n_borrowed; i++)
			taken = taken || in->borrowed[i].keycode == key;
		if (!taken)
			in->borrowed[in->n_borrowed++] =
				(struct borrowed_key){ .keycode = (uint8_t)key };
	}
}

static bool is_borrowed(const struct input *in, int keycode)
{
	for (size_t i = 0; i < in->n_borrowed; i++)
		if (in->borrowed[i].keycode == keycode && in->borrowed[i].keysym)
			return true;
	return false;
}

/* Somebody loaded another layout: what we had put on its keys may be gone. */
static void drop_lost_loans(struct input *in, XkbDescPtr xkb)
{
	size_t kept = 0;

	for (size_t i = 0; i < in->n_borrowed; i++) {
		struct borrowed_key *b = &in->borrowed[i];
		if (b->keysym && XkbKeyNumSyms(xkb, b->keycode) &&
		    XkbKeySymEntry(xkb, b->keycode, 0, 0) == keysym_plain(b->keysym))
			in->borrowed[kept++] = *b;
	}
	in->n_borrowed = kept;
}

static void read_keymap(struct input *in)
{
	XkbDescPtr xkb = XkbGetMap(
		in->x->dpy, XkbKeyTypesMask | XkbKeySymsMask | XkbModifierMapMask, XkbUseCoreKbd);
	XKeyboardState keyboard;
	int err = 0;

	if (!xkb)
		return;
	in->keymap_stale = false;
	drop_lost_loans(in, xkb);
	keymap_clear(&in->keymap);
	for (int key = xkb->min_key_code; key <= xkb->max_key_code && err == 0; key++)
		for (int g = 0; g < XkbKeyNumGroups(xkb, key) && err == 0; g++)
			if (!is_borrowed(in, key))
				err = add_group(in, xkb, (uint8_t)key, g);
	read_modifiers(in, xkb);
	find_spare_keys(in, xkb);
	XkbFreeKeyboard(xkb, 0, True);
	XGetKeyboardControl(in->x->dpy, &keyboard);
	memcpy(in->repeats, keyboard.auto_repeats, sizeof(in->repeats));
}

static void on_event(void *arg, XEvent *event)
{
	struct input *in = arg;
	XkbEvent *e = (void *)event;

	if (event->type != in->x->xkb_event)
		return;
	if (e->any.xkb_type == XkbNewKeyboardNotify) {
		in->keymap_stale = true;
	} else if (e->any.xkb_type == XkbMapNotify) {
		/* a change of one borrowed key is our own doing */
		bool ours = e->map.changed == XkbKeySymsMask && e->map.num_key_syms == 1 &&
			    is_borrowed(in, e->map.first_key_sym);
		in->keymap_stale = in->keymap_stale || !ours;
	}
}

/* --- what is down, for a successor ------------------------------------------------------ */

/* keys, with 256 added where repeat was switched off; then 512 + button; then 1024 + borrowed key
 */
enum { STALE_REPEAT = 256, STALE_BUTTON = 512, STALE_BORROWED = 1024 };

static void write_held(struct input *in)
{
	long list[STALE_MAX];
	int n = 0;

	for (size_t i = 0; i < in->n_held; i++)
		list[n++] = in->held[i].keycode + (in->held[i].repeat_off ? STALE_REPEAT : 0);
	for (int b = 1; b < BUTTONS; b++)
		if (in->buttons & (1 << b))
			list[n++] = STALE_BUTTON + b;
	for (size_t i = 0; i < in->n_borrowed; i++)
		if (in->borrowed[i].keysym)
			list[n++] = STALE_BORROWED + in->borrowed[i].keycode;
	if (n == 0)
		XDeleteProperty(in->x->dpy, in->x->root, in->held_atom);
	else
		XChangeProperty(in->x->dpy, in->x->root, in->held_atom, XA_CARDINAL, 32,
				PropModeReplace, (unsigned char *)list, n);
}

static void set_repeat(struct input *in, uint8_t keycode, bool on)
{
	XKeyboardControl control = {
		.key = keycode,
		.auto_repeat_mode = on ? AutoRepeatModeOn : AutoRepeatModeOff,
	};
	XChangeKeyboardControl(in->x->dpy, KBKey | KBAutoRepeatMode, &control);
}

static void set_keysym(struct input *in, uint8_t keycode, uint32_t keysym)
{
	/* both levels, or the server would make a capital of a letter for Shift */
	KeySym syms[2] = { keysym, keysym };

	XChangeKeyboardMapping(in->x->dpy, keycode, 2, syms, 1);
}

void input_release_stale(struct input *in)
{
	size_t len = 0;
	unsigned char *data = x11_property(in->x, in->x->root, in->held_atom, XA_CARDINAL,
					   STALE_MAX * sizeof(uint32_t), &len);

	for (size_t i = 0; i < len / sizeof(long); i++) {
		long v = 0;
		memcpy(&v, data + i * sizeof(long), sizeof(long));
		uint8_t key = (uint8_t)(v & 255);
		if (v >= STALE_BORROWED && key >= 8)
			set_keysym(in, key, NoSymbol);
		else if (v >= STALE_BUTTON && v < STALE_BUTTON + BUTTONS)
			XTestFakeButtonEvent(in->x->dpy, key, False, 0);
		else if (key >= 8)
			XTestFakeKeyEvent(in->x->dpy, key, False, 0);
		if (v >= STALE_REPEAT && v < STALE_BUTTON && key >= 8)
			set_repeat(in, key, true);
	}
	if (data) {
		XFree(data);
		XDeleteProperty(in->x->dpy, in->x->root, in->held_atom);
		in->keymap_stale = true;
	}
}

/* --- borrowed keys ---------------------------------------------------------------------- */

static bool key_is_down(const struct input *in, uint8_t keycode)
{
	for (size_t i = 0; i < in->n_held; i++)
		if (in->held[i].keycode == keycode)
			return true;
	return false;
}

static uint8_t borrow(struct input *in, usec_t now, uint32_t keysym)
{
	struct borrowed_key *oldest = NULL;

	for (size_t i = 0; i < in->n_borrowed; i++) {
		struct borrowed_key *b = &in->borrowed[i];
		if (b->keysym == keysym) {
			b->used_at = now;
			return b->keycode;
		}
		if (key_is_down(in, b->keycode))
			continue;
		if (!oldest ||
		    (b->keysym ? b->used_at : 0) < (oldest->keysym ? oldest->used_at : 0))
			oldest = b;
	}
	if (!oldest)
		return 0;
	oldest->keysym = keysym;
	oldest->used_at = now;
	set_keysym(in, oldest->keycode, keysym_plain(keysym));
	/* programs look the key up again when they hear of the change, before the key itself */
	return oldest->keycode;
}

static void give_back(struct input *in, usec_t before)
{
	bool any = false;

	for (size_t i = 0; i < in->n_borrowed; i++) {
		struct borrowed_key *b = &in->borrowed[i];
		if (!b->keysym || b->used_at > before || key_is_down(in, b->keycode))
			continue;
		set_keysym(in, b->keycode, NoSymbol);
		b->keysym = 0;
		any = true;
	}
	if (any)
		write_held(in);
}

usec_t input_timeout(struct input *in, usec_t now)
{
	usec_t next = USEC_NEVER;

	give_back(in, usec_sub(now, INPUT_BORROW_US));
	for (size_t i = 0; i < in->n_borrowed; i++)
		if (in->borrowed[i].keysym)
			next = usec_min(next, usec_add(in->borrowed[i].used_at, INPUT_BORROW_US));
	return next == USEC_NEVER ? next : FL_MAX(next, now + USEC_PER_SEC / 10);
}

/* --- keys ------------------------------------------------------------------------------- */

static void fake_key(struct input *in, uint8_t keycode, bool down)
{
	XTestFakeKeyEvent(in->x->dpy, keycode, down, 0);
}

/* The keys that hold these modifiers down now: ours by name, others by the modifier's own key. */
static void switch_modifiers(struct input *in, uint8_t mods, bool down, bool held)
{
	for (int bit = 0; bit < MODIFIERS; bit++) {
		bool done = false;
		if (!(mods & (1 << bit)))
			continue;
		for (size_t i = 0; held && i < in->n_held; i++)
			if (in->key_modifiers[in->held[i].keycode] & (1 << bit)) {
				fake_key(in, in->held[i].keycode, down);
				done = true;
			}
		if (!done && in->modifier_key[bit])
			fake_key(in, in->modifier_key[bit], down);
	}
}

static void press_choice(struct input *in, const struct keymap_choice *c, const XkbStateRec *state)
{
	Display *dpy = in->x->dpy;
	bool other_group = c->group != state->group;

	if (other_group)
		XkbLockGroup(dpy, XkbUseCoreKbd, c->group);
	if (c->unlock)
		XkbLockModifiers(dpy, XkbUseCoreKbd, c->unlock, 0);
	switch_modifiers(in, c->release, false, true);
	switch_modifiers(in, c->press, true, false);
	fake_key(in, c->keycode, true);
	switch_modifiers(in, c->press, false, false);
	switch_modifiers(in, c->release, true, true);
	if (c->unlock)
		XkbLockModifiers(dpy, XkbUseCoreKbd, c->unlock, c->unlock);
	if (other_group)
		XkbLockGroup(dpy, XkbUseCoreKbd, state->locked_group);
}

/* Where the keysym is, pressed already; 0 when there is no way. */
static uint8_t press_keysym(struct input *in, usec_t now, uint32_t keysym, uint8_t hint)
{
	struct keymap_choice choice;
	XkbStateRec xkb = { 0 };
	uint8_t key;

	if (in->keymap_stale)
		read_keymap(in);
	XkbGetState(in->x->dpy, XkbUseCoreKbd, &xkb);
	struct keymap_state state = {
		.group = xkb.group,
		.held = xkb.base_mods | xkb.latched_mods,
		.locked = xkb.locked_mods,
		.adjustable = in->adjustable,
		.hint = hint,
	};
	if (keymap_find(&in->keymap, keysym, &state, &choice)) {
		press_choice(in, &choice, &xkb);
		return choice.keycode;
	}
	if (keysym_is_modifier(keysym))
		return 0;
	key = borrow(in, now, keysym);
	if (key)
		fake_key(in, key, true);
	return key;
}

static void forget_held(struct input *in, size_t i)
{
	in->held[i] = in->held[--in->n_held];
}

static void key_up(struct input *in, size_t i)
{
	struct held_key k = in->held[i];

	fake_key(in, k.keycode, false);
	if (k.repeat_off)
		set_repeat(in, k.keycode, true);
	forget_held(in, i);
}

static bool repeats(const struct input *in, uint8_t keycode)
{
	return in->repeats[keycode / 8] & (1 << (keycode % 8));
}

static void key_down(struct input *in, usec_t now, uint32_t keysym, uint8_t hint)
{
	size_t i;

	for (i = 0; i < in->n_held && in->held[i].keysym != keysym; i++)
		;
	if (i < in->n_held) {
		/* a repeat; modifiers simply stay */
		if (in->key_modifiers[in->held[i].keycode])
			return;
		fake_key(in, in->held[i].keycode, false);
		forget_held(in, i);
	}
	if (in->n_held == INPUT_HELD_MAX)
		return;
	uint8_t key = press_keysym(in, now, keysym, hint);
	if (!key)
		return;
	/* two keysyms of one key, as when Shift changed in between: it is down once */
	for (i = 0; i < in->n_held; i++)
		if (in->held[i].keycode == key) {
			in->held[i].keysym = keysym;
			return;
		}
	struct held_key *k = &in->held[in->n_held++];
	*k = (struct held_key){ .keysym = keysym, .keycode = key };
	k->repeat_off = !in->key_modifiers[key] && repeats(in, key);
	if (k->repeat_off)
		set_repeat(in, key, false);
	write_held(in);
}

/*
 * The console names the keysym of the moment: when Shift went up first, the key that went down as
 * "A" comes up as "a". Then the position tells, and else the other case of the letter.
 */
static void key_up_named(struct input *in, uint32_t keysym, uint8_t hint)
{
	KeySym lower, upper;

	XConvertCase(keysym, &lower, &upper);
	for (size_t pass = 0; pass < 3; pass++)
		for (size_t i = 0; i < in->n_held; i++) {
			uint32_t held = in->held[i].keysym;
			bool same = pass == 0	? held == keysym
				    : pass == 1 ? held == keysym_canonical((uint32_t)lower) ||
							  held == keysym_canonical((uint32_t)upper)
						: hint && in->held[i].keycode == hint;
			if (!same)
				continue;
			key_up(in, i);
			write_held(in);
			return;
		}
}

static void apply_key(struct input *in, usec_t now, const struct screen_message *m)
{
	uint32_t keysym = keysym_canonical(m->keysym);
	uint8_t hint = keysym_code_position(m->code);

	if (keysym == 0)
		return;
	if (m->on)
		key_down(in, now, keysym, hint);
	else
		key_up_named(in, keysym, hint);
}

/* --- mouse ------------------------------------------------------------------------------ */

static void move(struct input *in, uint16_t x, uint16_t y)
{
	int width = in->area.width - 1, height = in->area.height - 1;

	XTestFakeMotionEvent(in->x->dpy, in->x->screen, in->area.x + (x * width + 32767) / 65535,
			     in->area.y + (y * height + 32767) / 65535, 0);
}

static void set_button(struct input *in, uint8_t button, bool down)
{
	if (!!(in->buttons & (1 << button)) == down)
		return;
	in->buttons = (uint16_t)(in->buttons ^ (1 << button));
	XTestFakeButtonEvent(in->x->dpy, button, down, 0);
	write_held(in);
}

static void turn_wheel(struct input *in, int *rest, int delta, unsigned back, unsigned forth)
{
	int notches;

	*rest += delta;
	notches = *rest / 120;
	*rest -= notches * 120;
	for (int i = 0; i < FL_MIN(abs(notches), INPUT_NOTCHES_MAX); i++) {
		XTestFakeButtonEvent(in->x->dpy, notches < 0 ? back : forth, True, 0);
		XTestFakeButtonEvent(in->x->dpy, notches < 0 ? back : forth, False, 0);
	}
}

void input_apply(struct input *in, usec_t now, const struct screen_message *m)
{
	switch (m->type) {
	case SCREEN_MOVE:
		move(in, m->x, m->y);
		break;
	case SCREEN_BUTTON:
		move(in, m->x, m->y);
		set_button(in, m->button, m->on);
		break;
	case SCREEN_WHEEL:
		turn_wheel(in, &in->wheel_y, m->dy, 4, 5);
		turn_wheel(in, &in->wheel_x, m->dx, 6, 7);
		break;
	case SCREEN_KEY:
		apply_key(in, now, m);
		break;
	case SCREEN_RELEASE:
		input_release(in);
		break;
	case SCREEN_CONTROL:
	case SCREEN_DISPLAY:
	case SCREEN_CLIPBOARD:
	case SCREEN_KEYFRAME:
	case SCREEN_HIDE:
		return;
	}
	x11_touch(in->x);
}

void input_release(struct input *in)
{
	in->wheel_x = in->wheel_y = 0;
	/* without anything held the property is not ours to touch */
	if (in->x->lost || (in->n_held == 0 && in->buttons == 0))
		return;
	while (in->n_held > 0)
		key_up(in, in->n_held - 1);
	for (uint8_t b = 1; b < BUTTONS; b++)
		if (in->buttons & (1 << b))
			set_button(in, b, false);
	write_held(in);
	x11_touch(in->x);
}

void input_set_area(struct input *in, const struct screen_display *display)
{
	in->area = *display;
}

int input_create(struct x11 *x, struct input **out)
{
	if (!x->has_xtest || !x->has_xkb)
		return FL_EUNSUPPORTED;
	struct input *in = calloc(1, sizeof(*in));
	if (!in)
		return -ENOMEM;
	in->x = x;
	in->held_atom = XInternAtom(x->dpy, "_FAIRLEAD_HELD", False);
	in->keymap_stale = true;
	/* also while somebody else's program has the server grabbed */
	XTestGrabControl(x->dpy, True);
	XkbSelectEvents(x->dpy, XkbUseCoreKbd, XkbMapNotifyMask | XkbNewKeyboardNotifyMask,
			XkbMapNotifyMask | XkbNewKeyboardNotifyMask);
	x11_listen(x, &in->listener, on_event, in);
	x11_touch(x);
	*out = in;
	return 0;
}

void input_destroy(struct input *in)
{
	if (!in)
		return;
	if (!in->x->lost) {
		input_release(in);
		give_back(in, USEC_NEVER);
		XFlush(in->x->dpy);
	}
	x11_unlisten(&in->listener);
	keymap_finish(&in->keymap);
	free(in);
}
