/* What a process has used, read from /proc; 0 when it cannot be read. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/*
 * CPU time of all its threads in nanoseconds, with what the kernel did in their context: on
 * loopback that is the whole way of a sent datagram into the receiver's socket.
 */
uint64_t process_cpu_ns(pid_t pid);
uint64_t process_resident_bytes(pid_t pid);
