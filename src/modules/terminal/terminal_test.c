/* The real terminal module at the other end of a socketpair. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/usec.h"
#include "modules/terminal/message.h"
#include "modules/wire.h"
#include "test.h"

#define PATIENCE (20 * USEC_PER_SEC)

static const char *program;

struct module {
	int fd;
	pid_t pid;
	struct buf in;
	size_t used; /* of the message handed out last */
};

static void module_start(struct module *m)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	m->pid = fork();
	assert_true(m->pid >= 0);
	if (m->pid == 0) {
		if (ends[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(ends[1], 3);
		execl(program, program, "--module", NULL);
		_exit(127);
	}
	close(ends[1]);
	m->fd = ends[0];
	m->in = BUF_INIT(MODULE_MESSAGE_MAX + 4);
	m->used = 0;
}

static void put(struct module *m, const struct module_message *msg)
{
	struct buf b = BUF_INIT(MODULE_MESSAGE_MAX + 4);

	assert_int_equal(module_wire_put(&b, msg), 0);
	while (b.len > 0) {
		ssize_t n = write(m->fd, b.mem + b.start, b.len);
		assert_true(n > 0);
		buf_consume(&b, (size_t)n);
	}
	buf_finish(&b);
}

/* The next message of the module; its bytes stay until the next call. */
static struct module_message get(struct module *m)
{
	struct module_message out;
	usec_t until = usec_monotonic() + PATIENCE;
	size_t used;

	buf_consume(&m->in, m->used);
	m->used = 0;
	for (;;) {
		int n = module_wire_get(buf_span(&m->in), MODULE_FROM_MODULE, &out, &used);
		assert_true(n >= 0);
		if (n > 0) {
			m->used = used;
			return out;
		}
		struct pollfd p = { .fd = m->fd, .events = POLLIN };
		if (usec_monotonic() > until || poll(&p, 1, 1000) < 0)
			fail_msg("the module said nothing");
		if (!(p.revents & (POLLIN | POLLHUP)))
			continue;
		uint8_t *room = buf_reserve(&m->in, 65536);
		ssize_t got = read(m->fd, room, 65536);
		assert_true(got > 0);
		buf_commit(&m->in, (size_t)got);
	}
}

static void send_terminal(struct module *m, uint16_t channel, struct terminal_message t)
{
	uint8_t head[8];
	struct buf b = BUF_INIT(MODULE_DATA_MAX);

	assert_int_equal(buf_append(&b, head, terminal_message_head(&t, head)), 0);
	assert_int_equal(buf_append_span(&b, t.bytes), 0);
	put(m, &(struct module_message){
		       .type = MODULE_DATA, .channel = channel, .payload = buf_span(&b) });
	buf_finish(&b);
}

static struct terminal_message get_terminal(struct module *m, uint16_t channel)
{
	struct module_message msg = get(m);
	struct terminal_message t;

	assert_int_equal(msg.type, MODULE_DATA);
	assert_int_equal(msg.channel, channel);
	assert_int_equal(terminal_message_get(msg.payload, &t), 0);
	return t;
}

static void open_json(struct module *m, uint16_t channel, const char *json)
{
	put(m, &(struct module_message){ .type = MODULE_OPEN, .channel = channel });
	send_terminal(m, channel,
		      (struct terminal_message){ .type = TERMINAL_OPEN, .bytes = span_str(json) });
}

static void open_ok(struct module *m, uint16_t channel, const char *json)
{
	open_json(m, channel, json);
	assert_int_equal(get_terminal(m, channel).type, TERMINAL_OPENED);
}

static void type_in(struct module *m, uint16_t channel, const char *text)
{
	send_terminal(m, channel,
		      (struct terminal_message){ .type = TERMINAL_INPUT, .bytes = span_str(text) });
}

/* Everything until EXIT and CLOSE; acknowledges as it goes. */
struct run {
	struct buf out, err;
	bool signalled;
	int number;
};

static struct run finish(struct module *m, uint16_t channel)
{
	struct run r = { .out = BUF_INIT(16u << 20), .err = BUF_INIT(1u << 20) };

	for (;;) {
		struct terminal_message t = get_terminal(m, channel);
		if (t.type == TERMINAL_EXIT) {
			r.signalled = t.signalled;
			r.number = t.number;
			break;
		}
		if (t.type == TERMINAL_ACK_BACK)
			continue;
		assert_true(t.type == TERMINAL_OUTPUT || t.type == TERMINAL_ERROUT);
		struct buf *to = t.type == TERMINAL_OUTPUT ? &r.out : &r.err;
		assert_int_equal(buf_append_span(to, t.bytes), 0);
		send_terminal(m, channel,
			      (struct terminal_message){ .type = TERMINAL_ACK,
							 .acked = (uint32_t)t.bytes.len });
	}
	struct module_message msg = get(m);
	assert_int_equal(msg.type, MODULE_CLOSE);
	assert_int_equal(msg.channel, channel);
	return r;
}

static void run_free(struct run *r)
{
	buf_finish(&r->out);
	buf_finish(&r->err);
}

/* Reads until the output holds the text. */
static void expect_output(struct module *m, uint16_t channel, const char *text)
{
	struct buf all = BUF_INIT(1u << 20);

	for (;;) {
		struct terminal_message t = get_terminal(m, channel);
		assert_int_equal(t.type, TERMINAL_OUTPUT);
		assert_int_equal(buf_append_span(&all, t.bytes), 0);
		if (memmem(all.mem + all.start, all.len, text, strlen(text)))
			break;
	}
	buf_finish(&all);
}

static int setup(void **state)
{
	static struct module m;

	module_start(&m);
	assert_int_equal(get(&m).type, MODULE_READY);
	*state = &m;
	return 0;
}

static int teardown(void **state)
{
	struct module *m = *state;
	int status = -1;

	close(m->fd);
	/* the end of its descriptor ends it */
	assert_int_equal(waitpid(m->pid, &status, 0), m->pid);
	assert_int_equal(status, 0);
	buf_finish(&m->in);
	return 0;
}

static void test_three_results(void **state)
{
	struct module *m = *state;

	open_ok(m, 7,
		"{\"tty\":false,\"argv\":[\"sh\",\"-c\",\"echo out; echo err >&2; exit 7\"]}");
	struct run r = finish(m, 7);
	assert_true(span_is(buf_span(&r.out), "out\n"));
	assert_true(span_is(buf_span(&r.err), "err\n"));
	assert_false(r.signalled);
	assert_int_equal(r.number, 7);
	run_free(&r);
}

static void test_tty_and_size(void **state)
{
	struct module *m = *state;

	open_ok(m, 0,
		"{\"tty\":true,\"cols\":91,\"rows\":33,\"term\":\"vt220\",\"argv\":[\"sh\",\"-c\","
		"\"stty size; echo $TERM; tty; read x; stty size; kill -9 $$\"]}");
	expect_output(m, 0, "/dev/pts/");
	send_terminal(m, 0,
		      (struct terminal_message){ .type = TERMINAL_RESIZE, .cols = 50, .rows = 10 });
	type_in(m, 0, "\r");
	expect_output(m, 0, "10 50");
	struct run r = finish(m, 0);
	assert_true(r.signalled);
	assert_int_equal(r.number, SIGKILL);
	run_free(&r);
}

static void test_login_shell(void **state)
{
	struct module *m = *state;

	open_ok(m, 1, "{\"tty\":true}");
	type_in(m, 1, "echo name:$0; exit 3\r");
	expect_output(m, 1, "name:-");
	struct run r = finish(m, 1);
	assert_int_equal(r.number, 3);
	run_free(&r);
}

static void test_interrupt_by_key_and_by_signal(void **state)
{
	struct module *m = *state;

	for (int i = 0; i < 2; i++) {
		open_ok(m, 1,
			"{\"tty\":true,\"argv\":[\"sh\",\"-c\","
			"\"trap 'exit 4' INT; echo ready; sleep 1000 & wait\"]}");
		expect_output(m, 1, "ready");
		if (i == 0)
			type_in(m, 1, "\x03");
		else
			send_terminal(m, 1,
				      (struct terminal_message){ .type = TERMINAL_SIGNAL,
								 .number = SIGINT });
		struct run r = finish(m, 1);
		assert_false(r.signalled);
		assert_int_equal(r.number, 4);
		run_free(&r);
	}
}

/* 0, 1, 2 and the directory listing's own descriptor, nothing of ours. */
static void test_no_leaked_descriptors(void **state)
{
	struct module *m = *state;

	open_ok(m, 2, "{\"tty\":false,\"argv\":[\"ls\",\"/proc/self/fd\"]}");
	struct run r = finish(m, 2);
	assert_true(span_is(buf_span(&r.out), "0\n1\n2\n3\n"));
	run_free(&r);
}

static void test_input_until_eof(void **state)
{
	struct module *m = *state;
	static char block[32768];

	memset(block, 'x', sizeof(block) - 1);
	open_ok(m, 3, "{\"tty\":false,\"argv\":[\"wc\",\"-c\"]}");
	for (int i = 0; i < 30; i++)
		type_in(m, 3, block);
	send_terminal(m, 3, (struct terminal_message){ .type = TERMINAL_EOF });
	struct run r = finish(m, 3);
	assert_true(span_is(buf_span(&r.out), "983010\n"));
	run_free(&r);
}

/* A program that writes without end is held at the window, and nothing is lost. */
static void test_output_window(void **state)
{
	struct module *m = *state;
	size_t got = 0;

	open_ok(m, 4, "{\"tty\":false,\"argv\":[\"head\",\"-c\",\"3000000\",\"/dev/zero\"]}");
	while (got < TERMINAL_WINDOW)
		got += get_terminal(m, 4).bytes.len;
	assert_int_equal(got, TERMINAL_WINDOW);
	/* another terminal's answer comes, more of this one does not */
	open_ok(m, 5, "{\"tty\":false,\"argv\":[\"true\"]}");
	struct run other = finish(m, 5);
	assert_int_equal(other.number, 0);
	send_terminal(m, 4,
		      (struct terminal_message){ .type = TERMINAL_ACK, .acked = TERMINAL_WINDOW });
	struct run r = finish(m, 4);
	assert_int_equal(got + r.out.len, 3000000);
	run_free(&other);
	run_free(&r);
}

static void test_pause_and_resume(void **state)
{
	struct module *m = *state;

	open_ok(m, 6, "{\"tty\":false,\"argv\":[\"cat\"]}");
	put(m, &(struct module_message){ .type = MODULE_PAUSE, .channel = 6 });
	type_in(m, 6, "held");
	open_ok(m, 5, "{\"tty\":false,\"argv\":[\"true\"]}");
	struct run other = finish(m, 5);
	put(m, &(struct module_message){ .type = MODULE_RESUME, .channel = 6 });
	expect_output(m, 6, "held");
	send_terminal(m, 6,
		      (struct terminal_message){ .type = TERMINAL_SIGNAL, .number = SIGTERM });
	struct run r = finish(m, 6);
	assert_true(r.signalled);
	assert_int_equal(r.number, SIGTERM);
	run_free(&other);
	run_free(&r);
}

static void expect_failed(struct module *m, uint16_t channel, const char *code)
{
	struct terminal_message t = get_terminal(m, channel);
	char want[64];

	assert_int_equal(t.type, TERMINAL_FAILED);
	snprintf(want, sizeof(want), "\"code\":\"%s\"", code);
	assert_non_null(memmem(t.bytes.ptr, t.bytes.len, want, strlen(want)));
	assert_int_equal(get(m).type, MODULE_CLOSE);
}

static void test_failures(void **state)
{
	struct module *m = *state;

	open_json(m, 8, "{\"tty\":false,\"argv\":[\"/nonexistent/program\"]}");
	expect_failed(m, 8, "no-such-command");
	open_json(m, 8, "{\"tty\":");
	expect_failed(m, 8, "bad-request");
	put(m, &(struct module_message){ .type = MODULE_OPEN, .channel = 8 });
	type_in(m, 8, "before OPEN");
	expect_failed(m, 8, "bad-request");
	open_ok(m, 8, "{\"tty\":false,\"argv\":[\"cat\"]}");
	send_terminal(m, 8, (struct terminal_message){ .type = TERMINAL_ACK, .acked = 1 });
	expect_failed(m, 8, "bad-request");
}

static void test_input_over_the_window(void **state)
{
	struct module *m = *state;
	static char block[32768];

	memset(block, 'x', sizeof(block) - 1);
	open_ok(m, 9, "{\"tty\":false,\"argv\":[\"sleep\",\"1000\"]}");
	for (int i = 0; i < 36; i++)
		type_in(m, 9, block);
	expect_failed(m, 9, "limit");
}

static void test_seventeenth_terminal(void **state)
{
	struct module *m = *state;

	for (uint16_t i = 0; i < 16; i++)
		open_ok(m, i, "{\"tty\":false,\"argv\":[\"cat\"]}");
	put(m, &(struct module_message){ .type = MODULE_OPEN, .channel = 16 });
	expect_failed(m, 16, "limit");
	for (uint16_t i = 0; i < 16; i++)
		put(m, &(struct module_message){ .type = MODULE_CLOSE, .channel = i });
	open_ok(m, 0, "{\"tty\":false,\"argv\":[\"true\"]}");
	struct run r = finish(m, 0);
	run_free(&r);
}

/* Closing the channel hangs the program up: its process is gone soon. */
static void test_close_hangs_up(void **state)
{
	struct module *m = *state;

	put(m, &(struct module_message){ .type = MODULE_OPEN, .channel = 1 });
	send_terminal(m, 1,
		      (struct terminal_message){
			      .type = TERMINAL_OPEN,
			      .bytes = span_str("{\"tty\":true,\"argv\":[\"sleep\",\"1000\"]}") });
	struct terminal_message t = get_terminal(m, 1);
	char json[64];
	snprintf(json, sizeof(json), "%.*s", (int)t.bytes.len, (const char *)t.bytes.ptr);
	const char *number = strchr(json, ':');
	assert_non_null(number);
	pid_t pid = (pid_t)strtol(number + 1, NULL, 10);
	assert_true(pid > 1);
	put(m, &(struct module_message){ .type = MODULE_CLOSE, .channel = 1 });
	usec_t until = usec_monotonic() + PATIENCE;
	while (kill(pid, 0) == 0 && usec_monotonic() < until)
		poll(NULL, 0, 5);
	assert_int_equal(kill(pid, 0), -1);
}

static void test_nonsense_from_the_client_ends_it(void **state)
{
	struct module *m = *state;
	uint8_t byte;

	assert_int_equal(write(m->fd, "\0\0\0\4\x7f\0\0\0", 8), 8);
	assert_int_equal(read(m->fd, &byte, 1), 0);
}

#define MODULE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		MODULE_TEST(test_three_results),
		MODULE_TEST(test_tty_and_size),
		MODULE_TEST(test_login_shell),
		MODULE_TEST(test_interrupt_by_key_and_by_signal),
		MODULE_TEST(test_no_leaked_descriptors),
		MODULE_TEST(test_input_until_eof),
		MODULE_TEST(test_output_window),
		MODULE_TEST(test_pause_and_resume),
		MODULE_TEST(test_failures),
		MODULE_TEST(test_input_over_the_window),
		MODULE_TEST(test_seventeenth_terminal),
		MODULE_TEST(test_close_hangs_up),
		MODULE_TEST(test_nonsense_from_the_client_ends_it),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: terminal_test MODULE\n");
		return 2;
	}
	program = argv[1];
	setenv("HOME", "/", 1); /* nobody's profile takes part */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
