#include "hub/realtime/registry.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"

#define MESSAGE_MAX (64 * 1024) /* one device as a message */

struct registry {
	struct hub *hub;
	struct map *devices;
	struct list by_change; /* oldest change first */
	struct list unsaved;
	struct list watchers;
	uint64_t changes;
	size_t online;
	struct loop_timer tell, save;
};

static void device_free(struct device *d)
{
	free(d->name);
	free(d->client);
	free(d->status);
	free(d->message);
	free(d);
}

static struct device *device_make(const struct store_device *row)
{
	struct device *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	text_copy(d->id, sizeof(d->id), row->id);
	memcpy(d->key, row->key, sizeof(d->key));
	d->enrolled = row->enrolled;
	d->last_seen = row->last_seen;
	d->name = strdup(row->name);
	d->client = strdup(row->client);
	d->status = strdup(row->status);
	list_init(&d->sessions);
	list_init(&d->by_change);
	list_init(&d->unsaved);
	if (d->name && d->client && d->status)
		return d;
	device_free(d);
	return NULL;
}

/* ---- JSON ---- */

json_t *registry_json(const struct device *d)
{
	json_t *o = json_loads(d->status, 0, NULL);
	char key[HUBKEY_TEXT_CAP];
	bool ok = o != NULL;

	text_b64url_encode(span_of(d->key, 32), key, sizeof(key));
	ok = ok && json_object_set_new(o, "id", json_string(d->id)) == 0 &&
	     json_object_set_new(o, "name", json_string(d->name)) == 0 &&
	     json_object_set_new(o, "client", json_string(d->client)) == 0 &&
	     json_object_set_new(o, "online", json_boolean(d->online != NULL)) == 0 &&
	     json_object_set_new(o, "lastSeen", json_integer(d->last_seen)) == 0 &&
	     json_object_set_new(o, "enrolled", json_integer(d->enrolled)) == 0 &&
	     json_object_set_new(o, "place", json_string(d->place->id)) == 0 &&
	     json_object_set_new(o, "key", json_string(key)) == 0;
	if (ok)
		return o;
	json_decref(o);
	return NULL;
}

json_t *registry_list(const struct registry *r)
{
	json_t *list = json_array();
	size_t cursor = 0;
	struct device *d;

	while (list && (d = map_next(r->devices, &cursor)))
		if (json_array_append_new(list, registry_json(d)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static bool make_message(struct device *d)
{
	struct buf b = BUF_INIT(MESSAGE_MAX);
	json_t *arg = json_pack("{s:o}", "device", registry_json(d));

	if (d->message) {
		json_decref(arg);
		return true;
	}
	if (arg && signalr_encode("device", arg, &b) == 0) {
		d->message_len = b.len;
		d->message = buf_steal_string(&b);
	}
	json_decref(arg);
	buf_finish(&b);
	return d->message != NULL;
}

/* ---- watchers ---- */

/* The first device changed after that change, or NULL. Recent ones are at the end. */
static struct device *first_after(struct registry *r, uint64_t change)
{
	struct list *at = &r->by_change;

	while (at->prev != &r->by_change &&
	       list_entry(at->prev, struct device, by_change)->change > change)
		at = at->prev;
	return at == &r->by_change ? NULL : list_entry(at, struct device, by_change);
}

static struct device *next_of(struct registry *r, struct device *d)
{
	return d->by_change.next == &r->by_change
		       ? NULL
		       : list_entry(d->by_change.next, struct device, by_change);
}

void registry_more(struct registry *r, struct watcher *w)
{
	struct device *d = first_after(r, w->told);
	size_t queued = rt_backlog(w->rt);

	for (; d && queued < RT_PACE; d = next_of(r, d)) {
		if (!make_message(d))
			return; /* no memory now; the next change tries again */
		rt_send_encoded(w->rt, span_of(d->message, d->message_len));
		queued += d->message_len;
		w->told = d->change;
		/* what is still more than the stream takes comes back by on_drain */
		if (queued >= RT_PACE)
			queued = rt_backlog(w->rt);
	}
}

static void on_tell(void *arg)
{
	struct registry *r = arg;
	struct watcher *w, *next;

	list_for_each (w, next, &r->watchers, node)
		registry_more(r, w);
}

json_t *registry_watch(struct registry *r, struct watcher *w, struct rt *rt)
{
	json_t *list = json_array(), *one;
	struct device *d = first_after(r, 0);
	size_t bytes = 0;

	registry_unwatch(w);
	w->rt = rt;
	w->told = 0;
	for (; list && d && bytes < REGISTRY_FIRST_BYTES; d = next_of(r, d)) {
		one = registry_json(d);
		/* an estimate that is never too low: names of fields, numbers, both escapes */
		bytes += 512 + 2 * (strlen(d->status) + strlen(d->name) + strlen(d->client));
		if (json_array_append_new(list, one) < 0)
			break;
		w->told = d->change;
	}
	list_push_back(&r->watchers, &w->node);
	if (d && loop_timer_after(&r->tell, 0) < 0)
		log_warn("memory", NULL);
	return list ? json_pack("{s:o}", "devices", list) : NULL;
}

void registry_unwatch(struct watcher *w)
{
	if (w->node.next)
		list_remove(&w->node);
}

/* ---- the store ---- */

struct save {
	struct store_job job;
	size_t n;
	struct store_device rows[];
};

static void save_free(struct save *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free((char *)s->rows[i].id);
		free((char *)s->rows[i].name);
		free((char *)s->rows[i].client);
		free((char *)s->rows[i].status);
	}
	free(s);
}

static int save_run(struct store_job *job, struct store *store)
{
	struct save *s = CONTAINER_OF(job, struct save, job);
	int err = 0;

	for (size_t i = 0; i < s->n && (err == 0 || err == -ENOENT); i++)
		err = store->ops->device_update(store, &s->rows[i]); /* ENOENT: forgotten since */
	return err == -ENOENT ? 0 : err;
}

static void save_done(struct store_job *job, int err)
{
	if (err < 0)
		log_error("devices-not-saved", "error=%s", err_name(err));
	save_free(CONTAINER_OF(job, struct save, job));
}

static bool save_add(struct save *s, const struct device *d)
{
	struct store_device *row = &s->rows[s->n++];

	*row = (struct store_device){ .id = strdup(d->id),
				      .name = strdup(d->name),
				      .client = strdup(d->client),
				      .status = strdup(d->status),
				      .last_seen = d->last_seen };
	return row->id && row->name && row->client && row->status;
}

void registry_save(struct registry *r)
{
	struct device *d, *next;
	struct save *s;
	size_t n = 0;

	list_for_each (d, next, &r->unsaved, unsaved)
		n++;
	s = n ? calloc(1, sizeof(*s) + n * sizeof(*s->rows)) : NULL;
	if (!s)
		return;
	list_for_each (d, next, &r->unsaved, unsaved) {
		if (!save_add(s, d)) {
			save_free(s);
			return;
		}
	}
	s->job = (struct store_job){ .write = true, .run = save_run, .done = save_done };
	if (store_queue_submit(r->hub->store, &s->job) < 0) {
		save_free(s);
		return;
	}
	list_for_each (d, next, &r->unsaved, unsaved)
		list_remove(&d->unsaved);
}

static void on_save(void *arg)
{
	struct registry *r = arg;

	registry_save(r);
	if (!list_empty(&r->unsaved) && loop_timer_after(&r->save, USEC_PER_SEC) < 0)
		log_warn("memory", NULL);
}

/* ---- changes ---- */

static void changed(struct registry *r, struct device *d)
{
	free(d->message);
	d->message = NULL;
	d->change = ++r->changes;
	list_remove(&d->by_change);
	list_push_back(&r->by_change, &d->by_change);
	if (!loop_timer_running(&r->tell) && loop_timer_after(&r->tell, REGISTRY_TELL_US) < 0)
		log_warn("memory", NULL);
}

static void save_later(struct registry *r, struct device *d)
{
	list_remove(&d->unsaved);
	list_push_back(&r->unsaved, &d->unsaved);
	if (!loop_timer_running(&r->save) && loop_timer_after(&r->save, REGISTRY_SAVE_US) < 0)
		log_warn("memory", NULL);
}

/* True when it was changed. */
static bool replace(char **field, const char *value, int *err)
{
	char *copy;

	if (!value || strcmp(*field, value) == 0)
		return false;
	copy = strdup(value);
	if (!copy) {
		*err = -ENOMEM;
		return false;
	}
	free(*field);
	*field = copy;
	return true;
}

int registry_update(struct registry *r, struct device *d, const char *name, const char *client,
		    const char *status)
{
	int err = 0;
	bool any = replace(&d->name, name, &err);

	any |= replace(&d->client, client, &err);
	any |= replace(&d->status, status, &err);
	d->last_seen = hub_now_ms();
	save_later(r, d);
	if (any)
		changed(r, d);
	return err;
}

void registry_set_online(struct registry *r, struct device *d, struct endpoint *e)
{
	bool was = d->online != NULL;

	d->online = e;
	d->last_seen = hub_now_ms();
	save_later(r, d);
	if (was == (e != NULL))
		return;
	r->online = was ? r->online - 1 : r->online + 1;
	changed(r, d);
}

void registry_place(struct registry *r, struct device *d, struct place *to)
{
	if (d->place == to)
		return;
	d->place->devices--;
	d->place = to;
	to->devices++;
	changed(r, d);
}

void registry_empty_place(struct registry *r, struct place *place)
{
	size_t cursor = 0;
	struct device *d;

	while (place->devices && (d = map_next(r->devices, &cursor)))
		if (d->place == place)
			registry_place(r, d, place->parent);
}

int registry_add(struct registry *r, const struct store_device *row)
{
	struct place *place = places_find(r->hub->places, row->place);
	struct device *d;
	int err;

	if (registry_find(r, row->id))
		return -EEXIST;
	d = device_make(row);
	err = d ? map_put(r->devices, span_str(d->id), d) : -ENOMEM;
	if (err < 0) {
		if (d)
			device_free(d);
		return err;
	}
	d->place = place ? place : places_root(r->hub->places);
	d->place->devices++;
	changed(r, d);
	return 0;
}

void registry_forget(struct registry *r, struct device *d)
{
	json_t *arg = json_pack("{s:s}", "device", d->id);
	struct watcher *w, *next;

	list_for_each (w, next, &r->watchers, node)
		rt_send(w->rt, "deviceGone", json_incref(arg));
	json_decref(arg);
	map_remove(r->devices, span_str(d->id));
	d->place->devices--;
	r->online -= d->online != NULL;
	list_remove(&d->by_change);
	list_remove(&d->unsaved);
	device_free(d);
}

size_t registry_online(const struct registry *r)
{
	return r->online;
}

struct device *registry_find(struct registry *r, const char *id)
{
	return map_get(r->devices, span_str(id));
}

size_t registry_count(const struct registry *r)
{
	return map_count(r->devices);
}

/* ---- life ---- */

int registry_create(struct hub *hub, struct registry **out)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->hub = hub;
	r->devices = map_create(rng_system(), REGISTRY_DEVICES_MAX);
	if (!r->devices) {
		free(r);
		return -ENOMEM;
	}
	list_init(&r->by_change);
	list_init(&r->unsaved);
	list_init(&r->watchers);
	loop_timer_init(hub->loop, &r->tell, on_tell, r);
	loop_timer_init(hub->loop, &r->save, on_save, r);
	*out = r;
	return 0;
}

static int load_one(void *arg, const struct store_device *row)
{
	return registry_add(arg, row);
}

int registry_load(struct registry *r, struct store *s)
{
	return s->ops->devices(s, load_one, r);
}

void registry_destroy(struct registry *r)
{
	size_t cursor = 0;
	struct device *d;

	if (!r)
		return;
	loop_timer_stop(&r->tell);
	loop_timer_stop(&r->save);
	while ((d = map_next(r->devices, &cursor)))
		device_free(d);
	map_destroy(r->devices);
	free(r);
}
