"""Starts fairlead-client and fairlead (the command) as a person or systemd would."""

import json
import os
import pathlib
import pty
import fcntl
import select
import signal
import struct
import subprocess
import termios
import time

BUILD = pathlib.Path(os.environ.get("FAIRLEAD_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
PATIENCE = 30


def wait_for(what, timeout=PATIENCE):
    """Until what() is true; its value. For states of other processes, which have no other sign."""
    until = time.monotonic() + timeout
    while True:
        got = what()
        if got:
            return got
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


class Client:
    """fairlead-client with a data folder."""

    def __init__(self, hub, data, *args, token=None, start=True, env=None):
        self.hub, self.data, self.args, self.env = hub, pathlib.Path(data), list(args), env
        self.process = None
        self.log_path = self.data.with_name(self.data.name + ".log")
        if start:
            self.start(token)

    def command(self, token=None):
        words = [BUILD / "fairlead-client", "--data", self.data, *self.args]
        if self.hub:
            words += ["--hub", self.hub.url]
        return words + (["--enrol", token] if token else [])

    def start(self, token=None):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(token), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env)
        return self

    def finish(self, token=None, timeout=PATIENCE):
        """For a client that is to end by itself: exit status and what it said."""
        self.start(token)
        return self.process.wait(timeout), self.log

    @property
    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def said(self, text, timeout=PATIENCE):
        return wait_for(lambda: text in self.log or None, timeout)

    @property
    def identity(self):
        return json.loads((self.data / "device.json").read_text(encoding="utf-8"))

    @property
    def id(self):
        return self.identity["device"]

    def online(self):
        devices = self.hub.staff("GET", "/api/devices").json["devices"]
        return any(d["id"] == self.id and d["online"] for d in devices)

    def stop(self, sig=signal.SIGTERM, timeout=10):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(timeout) if self.process else None


def cli_env(hub):
    env = dict(os.environ, FAIRLEAD_HUB=hub.url.replace("127.0.0.1", "localhost"), FAIRLEAD_TOKEN=hub.key)
    return env


def cli_words(hub, *args):
    """--ca stands behind the command, because it is one of its options."""
    return [BUILD / "fairlead", args[0], "--ca", hub.data / "ca.pem", *args[1:]]


def cli(hub, *args, stdin=b"", timeout=PATIENCE):
    return subprocess.run(cli_words(hub, *args), input=stdin, capture_output=True, env=cli_env(hub), timeout=timeout,
                          check=False)


class Shell:
    """fairlead connect in a terminal of its own."""

    def __init__(self, hub, *args, cols=80, rows=24):
        self.master, slave = pty.openpty()
        self.size(cols, rows, tell=False)
        self.seen = b""
        self.process = subprocess.Popen(cli_words(hub, "connect", *args), stdin=slave, stdout=slave, stderr=slave,
                                        env=cli_env(hub) | {"TERM": "xterm"}, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def size(self, cols, rows, tell=True):
        # the kernel tells the foreground process by SIGWINCH
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text, timeout=PATIENCE):
        until = time.monotonic() + timeout
        while text.encode() not in self.seen:
            left = until - time.monotonic()
            assert left > 0, f"{text!r} did not come, but {self.seen!r}"
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:  # the other side is gone
                    assert text.encode() in self.seen, f"{text!r} did not come, but {self.seen!r}"
        before, _, self.seen = self.seen.partition(text.encode())
        return before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
