/*
 * Runs a fuzz harness over its stored corpus, and over every prefix and single-bit change of each
 * small entry, so that a plain test run already meets damaged input.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_MAX (1024 * 1024)
#define DAMAGE_MAX 4096 /* larger entries are replayed as they are */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exact size, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void run_damaged(uint8_t *data, size_t len)
{
	size_t bits = 8 * len, step = bits > 2048 ? bits / 2048 : 1;

	for (size_t n = 0; n<len; n += len> 512 ? len / 512 : 1)
		run(data, n);
	for (size_t i = 0; i < bits; i += step) {
		data[i / 8] ^= (uint8_t)(1 << (i % 8));
		run(data, len);
		data[i / 8] ^= (uint8_t)(1 << (i % 8));
	}
}

static int replay(const char *dir, const char *name)
{
	static uint8_t data[ENTRY_MAX];
	char path[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rbe");
	if (!f) {
		perror(path);
		return -1;
	}
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	run(data, n);
	if (n <= DAMAGE_MAX)
		run_damaged(data, n);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *e;
	int count = 0;

	if (!dir) {
		fprintf(stderr, "usage: %s CORPUS-FOLDER (which must exist)\n", argv[0]);
		return 2;
	}
	run((const uint8_t *)"", 0);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.') {
			if (replay(argv[1], e->d_name) < 0)
				return 1;
			count++;
		}
	closedir(dir);
	printf("%d corpus entries replayed\n", count);
	return count ? 0 : 1;
}
