#include "modules/module.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "io/stream.h"

#define SCRATCH_KEEP (256 * 1024) /* bytes of memory kept between messages */

struct module {
	struct loop *loop;
	struct stream *stream;
	const struct module_handler *handler;
	void *arg;
	const char *name;
	struct buf scratch; /* one message being put together */
	bool ended;
	bool *destroyed; /* of the running on_read, to notice module_destroy() from inside it */
};

int module_start(int argc, char **argv, const char *name)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("fairlead module %s %s\n", name, FAIRLEAD_VERSION);
		exit(0);
	}
	if (argc >= 2 && strcmp(argv[1], "--module") == 0 &&
	    getsockopt(MODULE_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM) {
		/* what the module starts must not inherit the way to the client */
		fcntl(MODULE_FD, F_SETFD, FD_CLOEXEC);
		/* the end of 3 tells that the client is gone; this is for a module that hangs */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		return MODULE_FD;
	}
	fprintf(stderr,
		"%s: this is a module of Fairlead. fairlead-client starts it by itself; there is "
		"nothing to do by hand.\n",
		name);
	return -EINVAL;
}

static void end(struct module *m)
{
	if (m->ended)
		return;
	m->ended = true;
	if (m->handler->on_end)
		m->handler->on_end(m->arg);
	else
		loop_stop(m->loop);
}

static const char *text_of(json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	return s ? s : "";
}

static bool take_hello(struct module *m, struct span payload)
{
	json_t *root = json_loadb((const char *)payload.ptr, payload.len, JSON_REJECT_DUPLICATES,
				  NULL);
	json_t *user = json_object_get(root, "user");
	json_t *version = json_object_get(root, "version");
	json_t *config = json_object_get(root, "config");

	if (!json_is_object(root) || !json_is_integer(version) ||
	    json_integer_value(version) != 1) {
		json_decref(root);
		return false;
	}
	FL_AUTOFREE char *config_text = json_is_object(config) ? json_dumps(config, JSON_COMPACT)
							       : NULL;
	struct module_hello hello = {
		.version = 1,
		.session = text_of(root, "session"),
		.user_id = text_of(user, "id"),
		.user_name = text_of(user, "name"),
		.device_name = text_of(json_object_get(root, "device"), "name"),
		.config = config_text ? config_text : "{}",
	};
	if (m->handler->on_hello)
		m->handler->on_hello(m->arg, &hello);
	json_decref(root);
	return true;
}

static bool take_video_start(struct module *m, struct span payload)
{
	json_t *root = json_loadb((const char *)payload.ptr, payload.len, JSON_REJECT_DUPLICATES,
				  NULL);
	json_t *codecs = json_object_get(root, "codecs");
	json_t *kbps = json_object_get(root, "maxKbps");
	struct module_video video = { .max_kbps = 8000 };
	size_t i;
	json_t *codec;

	if (json_is_integer(kbps) && json_integer_value(kbps) > 0 &&
	    json_integer_value(kbps) <= 1000000)
		video.max_kbps = (uint32_t)json_integer_value(kbps);
	json_array_foreach(codecs, i,
			   codec) if (json_is_string(codec) && video.n_codecs < MODULE_CODECS_MAX)
		video.codecs[video.n_codecs++] = json_string_value(codec);
	if (video.n_codecs > 0 && m->handler->on_video_start)
		m->handler->on_video_start(m->arg, &video);
	json_decref(root);
	return video.n_codecs > 0;
}

/* False: the client broke the protocol. */
static bool take(struct module *m, const struct module_message *msg)
{
	const struct module_handler *h = m->handler;

	switch ((enum module_type)msg->type) {
	case MODULE_HELLO:
		return take_hello(m, msg->payload);
	case MODULE_OPEN:
		if (h->on_open)
			h->on_open(m->arg, msg->channel);
		return true;
	case MODULE_DATA:
		if (h->on_data)
			h->on_data(m->arg, msg->channel, msg->payload,
				   msg->flags & MODULE_FLAG_TEXT);
		return true;
	case MODULE_CLOSE:
		if (h->on_close)
			h->on_close(m->arg, msg->channel);
		return true;
	case MODULE_PAUSE:
	case MODULE_RESUME:
		if (h->on_pause)
			h->on_pause(m->arg, msg->channel, msg->type == MODULE_PAUSE);
		return true;
	case MODULE_VIDEO_START:
		return take_video_start(m, msg->payload);
	case MODULE_VIDEO_STOP:
		if (h->on_video_stop)
			h->on_video_stop(m->arg);
		return true;
	case MODULE_KEYFRAME:
		if (h->on_keyframe)
			h->on_keyframe(m->arg);
		return true;
	case MODULE_RATE:
		if (h->on_rate)
			h->on_rate(m->arg, msg->rate_bps);
		return true;
	case MODULE_READY:
	case MODULE_VIDEO_READY:
	case MODULE_FRAME:
		return false;
	}
	return false;
}

static void on_read(void *arg, struct buf *in)
{
	struct module *m = arg;
	struct module_message msg;
	size_t used;
	int n;
	bool destroyed = false;

	m->destroyed = &destroyed;
	while (!m->ended &&
	       (n = module_wire_get(buf_span(in), MODULE_FROM_CLIENT, &msg, &used)) != 0) {
		bool good = n > 0 && take(m, &msg);
		if (destroyed)
			return;
		if (!good) {
			log_error("module-protocol", "module=%s type=%d", m->name,
				  n > 0 ? msg.type : -1);
			end(m);
			if (destroyed)
				return;
			break;
		}
		buf_consume(in, used);
	}
	m->destroyed = NULL;
}

static void on_close(void *arg, int err)
{
	struct module *m = arg;

	stream_destroy(m->stream);
	m->stream = NULL;
	end(m);
}

static void on_drain(void *arg)
{
	struct module *m = arg;

	if (m->handler->on_drain)
		m->handler->on_drain(m->arg);
}

static void on_open(void *arg)
{
}

static const struct stream_handler stream_handler = {
	.on_open = on_open,
	.on_read = on_read,
	.on_drain = on_drain,
	.on_close = on_close,
};

/* Put together first, so that the stream takes all of it or nothing. */
static int put(struct module *m, const struct module_message *msg)
{
	if (!m->stream || m->ended)
		return FL_ECLOSED;
	buf_clear(&m->scratch);
	int err = module_wire_put(&m->scratch, msg);
	if (err == 0)
		err = stream_write(m->stream, buf_span(&m->scratch));
	if (m->scratch.cap > SCRATCH_KEEP)
		buf_finish(&m->scratch);
	return err == -EPIPE ? FL_ECLOSED : err;
}

static int put_json(struct module *m, enum module_type type, json_t *json)
{
	FL_AUTOFREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text)
		return -ENOMEM;
	return put(m, &(struct module_message){ .type = type, .payload = span_str(text) });
}

int module_create(struct loop *loop, const struct module_config *config,
		  const struct module_handler *handler, void *arg, struct module **out)
{
	static const struct stream_config stream_config = {
		.read_max = MODULE_MESSAGE_MAX + MODULE_HEADER_LEN,
		.write_max = MODULE_QUEUE_MAX,
	};
	struct module *m = calloc(1, sizeof(*m));

	if (!m) {
		close(config->fd);
		return -ENOMEM;
	}
	m->loop = loop;
	m->handler = handler;
	m->arg = arg;
	m->name = config->name;
	m->scratch = BUF_INIT(MODULE_MESSAGE_MAX + 4);
	int err = stream_adopt(loop, config->fd, &stream_config, &stream_handler, m, &m->stream);
	if (err == 0)
		err = put_json(
			m, MODULE_READY,
			json_pack("{s:s, s:s}", "name", config->name, "version", config->version));
	if (err < 0) {
		module_destroy(m);
		return err;
	}
	*out = m;
	return 0;
}

void module_destroy(struct module *m)
{
	if (!m)
		return;
	if (m->destroyed)
		*m->destroyed = true;
	stream_destroy(m->stream);
	buf_finish(&m->scratch);
	free(m);
}

int module_send(struct module *m, uint16_t channel, struct span data, bool text)
{
	if (data.len > MODULE_DATA_MAX)
		return FL_EQUOTA;
	return put(m, &(struct module_message){ .type = MODULE_DATA,
						.flags = text ? MODULE_FLAG_TEXT : 0,
						.channel = channel,
						.payload = data });
}

int module_close(struct module *m, uint16_t channel)
{
	return put(m, &(struct module_message){ .type = MODULE_CLOSE, .channel = channel });
}

int module_video_ready(struct module *m, const char *codec)
{
	return put_json(m, MODULE_VIDEO_READY, json_pack("{s:s}", "codec", codec));
}

int module_frame(struct module *m, struct span frame, bool key, uint64_t capture_us)
{
	return put(m, &(struct module_message){ .type = MODULE_FRAME,
						.flags = key ? MODULE_FLAG_KEY : 0,
						.capture_us = capture_us,
						.payload = frame });
}

size_t module_queued(const struct module *m)
{
	return m->stream ? stream_queued(m->stream) : 0;
}
