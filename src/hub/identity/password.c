#include "hub/identity/password.h"

#include <argon2.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "hub/work/mailbox.h"

#define HASH_LEN 32

struct password_pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list jobs;
	struct mailbox done;
	size_t count;
	bool stopping;
	pthread_t threads[PASSWORD_THREADS];
	size_t n_threads;
};

int password_make(struct password_job *job)
{
	int rc = argon2id_hash_encoded(PASSWORD_PASSES, PASSWORD_KIB, 1, job->password,
				       strlen(job->password), job->salt, sizeof(job->salt),
				       HASH_LEN, job->encoded, sizeof(job->encoded));

	return rc == ARGON2_OK ? 0 : rc == ARGON2_MEMORY_ALLOCATION_ERROR ? -ENOMEM : -EINVAL;
}

int password_check(struct password_job *job)
{
	/* any hash will do: it only has to cost the same */
	static const uint8_t nobody[16] = "no such account";
	uint8_t hash[HASH_LEN];
	int rc;

	if (!job->encoded[0]) {
		rc = argon2id_hash_raw(PASSWORD_PASSES, PASSWORD_KIB, 1, job->password,
				       strlen(job->password), nobody, sizeof(nobody), hash,
				       sizeof(hash));
		return rc == ARGON2_MEMORY_ALLOCATION_ERROR ? -ENOMEM : 0;
	}
	rc = argon2id_verify(job->encoded, job->password, strlen(job->password));
	if (rc == ARGON2_OK)
		return 1;
	return rc == ARGON2_MEMORY_ALLOCATION_ERROR ? -ENOMEM : 0;
}

static void take(struct list *node)
{
	struct password_job *job = list_entry(node, struct password_job, node);

	job->done(job, job->result);
}

static void *work(void *arg)
{
	struct password_pool *p = arg;
	struct list batch;

	list_init(&batch);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct password_job *job;

		while (list_empty(&p->jobs) && !p->stopping)
			pthread_cond_wait(&p->wake, &p->lock);
		if (list_empty(&p->jobs))
			break;
		job = list_entry(p->jobs.next, struct password_job, node);
		list_remove(&job->node);
		p->count--;
		pthread_mutex_unlock(&p->lock);
		job->result = job->verify ? password_check(job) : password_make(job);
		ct_wipe(job->password, sizeof(job->password));
		list_push_back(&batch, &job->node);
		mailbox_put(&p->done, &batch);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int password_pool_create(struct loop *loop, struct password_pool **out)
{
	struct password_pool *p = calloc(1, sizeof(*p));
	sigset_t all, old;
	int err = 0;

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	list_init(&p->jobs);
	mailbox_init(&p->done, loop, take);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (err == 0 && p->n_threads < PASSWORD_THREADS) {
		err = pthread_create(&p->threads[p->n_threads], NULL, work, p);
		p->n_threads += err == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		password_pool_destroy(p);
		return -err;
	}
	*out = p;
	return 0;
}

void password_pool_destroy(struct password_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	mailbox_finish(&p->done);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int password_submit(struct password_pool *p, struct password_job *job)
{
	int err = 0;

	pthread_mutex_lock(&p->lock);
	if (p->count >= PASSWORD_QUEUE_MAX || p->stopping) {
		err = FL_EQUOTA;
	} else {
		list_push_back(&p->jobs, &job->node);
		p->count++;
		pthread_cond_signal(&p->wake);
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}
