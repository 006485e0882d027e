#include "test.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "hub/store/queue.h"
#include "hub/store/sqlite.h"

struct one {
	struct store_job job;
	int number;
	int *order;
	int err;
	bool done;
};

static int run_one(struct store_job *job, struct store *s)
{
	struct one *o = CONTAINER_OF(job, struct one, job);
	char key[16];
	int err;

	snprintf(key, sizeof(key), "k%d", o->number);
	err = s->ops->meta_set(s, key, "1");
	/* every third fails after it wrote */
	return err < 0 ? err : o->number % 3 == 2 ? -EINVAL : 0;
}

static void one_done(struct store_job *job, int err)
{
	struct one *o = CONTAINER_OF(job, struct one, job);

	o->err = err;
	o->done = true;
	o->number = (*o->order)++;
}

#define JOBS 2000

static void test_batches(void **state)
{
	char dir[] = "/tmp/fairlead-queue-XXXXXX", path[96], command[128], why[256], value[8],
	     key[16];
	static struct one jobs[JOBS];
	struct store *writer, *reader;
	struct store_queue *q;
	struct loop *loop;
	int order = 0;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/hub.db", dir);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(sqlite_store_open(path, false, &writer, why), 0);
	assert_int_equal(sqlite_store_open(path, true, &reader, why), 0);
	assert_int_equal(store_queue_create(loop, writer, reader, &q), 0);
	for (int i = 0; i < JOBS; i++) {
		jobs[i] = (struct one){ .job = { .write = true, .run = run_one, .done = one_done },
					.number = i,
					.order = &order };
		assert_int_equal(store_queue_submit(q, &jobs[i].job), 0);
	}
	while (order < JOBS / 2)
		assert_int_equal(loop_turn(loop, USEC_NEVER), 0);
	store_queue_destroy(q); /* the rest is still done */
	assert_int_equal(order, JOBS);
	loop_destroy(loop);
	assert_int_equal(sqlite_store_open(path, false, &writer, why), 0);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(jobs[i].number, i); /* in order */
		assert_int_equal(jobs[i].err, i % 3 == 2 ? -EINVAL : 0);
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(writer->ops->meta_get(writer, key, value, sizeof(value)),
				 i % 3 == 2 ? -ENOENT : 0);
	}
	store_close(writer);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_batches) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
