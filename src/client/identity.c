#include "client/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/ct.h"
#include "base/err.h"

#define FILE_MAX 65536

static int make_folder(const char *dir)
{
	char path[4096];

	if (!text_copy(path, sizeof(path), dir))
		return -ENAMETOOLONG;
	for (char *s = path + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*s = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int folder_error(const char *dir, int err, char why[512])
{
	snprintf(
		why, 512,
		"The data folder %.200s cannot be written (%s). Make it writable for this user, or "
		"name another one with --data.",
		dir, err_text(err));
	return err;
}

static int take_lock(struct identity *id, char why[512])
{
	FL_AUTOFREE char *path = NULL;

	if (asprintf(&path, "%s/lock", id->dir) < 0)
		return -ENOMEM;
	id->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (id->lock_fd < 0)
		return folder_error(id->dir, -errno, why);
	if (flock(id->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		snprintf(why, 512,
			 "A fairlead-client already runs with the data folder %.200s. Stop it "
			 "first, "
			 "or name another folder with --data.",
			 id->dir);
		return -EALREADY;
	}
	return 0;
}

static bool take_text(json_t *root, const char *name, char *dst, size_t cap)
{
	const char *s = json_string_value(json_object_get(root, name));

	return s && *s && text_copy(dst, cap, s);
}

/* 0; -ENOENT: there is none yet. */
static int load(struct identity *id, char why[512])
{
	FL_AUTOFREE char *path = NULL;
	uint8_t seed[SIGN_SEED_LEN];
	json_error_t error;

	if (asprintf(&path, "%s/device.json", id->dir) < 0)
		return -ENOMEM;
	if (access(path, F_OK) < 0)
		return -errno;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	const char *key = json_string_value(json_object_get(root, "key"));
	int err = FL_EMALFORMED;
	if (key && text_b64url_decode(span_str(key), seed, sizeof(seed)) == sizeof(seed))
		err = sign_key_create(seed, &id->key);
	if (err == 0 && json_object_get(root, "device")) {
		id->enrolled = take_text(root, "device", id->device, sizeof(id->device)) &&
			       take_text(root, "hubKey", id->hub_key, sizeof(id->hub_key)) &&
			       take_text(root, "hub", id->hub, sizeof(id->hub));
		err = id->enrolled ? 0 : FL_EMALFORMED;
	}
	if (err < 0)
		snprintf(why, 512,
			 "%.200s cannot be used (%s). Put back a copy of it, or move it away and "
			 "enrol this device anew.",
			 path, root ? "it holds no device key" : error.text);
	ct_wipe(seed, sizeof(seed));
	json_decref(root);
	return err;
}

int identity_open(const char *dir, struct identity *id, char why[512])
{
	*id = (struct identity){ .lock_fd = -1 };
	snprintf(why, 512, "Out of memory.");
	id->dir = strdup(dir);
	int err = id->dir ? make_folder(dir) : -ENOMEM;
	if (err < 0 && err != -ENOMEM)
		folder_error(dir, err, why);
	if (err == 0)
		err = take_lock(id, why);
	if (err == 0)
		err = load(id, why);
	if (err == -ENOENT) {
		err = sign_key_create(NULL, &id->key);
		/* the key exists before anybody hears of it */
		if (err == 0)
			err = identity_save(id, why);
	}
	if (err < 0)
		identity_close(id);
	return err;
}

/* To a new file, to the disk, then over the old name. */
static int write_file(const char *dir, const char *text)
{
	FL_AUTOFREE char *path = NULL, *fresh = NULL;
	size_t len = strlen(text);

	if (asprintf(&path, "%s/device.json", dir) < 0 || asprintf(&fresh, "%s.new", path) < 0)
		return -ENOMEM;
	/* what an earlier attempt left, or somebody put there: never written to as it is */
	if (unlink(fresh) < 0 && errno != ENOENT)
		return -errno;
	FL_CLEANUP(fl_closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) < 0)
		return errno ? -errno : -EIO;
	if (rename(fresh, path) < 0)
		return -errno;
	FL_CLEANUP(fl_closep) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 || fsync(dir_fd) < 0 ? -errno : 0;
}

int identity_save(const struct identity *id, char why[512])
{
	uint8_t seed[SIGN_SEED_LEN];
	char seed_text[TEXT_B64_LEN(SIGN_SEED_LEN)];

	sign_key_seed(id->key, seed);
	text_b64url_encode(span_of(seed, sizeof(seed)), seed_text, sizeof(seed_text));
	json_t *root = json_pack("{s:i, s:s}", "version", 1, "key", seed_text);
	if (root && id->enrolled) {
		json_object_set_new(root, "device", json_string(id->device));
		json_object_set_new(root, "hub", json_string(id->hub));
		json_object_set_new(root, "hubKey", json_string(id->hub_key));
	}
	char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	int err = text ? write_file(id->dir, text) : -ENOMEM;
	if (err < 0)
		folder_error(id->dir, err, why);
	json_decref(root);
	ct_wipe_strp(&text);
	ct_wipe(seed, sizeof(seed));
	ct_wipe(seed_text, sizeof(seed_text));
	return err;
}

void identity_close(struct identity *id)
{
	sign_key_destroy(id->key);
	fl_closep(&id->lock_fd);
	free(id->dir);
	*id = (struct identity){ .lock_fd = -1 };
}
