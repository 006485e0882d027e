#include "modules/files/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FLUSH_STEP (8u << 20) /* written before the kernel is asked to begin with the disk */

void place_close(struct place *p)
{
	fl_closep(&p->fd);
	EVP_MD_CTX_free(FL_STEAL(p->hash));
}

static int begin_hash(struct place *p)
{
	EVP_MD_CTX_free(p->hash);
	p->hash = files_hash_new();
	p->at = 0;
	return p->hash ? 0 : -ENOMEM;
}

/*
 * Opens and locks the unfinished file. A folder such as /tmp may hold a file or link that somebody
 * else made under this name: only our own plain file will do. -ENOENT: there is none.
 */
static int open_unfinished(int dir, const char *temp, bool create)
{
	struct stat st, now;
	int fd = openat(dir, temp,
			O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (create ? O_CREAT : 0),
			0600);

	if (fd < 0)
		return -errno;
	int err = 0;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	else if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink > 1)
		err = -EACCES;
	/* its owner may have finished and renamed it while we waited for the lock */
	else if (fstatat(dir, temp, &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != st.st_ino)
		err = -EBUSY;
	if (err < 0) {
		close(fd);
		return err;
	}
	return fd;
}

static int look_unfinished(struct place *p, int dir, const char *name)
{
	char temp[FILES_NAME_MAX + 1];
	struct stat st;

	files_temp_name(name, temp);
	int fd = open_unfinished(dir, temp, false);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (fstat(fd, &st) < 0 || st.st_size == 0 || (uint64_t)st.st_size > p->size) {
		close(fd);
		return 0;
	}
	p->fd = fd;
	p->found = PLACE_UNFINISHED;
	return begin_hash(p);
}

static int look_file(struct place *p, int dir, const char *name, const struct stat *there)
{
	if (!S_ISREG(there->st_mode) || (uint64_t)there->st_size != p->size)
		return p->force ? 0 : -EEXIST;
	p->fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (p->fd < 0)
		return p->force ? 0 : -errno;
	p->found = PLACE_FILE;
	return begin_hash(p);
}

int place_look(struct place *p)
{
	const char *name;
	struct stat there;
	FL_CLEANUP(fl_closep) int dir = files_open_parent(p->root, p->path, &name);

	p->fd = -1;
	p->found = PLACE_NOTHING;
	if (dir < 0)
		return dir;
	bool exists = fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0;
	if (!exists && errno != ENOENT)
		return -errno;
	if (exists && S_ISDIR(there.st_mode))
		return -EISDIR;
	int err = exists && !p->force ? 0 : look_unfinished(p, dir, name);
	if (err < 0 || p->found != PLACE_NOTHING || !exists)
		return err;
	return look_file(p, dir, name, &there);
}

uint64_t place_found_len(const struct place *p)
{
	struct stat st;

	if (p->found == PLACE_NOTHING || fstat(p->fd, &st) < 0)
		return 0;
	return FL_MIN((uint64_t)st.st_size, p->size);
}

int place_hash(struct place *p, uint8_t *slice)
{
	size_t len = (size_t)FL_MIN(place_found_len(p) - p->at, FILES_SLICE);

	if (len == 0)
		return 1;
	ssize_t n = pread(p->fd, slice, len, (off_t)p->at);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0) /* somebody made it shorter: the hash of what there was will not fit */
		return 1;
	p->at += (uint64_t)n;
	return files_hash_add(p->hash, slice, (size_t)n) ? 0 : -ENOMEM;
}

int place_begin(struct place *p, uint64_t from)
{
	char temp[FILES_NAME_MAX + 1];
	const char *name;
	struct statvfs fs;

	if (from > 0) {
		p->flushed = from;
		return lseek(p->fd, (off_t)from, SEEK_SET) < 0 ? -errno : 0;
	}
	bool differs = p->found == PLACE_FILE && p->size > 0;
	if (differs && !p->force)
		return -EEXIST;
	if (p->found == PLACE_FILE && !differs) /* both are empty: it is there */
		return 0;
	if (p->found != PLACE_UNFINISHED) {
		FL_CLEANUP(fl_closep) int dir = files_open_parent(p->root, p->path, &name);
		if (dir < 0)
			return dir;
		files_temp_name(name, temp);
		fl_closep(&p->fd);
		p->fd = open_unfinished(dir, temp, true);
		if (p->fd < 0)
			return p->fd;
	}
	p->found = PLACE_UNFINISHED;
	if (ftruncate(p->fd, 0) < 0 || lseek(p->fd, 0, SEEK_SET) < 0)
		return -errno;
	if (fstatvfs(p->fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < p->size)
		return -ENOSPC;
	return begin_hash(p);
}

int place_write(struct place *p, struct span bytes)
{
	if (p->found == PLACE_FILE || bytes.len > p->size - p->at)
		return -EPROTO;
	for (size_t done = 0; done < bytes.len;) {
		ssize_t n = write(p->fd, bytes.ptr + done, bytes.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	p->at += bytes.len;
	/* so that the last fsync does not stand still for all of it */
	if (p->at - p->flushed >= FLUSH_STEP) {
		(void)sync_file_range(p->fd, (off_t)p->flushed, (off_t)(p->at - p->flushed),
				      SYNC_FILE_RANGE_WRITE);
		p->flushed = p->at;
	}
	return files_hash_add(p->hash, bytes.ptr, bytes.len) ? 0 : -ENOMEM;
}

static int move_to_place(struct place *p, int dir, const char *temp, const char *name)
{
	if (p->force)
		return renameat(dir, temp, dir, name) < 0 ? -errno : 0;
	if (renameat2(dir, temp, dir, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* a file system without that flag: a link does not replace either */
	if (linkat(dir, temp, dir, name, 0) < 0)
		return -errno;
	return unlinkat(dir, temp, 0) < 0 ? -errno : 0;
}

int place_finish(struct place *p, const uint8_t hash[FILES_HASH_LEN])
{
	struct timespec times[2];
	uint8_t ours[FILES_HASH_LEN];
	char temp[FILES_NAME_MAX + 1];
	const char *name;

	if (p->at != p->size)
		return -EPROTO;
	if (!files_hash_peek(p->hash, ours))
		return -ENOMEM;
	if (memcmp(ours, hash, sizeof(ours)) != 0) {
		place_discard(p);
		return FL_EMALFORMED;
	}
	if (p->found == PLACE_FILE)
		return 0;
	files_times(p->mtime_ns, times);
	FL_CLEANUP(fl_closep) int dir = files_open_parent(p->root, p->path, &name);
	if (dir < 0)
		return dir;
	files_temp_name(name, temp);
	if (fchmod(p->fd, p->mode) < 0 || futimens(p->fd, times) < 0 || fsync(p->fd) < 0)
		return -errno;
	return move_to_place(p, dir, temp, name);
}

void place_discard(struct place *p)
{
	char temp[FILES_NAME_MAX + 1];
	const char *name;
	FL_CLEANUP(fl_closep) int dir = files_open_parent(p->root, p->path, &name);

	if (p->found != PLACE_UNFINISHED || p->fd < 0 || dir < 0)
		return;
	files_temp_name(name, temp);
	(void)unlinkat(dir, temp, 0);
}
