#include "hub/work/mailbox.h"

#include <time.h>

void mailbox_init(struct mailbox *m, struct loop *loop, void (*take)(struct list *node))
{
	m->loop = loop;
	m->take = take;
	m->posted = false;
	pthread_mutex_init(&m->lock, NULL);
	list_init(&m->items);
}

static void move_all(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct list *node = from->next;

		list_remove(node);
		list_push_back(to, node);
	}
}

static void deliver(void *arg)
{
	struct mailbox *m = arg;
	struct list ready;

	list_init(&ready);
	pthread_mutex_lock(&m->lock);
	m->posted = false;
	move_all(&m->items, &ready);
	pthread_mutex_unlock(&m->lock);
	while (!list_empty(&ready)) {
		struct list *node = ready.next;

		list_remove(node);
		m->take(node);
	}
}

void mailbox_put(struct mailbox *m, struct list *batch)
{
	const struct timespec pause = { 0, 10 * 1000 * 1000 };
	bool post;

	pthread_mutex_lock(&m->lock);
	move_all(batch, &m->items);
	post = !m->posted;
	m->posted = true;
	pthread_mutex_unlock(&m->lock);
	while (post && loop_post(m->loop, deliver, m) < 0)
		nanosleep(&pause, NULL);
}

static void flush_posted(void *arg)
{
	bool *reached = arg;

	*reached = true;
}

void mailbox_finish(struct mailbox *m)
{
	bool reached = false;

	/* a deliver() may still be posted: let the loop pass it before the memory goes */
	if (m->posted && loop_post(m->loop, flush_posted, &reached) == 0)
		while (!reached && loop_turn(m->loop, 0) == 0)
			;
	deliver(m);
	pthread_mutex_destroy(&m->lock);
}
