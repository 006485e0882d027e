/*
 * Who controls this desktop. Each session has a module process of its own; they agree through the X
 * selection _FAIRLEAD_CONTROL: whoever took it last has it, the server tells the others, and it is
 * free again when its owner dies. The owner's window carries the name of the person.
 */
#pragma once

#include "base/util.h"

#define CONTROL_NAME_MAX 255 /* bytes */

struct control;
struct x11;

struct control_handler {
	/* Somebody else has it now, or nobody (by is ""), or we (mine). Valid UTF-8. */
	void (*on_change)(void *arg, bool mine, const char *by);
};

/* name: valid UTF-8, copied. x must outlive it. Tells the present state from the loop. */
int control_create(struct x11 *x, const char *name, const struct control_handler *handler,
		   void *arg, struct control **out) FL_WARN_UNUSED;
void control_destroy(struct control *c); /* gives it back; NULL is fine */

void control_take(struct control *c);
void control_give(struct control *c);
bool control_mine(const struct control *c); /* false for NULL */
