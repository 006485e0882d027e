#include "hub/http/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "base/usec.h"

#define LOOK_EVERY (USEC_PER_SEC / 2) /* at index.html's time */
#define CODINGS 3

struct entry {
	uint8_t *data[CODINGS]; /* by enum http_coding; NULL: not there */
	size_t len[CODINGS];
	char etag[CODINGS][24];
	char *path;
};

struct files_set {
	unsigned refs;
	struct map *entries;
	size_t bytes;
	struct timespec index_time;
};

struct files {
	struct rng *rng;
	char dir[PATH_MAX];
	struct files_set *set;
	usec_t looked;
};

static void entry_free(struct entry *e)
{
	for (size_t i = 0; i < CODINGS; i++)
		free(e->data[i]);
	free(e->path);
	free(e);
}

void files_ref(struct files_set *s)
{
	s->refs++;
}

void files_unref(struct files_set *s)
{
	size_t cursor = 0;
	struct entry *e;

	if (!s || --s->refs)
		return;
	while (s->entries && (e = map_next(s->entries, &cursor)))
		entry_free(e);
	map_destroy(s->entries);
	free(s);
}

static enum http_coding coding_of(const char *name, size_t *stem)
{
	size_t len = strlen(name);

	*stem = len > 3 ? len - 3 : len;
	if (len > 3 && strcmp(name + len - 3, ".br") == 0)
		return HTTP_CODING_BR;
	if (len > 3 && strcmp(name + len - 3, ".gz") == 0)
		return HTTP_CODING_GZIP;
	*stem = len;
	return HTTP_CODING_IDENTITY;
}

static struct entry *entry_for(struct files_set *set, const char *path, size_t len)
{
	struct entry *e = map_get(set->entries, span_of(path, len));

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (e)
		e->path = strndup(path, len);
	if (e && e->path && map_put(set->entries, span_of(path, len), e) == 0)
		return e;
	if (e)
		entry_free(e);
	return NULL;
}

static int read_data(int fd, size_t len, uint8_t **out)
{
	size_t at = 0;
	ssize_t n = 1;

	*out = malloc(len ? len : 1);
	if (!*out)
		return -ENOMEM;
	while (at < len && (n = read(fd, *out + at, len - at)) > 0)
		at += (size_t)n;
	return n < 0 ? -errno : at == len ? 0 : -EAGAIN;
}

/* path: as asked for, "/assets/x.js.br". */
static int add_file(struct files_set *set, int fd, const struct stat *st, const char *path)
{
	size_t stem, len = (size_t)st->st_size;
	enum http_coding coding = coding_of(path, &stem);
	uint8_t hash[32], *data = NULL;
	struct entry *e = NULL;
	char tag[TEXT_B64_LEN(12)];
	int err;

	if (len > FILES_BYTES_MAX - set->bytes)
		return FL_EQUOTA;
	err = read_data(fd, len, &data);
	if (err == 0 && EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL) == 1)
		e = entry_for(set, path, stem);
	if (!e) {
		free(data);
		return err < 0 ? err : -ENOMEM;
	}
	free(e->data[coding]);
	e->data[coding] = data;
	e->len[coding] = len;
	set->bytes += len;
	text_b64url_encode(span_of(hash, 12), tag, sizeof(tag));
	snprintf(e->etag[coding], sizeof(e->etag[coding]), "\"%s\"", tag);
	return 0;
}

static int add_folder(struct files_set *set, int dirfd, const char *path, int depth);

static int add_any(struct files_set *set, int dirfd, const char *name, const char *path, int depth)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (S_ISDIR(st.st_mode) && depth < FILES_DEPTH_MAX)
		return add_folder(set, fd, path, depth + 1);
	else if (S_ISREG(st.st_mode))
		err = add_file(set, fd, &st, path);
	close(fd);
	return err;
}

/* Takes dirfd over. */
static int add_folder(struct files_set *set, int dirfd, const char *path, int depth)
{
	DIR *d = fdopendir(dirfd);
	struct dirent *e;
	char below[PATH_MAX];
	int err = 0;

	if (!d) {
		err = -errno;
		close(dirfd);
		return err;
	}
	while (err == 0 && (e = readdir(d))) {
		size_t n = (size_t)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);

		/* dot files are nobody's business; source maps show more than is needed */
		if (e->d_name[0] == '.' || n >= sizeof(below) ||
		    (n > 4 && strcmp(below + n - 4, ".map") == 0))
			continue;
		err = add_any(set, dirfd, e->d_name, below, depth);
		if (err == -ENOENT)
			err = 0;
	}
	closedir(d);
	return err;
}

static bool index_time(const struct files *f, struct timespec *out)
{
	char path[PATH_MAX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/index.html", f->dir);
	if (stat(path, &st) < 0)
		return false;
	*out = st.st_mtim;
	return true;
}

void files_reload(struct files *f)
{
	struct files_set *set = calloc(1, sizeof(*set));
	int dirfd, err = -ENOMEM;

	if (!set)
		return;
	set->refs = 1;
	set->entries = map_create(f->rng, FILES_COUNT_MAX);
	if (set->entries) {
		index_time(f, &set->index_time);
		dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = dirfd < 0 ? -errno : add_folder(set, dirfd, "", 0);
	}
	if (err < 0)
		log_warn("console-files",
			 "dir=%s error=\"%s\" remedy=\"give the console's folder with --console\"",
			 f->dir, err_text(err));
	else
		log_debug("console-files", "dir=%s count=%zu bytes=%zu", f->dir,
			  map_count(set->entries), set->bytes);
	if (!set->entries || (err < 0 && f->set)) {
		files_unref(set);
		return;
	}
	files_unref(f->set);
	f->set = set;
}

int files_create(struct rng *rng, const char *dir, struct files **out)
{
	struct files *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->rng = rng;
	text_copy(f->dir, sizeof(f->dir), dir);
	files_reload(f);
	if (!f->set) {
		free(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

void files_destroy(struct files *f)
{
	if (!f)
		return;
	files_unref(f->set);
	free(f);
}

static const char *type_of(const char *path)
{
	static const struct {
		const char *suffix, *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".mjs", "text/javascript; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".json", "application/json" },
		{ ".webmanifest", "application/manifest+json" },
		{ ".svg", "image/svg+xml" },
		{ ".png", "image/png" },
		{ ".jpg", "image/jpeg" },
		{ ".webp", "image/webp" },
		{ ".ico", "image/x-icon" },
		{ ".woff2", "font/woff2" },
		{ ".wasm", "application/wasm" },
		{ ".txt", "text/plain; charset=utf-8" },
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(types); i++)
		if (strcmp(dot, types[i].suffix) == 0)
			return types[i].type;
	return "application/octet-stream";
}

static const char *page_path(struct files *f, const char *path)
{
	usec_t now = usec_monotonic();
	struct timespec t = { 0 };

	if (strchr(strrchr(path, '/'), '.'))
		return path;
	if (now - f->looked >= LOOK_EVERY && index_time(f, &t) &&
	    memcmp(&t, &f->set->index_time, sizeof(t)) != 0)
		files_reload(f);
	f->looked = now;
	return "/index.html";
}

bool files_get(struct files *f, const char *path, const struct http_headers *headers,
	       struct file *out)
{
	unsigned available = 0;
	struct entry *e;
	int codings = 0;

	if (path[0] != '/')
		return false;
	path = page_path(f, path);
	e = map_get(f->set->entries, span_str(path));
	if (!e)
		return false;
	for (unsigned i = 0; i < CODINGS; i++)
		if (e->data[i]) {
			available |= i;
			codings++;
		}
	out->coding = http_choose_coding(headers, available);
	if (!e->data[out->coding])
		return false; /* only a packed form, which this browser does not take */
	out->type = type_of(e->path);
	out->etag = e->etag[out->coding];
	out->immutable = strncmp(path, "/assets/", 8) == 0;
	out->varies = codings > 1;
	out->data = span_of(e->data[out->coding], e->len[out->coding]);
	out->set = f->set;
	return true;
}
