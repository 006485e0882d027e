"""Two libfairlead peers (tests/interop/peer/peer_cli.c), each in a namespace of its own, who signal through this process.

    with Session(Seat(a.host, a.servers()), Seat(b.host, b.servers())) as session:
        session.connect()
        session.settle(lambda a, b: a["method"] == "local", 5)   # both ends' reports
        session.exchange(100_000)                    # bytes up one channel and back
"""

import json
import os
import pathlib
import selectors
import subprocess
import time
from dataclasses import dataclass, field

BUILD = pathlib.Path(os.environ.get("FAIRLEAD_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
PEER = BUILD / "tests/interop/peer/peer_cli"
PATIENCE = 30
MESSAGE = 16_000
BEAT_S = 0.02


class Failed(Exception):
    """The session ended, or did not get where it should; what both ends know is in the text."""


@dataclass
class Seat:
    """Where a peer runs, and what it is told."""

    net: object
    servers: list
    proxy: str = None


@dataclass
class Peer:
    seat: Seat
    events: list = field(default_factory=list)
    route: dict = field(default_factory=dict)

    def __post_init__(self):
        with self.seat.net:
            self.process = subprocess.Popen([PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rest = b""
        self.do("new", iceServers=self.seat.servers, proxy=self.seat.proxy)

    def do(self, what, **more):
        self.process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        self.process.stdin.flush()

    def read(self):
        """The events that have come; the peer must have said something."""
        said = os.read(self.process.stdout.fileno(), 1 << 20)
        if not said:
            raise Failed(f"a peer ended by itself, status {self.process.wait()}")
        *lines, self.rest = (self.rest + said).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Session:
    def __init__(self, offerer, answerer):
        self.peers = []
        try:
            for seat in (offerer, answerer):
                self.peers.append(Peer(seat))
        except BaseException:
            self.__exit__()
            raise
        self.began = time.monotonic()
        self.methods = []  # (seconds since the start, method) as the offerer saw them
        self.opened = self.channel = None
        self.echoed = 0
        self.watch = selectors.DefaultSelector()
        for peer in self.peers:
            self.watch.register(peer.process.stdout, selectors.EVENT_READ, peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for peer in self.peers:
            peer.end()

    def _take(self, peer, event):
        other = self.peers[1 - self.peers.index(peer)]
        kind = event["event"]
        peer.events.append(event)
        if kind == "description":
            other.do("accept" if peer is self.peers[1] else "answer", sdp=event["text"])
        elif kind == "candidate":
            other.do("candidate", candidate=event["text"])
        elif kind == "open" and peer is self.peers[0]:
            self.opened, self.channel = event["us"], event["channel"]
        elif kind == "data" and peer is self.peers[0]:
            self.echoed += event["len"]
        elif kind == "route-report":
            peer.route = event
        elif kind in ("failed", "error"):
            raise Failed(f"{kind}: {event.get('text')}\n{self.story()}")

    def until(self, what, seconds, wanted):
        """Runs the signalling until what() is true."""
        end = time.monotonic() + seconds
        while not what():
            left = end - time.monotonic()
            if left <= 0:
                raise Failed(f"{wanted} did not happen in {seconds} s\n{self.story()}")
            for key, _ in self.watch.select(left):
                for event in key.data.read():
                    self._take(key.data, event)

    def rest(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in self.watch.select(max(0, end - time.monotonic())):
                for event in key.data.read():
                    self._take(key.data, event)

    def connect(self, seconds=PATIENCE):
        self.peers[0].do("open", label="lab")
        self.peers[0].do("offer")
        self.until(lambda: self.opened is not None, seconds, "an open channel")

    def choose(self, seconds=PATIENCE):
        """Until both ends have said which pair they chose."""
        self.until(lambda: all(any(e["event"] == "route" for e in peer.events) for peer in self.peers), seconds,
                   "the choice of a route")

    def ask(self):
        """Both ends' route reports."""
        for peer in self.peers:
            peer.route = {}
            peer.do("route")
        self.until(lambda: all(peer.route for peer in self.peers), PATIENCE, "the report")
        self.methods.append((round(time.monotonic() - self.began, 2), self.peers[0].route["method"]))
        return [peer.route for peer in self.peers]

    def settle(self, good, seconds):
        """Until good(both reports), or the time is over; the reports."""
        end = time.monotonic() + seconds
        routes = self.ask()
        while not good(*routes) and time.monotonic() < end:
            self.rest(0.1)
            routes = self.ask()
        return routes

    def exchange(self, size, seconds=PATIENCE):
        """At least so many bytes of text there and back."""
        until = self.echoed + size
        for _ in range(0, size, MESSAGE):
            self.peers[0].do("send", channel=self.channel, text="x" * MESSAGE)
        self.until(lambda: self.echoed >= until, seconds, f"an echo of {size} bytes")

    def beat(self, seconds, done=lambda: False):
        """A short message each BEAT_S, both ways, for so long, or until done()."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not done():
            self.peers[0].do("send", channel=self.channel, text="beat")
            self.rest(BEAT_S)

    def pauses(self, at_least=0.2):
        """[(when, how long)] in s: when no beat came back, by the offerer's own clock."""
        came = [e["us"] / 1e6 for e in self.peers[0].events if e["event"] == "data"]
        return [(round(a, 2), round(b - a, 2)) for a, b in zip(came, came[1:]) if b - a >= at_least]

    def story(self):
        return "\n".join(f"{'offerer' if peer is self.peers[0] else 'answerer'}: " + "; ".join(
            f"{e['us'] // 1000} ms {e['event']} {e.get('text', '').strip()}" for e in peer.events
            if e["event"] in ("candidate", "route", "connected", "open", "failed", "disconnected"))
            + f"\n  report: {json.dumps(peer.route)}" for peer in self.peers)
