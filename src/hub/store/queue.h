/*
 * Database work beside the loop. One writer thread and one reader thread, each with a connection of
 * its own. The writer takes what has piled up while the disk was busy into one transaction, so that
 * one fsync acknowledges many changes; done() of each runs only after the commit. A job whose run()
 * fails is undone alone.
 */
#pragma once

#include "base/list.h"
#include "hub/store/store.h"
#include "io/loop.h"

#define STORE_QUEUE_MAX 20000 /* jobs waiting; beyond it new ones are refused */
#define STORE_BATCH_MAX 512   /* jobs in one transaction */

struct store_queue;

/* Embedded in the caller's own struct, which must live until done(). */
struct store_job {
	struct list node;
	bool write;
	/* In a worker: the work. Results go into the caller's struct. Negative undoes it. */
	int (*run)(struct store_job *job, struct store *s);
	/* In the loop. err: what run() returned, or why the commit failed. May free the job. */
	void (*done)(struct store_job *job, int err);
	int err;
};

/* Takes both stores over, also on failure. 0 or negative. */
int store_queue_create(struct loop *loop, struct store *writer, struct store *reader,
		       struct store_queue **out) FL_WARN_UNUSED;

/* Runs what is queued to its end, then stops the threads; done() of all is called. NULL is fine. */
void store_queue_destroy(struct store_queue *q);

/* 0 or FL_EQUOTA; then done() is not called. */
int store_queue_submit(struct store_queue *q, struct store_job *job) FL_WARN_UNUSED;

size_t store_queue_length(struct store_queue *q); /* jobs not yet begun */
