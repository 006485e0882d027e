#include "modules/files/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define NAME_KEPT 200 /* bytes of the name that an unfinished file's name begins with */

bool files_fail(struct files_failure *f, const char *code, const char *fmt, ...)
{
	char text[2 * FILES_PATH_MAX];
	va_list ap;

	if (f->code[0])
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)text_copy(f->code, sizeof(f->code), code);
	text_printable(f->text, sizeof(f->text), span_str(text));
	return false;
}

static const struct reason {
	int err;
	const char *code, *why;
} reasons[] = {
	{ ENOENT, "not-found", "it does not exist. Check the path." },
	{ ENOTDIR, "not-found", "a part of its path is no folder. Check the path." },
	{ EACCES, "no-permission",
	  "permission denied. Use an account that may do that, or another folder." },
	{ EPERM, "no-permission",
	  "it is not permitted. Use an account that may do that, or another folder." },
	{ EROFS, "no-permission", "the file system is read-only. Use another folder." },
	{ ENOSPC, "no-space", "no space is left. Make room and run the same command again." },
	{ EDQUOT, "no-space", "the quota is used up. Make room and run the same command again." },
	{ EFBIG, "no-space", "it is too large for the file system or the limit of this account." },
	{ EEXIST, "exists", "it exists already. Use --force to write over it." },
	{ ENOTEMPTY, "exists", "a folder of that name stands there. Remove it, or use another." },
	{ EISDIR, "exists", "a folder of that name stands there. Remove it, or use another." },
	{ ENAMETOOLONG, "name", "its name is too long for the file system. Use a shorter one." },
	{ ELOOP, "name", "a symbolic link stands in its path, and links are not followed." },
	{ EMFILE, "limit", "too many files are open. Try again later." },
	{ ENFILE, "limit", "too many files are open. Try again later." },
};

bool files_fail_errno(struct files_failure *f, int err, struct span path, const char *where,
		      const char *verb)
{
	err = err < 0 ? -err : err;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].err == err)
			return files_fail(f, reasons[i].code, "%.*s %s cannot be %s: %s",
					  (int)path.len, (const char *)path.ptr, where, verb,
					  reasons[i].why);
	return files_fail(f, "io", "%.*s %s cannot be %s: %s. Check the disk.", (int)path.len,
			  (const char *)path.ptr, where, verb, strerror(err));
}

int files_open_parent(int root, const char *path, const char **name)
{
	char part[FILES_NAME_MAX + 1];
	const char *slash;
	int dir = fcntl(root, F_DUPFD_CLOEXEC, 3);

	if (dir < 0)
		return -errno;
	for (; (slash = strchr(path, '/')); path = slash + 1) {
		if (!text_copy_span(part, sizeof(part), span_of(path, (size_t)(slash - path)))) {
			close(dir);
			return -ENAMETOOLONG;
		}
		int next = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int err = errno;
		close(dir);
		if (next < 0)
			return -err;
		dir = next;
	}
	*name = path;
	return dir;
}

void files_temp_name(const char *name, char dst[FILES_NAME_MAX + 1])
{
	uint8_t hash[EVP_MAX_MD_SIZE] = { 0 };
	char hex[TEXT_HEX_LEN(8)];

	/* the hash tells names apart that begin with the same bytes */
	(void)EVP_Digest(name, strlen(name), hash, NULL, EVP_sha256(), NULL);
	text_hex_encode(span_of(hash, 8), hex, sizeof(hex));
	snprintf(dst, FILES_NAME_MAX + 1, ".%.*s.%s.part", NAME_KEPT, name, hex);
}

char *files_trim(const char *path)
{
	char *copy = strdup(path);
	size_t len = copy ? strlen(copy) : 0;

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = 0;
	return copy;
}

const char *files_base(const char *trimmed)
{
	const char *slash = strrchr(trimmed, '/'), *base = slash ? slash + 1 : trimmed;

	return strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ? "" : base;
}

static bool open_folder(const char *path, const char *where, struct files_target *out,
			struct files_failure *f)
{
	out->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return out->dir >= 0 || files_fail_errno(f, errno, span_str(path), where, "opened");
}

bool files_target_open(const char *path, bool many, bool has_into, bool *into, const char *where,
		       struct files_target *out, struct files_failure *f)
{
	FL_AUTOFREE char *trimmed = files_trim(*path ? path : ".");
	bool slash = *path && path[strlen(path) - 1] == '/';
	struct stat st;

	*out = (struct files_target){ .dir = -1 };
	if (!trimmed)
		return files_fail(f, "internal", "Out of memory.");
	if (!has_into)
		*into = stat(trimmed, &st) == 0 && S_ISDIR(st.st_mode);
	if (*into)
		return open_folder(trimmed, where, out, f);
	const char *base = files_base(trimmed);
	if (slash || many || !*base)
		return files_fail(f, "not-found",
				  "%s %s is no folder%s. Make it first, or name one that exists.",
				  trimmed, where,
				  many ? ", and several things are to go there" : "");
	if (!files_name_valid(span_str(base)) || !text_copy(out->name, sizeof(out->name), base))
		return files_fail(f, "name",
				  "%s is too long or has control characters. Use another name.",
				  base);
	FL_AUTOFREE char *parent = base == trimmed ? strdup(".")
						   : strndup(trimmed, (size_t)(base - trimmed));
	if (!parent)
		return files_fail(f, "internal", "Out of memory.");
	return open_folder(parent, where, out, f);
}

void files_times(int64_t mtime_ns, struct timespec times[2])
{
	int64_t seconds = mtime_ns / 1000000000, ns = mtime_ns % 1000000000;

	times[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	times[1] = (struct timespec){ seconds - (ns < 0), ns < 0 ? ns + 1000000000 : ns };
}

EVP_MD_CTX *files_hash_new(void)
{
	EVP_MD_CTX *h = EVP_MD_CTX_new();

	if (h && EVP_DigestInit_ex(h, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(h);
		return NULL;
	}
	return h;
}

bool files_hash_add(EVP_MD_CTX *h, const void *p, size_t len)
{
	return EVP_DigestUpdate(h, p, len) == 1;
}

bool files_hash_peek(EVP_MD_CTX *h, uint8_t out[FILES_HASH_LEN])
{
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	bool good = copy && EVP_MD_CTX_copy_ex(copy, h) == 1 &&
		    EVP_DigestFinal_ex(copy, out, NULL) == 1;

	EVP_MD_CTX_free(copy);
	return good;
}
