#!/usr/bin/env python3
"""Cores have no socket, clock, thread, randomness or log: check_purity.py ARCHIVE…"""

import re
import subprocess
import sys

FORBIDDEN = re.compile(
    r"^(socket|socketpair|bind|connect|listen|accept4?|send(to|msg|mmsg)?|recv(from|msg|mmsg)?|[gs]etsockopt|"
    r"poll|ppoll|select|epoll_\w+|open(at)?(64)?|fopen(64)?|read|write|ioctl|fork|exec\w*|"
    r"time|clock|clock_gettime|gettimeofday|nanosleep|usleep|sleep|timer\w*_\w+|usec_monotonic|usec_realtime|"
    r"pthread_\w+|getrandom|getentropy|rand(om)?|srand(om)?|arc4random\w*|RAND_\w+|rng_system|"
    r"log_(open|write|set_\w+)|printf|fprintf|puts|perror|syslog|getenv|getaddrinfo)$"
)
# What the two folders that hide a library admit in their headers.
ADMITTED = {"libsctp.a": {"pthread_once"}, "libdtls.a": {"RAND_bytes"}}


def main(archives):
    bad = []
    for archive in archives:
        name = archive.rsplit("/", 1)[-1]
        out = subprocess.run(["nm", "-u", archive], capture_output=True, text=True, check=True).stdout
        symbols = {line.split()[1].split("@")[0] for line in out.splitlines() if line.strip().startswith("U ")}
        for symbol in sorted(symbols):
            plain = re.sub(r"^__(.*?)_chk$", r"\1", symbol)
            if FORBIDDEN.match(plain) and symbol not in ADMITTED.get(name, set()):
                bad.append(f"{name} calls {symbol}: a core may not")
    print("\n".join(bad) if bad else f"{len(archives)} cores are free of sockets, clocks, threads and logs")
    return 1 if bad or not archives else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
