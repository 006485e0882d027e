#include "hub/identity/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

int file_read(const char *path, void *dst, size_t cap, char why[256])
{
	FL_CLEANUP(fl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0) {
		int err = -errno;

		if (err != -ENOENT)
			snprintf(why, 256, "%s cannot be read: %s", path, strerror(-err));
		return err;
	}
	while (len < cap && (n = read(fd, (char *)dst + len, cap - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = -errno;

			snprintf(why, 256, "%s cannot be read: %s", path, strerror(-err));
			return err;
		}
		len += (size_t)n;
	}
	if (len == cap && read(fd, &(char){ 0 }, 1) == 1) {
		snprintf(why, 256, "%s is larger than %zu bytes", path, cap);
		return FL_EQUOTA;
	}
	return (int)len;
}

static int write_all(int fd, struct span data)
{
	size_t at = 0;

	while (at < data.len) {
		ssize_t n = write(fd, data.ptr + at, data.len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The rename itself must be on the disk too. */
static void sync_folder(const char *path)
{
	char folder[PATH_MAX];
	char *slash;
	FL_CLEANUP(fl_closep) int fd = -1;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = 0;
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0)
		return;
}

int file_write(const char *path, struct span data, mode_t mode, char why[256])
{
	char beside[PATH_MAX];
	int err = 0, fd;

	snprintf(beside, sizeof(beside), "%s.new", path);
	if (unlink(beside) < 0 && errno != ENOENT)
		err = -errno;
	fd = err < 0 ? -1 : open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0) {
		err = err < 0 ? err : -errno;
	} else {
		err = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data);
		if (close(fd) < 0 && err == 0)
			err = -errno;
		if (err == 0 && rename(beside, path) < 0)
			err = -errno;
		if (err == 0)
			sync_folder(path);
		else
			unlink(beside);
	}
	if (err < 0)
		snprintf(why, 256, "%s cannot be written: %s", path, strerror(-err));
	return err;
}

static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static void not_writable(const char *path, int err, char why[256])
{
	snprintf(why, 256,
		 "the data folder %s is not writable: %s; give another with --data or change "
		 "its owner",
		 path, strerror(-err));
}

int folder_prepare(const char *path, char why[256])
{
	char copy[PATH_MAX];
	int err;

	if (!path[0] || (size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy) - 32) {
		snprintf(why, 256, "the name of the data folder is empty or too long");
		return -EINVAL;
	}
	err = make_parents(copy);
	if (err == 0 && access(path, R_OK | W_OK | X_OK) < 0)
		err = -errno;
	if (err < 0)
		not_writable(path, err, why);
	return err;
}

int folder_lock(const char *path, char why[256])
{
	char name[PATH_MAX];
	int fd, err;

	snprintf(name, sizeof(name), "%s/hub.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	err = -errno;
	if (fd >= 0)
		close(fd);
	if (err == -EWOULDBLOCK)
		snprintf(why, 256,
			 "another fairlead-hub uses the data folder %s; stop it or give another "
			 "folder with --data",
			 path);
	else
		not_writable(path, err, why);
	return err;
}
