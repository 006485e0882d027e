/* The module host with a real process that misbehaves on request. */
#include "client/modulehost/modulehost.h"

#include <errno.h>

#include "base/buf.h"
#include "base/log.h"
#include "test.h"

#define VICTIM "modulehost_victim"
#define PATIENCE (20 * USEC_PER_SEC)

static const char *dir;

struct fixture {
	struct loop *loop;
	struct modulehost *host;
	struct modulehost_session *session;
	struct buf got; /* "CHANNEL:text;" per message, "CHANNEL closed;" */
};

static void on_data(void *arg, uint16_t channel, struct span data, bool text)
{
	struct fixture *f = arg;

	assert_int_equal(
		buf_printf(&f->got, "%u:%.*s;", channel, (int)data.len, (const char *)data.ptr), 0);
}

static void on_close(void *arg, uint16_t channel)
{
	struct fixture *f = arg;

	assert_int_equal(buf_printf(&f->got, "%u closed;", channel), 0);
}

static const struct modulehost_handler handler = { .on_data = on_data, .on_close = on_close };

static void expect(struct fixture *f, const char *text)
{
	usec_t until = usec_monotonic() + PATIENCE;

	while (f->got.len < strlen(text) && usec_monotonic() < until)
		assert_int_equal(loop_turn(f->loop, 100 * USEC_PER_MSEC), 0);
	FL_AUTOFREE char *got = buf_steal_string(&f->got);
	assert_string_equal(got, text);
}

static void tell(struct fixture *f, uint16_t channel, const char *text)
{
	modulehost_data(f->session, channel, span_str(text), true);
}

static void drop_line(void *arg, enum log_level level, const char *line)
{
}

static int setup(void **state)
{
	static struct fixture f;
	static const char *const names[] = { VICTIM, "no-such-module", "../modulehost_victim" };
	struct modulehost_who who = { "s1", "u1", "Nora \"N\" Ünal", "lab-3" };

	log_set_sink(drop_line, NULL);
	f = (struct fixture){ .got = BUF_INIT(1u << 20) };
	assert_int_equal(loop_create(&f.loop), 0);
	assert_int_equal(modulehost_create(f.loop, dir, &f.host), 0);
	assert_int_equal(modulehost_session_create(f.host, &who, names, ARRAY_LEN(names), &handler,
						   &f, &f.session),
			 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	modulehost_session_destroy(f->session);
	modulehost_destroy(f->host);
	loop_destroy(f->loop);
	buf_finish(&f->got);
	return 0;
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	char names[MODULEHOST_MODULES_MAX][MODULEHOST_NAME_MAX];
	size_t n = modulehost_list(f->host, names);
	bool found = false;

	for (size_t i = 0; i < n; i++)
		found = found || strcmp(names[i], VICTIM) == 0;
	assert_true(found);
}

static void test_open_echo_close(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(modulehost_open(f->session, 2, "no-such-module"), -ENOENT);
	assert_int_equal(modulehost_open(f->session, 2, "../modulehost_victim"), -ENOENT);
	assert_int_equal(modulehost_open(f->session, 2, VICTIM), 0);
	assert_int_equal(modulehost_open(f->session, 2, VICTIM), -EEXIST);
	tell(f, 2, "echo");
	expect(f, "2:echo;");
	tell(f, 2, "who");
	expect(f, "2:Nora \"N\" Ünal;");
	modulehost_pause(f->session, 2, true);
	modulehost_pause(f->session, 2, false);
	expect(f, "2:paused;2:resumed;");
	tell(f, 2, "close");
	expect(f, "2 closed;");
	tell(f, 2, "into nothing");
	assert_int_equal(modulehost_open(f->session, 2, VICTIM), 0);
	tell(f, 2, "again");
	expect(f, "2:again;");
}

/* Each death closes the channels, and the next channel finds a new process. */
static void test_deaths(void **state)
{
	static const char *const ways[] = { "crash", "garbage", "exit", "garbage" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		assert_int_equal(modulehost_open(f->session, 1, VICTIM), 0);
		tell(f, 1, "before");
		expect(f, "1:before;");
		tell(f, 1, ways[i]);
		expect(f, "1 closed;");
		/* what is sent while it starts waits for it */
		assert_int_equal(modulehost_open(f->session, 3, VICTIM), 0);
		tell(f, 3, "after");
		expect(f, "3:after;");
		modulehost_close(f->session, 3);
	}
}

static void test_not_reading(void **state)
{
	struct fixture *f = *state;
	static char block[60000];

	assert_int_equal(modulehost_open(f->session, 1, VICTIM), 0);
	tell(f, 1, "ready");
	expect(f, "1:ready;");
	tell(f, 1, "hang");
	for (int i = 0; i < 400; i++)
		modulehost_data(f->session, 1, span_of(block, sizeof(block)), false);
	expect(f, "1 closed;");
	assert_int_equal(modulehost_open(f->session, 1, VICTIM), 0);
	tell(f, 1, "again");
	expect(f, "1:again;");
}

#define HOST_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(test_list),
		HOST_TEST(test_open_echo_close),
		HOST_TEST(test_deaths),
		HOST_TEST(test_not_reading),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: modulehost_test DIR\n");
		return 2;
	}
	dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
