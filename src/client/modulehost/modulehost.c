#include "client/modulehost/modulehost.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "base/text.h"
#include "client/modulehost/process.h"

#define VIDEO_MODULE "screen"

struct modulehost {
	struct loop *loop;
	char *dir;
	struct list dying;
};

/* A module within a session. */
struct slot {
	struct modulehost_session *session;
	struct process *process;
};

struct channel {
	uint16_t id;
	struct slot *slot;
};

struct modulehost_session {
	struct modulehost *host;
	const struct modulehost_handler *handler;
	void *arg;
	char *hello; /* JSON */
	struct slot slots[MODULEHOST_MODULES_MAX];
	size_t n_slots;
	struct channel channels[MODULEHOST_CHANNELS_MAX];
	size_t n_channels;
	char codec[16]; /* of running video; "" when there is none */
	uint32_t max_kbps, rate_bps;
};

static bool name_valid(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < MODULEHOST_NAME_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

static bool is_module(const struct modulehost *host, const char *name)
{
	char path[4096];
	struct stat st;

	if (!name_valid(name) ||
	    snprintf(path, sizeof(path), "%s/%s", host->dir, name) >= (int)sizeof(path))
		return false;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int modulehost_create(struct loop *loop, const char *dir, struct modulehost **out)
{
	struct modulehost *host = calloc(1, sizeof(*host));

	if (!host || !(host->dir = strdup(dir))) {
		free(host);
		return -ENOMEM;
	}
	host->loop = loop;
	list_init(&host->dying);
	*out = host;
	return 0;
}

void modulehost_destroy(struct modulehost *host)
{
	struct process *p, *tmp;

	if (!host)
		return;
	list_for_each (p, tmp, &host->dying, node)
		process_free(p);
	free(host->dir);
	free(host);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

size_t modulehost_list(const struct modulehost *host,
		       char names[MODULEHOST_MODULES_MAX][MODULEHOST_NAME_MAX])
{
	DIR *dir = opendir(host->dir);
	struct dirent *e;
	size_t n = 0;

	while (dir && n < MODULEHOST_MODULES_MAX && (e = readdir(dir)))
		if (is_module(host, e->d_name))
			(void)text_copy(names[n++], MODULEHOST_NAME_MAX, e->d_name);
	if (dir)
		closedir(dir);
	qsort(names, n, MODULEHOST_NAME_MAX, compare_names);
	return n;
}

static struct channel *find_channel(struct modulehost_session *s, uint16_t id)
{
	for (size_t i = 0; i < s->n_channels; i++)
		if (s->channels[i].id == id)
			return &s->channels[i];
	return NULL;
}

static void forget_channel(struct modulehost_session *s, struct channel *c)
{
	*c = s->channels[--s->n_channels];
}

static struct slot *find_slot(struct modulehost_session *s, const char *name)
{
	for (size_t i = 0; i < s->n_slots; i++)
		if (strcmp(s->slots[i].process->name, name) == 0)
			return &s->slots[i];
	return NULL;
}

static void send_simple(struct slot *slot, enum module_type type, uint16_t channel)
{
	process_send(slot->process, &(struct module_message){ .type = type, .channel = channel });
}

static void send_video_start(struct slot *slot)
{
	struct modulehost_session *s = slot->session;
	char json[96];

	snprintf(json, sizeof(json), "{\"codecs\":[\"%s\"],\"maxKbps\":%u}", s->codec, s->max_kbps);
	process_send(slot->process, &(struct module_message){ .type = MODULE_VIDEO_START,
							      .payload = span_str(json) });
	if (s->rate_bps)
		process_send(slot->process, &(struct module_message){ .type = MODULE_RATE,
								      .rate_bps = s->rate_bps });
}

/* ---- what processes say ---- */

static void on_message(void *arg, const struct module_message *m)
{
	struct slot *slot = arg;
	struct modulehost_session *s = slot->session;
	struct channel *c = find_channel(s, m->channel);
	json_t *json;

	switch ((enum module_type)m->type) {
	case MODULE_DATA:
		/* a channel that was closed meanwhile is no mistake; another module's would be */
		if (c && c->slot == slot)
			s->handler->on_data(s->arg, m->channel, m->payload,
					    m->flags & MODULE_FLAG_TEXT);
		return;
	case MODULE_CLOSE:
		if (c && c->slot == slot) {
			forget_channel(s, c);
			s->handler->on_close(s->arg, m->channel);
		}
		return;
	case MODULE_VIDEO_READY:
		json = json_loadb((const char *)m->payload.ptr, m->payload.len, 0, NULL);
		if (s->handler->on_video_ready && json_is_string(json_object_get(json, "codec")))
			s->handler->on_video_ready(
				s->arg, json_string_value(json_object_get(json, "codec")));
		json_decref(json);
		return;
	case MODULE_FRAME:
		if (s->codec[0] && slot == find_slot(s, VIDEO_MODULE))
			s->handler->on_frame(s->arg, m->payload, m->flags & MODULE_FLAG_KEY,
					     m->capture_us);
		return;
	case MODULE_HELLO:
	case MODULE_OPEN:
	case MODULE_PAUSE:
	case MODULE_RESUME:
	case MODULE_VIDEO_START:
	case MODULE_VIDEO_STOP:
	case MODULE_KEYFRAME:
	case MODULE_RATE:
	case MODULE_READY:
		return; /* the codec lets none of them through */
	}
}

static void on_started(void *arg)
{
	struct slot *slot = arg;
	struct modulehost_session *s = slot->session;

	process_send(slot->process, &(struct module_message){ .type = MODULE_HELLO,
							      .payload = span_str(s->hello) });
	if (s->codec[0] && strcmp(slot->process->name, VIDEO_MODULE) == 0)
		send_video_start(slot);
}

static void on_died(void *arg)
{
	struct slot *slot = arg;
	struct modulehost_session *s = slot->session;

	for (size_t i = s->n_channels; i-- > 0;) {
		struct channel c = s->channels[i];
		if (c.slot != slot)
			continue;
		forget_channel(s, &s->channels[i]);
		s->handler->on_close(s->arg, c.id);
		i = FL_MIN(i, s->n_channels); /* the handler may have closed others */
	}
}

static const struct process_handler process_handler = { on_message, on_started, on_died };

/* ---- a session ---- */

static char *make_hello(const struct modulehost_who *who)
{
	json_t *json = json_pack("{s:i, s:s, s:{s:s, s:s}, s:{s:s}, s:{}}", "version", 1, "session",
				 who->session, "user", "id", who->user_id, "name", who->user_name,
				 "device", "name", who->device_name, "config");
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

int modulehost_session_create(struct modulehost *host, const struct modulehost_who *who,
			      const char *const *names, size_t n_names,
			      const struct modulehost_handler *handler, void *arg,
			      struct modulehost_session **out)
{
	struct modulehost_session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->host = host;
	s->handler = handler;
	s->arg = arg;
	s->hello = make_hello(who);
	for (size_t i = 0; s->hello && i < n_names && s->n_slots < MODULEHOST_MODULES_MAX; i++) {
		struct slot *slot = &s->slots[s->n_slots];
		if (!is_module(host, names[i]) || find_slot(s, names[i]))
			continue;
		slot->session = s;
		slot->process = process_create(host->loop, host->dir, names[i], &process_handler,
					       slot);
		if (!slot->process) {
			modulehost_session_destroy(s);
			return -ENOMEM;
		}
		s->n_slots++;
	}
	if (!s->hello) {
		modulehost_session_destroy(s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->n_slots; i++)
		process_start(s->slots[i].process);
	*out = s;
	return 0;
}

static void on_gone(void *arg, struct process *p)
{
	list_remove(&p->node);
}

void modulehost_session_destroy(struct modulehost_session *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_slots; i++) {
		list_push_back(&s->host->dying, &s->slots[i].process->node);
		process_orphan(s->slots[i].process, on_gone, s->host);
	}
	free(s->hello);
	free(s);
}

int modulehost_open(struct modulehost_session *s, uint16_t channel, const char *label)
{
	struct slot *slot = find_slot(s, label);

	if (!slot)
		return -ENOENT;
	if (find_channel(s, channel))
		return -EEXIST;
	if (s->n_channels == MODULEHOST_CHANNELS_MAX)
		return FL_EQUOTA;
	s->channels[s->n_channels++] = (struct channel){ channel, slot };
	send_simple(slot, MODULE_OPEN, channel);
	return 0;
}

void modulehost_data(struct modulehost_session *s, uint16_t channel, struct span data, bool text)
{
	struct channel *c = find_channel(s, channel);

	if (c)
		process_send(c->slot->process,
			     &(struct module_message){ .type = MODULE_DATA,
						       .flags = text ? MODULE_FLAG_TEXT : 0,
						       .channel = channel,
						       .payload = data });
}

void modulehost_close(struct modulehost_session *s, uint16_t channel)
{
	struct channel *c = find_channel(s, channel);

	if (!c)
		return;
	struct slot *slot = c->slot;
	forget_channel(s, c);
	send_simple(slot, MODULE_CLOSE, channel);
}

void modulehost_pause(struct modulehost_session *s, uint16_t channel, bool pause)
{
	struct channel *c = find_channel(s, channel);

	if (c)
		send_simple(c->slot, pause ? MODULE_PAUSE : MODULE_RESUME, channel);
}

void modulehost_video_start(struct modulehost_session *s, const char *codec, uint32_t max_kbps)
{
	struct slot *slot = find_slot(s, VIDEO_MODULE);

	snprintf(s->codec, sizeof(s->codec), "%s", codec);
	s->max_kbps = max_kbps;
	if (slot && slot->process->stream)
		send_video_start(slot);
}

void modulehost_keyframe(struct modulehost_session *s)
{
	struct slot *slot = find_slot(s, VIDEO_MODULE);

	if (slot && slot->process->stream && s->codec[0])
		send_simple(slot, MODULE_KEYFRAME, 0);
}

void modulehost_rate(struct modulehost_session *s, uint32_t bits_per_second)
{
	struct slot *slot = find_slot(s, VIDEO_MODULE);

	s->rate_bps = bits_per_second;
	if (slot && slot->process->stream && s->codec[0])
		process_send(slot->process,
			     &(struct module_message){ .type = MODULE_RATE,
						       .rate_bps = bits_per_second });
}
