/*
 * Passwords: Argon2id (RFC 9106), two passes over 19 MiB, which takes about a tenth of a second, so
 * a bounded pool of threads does it and posts the verdict to the loop.
 */
#pragma once

#include "base/list.h"
#include "io/loop.h"

#define PASSWORD_PASSES 2
#define PASSWORD_KIB (19 * 1024)
#define PASSWORD_THREADS 2
#define PASSWORD_QUEUE_MAX 32 /* waiting; beyond it sign-ins are told to come again */
#define PASSWORD_BYTES_MAX 256
#define PASSWORD_ENCODED_CAP 129

struct password_pool;

/* Embedded in the caller's struct, which must live until done(). */
struct password_job {
	struct list node;
	bool verify;
	char password[PASSWORD_BYTES_MAX + 1]; /* wiped before done() */
	uint8_t salt[16];		       /* for making */
	char encoded[PASSWORD_ENCODED_CAP];    /* in for verifying, out for making */
	/* In the loop. verify: 1 fits, 0 does not; make: 0; or negative. */
	void (*done)(struct password_job *job, int result);
	int result;
};

int password_pool_create(struct loop *loop, struct password_pool **out) FL_WARN_UNUSED;
void password_pool_destroy(struct password_pool *p); /* done() of all is called; NULL is fine */

/* 0 or FL_EQUOTA. With encoded "" a verification takes as long as any and says no, so that nobody
 * can tell which accounts exist or have a password. */
int password_submit(struct password_pool *p, struct password_job *job) FL_WARN_UNUSED;

/* What the threads do; for tests. */
int password_make(struct password_job *job);
int password_check(struct password_job *job);
