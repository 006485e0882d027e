#include "hub/store/queue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/err.h"
#include "base/log.h"
#include "hub/work/mailbox.h"

struct worker {
	struct store_queue *queue;
	struct store *store;
	pthread_t thread;
	bool started, writer;
	pthread_cond_t wake;
	struct list jobs;
	size_t count;
};

struct store_queue {
	pthread_mutex_t lock;
	struct worker writer, reader;
	struct mailbox done;
	bool stopping;
};

static void take(struct list *node)
{
	struct store_job *job = list_entry(node, struct store_job, node);

	job->done(job, job->err);
}

static void run_batch(struct worker *w, struct list *batch)
{
	const struct store_ops *ops = w->store->ops;
	struct store_job *job, *next;
	int err = ops->begin(w->store);

	list_for_each (job, next, batch, node) {
		job->err = err < 0 ? err : ops->mark(w->store);
		if (job->err < 0)
			continue;
		job->err = job->run(job, w->store);
		if (ops->unmark(w->store, job->err < 0) < 0 && job->err >= 0)
			job->err = -EIO;
	}
	if (err == 0)
		err = ops->commit(w->store);
	if (err == 0)
		return;
	log_error("store-failed", "error=%s text=\"%s\"", err_name(err), ops->error_text(w->store));
	ops->rollback(w->store);
	list_for_each (job, next, batch, node)
		if (job->err >= 0)
			job->err = err;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct store_queue *q = w->queue;
	struct store_job *job, *next;
	struct list batch;
	size_t n;

	list_init(&batch);
	pthread_mutex_lock(&q->lock);
	for (;;) {
		while (list_empty(&w->jobs) && !q->stopping)
			pthread_cond_wait(&w->wake, &q->lock);
		if (list_empty(&w->jobs))
			break;
		for (n = 0; n < (w->writer ? STORE_BATCH_MAX : 1) && !list_empty(&w->jobs); n++) {
			struct list *node = w->jobs.next;

			list_remove(node);
			list_push_back(&batch, node);
		}
		w->count -= n;
		pthread_mutex_unlock(&q->lock);
		if (w->writer)
			run_batch(w, &batch);
		else
			list_for_each (job, next, &batch, node)
				job->err = job->run(job, w->store);
		mailbox_put(&q->done, &batch);
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

static int start(struct worker *w)
{
	sigset_t all, old;
	int err;

	/* signals are for the loop's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, work, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->started = err == 0;
	return -err;
}

static void init_worker(struct worker *w, struct store_queue *q, struct store *store, bool writer)
{
	w->queue = q;
	w->store = store;
	w->writer = writer;
	pthread_cond_init(&w->wake, NULL);
	list_init(&w->jobs);
}

int store_queue_create(struct loop *loop, struct store *writer, struct store *reader,
		       struct store_queue **out)
{
	struct store_queue *q = calloc(1, sizeof(*q));
	int err;

	if (!q) {
		store_close(writer);
		store_close(reader);
		return -ENOMEM;
	}
	pthread_mutex_init(&q->lock, NULL);
	mailbox_init(&q->done, loop, take);
	init_worker(&q->writer, q, writer, true);
	init_worker(&q->reader, q, reader, false);
	err = start(&q->writer);
	if (err == 0)
		err = start(&q->reader);
	if (err < 0) {
		store_queue_destroy(q);
		return err;
	}
	*out = q;
	return 0;
}

static void join(struct worker *w)
{
	if (w->started)
		pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->wake);
}

void store_queue_destroy(struct store_queue *q)
{
	if (!q)
		return;
	pthread_mutex_lock(&q->lock);
	q->stopping = true;
	pthread_cond_signal(&q->writer.wake);
	pthread_cond_signal(&q->reader.wake);
	pthread_mutex_unlock(&q->lock);
	join(&q->writer);
	join(&q->reader);
	/* the last one to close tidies up, and only the writer may */
	store_close(q->reader.store);
	store_close(q->writer.store);
	mailbox_finish(&q->done);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

int store_queue_submit(struct store_queue *q, struct store_job *job)
{
	struct worker *w = job->write ? &q->writer : &q->reader;
	int err = 0;

	pthread_mutex_lock(&q->lock);
	if (w->count >= STORE_QUEUE_MAX || q->stopping) {
		err = FL_EQUOTA;
	} else {
		list_push_back(&w->jobs, &job->node);
		w->count++;
		pthread_cond_signal(&w->wake);
	}
	pthread_mutex_unlock(&q->lock);
	return err;
}

size_t store_queue_length(struct store_queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = q->writer.count + q->reader.count;
	pthread_mutex_unlock(&q->lock);
	return n;
}
