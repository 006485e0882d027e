/*
 * A module for tests. A text message tells it what to do: "echo …" comes back, "crash" and "exit"
 * end it, "garbage" breaks the protocol, "flood" sends until the queue is full, "hang" stops
 * reading.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "modules/module.h"

static struct module *module;
static char user[128];

static void on_hello(void *arg, const struct module_hello *hello)
{
	snprintf(user, sizeof(user), "%s", hello->user_name);
}

static void on_data(void *arg, uint16_t channel, struct span data, bool text)
{
	if (span_is(data, "crash")) {
		raise(SIGKILL);
	} else if (span_is(data, "exit")) {
		_exit(0);
	} else if (span_is(data, "garbage")) {
		if (write(MODULE_FD, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) < 0)
			_exit(1);
	} else if (span_is(data, "hang")) {
		for (;;)
			pause();
	} else if (span_is(data, "who")) {
		if (module_send(module, channel, span_str(user), true) < 0)
			_exit(1);
	} else if (span_is(data, "close")) {
		if (module_close(module, channel) < 0)
			_exit(1);
	} else if (module_send(module, channel, data, text) < 0) {
		_exit(1);
	}
}

static void on_pause(void *arg, uint16_t channel, bool paused)
{
	if (module_send(module, channel, span_str(paused ? "paused" : "resumed"), true) < 0)
		_exit(1);
}

static const struct module_handler handler = {
	.on_hello = on_hello,
	.on_data = on_data,
	.on_pause = on_pause,
};

int main(int argc, char **argv)
{
	struct loop *loop;
	int fd = module_start(argc, argv, "victim");

	if (fd < 0 || loop_create(&loop) < 0)
		return 2;
	if (module_create(loop, &(struct module_config){ fd, "victim", "1" }, &handler, NULL,
			  &module) < 0)
		return 1;
	return loop_run(loop) < 0;
}
