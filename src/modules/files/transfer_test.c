/* A sender and a receiver in one process: every way a transfer can go, and be cut, without a
 * network. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "modules/files/receiver.h"
#include "modules/files/sender.h"
#include "test.h"

struct world {
	char dir[64]; /* with from/ and to/ in it */
	struct files_sender *sender;
	struct files_receiver *receiver;
	size_t sent, data_bytes; /* messages of the sender, and contents in them */
};

static const char *at(const struct world *w, const char *path)
{
	static char full[8][4200];
	static int next;
	char *p = full[next++ % 8];

	snprintf(p, sizeof(full[0]), "%s/%s", w->dir, path);
	return p;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	snprintf(w->dir, sizeof(w->dir), "/tmp/fairlead-files-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(mkdir(at(w, "from"), 0755), 0);
	assert_int_equal(mkdir(at(w, "to"), 0755), 0);
	*state = w;
	return 0;
}

static void stop(struct world *w)
{
	files_sender_destroy(FL_STEAL(w->sender));
	files_receiver_destroy(FL_STEAL(w->receiver));
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[256];

	stop(w);
	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", w->dir, w->dir);
	int status = system(command);
	free(w);
	return status;
}

/* Contents that differ from byte to byte and from seed to seed. */
static void make_file(const struct world *w, const char *path, size_t size, unsigned seed)
{
	FILE *f = fopen(at(w, path), "we");

	assert_non_null(f);
	for (size_t i = 0; i < size; i++)
		fputc((int)((i * 31 + i / 251 + seed) & 0xff), f);
	assert_int_equal(fclose(f), 0);
}

static void assert_same(const struct world *w, const char *one, const char *two)
{
	char command[1024];

	snprintf(command, sizeof(command), "cmp -s %s %s", at(w, one), at(w, two));
	assert_int_equal(system(command), 0);
}

static size_t size_of(const struct world *w, const char *path)
{
	struct stat st;

	return lstat(at(w, path), &st) == 0 ? (size_t)st.st_size : SIZE_MAX;
}

static void begin(struct world *w, const char *from, const char *to, bool force)
{
	char *paths[] = { (char *)at(w, from) };
	struct files_sender_config sending = { .paths = paths, .n_paths = 1, .where = "here" };
	struct files_receiver_config receiving = { .force = force, .where = "there" };
	struct files_failure failure = { 0 };
	bool into;

	stop(w);
	w->sent = w->data_bytes = 0;
	assert_true(files_target_open(at(w, to), false, false, &into, "there", &receiving.target,
				      &failure));
	assert_int_equal(files_sender_create(&sending, &w->sender), 0);
	assert_int_equal(files_receiver_create(&receiving, &w->receiver), 0);
}

static void to_receiver(struct world *w, struct span bytes)
{
	struct files_message m;

	assert_int_equal(files_message_get(bytes, &m), 0);
	if (m.type == FILES_DATA)
		w->data_bytes += m.bytes.len;
	w->sent++;
	files_receiver_input(w->receiver, &m);
}

static void to_sender(struct world *w, struct span bytes)
{
	struct files_message m;

	assert_int_equal(files_message_get(bytes, &m), 0);
	files_sender_input(w->sender, &m);
}

/* Until both ends have said all, or the sender has said so many messages. True: over. */
static bool run(struct world *w, size_t most)
{
	bool sender_over = false, receiver_over = false;
	struct span out;

	for (int idle = 0; idle < 4; idle++) {
		if (w->sent == most)
			return false;
		enum files_step did = files_sender_step(w->sender, &out);
		if (did == FILES_STEP_MESSAGE)
			to_receiver(w, out);
		sender_over = did == FILES_STEP_OVER;
		if (did == FILES_STEP_MESSAGE || did == FILES_STEP_AGAIN)
			idle = -1;
		did = files_receiver_step(w->receiver, &out);
		if (did == FILES_STEP_MESSAGE)
			to_sender(w, out);
		receiver_over = did == FILES_STEP_OVER;
		if (did == FILES_STEP_MESSAGE || did == FILES_STEP_AGAIN)
			idle = -1;
		if (sender_over && receiver_over)
			return true;
	}
	fail_msg("both ends wait for each other");
	return false;
}

static void assert_complete(struct world *w)
{
	assert_true(run(w, SIZE_MAX));
	assert_string_equal(files_sender_failure(w->sender)->text, "");
	assert_string_equal(files_receiver_failure(w->receiver)->text, "");
}

static void assert_fails(struct world *w, const char *code)
{
	assert_true(run(w, SIZE_MAX));
	assert_string_equal(files_receiver_failure(w->receiver)->code, code);
	assert_string_equal(files_sender_failure(w->sender)->code, code);
	assert_true(strlen(files_sender_failure(w->sender)->text) > 20);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {
		0, 1, FILES_CHUNK_MAX - 1, FILES_CHUNK_MAX, 65535, 65536, 65537, 6000000
	};
	struct world *w = *state;
	char name[32], to[32];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		snprintf(name, sizeof(name), "from/%zu", sizes[i]);
		snprintf(to, sizeof(to), "to/%zu", sizes[i]);
		make_file(w, name, sizes[i], 1);
		assert_int_equal(chmod(at(w, name), 0640), 0);
		begin(w, name, "to", false);
		assert_complete(w);
		assert_same(w, name, to);
		struct stat st, there;
		assert_int_equal(stat(at(w, name), &st), 0);
		assert_int_equal(stat(at(w, to), &there), 0);
		assert_int_equal(there.st_mode & 07777, 0640);
		assert_int_equal(there.st_mtim.tv_nsec, st.st_mtim.tv_nsec);
		assert_int_equal(there.st_mtim.tv_sec, st.st_mtim.tv_sec);
	}
}

static void test_folder(void **state)
{
	struct world *w = *state;
	char command[512];

	snprintf(
		command, sizeof(command),
		"cd %s/from && mkdir -p d/e/f d/empty && cd d && for i in $(seq 200); do echo $i > "
		"e/$i; done && ln -s /etc/passwd out && ln -s e/1 in && chmod 500 e/f && mkfifo "
		"pipe",
		w->dir);
	assert_int_equal(system(command), 0);
	begin(w, "from/d", "to/new", false);
	assert_complete(w);
	assert_int_equal(files_receiver_progress(w->receiver)->files, 200);
	assert_int_equal(files_receiver_progress(w->receiver)->skipped, 1);
	snprintf(command, sizeof(command),
		 "cd %s && rm from/d/pipe && diff -r --no-dereference from/d to/new && "
		 "test \"$(stat -c %%a to/new/e/f)\" = 500 && "
		 "test \"$(stat -c %%Y from/d/e)\" = \"$(stat -c %%Y to/new/e)\"",
		 w->dir);
	assert_int_equal(system(command), 0);
}

static void test_same_again_sends_nothing(void **state)
{
	struct world *w = *state;

	make_file(w, "from/a", 3000000, 1);
	begin(w, "from/a", "to", false);
	assert_complete(w);
	begin(w, "from/a", "to", false);
	assert_complete(w);
	assert_int_equal(w->data_bytes, 0);
	assert_int_equal(files_receiver_progress(w->receiver)->already, 1);
}

static void test_existing_needs_force(void **state)
{
	struct world *w = *state;

	make_file(w, "from/a", 1000, 1);
	make_file(w, "to/a", 1000, 2); /* as long, but different */
	begin(w, "from/a", "to", false);
	assert_fails(w, "exists");
	make_file(w, "to/a", 999, 1); /* shorter */
	begin(w, "from/a", "to", false);
	assert_fails(w, "exists");
	assert_int_equal(size_of(w, "to/a"), 999);
	begin(w, "from/a", "to", true);
	assert_complete(w);
	assert_same(w, "from/a", "to/a");
}

static void test_cut_at_every_message(void **state)
{
	struct world *w = *state;
	const size_t chunks = 20;

	make_file(w, "from/a", chunks * FILES_CHUNK_MAX, 1);
	/* each attempt is cut after its ENTRY, its FROM and one DATA more than there was before */
	for (size_t i = 0; i < chunks; i++) {
		assert_int_equal(size_of(w, "to/a"), SIZE_MAX);
		begin(w, "from/a", "to/a", false);
		assert_false(run(w, i % 3)); /* nothing gets on in these */
		begin(w, "from/a", "to/a", false);
		assert_false(run(w, 3));
		assert_int_equal(w->data_bytes, FILES_CHUNK_MAX);
	}
	/* all is there but the END */
	begin(w, "from/a", "to/a", false);
	assert_complete(w);
	assert_int_equal(w->data_bytes, 0);
	assert_same(w, "from/a", "to/a");
}

static void test_changed_source_starts_anew(void **state)
{
	struct world *w = *state;

	make_file(w, "from/a", 3000000, 1);
	begin(w, "from/a", "to", false);
	assert_false(run(w, 30));
	make_file(w, "from/a", 3000000, 2);
	begin(w, "from/a", "to", false);
	assert_complete(w);
	assert_int_equal(w->data_bytes, 3000000);
	assert_same(w, "from/a", "to/a");
	/* and one that became shorter than what is there already */
	make_file(w, "from/b", 3000000, 3);
	begin(w, "from/b", "to", false);
	assert_false(run(w, 30));
	make_file(w, "from/b", 10, 4);
	begin(w, "from/b", "to", false);
	assert_complete(w);
	assert_same(w, "from/b", "to/b");
}

static void test_resume_sends_only_the_rest(void **state)
{
	struct world *w = *state;

	make_file(w, "from/a", 3000000, 1);
	begin(w, "from/a", "to", false);
	assert_false(run(w, 30));
	size_t before = w->data_bytes;
	assert_true(before > 1000000);
	begin(w, "from/a", "to", false);
	assert_complete(w);
	assert_int_equal(w->data_bytes, 3000000 - before);
	assert_same(w, "from/a", "to/a");
}

static void test_changed_while_sent(void **state)
{
	struct world *w = *state;

	make_file(w, "from/a", 8000000, 1);
	begin(w, "from/a", "to", false);
	assert_false(run(w, 30));
	assert_int_equal(truncate(at(w, "from/a"), 5000000), 0);
	assert_fails(w, "changed");
	assert_int_equal(size_of(w, "to/a"), SIZE_MAX);
}

static void test_two_at_once(void **state)
{
	struct world other = { 0 }, *w = *state;

	memcpy(other.dir, w->dir, sizeof(other.dir));
	make_file(w, "from/a", 3000000, 1);
	begin(w, "from/a", "to", false);
	assert_false(run(w, 10));
	begin(&other, "from/a", "to", false);
	assert_fails(&other, "busy");
	stop(&other);
	assert_complete(w);
	assert_same(w, "from/a", "to/a");
}

static void feed_entry(struct world *w, enum files_kind kind, const char *path, const char *target)
{
	struct files_message m = { .type = FILES_ENTRY,
				   .kind = kind,
				   .mode = 0755,
				   .size = kind == FILES_FILE ? 1 : 0,
				   .path = span_str(path),
				   .target = span_str(target) };
	struct span out;

	files_receiver_input(w->receiver, &m);
	for (int i = 0; i < 20; i++)
		(void)files_receiver_step(w->receiver, &out);
}

static void test_links_are_not_followed(void **state)
{
	struct world *w = *state;

	begin(w, "from", "to", false);
	feed_entry(w, FILES_LINK, "a", "../from");
	assert_string_equal(files_receiver_failure(w->receiver)->code, "");
	feed_entry(w, FILES_FILE, "a/planted", "");
	assert_string_not_equal(files_receiver_failure(w->receiver)->code, "");
	begin(w, "from", "to", false);
	feed_entry(w, FILES_DIR, "a", "");
	assert_string_equal(files_receiver_failure(w->receiver)->code, "exists");
	assert_int_equal(size_of(w, "from/planted"), SIZE_MAX);
}

static void test_only_what_was_asked_for(void **state)
{
	char *expected[] = { "wanted" };
	struct world *w = *state;
	struct files_receiver_config config = { .expected = expected,
						.n_expected = 1,
						.where = "here" };
	struct files_failure failure = { 0 };
	bool into;

	begin(w, "from", "to", false);
	files_receiver_destroy(w->receiver);
	assert_true(files_target_open(at(w, "to"), false, false, &into, "here", &config.target,
				      &failure));
	assert_int_equal(files_receiver_create(&config, &w->receiver), 0);
	feed_entry(w, FILES_DIR, "wanted", "");
	assert_string_equal(files_receiver_failure(w->receiver)->code, "");
	feed_entry(w, FILES_FILE, ".bashrc", "");
	assert_string_equal(files_receiver_failure(w->receiver)->code, "bad-request");
}

static void test_planted_unfinished_file(void **state)
{
	struct world *w = *state;
	char temp[FILES_NAME_MAX + 1], path[300];

	make_file(w, "from/a", 100, 1);
	files_temp_name("a", temp);
	snprintf(path, sizeof(path), "to/%s", temp);
	assert_int_equal(symlink("../from/victim", at(w, path)), 0);
	begin(w, "from/a", "to", false);
	assert_fails(w, "name");
	assert_int_equal(size_of(w, "from/victim"), SIZE_MAX);
	assert_int_equal(unlink(at(w, path)), 0);
	/* a second name for somebody's file */
	make_file(w, "from/victim", 50, 2);
	assert_int_equal(link(at(w, "from/victim"), at(w, path)), 0);
	begin(w, "from/a", "to", false);
	assert_fails(w, "no-permission");
	assert_int_equal(size_of(w, "from/victim"), 50);
}

static void test_nonsense_is_refused(void **state)
{
	static const struct files_message cases[] = {
		{ .type = FILES_FROM, .offset = 0 },
		{ .type = FILES_DATA, .bytes = { (const uint8_t *)"x", 1 } },
		{ .type = FILES_END },
		{ .type = FILES_WANT },
		{ .type = FILES_PUT },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin(w, "from", "to", false);
		files_receiver_input(w->receiver, &cases[i]);
		assert_string_equal(files_receiver_failure(w->receiver)->code, "bad-request");
		if (cases[i].type != FILES_WANT) {
			files_sender_input(w->sender, &cases[i]);
			assert_string_equal(files_sender_failure(w->sender)->code, "bad-request");
		}
	}
	begin(w, "from", "to", false);
	files_sender_input(w->sender,
			   &(struct files_message){ .type = FILES_ACK, .bytes_done = 1 });
	assert_string_equal(files_sender_failure(w->sender)->code, "bad-request");
	begin(w, "from", "to", false);
	files_sender_input(w->sender, &(struct files_message){ .type = FILES_COMPLETE });
	assert_string_equal(files_sender_failure(w->sender)->code, "bad-request");
}

static void test_more_than_announced(void **state)
{
	struct world *w = *state;

	begin(w, "from", "to", false);
	feed_entry(w, FILES_FILE, "a", "");
	files_receiver_input(w->receiver, &(struct files_message){ .type = FILES_FROM });
	files_receiver_input(w->receiver, &(struct files_message){ .type = FILES_DATA,
								   .bytes = span_str("ab") });
	assert_string_equal(files_receiver_failure(w->receiver)->code, "bad-request");
	assert_int_equal(size_of(w, "to/a"), SIZE_MAX);
}

static void test_wrong_hash(void **state)
{
	struct world *w = *state;

	begin(w, "from", "to", false);
	feed_entry(w, FILES_FILE, "a", "");
	files_receiver_input(w->receiver, &(struct files_message){ .type = FILES_FROM });
	files_receiver_input(w->receiver,
			     &(struct files_message){ .type = FILES_DATA, .bytes = span_str("a") });
	files_receiver_input(w->receiver, &(struct files_message){ .type = FILES_END });
	assert_string_equal(files_receiver_failure(w->receiver)->code, "hash");
	assert_int_equal(size_of(w, "to/a"), SIZE_MAX);
}

static void test_source_that_is_not_there(void **state)
{
	struct world *w = *state;

	begin(w, "from/none", "to", false);
	assert_fails(w, "not-found");
}

static void test_list(void **state)
{
	struct world *w = *state;
	char *paths[] = { (char *)at(w, "from") };
	struct files_sender_config config = {
		.paths = paths, .n_paths = 1, .list = true, .where = "here"
	};
	struct files_message m = { .type = FILES_END };
	struct span out;
	size_t files = 0, folders = 0;

	make_file(w, "from/a", 5, 1);
	make_file(w, "from/b", 6, 1);
	assert_int_equal(mkdir(at(w, "from/c"), 0755), 0);
	assert_int_equal(files_sender_create(&config, &w->sender), 0);
	do {
		enum files_step did = files_sender_step(w->sender, &out);
		assert_true(did == FILES_STEP_MESSAGE || did == FILES_STEP_AGAIN);
		if (did == FILES_STEP_AGAIN)
			continue;
		assert_int_equal(files_message_get(out, &m), 0);
		files += m.type == FILES_ENTRY && m.kind == FILES_FILE;
		folders += m.type == FILES_ENTRY && m.kind == FILES_DIR;
	} while (m.type != FILES_DONE);
	assert_int_equal(files, 2);
	assert_int_equal(folders, 1);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_sizes),
		WORLD_TEST(test_folder),
		WORLD_TEST(test_same_again_sends_nothing),
		WORLD_TEST(test_existing_needs_force),
		WORLD_TEST(test_cut_at_every_message),
		WORLD_TEST(test_changed_source_starts_anew),
		WORLD_TEST(test_resume_sends_only_the_rest),
		WORLD_TEST(test_changed_while_sent),
		WORLD_TEST(test_two_at_once),
		WORLD_TEST(test_links_are_not_followed),
		WORLD_TEST(test_only_what_was_asked_for),
		WORLD_TEST(test_planted_unfinished_file),
		WORLD_TEST(test_nonsense_is_refused),
		WORLD_TEST(test_more_than_announced),
		WORLD_TEST(test_wrong_hash),
		WORLD_TEST(test_source_that_is_not_there),
		WORLD_TEST(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
