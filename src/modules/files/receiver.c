#include "modules/files/receiver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "modules/files/place.h"

#define ACK_ENTRIES (FILES_AHEAD / 4)

enum stage {
	LOOKING, /* not looked at yet */
	HASHING, /* what is there already */
	WANTED,	 /* the sender was asked, or there is nothing to ask */
	WRITING,
};

struct item {
	enum files_kind kind;
	enum stage stage;
	char *path, *target;
	struct place place;
};

struct files_receiver {
	int root;
	char name[FILES_NAME_MAX + 1];	/* instead of the first one's own */
	char first[FILES_NAME_MAX + 1]; /* which that was */
	bool force;
	char *const *expected;
	size_t n_expected;
	const char *where;

	struct item queue[FILES_AHEAD];
	size_t head, n, looked; /* looked: that many from head on are past HASHING */
	size_t since_busy;
	uint32_t bytes_done;
	uint16_t entries_done;
	bool done, complete, told;
	struct files_failure failure;
	struct files_progress progress;
	uint8_t *slice;
	uint8_t out[4096];
};

static enum files_step put(struct files_receiver *r, const struct files_message *m,
			   struct span *out)
{
	int n = files_message_put(m, r->out, sizeof(r->out));

	if (n < 0) {
		files_fail(&r->failure, "internal", "A message became too long.");
		return FILES_STEP_AGAIN;
	}
	*out = span_of(r->out, (size_t)n);
	return FILES_STEP_MESSAGE;
}

static struct item *item_at(struct files_receiver *r, size_t i)
{
	return &r->queue[(r->head + i) % FILES_AHEAD];
}

static void fail_item(struct files_receiver *r, const struct item *it, int err)
{
	struct span path = span_str(it->path);

	if (err == -EBUSY)
		files_fail(&r->failure, "busy",
			   "Another transfer is writing %s %s. Wait until it has ended.", it->path,
			   r->where);
	else if (err == -EEXIST)
		files_fail(&r->failure, "exists",
			   "%s %s exists already and is not the same. Use --force to write over "
			   "it, or another name.",
			   it->path, r->where);
	else if (err == FL_EMALFORMED)
		files_fail(&r->failure, "hash",
			   "%s %s did not arrive as it was sent (SHA-256 differs). Send it again; "
			   "if that happens twice, check memory and disk at both ends.",
			   it->path, r->where);
	else if (err == -EPROTO)
		files_fail(&r->failure, "bad-request",
			   "The sender sent more or less of %s than it said.", it->path);
	else if (err == -ENOMEM)
		files_fail(&r->failure, "internal", "Out of memory.");
	else
		files_fail_errno(&r->failure, err, path, r->where, "written");
}

/* ---- entries ---- */

/* The path below our folder, where the first name may be another. NULL: failed. */
static char *map_path(struct files_receiver *r, struct span path)
{
	const uint8_t *slash = memchr(path.ptr, '/', path.len);
	size_t first_len = slash ? (size_t)(slash - path.ptr) : path.len;
	struct span first = span_of(path.ptr, first_len);
	bool known = !r->expected;
	char *mapped;

	for (size_t i = 0; i < r->n_expected && !known; i++)
		known = span_is(first, r->expected[i]);
	if (*r->name && !*r->first)
		(void)text_copy_span(r->first, sizeof(r->first), first);
	if (!known || (*r->name && !span_is(first, r->first))) {
		files_fail(&r->failure, "bad-request",
			   "The sender sent \"%.*s\", which was not asked for.", (int)first.len,
			   (const char *)first.ptr);
		return NULL;
	}
	int n = *r->name ? asprintf(&mapped, "%s%.*s", r->name, (int)(path.len - first_len),
				    (const char *)path.ptr + first_len)
			 : asprintf(&mapped, "%.*s", (int)path.len, (const char *)path.ptr);
	if (n < 0) {
		files_fail(&r->failure, "internal", "Out of memory.");
		return NULL;
	}
	return mapped;
}

static void take_entry(struct files_receiver *r, const struct files_message *m)
{
	if (r->n == FILES_AHEAD || r->done) {
		files_fail(&r->failure, "bad-request", "The sender did not wait for us.");
		return;
	}
	struct item *it = item_at(r, r->n);
	*it = (struct item){ .kind = m->kind, .path = map_path(r, m->path), .place.fd = -1 };
	if (!it->path)
		return;
	it->place.root = r->root;
	it->place.path = it->path;
	it->place.size = m->size;
	it->place.mode = m->mode;
	it->place.mtime_ns = m->mtime_ns;
	it->place.force = r->force;
	if (m->kind == FILES_LINK &&
	    !(it->target = strndup((const char *)m->target.ptr, m->target.len))) {
		free(FL_STEAL(it->path));
		files_fail(&r->failure, "internal", "Out of memory.");
		return;
	}
	r->n++;
}

static void drop_head(struct files_receiver *r)
{
	struct item *it = item_at(r, 0);

	place_close(&it->place);
	free(FL_STEAL(it->path));
	free(FL_STEAL(it->target));
	r->head = (r->head + 1) % FILES_AHEAD;
	r->n--;
	if (r->looked > 0)
		r->looked--;
	r->entries_done++;
}

/* ---- folders and links ---- */

/* It is ours to write in until its end is told, whatever its mode will be. */
static int make_folder(struct item *it)
{
	const char *name;
	struct stat st;
	FL_CLEANUP(fl_closep) int dir = files_open_parent(it->place.root, it->path, &name);

	if (dir < 0)
		return dir;
	if (mkdirat(dir, name, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode)) /* never replaced by a folder, not even with force */
		return -EEXIST;
	FL_CLEANUP(fl_closep)
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && st.st_uid == geteuid() && (st.st_mode & 0700) != 0700 &&
	    fchmod(fd, (st.st_mode & 0777) | 0700) < 0)
		return -errno;
	return 0;
}

static int finish_folder(struct item *it)
{
	struct timespec times[2];
	const char *name;
	FL_CLEANUP(fl_closep) int dir = files_open_parent(it->place.root, it->path, &name);

	if (dir < 0)
		return dir;
	FL_CLEANUP(fl_closep)
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	files_times(it->place.mtime_ns, times);
	if (fsync(fd) < 0 && errno != EINVAL)
		return -errno;
	/* a folder that was there before and is somebody else's keeps its mode and time */
	if ((fchmod(fd, it->place.mode) < 0 || futimens(fd, times) < 0) && errno != EPERM)
		return -errno;
	return 0;
}

static int make_link(struct item *it, bool force)
{
	char there[FILES_PATH_MAX + 1];
	const char *name;
	struct stat st;
	FL_CLEANUP(fl_closep) int dir = files_open_parent(it->place.root, it->path, &name);

	if (dir < 0)
		return dir;
	if (symlinkat(it->target, dir, name) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	ssize_t n = readlinkat(dir, name, there, sizeof(there));
	if (n >= 0 && span_equal(span_of(there, (size_t)n), span_str(it->target)))
		return 0;
	if (!force)
		return -EEXIST;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (unlinkat(dir, name, 0) < 0 || symlinkat(it->target, dir, name) < 0)
		return -errno;
	return 0;
}

/* ---- what is there already ---- */

static enum files_step ask(struct files_receiver *r, struct item *it, struct span *out)
{
	struct files_message m = { .type = FILES_WANT, .offset = it->place.at };

	if (it->place.hash && !files_hash_peek(it->place.hash, m.hash)) {
		files_fail(&r->failure, "internal", "Out of memory.");
		return FILES_STEP_AGAIN;
	}
	it->stage = WANTED;
	r->looked++;
	return put(r, &m, out);
}

static enum files_step look(struct files_receiver *r, struct item *it, struct span *out)
{
	int err = 0;

	if (it->kind == FILES_FILE && it->stage == LOOKING) {
		err = place_look(&it->place);
		it->stage = HASHING;
		if (err == 0 && it->place.found == PLACE_NOTHING)
			return ask(r, it, out);
	} else if (it->kind == FILES_FILE) {
		uint64_t before = it->place.at;
		err = place_hash(&it->place, r->slice);
		if (err > 0)
			return ask(r, it, out);
		r->since_busy += it->place.at - before;
		if (err == 0 && r->since_busy >= FILES_BUSY_STEP) {
			r->since_busy = 0;
			return put(r, &(struct files_message){ .type = FILES_BUSY }, out);
		}
	} else {
		if (it->kind == FILES_DIR)
			err = make_folder(it);
		else if (it->kind == FILES_LINK)
			err = make_link(it, r->force);
		it->stage = WANTED;
		r->looked++;
	}
	if (err < 0)
		fail_item(r, it, err);
	return FILES_STEP_AGAIN;
}

/* ---- contents ---- */

/* A folder, link or folder's end whose turn has come needs nothing more of the sender. */
static bool finish_head(struct files_receiver *r)
{
	struct item *it = item_at(r, 0);

	if (r->looked == 0 || it->kind == FILES_FILE || r->failure.code[0])
		return false;
	int err = it->kind == FILES_DIR_END ? finish_folder(it) : 0;
	if (err < 0)
		fail_item(r, it, err);
	else
		drop_head(r);
	return true;
}

/* The file whose contents come now; NULL: failed. */
static struct item *expect(struct files_receiver *r, enum stage stage)
{
	while (finish_head(r))
		;
	struct item *it = item_at(r, 0);
	if (r->failure.code[0])
		return NULL;
	if (r->looked > 0 && it->stage == stage)
		return it;
	files_fail(&r->failure, "bad-request", "The sender sent what was not asked for.");
	return NULL;
}

static void take_from(struct files_receiver *r, uint64_t from)
{
	struct item *it = expect(r, WANTED);

	if (!it)
		return;
	if (from != 0 && from != it->place.at) {
		fail_item(r, it, -EPROTO);
		return;
	}
	(void)text_copy(r->progress.current, sizeof(r->progress.current), it->path);
	int err = place_begin(&it->place, from);
	if (err == -ENOSPC)
		place_discard(&it->place);
	if (err < 0)
		fail_item(r, it, err);
	it->stage = WRITING;
	r->progress.at = it->place.at;
	r->progress.size = it->place.size;
}

static void take_data(struct files_receiver *r, struct span bytes)
{
	struct item *it = expect(r, WRITING);
	int err = it ? place_write(&it->place, bytes) : 0;

	if (!it)
		return;
	if (err == -ENOSPC || err == -EDQUOT)
		place_discard(&it->place);
	if (err < 0)
		fail_item(r, it, err);
	r->bytes_done += (uint32_t)bytes.len;
	r->progress.bytes += bytes.len;
	r->progress.at = it->place.at;
}

static void take_end(struct files_receiver *r, const struct files_message *m)
{
	struct item *it = expect(r, WRITING);

	if (!it)
		return;
	int err = place_finish(&it->place, m->hash);
	if (err < 0) {
		fail_item(r, it, err);
		return;
	}
	r->progress.files++;
	r->progress.already += it->place.found == PLACE_FILE;
	drop_head(r);
}

/* ---- both ---- */

void files_receiver_input(struct files_receiver *r, const struct files_message *m)
{
	if (r->failure.code[0] || r->complete)
		return;
	if (m->type == FILES_ENTRY) {
		take_entry(r, m);
	} else if (m->type == FILES_FROM) {
		take_from(r, m->offset);
	} else if (m->type == FILES_DATA) {
		take_data(r, m->bytes);
	} else if (m->type == FILES_END) {
		take_end(r, m);
	} else if (m->type == FILES_DONE) {
		r->done = true;
		r->progress.skipped = m->skipped;
	} else if (m->type == FILES_FAILED) {
		files_failure_parse(m->bytes, &r->failure);
		r->told = true;
	} else if (m->type != FILES_BUSY) {
		files_fail(&r->failure, "bad-request",
			   "A message came that the sending end must not send.");
	}
}

static enum files_step tell_failure(struct files_receiver *r, struct span *out)
{
	FL_AUTOFREE char *text = r->told ? NULL : files_failure_format(&r->failure);

	if (!text)
		return FILES_STEP_OVER;
	r->told = true;
	return put(r, &(struct files_message){ .type = FILES_FAILED, .bytes = span_str(text) },
		   out);
}

static enum files_step acknowledge(struct files_receiver *r, struct span *out)
{
	struct files_message m = { .type = FILES_ACK,
				   .bytes_done = r->bytes_done,
				   .entries_done = r->entries_done };

	r->bytes_done = 0;
	r->entries_done = 0;
	return put(r, &m, out);
}

static enum files_step finish(struct files_receiver *r, struct span *out)
{
	if (fsync(r->root) < 0 && errno != EINVAL && errno != EBADF) {
		files_fail_errno(&r->failure, errno, span_str("The folder"), r->where, "written");
		return FILES_STEP_AGAIN;
	}
	r->complete = true;
	return put(r, &(struct files_message){ .type = FILES_COMPLETE }, out);
}

enum files_step files_receiver_step(struct files_receiver *r, struct span *out)
{
	if (r->failure.code[0])
		return tell_failure(r, out);
	if (r->complete)
		return FILES_STEP_OVER;
	if (finish_head(r))
		return FILES_STEP_AGAIN;
	if (r->bytes_done >= FILES_ACK_STEP || r->entries_done >= ACK_ENTRIES ||
	    (r->entries_done > 0 && r->n == 0))
		return acknowledge(r, out);
	if (r->looked < r->n)
		return look(r, item_at(r, r->looked), out);
	if (r->done && r->n == 0)
		return finish(r, out);
	return FILES_STEP_IDLE;
}

int files_receiver_create(const struct files_receiver_config *config, struct files_receiver **out)
{
	struct files_receiver *r = calloc(1, sizeof(*r));
	uint8_t *slice = malloc(FILES_SLICE);

	if (!r || !slice) {
		free(r);
		free(slice);
		close(config->target.dir);
		return -ENOMEM;
	}
	r->slice = slice;
	r->root = config->target.dir;
	(void)text_copy(r->name, sizeof(r->name), config->target.name);
	r->force = config->force;
	r->expected = config->expected;
	r->n_expected = config->n_expected;
	r->where = config->where;
	*out = r;
	return 0;
}

void files_receiver_destroy(struct files_receiver *r)
{
	if (!r)
		return;
	while (r->n > 0)
		drop_head(r);
	fl_closep(&r->root);
	free(r->slice);
	free(r);
}

const struct files_failure *files_receiver_failure(const struct files_receiver *r)
{
	return &r->failure;
}

const struct files_progress *files_receiver_progress(const struct files_receiver *r)
{
	return &r->progress;
}
