/*
 * Finished work on its way from worker threads to the loop. Items are list nodes of whoever uses
 * it; take() gets each of them in the loop's thread, in the order they were put.
 */
#pragma once

#include <pthread.h>

#include "base/list.h"
#include "io/loop.h"

struct mailbox {
	struct loop *loop;
	void (*take)(struct list *node);
	pthread_mutex_t lock;
	struct list items;
	bool posted; /* a delivery is on its way to the loop */
};

void mailbox_init(struct mailbox *m, struct loop *loop, void (*take)(struct list *node));

/* From any thread: empties the batch. Without memory it waits for some rather than lose a result.
 */
void mailbox_put(struct mailbox *m, struct list *batch);

/* In the loop's thread, when nobody puts any more: takes what is left. */
void mailbox_finish(struct mailbox *m);
