/*
 * A hostile sender: messages with a length of two bytes before each go into a receiver. Whatever
 * they say, nothing but the target folder changes.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/wire.h"
#include "modules/files/receiver.h"

#define STEPS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char base[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	if (type == FTW_DNR)
		(void)chmod(path, 0700);
	return remove(path);
}

static void remove_base(void)
{
	(void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_base(void)
{
	char path[80];

	if (!base[0]) {
		snprintf(base, sizeof(base), "%s/fairlead-fuzz-XXXXXX",
			 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
		assert(mkdtemp(base));
		(void)atexit(remove_base);
		snprintf(path, sizeof(path), "%s/outside", base);
		assert(mkdir(path, 0700) == 0);
	}
	snprintf(path, sizeof(path), "%s/to", base);
	assert(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/to/link", base);
	assert(symlink("../outside", path) == 0);
}

static size_t count(const char *name)
{
	char path[80];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s", base, name);
	DIR *dir = opendir(path);
	assert(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void step(struct files_receiver *r)
{
	struct span out;
	struct files_message m;

	for (int i = 0; i < STEPS_MAX; i++) {
		enum files_step did = files_receiver_step(r, &out);
		if (did == FILES_STEP_IDLE || did == FILES_STEP_OVER)
			return;
		if (did == FILES_STEP_MESSAGE)
			assert(files_message_get(out, &m) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct files_receiver_config config = { .where = "here" };
	struct reader in = reader_of(span_of(data, size));
	struct files_receiver *r;
	struct files_message m;
	char to[80];

	make_base();
	snprintf(to, sizeof(to), "%s/to", base);
	config.force = size % 2;
	config.target.dir = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (config.target.dir < 0 || files_receiver_create(&config, &r) < 0)
		return 0;
	while (reader_left(&in) > 0) {
		struct span bytes = reader_bytes(&in, reader_u16(&in));
		if (reader_failed(&in) || files_message_get(bytes, &m) < 0)
			break;
		files_receiver_input(r, &m);
		step(r);
	}
	files_receiver_destroy(r);
	assert(count("outside") == 0 && count("") == 2);
	(void)nftw(to, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
