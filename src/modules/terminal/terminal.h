/*
 * The terminals of one session: a program each, its output with a window, its input with another,
 * its end. They speak to the console through the module library.
 *
 *	 channel ──INPUT──► input (≤ 1 MiB) ──► stdin      ACK_BACK after every 128 KiB taken
 *	 channel ◄─OUTPUT── (≤ 1 MiB unacknowledged) ◄── stdout, stderr
 *
 * Nothing is held back to fill a message: what a program wrote is sent in the same turn.
 */
#pragma once

#include "modules/module.h"
#include "modules/terminal/message.h"

#define TERMINALS_MAX 16	  /* open channels of one session */
#define TERMINAL_PROCESSES_MAX 64 /* with those that outlive their channel */

struct terminals;

struct terminals *terminals_create(struct loop *loop); /* NULL: no memory */
void terminals_destroy(struct terminals *ts);	       /* hangs all of them up */

/* The functions for module_create(), whose arg is the struct terminals; and the module they are to
 * speak through. */
extern const struct module_handler terminals_handler;
void terminals_attach(struct terminals *ts, struct module *module);
