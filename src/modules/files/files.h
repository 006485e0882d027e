/*
 * The transfers of one session: each channel is one request (PUT, GET or LIST) and the sender or
 * receiver that answers it. They speak to the console through the module library.
 *
 * The disk is read and written in the loop's thread, a slice at a time; the process serves nobody
 * else. When a channel closes early its unfinished file stays for the next attempt.
 */
#pragma once

#include "modules/files/message.h"
#include "modules/module.h"

#define TRANSFERS_MAX 8 /* channels of one session */

struct transfers;

struct transfers *transfers_create(struct loop *loop); /* NULL: no memory */
void transfers_destroy(struct transfers *ts);

/* The functions for module_create(), whose arg is the struct transfers; and the module they are to
 * speak through. */
extern const struct module_handler transfers_handler;
void transfers_attach(struct transfers *ts, struct module *module);
