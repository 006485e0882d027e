"""What the tests need of the clients in Debian's package coturn: turnutils_uclient and turnutils_peer."""

import re
import secrets
import socket
import subprocess
import tempfile

from programs import wait_for

MESSAGES, CLIENTS = 20, 2


def free_pair(host):
    """An even port and the next one, both free now; below the ports that the kernel gives out."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = 20000 + 2 * secrets.randbelow(6000)
        with socket.socket(family, socket.SOCK_DGRAM) as a, socket.socket(family, socket.SOCK_DGRAM) as b:
            try:
                a.bind((host, port))
                b.bind((host, port + 1))
                return port
            except OSError:
                pass


class Peer:
    """turnutils_peer: sends back what comes to a port and the next one."""

    def __init__(self, host):
        self.host, self.port = host, free_pair(host)
        self.process = subprocess.Popen(["turnutils_peer", "-p", str(self.port), "-L", host], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(self.answers)

    def answers(self):
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            try:
                for port in (self.port, self.port + 1):
                    sock.connect((self.host, port))
                    sock.send(b"there?")
                    sock.recv(100)
                return True
            except OSError:
                return False

    def close(self):
        self.process.kill()
        self.process.wait()


class Uclient:
    """turnutils_uclient, running. It ends with 0 even when everything was lost: the text counts."""

    def __init__(self, words, port, server="127.0.0.1", peer=None):
        words = [*words, "-n", str(MESSAGES), "-m", str(CLIENTS), "-z", "5", "-p", str(port)]
        if peer:
            words += ["-e", peer.host, "-r", str(peer.port)]
        self.words = words + ["-v", server]
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(["turnutils_uclient", *self.words], stdout=self.output, stderr=subprocess.STDOUT)

    def expect_nothing_lost(self, timeout=90):
        self.process.wait(timeout)
        self.output.seek(0)
        said = self.output.read()
        what = f"turnutils_uclient {' '.join(self.words)}\n{said[-4000:]}"
        totals = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", said)
        assert self.process.returncode == 0 and totals, what
        sent, received = map(int, totals[-1])
        assert "Total lost packets 0 (" in said, what
        assert sent == received and sent >= MESSAGES * CLIENTS, what

    def close(self):
        self.process.kill()
        self.process.wait()
        self.output.close()
