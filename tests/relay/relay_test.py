#!/usr/bin/env python3
"""fairlead-relay as a process: relay_test.py PROGRAM. Answers, refuses bad options, ends cleanly."""

import os
import re
import secrets
import signal
import socket
import struct
import subprocess
import sys

MAGIC = 0x2112A442


class Relay:
    def __init__(self, program, *options):
        self.process = subprocess.Popen([program, *options], stderr=subprocess.PIPE, text=True)
        self.ports = []
        for line in self.process.stderr:
            if found := re.search(r"udp=\S*:(\d+)", line):
                self.ports.append(int(found.group(1)))
            if "ready" in line:
                return
        raise AssertionError("the relay ended before it was ready")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.said = self.process.stderr.read().splitlines()
        return self.process.wait(10)


def ask(sock, server):
    tid = secrets.token_bytes(12)
    sock.sendto(struct.pack(">HHI", 1, 0, MAGIC) + tid, server)
    answer, source = sock.recvfrom(2000)
    kind, length, magic = struct.unpack(">HHI", answer[:8])
    assert (kind, length, magic) == (0x0101, len(answer) - 20, MAGIC), answer
    assert answer[8:20] == tid and source[:2] == server[:2]
    mapped_type, mapped_length, family, port = struct.unpack(">HHHH", answer[20:28])
    assert mapped_type == 0x0020 and mapped_length == len(answer) - 24
    mask = struct.pack(">I", MAGIC) + tid
    ip = bytes(a ^ b for a, b in zip(answer[28:], mask))
    return socket.inet_ntop(socket.AF_INET if family == 1 else socket.AF_INET6, ip), port ^ (MAGIC >> 16)


def test_answers(program):
    relay = Relay(program, "--listen", "udp:127.0.0.1:0", "--listen", "[::1]:0")
    for family, host, port in ((socket.AF_INET, "127.0.0.1", relay.ports[0]), (socket.AF_INET6, "::1", relay.ports[1])):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.bind((host, 0))
            for junk in (b"", b"x", os.urandom(1400), b"\x00\x01\x00\x00") * 50:
                sock.sendto(junk, (host, port))
            for _ in range(20):
                assert ask(sock, (host, port)) == sock.getsockname()[:2]
    assert relay.end() == 0
    assert len(relay.said) == 2 and "drained" in relay.said[1], "junk is counted, not logged as it comes"


def test_wildcard_answers_from_the_address_asked(program):
    relay = Relay(program, "--listen", "udp:0.0.0.0:0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.bind(("127.0.0.1", 0))
        ask(sock, ("127.0.0.2", relay.ports[0]))
    assert relay.end(signal.SIGINT) == 0


def test_bad_options(program):
    relay = Relay(program, "--listen", "udp:127.0.0.1:0")
    taken = f"udp:127.0.0.1:{relay.ports[0]}"
    for options, status, word in (
        (["--lisen", "x"], 2, "--listen"),
        (["--listen", "udp:nowhere"], 2, "ADDRESS:PORT"),
        (["--listen", "tls:127.0.0.1:0"], 2, "certificate"),
        (["surplus"], 2, "surplus"),
        (["--listen", taken], 1, "cannot listen"),
        (["--config", "/nonexistent/relay.conf"], 2, "cannot be read"),
    ):
        run = subprocess.run([program, *options], capture_output=True, text=True, timeout=10)
        assert run.returncode == status and word in run.stderr, (options, run)
    assert relay.end() == 0


def main(program):
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test(program)
            print(f"ok {name}")


if __name__ == "__main__":
    main(sys.argv[1])
