/*
 * systemd without its library: sockets handed over (sd_listen_fds(3)) and word about our state
 * (sd_notify(3)). Without systemd there are no sockets and notifying does nothing.
 */
#pragma once

#include <stddef.h>

#include "base/addr.h"
#include "base/usec.h"
#include "base/util.h"

#define SD_SOCKETS_MAX 64
#define SD_NAME_MAX 256

struct sd_socket {
	int fd;			/* non-blocking, closed on exec; -1: taken by sd_sockets_claim() */
	int type;		/* SOCK_STREAM or SOCK_DGRAM */
	bool dual;		/* IPv6 that takes IPv4 too (BindIPv6Only= is not ipv6-only) */
	struct addr at;		/* as bound */
	char name[SD_NAME_MAX]; /* FileDescriptorName=, or what systemd made of the unit */
};

struct sd_sockets {
	struct sd_socket at[SD_SOCKETS_MAX];
	size_t n;
};

/*
 * The sockets meant for this process (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES); the variables are
 * taken out of the environment. 0, also when there are none; FL_EQUOTA; FL_EMALFORMED for a
 * variable that makes no sense or a descriptor that is no internet socket, with the sentence in
 * why.
 */
int sd_sockets_take(struct sd_sockets *out, char why[256]) FL_WARN_UNUSED;
/* The descriptor, now the caller's, of a socket of that type and address; -1: there is none. */
int sd_sockets_claim(struct sd_sockets *s, int type, const struct addr *at);
/* Closes what nobody claimed. */
void sd_sockets_close(struct sd_sockets *s);

/* "READY=1", "STOPPING=1\nSTATUS=…": one message to the service manager, if there is one. */
void sd_notify(const char *fmt, ...) FL_PRINTF(1, 2);
/* How often WATCHDOG=1 is due (WatchdogSec=); 0: never. */
usec_t sd_watchdog_us(void);
