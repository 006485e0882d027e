"""Starts fairlead-relay on loopback, as systemd or a person would, and reads what it says."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

from turn import Turn

BUILD = pathlib.Path(os.environ.get("FAIRLEAD_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
PROGRAM = BUILD / "fairlead-relay"
PATIENCE = 30
SECRET = "a secret of the tests, long enough"
OPEN = ("--relay-address", "127.0.0.1", "--allow-peer", "127.0.0.0/8")


def run(*options, timeout=PATIENCE, **more):
    """For a relay that ends by itself."""
    return subprocess.run([PROGRAM, *map(str, options)], capture_output=True, text=True, timeout=timeout, check=False,
                          **more)


def make_certificate(folder, name="localhost"):
    """(certificate, key) files; an old pair of that folder is replaced."""
    cert, key = pathlib.Path(folder) / "cert.pem", pathlib.Path(folder) / "key.pem"
    new_cert, new_key = cert.with_suffix(".new"), key.with_suffix(".new")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "30", "-subj", f"/CN={name}", "-keyout", new_key, "-out", new_cert], check=True, capture_output=True)
    new_key.replace(key)
    new_cert.replace(cert)
    return cert, key


class Relay:
    """listen: transports on ports that the kernel chooses; .ports tells them, also "metrics"."""

    def __init__(self, *options, listen=("udp",), program=PROGRAM, wait=True, **popen):
        words = [program]
        for transport in listen:
            words += ["--listen", f"{transport}:127.0.0.1:0"]
        self.lines, self.ports, self.changed = [], {}, threading.Condition()
        self.process = subprocess.Popen([*words, *map(str, options)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, **popen)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if wait:
            self.said(" ready ")

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                found = re.search(r" listening (\w+)=\S*:(\d+)", line)
                if found:
                    self.ports.setdefault(found.group(1), int(found.group(2)))
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)  # the end
            self.changed.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def log(self):
        with self.changed:
            return "\n".join(line for line in self.lines if line is not None)

    def said(self, words, since=0, timeout=PATIENCE):
        """Waits for a line that holds the words, from line number since on; that line."""
        until = time.monotonic() + timeout
        with self.changed:
            while True:
                for line in self.lines[since:]:
                    if line is not None and words in line:
                        return line
                ended = self.lines and self.lines[-1] is None
                left = until - time.monotonic()
                assert left > 0 and not ended, f"{words!r} was not said, but:\n" + "\n".join(map(str, self.lines))
                self.changed.wait(left)

    def reload(self):
        """SIGHUP; the line that tells its outcome."""
        since = len(self.lines)
        self.process.send_signal(signal.SIGHUP)
        self.said("reload", since)
        return "\n".join(line for line in self.lines[since:] if line)

    def tell(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """The exit status."""
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        return status

    def end(self, number=signal.SIGINT, timeout=PATIENCE):
        self.tell(number)
        return self.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def client(self, transport="udp", **more):
        more.setdefault("secret", None if "user" in more else SECRET)
        return Turn(("127.0.0.1", self.ports[transport]), transport, **more)

    def get(self, path):
        """(status, text) of the metrics listener."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def metric(self, name, **labels):
        """One sample's value; KeyError when it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            found = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
            if found and found.group(1) == name and dict(re.findall(r'(\w+)="([^"]*)"', found.group(2) or "")) == labels:
                return float(found.group(3))
        raise KeyError((name, labels))
