#include "modules/files/sender.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

/* A file that was announced. */
struct source {
	int fd;
	char *path;
	struct stat st;
	bool wanted;
	uint64_t offset;
	uint8_t hash[FILES_HASH_LEN];
};

/* A folder being walked. */
struct level {
	DIR *dir;
	size_t path_len; /* of its own path */
	struct stat st;
};

enum state { WAITING, HASHING, SENDING };

struct files_sender {
	char **roots;
	size_t n_roots, next_root;
	bool list;
	const char *where;

	struct level levels[FILES_DEPTH_MAX];
	size_t depth;
	char path[FILES_PATH_MAX + 1];

	struct source queue[FILES_AHEAD]; /* in the order of their entries */
	size_t head, n_queued, n_wanted;
	size_t ahead; /* entries that the other end has not finished */

	enum state state; /* of the first in the queue */
	uint64_t at;
	size_t since_busy;
	EVP_MD_CTX *hash;
	uint32_t unacked;

	bool done_sent, complete, told;
	struct files_failure failure;
	struct files_progress progress;
	uint8_t *slice;
	uint8_t out[FILES_CHUNK_MAX + 8 > 2 * FILES_PATH_MAX + FILES_HEAD_MAX
			    ? FILES_CHUNK_MAX + 8
			    : 2 * FILES_PATH_MAX + FILES_HEAD_MAX];
};

static enum files_step put(struct files_sender *s, const struct files_message *m, struct span *out)
{
	int n = files_message_put(m, s->out, sizeof(s->out));

	if (n < 0) {
		files_fail(&s->failure, "internal", "A message became too long.");
		return FILES_STEP_AGAIN;
	}
	*out = span_of(s->out, (size_t)n);
	return FILES_STEP_MESSAGE;
}

/* ---- the walk ---- */

static int64_t mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static enum files_step announce(struct files_sender *s, enum files_kind kind, const struct stat *st,
				struct span target, struct span *out)
{
	struct files_message m = {
		.type = FILES_ENTRY,
		.kind = kind,
		.mode = (uint16_t)(st->st_mode & 0777),
		.mtime_ns = mtime_of(st),
		.size = kind == FILES_FILE ? (uint64_t)st->st_size : 0,
		.path = span_str(s->path),
		.target = target,
	};

	if (!files_path_valid(m.path)) {
		files_fail(&s->failure, "name",
			   "%s %s has a name with control characters, or is too deep or too long. "
			   "Rename it.",
			   s->path, s->where);
		return FILES_STEP_AGAIN;
	}
	s->ahead++;
	return put(s, &m, out);
}

static enum files_step fail_here(struct files_sender *s, int err, const char *verb)
{
	files_fail_errno(&s->failure, err, span_str(s->path), s->where, verb);
	return FILES_STEP_AGAIN;
}

/* Takes fd over. */
static enum files_step enter_folder(struct files_sender *s, int fd, const struct stat *st,
				    bool announced, struct span *out)
{
	struct level *l = &s->levels[s->depth];

	if (s->depth == FILES_DEPTH_MAX - 1) {
		close(fd);
		files_fail(&s->failure, "limit", "%s %s is deeper than %d folders.", s->path,
			   s->where, FILES_DEPTH_MAX - 1);
		return FILES_STEP_AGAIN;
	}
	*l = (struct level){ .dir = fdopendir(fd), .path_len = strlen(s->path), .st = *st };
	if (!l->dir) {
		close(fd);
		return fail_here(s, errno, "read");
	}
	s->depth++;
	if (!announced)
		return FILES_STEP_AGAIN;
	return announce(s, FILES_DIR, st, span_of(NULL, 0), out);
}

/* Takes fd over. What is neither file nor folder is left out and counted. */
static enum files_step take_open(struct files_sender *s, int fd, struct span *out)
{
	struct source *q = &s->queue[(s->head + s->n_queued) % FILES_AHEAD];
	struct stat st;

	if (fstat(fd, &st) < 0) {
		close(fd);
		return fail_here(s, errno, "read");
	}
	if (S_ISDIR(st.st_mode) && !s->list)
		return enter_folder(s, fd, &st, true, out);
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		s->progress.skipped++;
		return FILES_STEP_AGAIN;
	}
	*q = (struct source){ .fd = fd, .path = strdup(s->path), .st = st };
	if (!q->path) {
		close(fd);
		return fail_here(s, ENOMEM, "read");
	}
	s->n_queued++;
	return announce(s, FILES_FILE, &st, span_of(NULL, 0), out);
}

static enum files_step take_link(struct files_sender *s, int dir, const char *name,
				 const struct stat *st, struct span *out)
{
	char target[FILES_PATH_MAX + 1];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	if (n <= 0 || n > FILES_PATH_MAX)
		return fail_here(s, n < 0 ? errno : ENAMETOOLONG, "read");
	return announce(s, FILES_LINK, st, span_of(target, (size_t)n), out);
}

static enum files_step take_name(struct files_sender *s, int dir, const char *name,
				 struct span *out)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) /* gone since it was listed */
		return errno == ENOENT ? FILES_STEP_AGAIN : fail_here(s, errno, "read");
	if (S_ISLNK(st.st_mode))
		return take_link(s, dir, name, &st, out);
	if (s->list && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return announce(s, S_ISDIR(st.st_mode) ? FILES_DIR : FILES_FILE, &st,
				span_of(NULL, 0), out);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		s->progress.skipped++;
		return FILES_STEP_AGAIN;
	}
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? fail_here(s, errno, "read") : take_open(s, fd, out);
}

static enum files_step leave_folder(struct files_sender *s, struct span *out)
{
	struct level *l = &s->levels[--s->depth];

	closedir(l->dir);
	s->path[l->path_len] = 0;
	if (s->list)
		return FILES_STEP_AGAIN;
	return announce(s, FILES_DIR_END, &l->st, span_of(NULL, 0), out);
}

static enum files_step walk_folder(struct files_sender *s, struct span *out)
{
	struct level *l = &s->levels[s->depth - 1];

	errno = 0;
	struct dirent *e = readdir(l->dir);
	s->path[l->path_len] = 0;
	if (!e && errno)
		return fail_here(s, errno, "read");
	if (!e)
		return leave_folder(s, out);
	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
		return FILES_STEP_AGAIN;
	size_t room = sizeof(s->path) - l->path_len;
	if (snprintf(s->path + l->path_len, room, "%s%s", l->path_len ? "/" : "", e->d_name) >=
	    (int)room)
		return fail_here(s, ENAMETOOLONG, "sent");
	return take_name(s, dirfd(l->dir), e->d_name, out);
}

/* A name of its own for what was given as ".", "..", or with that at its end. */
static char *real_root(char *root)
{
	char *real = *files_base(root) ? NULL : realpath(root, NULL);

	if (!real)
		return root;
	free(root);
	return real;
}

static enum files_step walk_root(struct files_sender *s, struct span *out)
{
	char **root = &s->roots[s->next_root++];
	struct stat st;

	*root = real_root(*root);
	const char *base = s->list ? *root : files_base(*root);
	if (!text_copy(s->path, sizeof(s->path), base) || !*base) {
		files_fail(&s->failure, "name", "%s %s has no name of its own. Name what is in it.",
			   *root, s->where);
		return FILES_STEP_AGAIN;
	}
	int fd = open(*root, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		files_fail_errno(&s->failure, errno, span_str(*root), s->where, "read");
		fl_closep(&fd);
		return FILES_STEP_AGAIN;
	}
	if (s->list && S_ISDIR(st.st_mode)) {
		s->path[0] = 0;
		return enter_folder(s, fd, &st, false, out);
	}
	if (s->list) {
		close(fd);
		(void)text_copy(s->path, sizeof(s->path), files_base(*root));
		return announce(s, FILES_FILE, &st, span_of(NULL, 0), out);
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		close(fd);
		files_fail(&s->failure, "name",
			   "%s %s is neither a file nor a folder. Only those can be sent.", *root,
			   s->where);
		return FILES_STEP_AGAIN;
	}
	return take_open(s, fd, out);
}

/* ---- contents ---- */

static void drop_source(struct files_sender *s)
{
	struct source *q = &s->queue[s->head];

	fl_closep(&q->fd);
	free(FL_STEAL(q->path));
	s->head = (s->head + 1) % FILES_AHEAD;
	s->n_queued--;
	if (q->wanted)
		s->n_wanted--;
	EVP_MD_CTX_free(FL_STEAL(s->hash));
	s->state = WAITING;
}

/* All of len, or a failure: less means that the file became shorter. */
static bool read_source(struct files_sender *s, void *dst, size_t len)
{
	struct source *q = &s->queue[s->head];

	for (size_t got = 0; got < len;) {
		ssize_t n = pread(q->fd, (uint8_t *)dst + got, len - got, (off_t)(s->at + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return files_fail_errno(&s->failure, errno, span_str(q->path), s->where,
						"read");
		if (n == 0)
			return files_fail(&s->failure, "changed",
					  "%s %s became shorter while it was sent. Send it again.",
					  q->path, s->where);
		got += (size_t)n;
	}
	s->at += len;
	return files_hash_add(s->hash, dst, len) ||
	       files_fail(&s->failure, "internal", "Out of memory.");
}

static enum files_step begin_source(struct files_sender *s)
{
	struct source *q = &s->queue[s->head];

	EVP_MD_CTX_free(s->hash);
	s->hash = files_hash_new();
	if (!s->hash)
		files_fail(&s->failure, "internal", "Out of memory.");
	s->at = 0;
	s->since_busy = 0;
	s->state = HASHING;
	(void)text_copy(s->progress.current, sizeof(s->progress.current), q->path);
	s->progress.size = (uint64_t)q->st.st_size;
	s->progress.at = 0;
	return FILES_STEP_AGAIN;
}

/* The other end has q->offset bytes already: are they ours? */
static enum files_step hash_source(struct files_sender *s, struct span *out)
{
	struct source *q = &s->queue[s->head];
	size_t len = (size_t)FL_MIN(q->offset - s->at, FILES_SLICE);
	uint8_t hash[FILES_HASH_LEN];

	if (len > 0) {
		if (!read_source(s, s->slice, len))
			return FILES_STEP_AGAIN;
		s->since_busy += len;
		if (s->since_busy < FILES_BUSY_STEP)
			return FILES_STEP_AGAIN;
		s->since_busy = 0;
		return put(s, &(struct files_message){ .type = FILES_BUSY }, out);
	}
	if (!files_hash_peek(s->hash, hash)) {
		files_fail(&s->failure, "internal", "Out of memory.");
		return FILES_STEP_AGAIN;
	}
	if (memcmp(hash, q->hash, sizeof(hash)) == 0) {
		s->progress.already += q->offset == (uint64_t)q->st.st_size;
	} else if (q->offset > 0) {
		(void)begin_source(s);
		q->offset = 0;
	}
	s->state = SENDING;
	s->progress.at = s->at;
	return put(s, &(struct files_message){ .type = FILES_FROM, .offset = q->offset }, out);
}

static enum files_step end_source(struct files_sender *s, struct span *out)
{
	struct source *q = &s->queue[s->head];
	struct files_message m = { .type = FILES_END };
	struct stat st;

	if (fstat(q->fd, &st) < 0 || st.st_size != q->st.st_size ||
	    mtime_of(&st) != mtime_of(&q->st)) {
		files_fail(&s->failure, "changed",
			   "%s %s changed while it was sent. Send it again.", q->path, s->where);
		return FILES_STEP_AGAIN;
	}
	if (!files_hash_peek(s->hash, m.hash)) {
		files_fail(&s->failure, "internal", "Out of memory.");
		return FILES_STEP_AGAIN;
	}
	s->progress.files++;
	drop_source(s);
	return put(s, &m, out);
}

/* False: the window is full. */
static bool send_source(struct files_sender *s, struct span *out, enum files_step *step)
{
	struct source *q = &s->queue[s->head];
	size_t len = (size_t)FL_MIN((uint64_t)q->st.st_size - s->at, FILES_CHUNK_MAX);

	if (len == 0) {
		*step = end_source(s, out);
		return true;
	}
	if (s->unacked + len > FILES_WINDOW)
		return false;
	*step = FILES_STEP_AGAIN;
	if (!read_source(s, s->out + 1, len))
		return true;
	s->out[0] = FILES_DATA;
	s->unacked += (uint32_t)len;
	s->progress.bytes += len;
	s->progress.at = s->at;
	*out = span_of(s->out, 1 + len);
	*step = FILES_STEP_MESSAGE;
	return true;
}

/* ---- both ---- */

static enum files_step tell_failure(struct files_sender *s, struct span *out)
{
	FL_AUTOFREE char *text = s->told ? NULL : files_failure_format(&s->failure);

	if (!text)
		return FILES_STEP_OVER;
	s->told = true;
	return put(s, &(struct files_message){ .type = FILES_FAILED, .bytes = span_str(text) },
		   out);
}

enum files_step files_sender_step(struct files_sender *s, struct span *out)
{
	enum files_step step;

	if (s->failure.code[0])
		return tell_failure(s, out);
	if (s->complete)
		return FILES_STEP_OVER;
	/* the other end may acknowledge what it did not take: that must not fill our queue */
	bool room = s->ahead < FILES_AHEAD && s->n_queued < FILES_AHEAD;
	if (room && s->depth > 0)
		return walk_folder(s, out);
	if (room && s->next_root < s->n_roots)
		return walk_root(s, out);
	if (s->state == HASHING)
		return hash_source(s, out);
	if (s->state == SENDING && send_source(s, out, &step))
		return step;
	if (s->state == WAITING && s->n_wanted > 0)
		return begin_source(s);
	if (s->n_queued == 0 && s->depth == 0 && s->next_root == s->n_roots && !s->done_sent) {
		s->done_sent = true;
		return put(s,
			   &(struct files_message){ .type = FILES_DONE,
						    .skipped = (uint32_t)s->progress.skipped },
			   out);
	}
	return FILES_STEP_IDLE;
}

static void take_want(struct files_sender *s, const struct files_message *m)
{
	struct source *q = &s->queue[(s->head + s->n_wanted) % FILES_AHEAD];

	if (s->n_wanted == s->n_queued || m->offset > (uint64_t)q->st.st_size) {
		files_fail(&s->failure, "bad-request", "More was asked for than there is.");
		return;
	}
	q->wanted = true;
	q->offset = m->offset;
	memcpy(q->hash, m->hash, sizeof(q->hash));
	s->n_wanted++;
}

void files_sender_input(struct files_sender *s, const struct files_message *m)
{
	if (s->failure.code[0] || s->complete)
		return;
	if (m->type == FILES_WANT) {
		take_want(s, m);
	} else if (m->type == FILES_ACK) {
		if (m->bytes_done > s->unacked || m->entries_done > s->ahead) {
			files_fail(&s->failure, "bad-request", "More was acknowledged than sent.");
			return;
		}
		s->unacked -= m->bytes_done;
		s->ahead -= m->entries_done;
	} else if (m->type == FILES_COMPLETE && s->done_sent) {
		s->complete = true;
	} else if (m->type == FILES_FAILED) {
		files_failure_parse(m->bytes, &s->failure);
		s->told = true;
	} else if (m->type != FILES_BUSY) {
		files_fail(&s->failure, "bad-request",
			   "A message came that the receiving end must not send.");
	}
}

int files_sender_create(const struct files_sender_config *config, struct files_sender **out)
{
	struct files_sender *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->list = config->list;
	s->where = config->where;
	s->slice = malloc(FILES_SLICE);
	s->roots = calloc(config->n_paths, sizeof(*s->roots));
	while (s->roots && s->n_roots < config->n_paths &&
	       (s->roots[s->n_roots] = files_trim(
			*config->paths[s->n_roots] ? config->paths[s->n_roots] : ".")))
		s->n_roots++;
	if (!s->slice || s->n_roots < config->n_paths) {
		files_sender_destroy(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void files_sender_destroy(struct files_sender *s)
{
	if (!s)
		return;
	while (s->n_queued > 0)
		drop_source(s);
	while (s->depth > 0)
		closedir(s->levels[--s->depth].dir);
	for (size_t i = 0; i < s->n_roots; i++)
		free(s->roots[i]);
	free(s->roots);
	free(s->slice);
	free(s);
}

const struct files_failure *files_sender_failure(const struct files_sender *s)
{
	return &s->failure;
}

const struct files_progress *files_sender_progress(const struct files_sender *s)
{
	return &s->progress;
}
