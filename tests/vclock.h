/*
 * Virtual time for the libraries that read the clock themselves (OpenSSL's DTLS timer, usrsctp's
 * round-trip times): a test that links vclock.c has this gettimeofday() in place of libc's.
 */
#pragma once

#include "base/usec.h"

void vclock_set(usec_t now);
usec_t vclock_now(void);
