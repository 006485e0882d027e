"""Changes in flight: fairlead put and get, each in the middle of a file, while its network changes. Every transfer arrives
whole, in the session it began with where one is possible, and stands still no longer than the limits below.

The cases run some at a time in one lab, each at its own site. Times are those of the bytes that arrive in the file, and of
the counter at the broadband line.
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass

import pytest
from lab import RELAY, RELAY_OTHER, Lab, Unsupported
from programs import wait_for

SLOWER = 2 if os.environ.get("FAIRLEAD_SANITIZED") else 1  # such programs take longer for everything
BACK_S = 2 * SLOWER  # from the death of a path until bytes arrive again
BETTER_S = 3 * SLOWER  # from the end of a block until nothing goes by the relay any more
KBYTE_S = 1000  # what a transfer is slowed down to, so that it lasts
LATE_S = 90
LAG_S = 0.1  # a thread that wants to run each 10 ms and did not for so long
AT_ONCE = 5  # cases
ENOUGH = 1_000_000  # bytes that have arrived before anything is changed

HEALED = "delete table inet cut"


def cut(*rules):
    """What the router no longer lets through."""
    return "\n".join(["table inet cut {", "chain forward {", "type filter hook forward priority -10", *rules, "}", "}"])


BETWEEN = cut('iifname "br*" oifname "br*" drop')
BETWEEN_UDP = cut('iifname "br*" oifname "br*" meta l4proto udp drop')
EVERYTHING = cut("drop", "}", "chain input {", "type filter hook input priority -10", "drop")


def slow_down(host):
    """Roughly: what is beyond waits at the interface for 50 ms and is then lost, as on any narrow line."""
    try:
        host.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", f"{KBYTE_S * 8}kbit", "burst", "32kb",
                 "latency", "50ms")
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unsupported(f"tc makes no slow line here: {getattr(error, 'stderr', error)}") from error


class Flight:
    """A transfer between a client on one host and the command on another; sender is which of them sends."""

    def __init__(self, put, client_site, client_host, console_site, console_host, size):
        self.put, self.size = put, size
        self.client_site, self.client_host = client_site, client_host
        folder = client_site.lab.folder()
        self.source, self.target = folder / "from", folder / "to" / "file"
        self.target.parent.mkdir()
        block = hashlib.shake_256(os.urandom(8)).digest(1_000_000)
        self.source.write_bytes(b"".join(i.to_bytes(8, "big") + block for i in range(size // len(block))))
        self.client = client_site.start_client(host=client_host)
        sender = (console_site.hosts[console_host] if put else client_site.hosts[client_host])
        slow_down(sender)
        words = ["put", self.source, f"{self.client.id}:{self.target}"] if put else \
            ["get", f"{self.client.id}:{self.source}", self.target]
        self.process = console_site.start_cli(*words, "--json", host=console_host, stdout=subprocess.PIPE,
                                              stderr=subprocess.PIPE)
        self.arrived = []  # (when, bytes)
        self.lags = []  # (from, to): when this machine gave us no time
        self.before = 0
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()
        wait_for(lambda: self.now >= ENOUGH)

    @property
    def now(self):
        return self.arrived[-1][1] if self.arrived else 0

    @property
    def sessions(self):
        return self.client.log.count("session-started")

    def mark(self):
        """The change comes now; what was lost before it does not count."""
        if not self.before:
            self.before = self.sessions
            assert self.before == 1, f"a session was lost before anything had changed:\n{self.client.log}"
        return time.monotonic()

    def _watch(self):
        at = time.monotonic()
        while not self.over.is_set():
            now = time.monotonic()
            if now - at > LAG_S:
                self.lags.append((at, now))
            at = now
            sizes = [0]
            with contextlib.suppress(OSError):  # it is renamed at the end
                sizes += [path.stat().st_size for path in self.target.parent.iterdir()]
            if max(sizes) > self.now:
                self.arrived.append((time.monotonic(), max(sizes)))
            time.sleep(0.01)

    def pause(self, since):
        """The longest time without a byte that was going on then or began later, but for what the machine stood still."""
        times = [at for at, _ in self.arrived]
        gaps = [(max(a, since), b) for a, b in zip(times, times[1:]) if b > since]
        return max((b - a - sum(max(0, min(b, d) - max(a, c)) for c, d in self.lags) for a, b in gaps), default=0)

    def more(self, size=ENOUGH):
        wait_for(lambda goal=self.now + size: self.now >= goal, LATE_S)

    def lands(self):
        try:
            out, err = self.process.communicate(timeout=LATE_S)
        finally:
            self.over.set()
        assert self.process.returncode == 0, err
        told = json.loads(out)
        assert told["complete"]
        assert hashlib.sha256(self.target.read_bytes()).digest() == hashlib.sha256(self.source.read_bytes()).digest()
        return told


@dataclass
class Result:
    pause: float = 0  # s
    better: float = 0
    sessions: int = 0
    log: str = ""  # the client's

    def take(self, flight, since):
        flight.lands()
        self.sessions = flight.sessions - flight.before + 1
        self.log = flight.client.log
        self.pause = flight.pause(since)
        return self


def quiet_line(site, seconds):
    """Seconds until the site's broadband line carries less than a tenth of the transfer."""
    began = time.monotonic()
    before, last = site.wan_bytes(), began
    while time.monotonic() < began + seconds:
        time.sleep(0.1)
        now, at = site.wan_bytes(), time.monotonic()
        if now - before < KBYTE_S * 100 * (at - last):
            return last - began
        before, last = now, at
    return seconds


def relayed_to_local(lab):
    """Two networks of a site that may not talk to each other; then they may."""
    site, result = lab.site("vlans"), Result()
    site.router.rules(BETWEEN)
    flight = Flight(True, site, 1, site, 0, 10_000_000)
    flight.more(2_000_000)
    assert quiet_line(site, 0.5) == 0.5, "it was to be relayed"
    since = flight.mark()
    site.router.rules(HEALED)
    result.better = quiet_line(site, 10)
    return result.take(flight, since)


def path_dies(put, rules):
    def case(lab):
        site, result = lab.site("vlans"), Result()
        flight = Flight(put, site, 1, site, 0, 6_000_000)
        since = flight.mark()
        site.router.rules(rules)
        return result.take(flight, since)
    return case


def path_dies_late(lab):
    """The relays were given back long before, and the command is the one that only hears."""
    site, result = lab.site("vlans"), Result()
    flight = Flight(False, site, 1, site, 0, 24_000_000)
    time.sleep(18)
    since = flight.mark()
    site.router.rules(BETWEEN)
    return result.take(flight, since)


def punched_path_dies(lab):
    a, b, result = lab.site("port-restricted"), lab.site("port-restricted"), Result()
    flight = Flight(True, a, 0, b, 0, 6_000_000)
    since = flight.mark()
    a.router.rules(cut(f"ip saddr {b.public} drop", f"ip daddr {b.public} drop"))
    return result.take(flight, since)


def new_address(site, host):
    # the other order would take both away
    site.hosts[host].batch(f"address del {site.addresses[host]}/24 dev eth0", f"address add 192.168.{host + 1}.77/24 dev eth0",
                           f"route replace default via 192.168.{host + 1}.1")


def one_moves(lab):
    site, result = lab.site("vlans"), Result()
    flight = Flight(True, site, 1, site, 0, 8_000_000)
    since = flight.mark()
    new_address(site, 1)
    return result.take(flight, since)


def both_move(lab):
    """So that neither knows where the other one is: only the hub, which both have to reach anew, can tell."""
    site, result = lab.site("vlans"), Result()
    flight = Flight(False, site, 1, site, 0, 8_000_000)
    since = flight.mark()
    for host in (0, 1):
        new_address(site, host)
    return result.take(flight, since)


def down_and_up(lab):
    a, b, result = lab.site("port-restricted"), lab.site("port-restricted"), Result()
    flight = Flight(False, a, 0, b, 0, 8_000_000)
    flight.mark()
    a.hosts[0].batch("link set eth0 down")
    time.sleep(2)
    a.hosts[0].batch("link set eth0 up", "route replace default via 192.168.1.1")
    return result.take(flight, flight.mark())


def no_network(lab):
    site, result = lab.site("vlans"), Result()
    flight = Flight(True, site, 1, site, 0, 8_000_000)
    flight.mark()
    site.router.rules(EVERYTHING)
    time.sleep(10)
    since = flight.mark()
    site.router.rules(HEALED)
    return result.take(flight, since)


def client_is_killed(lab):
    site, result = lab.site("vlans"), Result()
    flight = Flight(True, site, 1, site, 0, 6_000_000)
    since = flight.mark()
    flight.client.stop(9)
    flight.client.start()
    return result.take(flight, since)


def relay_restarts(_):
    """In a lab of its own, because the others need theirs. The new one knows nothing of the old one's allocations."""
    with Lab() as lab:
        relay = lab.start_relay()
        lab.start_hub()
        a, b, result = lab.site("symmetric"), lab.site("symmetric"), Result()
        flight = Flight(True, a, 0, b, 0, 8_000_000)
        since = flight.mark()
        relay.kill()
        lab.start_relay()
        return result.take(flight, since)


def stream_breaks(lab):
    """Both ends reach their relays over streams; the router of one resets them all."""
    a, b, result = lab.site("udp-blocked"), lab.site("udp-blocked"), Result()
    flight = Flight(True, a, 0, b, 0, 8_000_000)
    since = flight.mark()
    a.router.rules(cut(*(f"ip {end} {{ {RELAY}, {RELAY_OTHER} }} meta l4proto tcp reject with tcp reset"
                         for end in ("saddr", "daddr"))))
    time.sleep(0.5)
    a.router.rules(HEALED)
    return result.take(flight, since)


CASES = {
    "relayed to local": relayed_to_local,
    "path dies": path_dies(True, BETWEEN),
    "path dies under get": path_dies(False, BETWEEN),
    "UDP dies": path_dies(True, BETWEEN_UDP),
    "path dies late": path_dies_late,
    "punched path dies": punched_path_dies,
    "new address": one_moves,
    "new addresses at both ends": both_move,
    "interface down and up": down_and_up,
    "no network for 10 s": no_network,
    "client is killed": client_is_killed,
    "stream to the relay breaks": stream_breaks,
    "relay restarts": relay_restarts,
}


@pytest.fixture(scope="module")
def results(lab, hub, request):
    def run(name):
        try:
            return CASES[name](lab)
        except Exception as error:  # told by the case's own test
            return error

    only = os.environ.get("FAIRLEAD_MOVING")
    names = [name for name in CASES if not only or name in only.split(",")]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(names, pool.map(run, names)))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        for name, result in found.items():
            print(f"\n{name:28}", result if isinstance(result, Exception) else
                  f"{result.sessions} sessions, stood still for {result.pause:.2f} s"
                  + (f", better after {result.better:.2f} s" if result.better else ""), end="")
    return found


@pytest.fixture(name="result", params=CASES)
def fixture_result(request, results):
    if request.param not in results:
        pytest.skip("not asked for")
    result = results[request.param]
    if isinstance(result, Unsupported):
        pytest.skip(str(result))
    if isinstance(result, Exception):
        raise result
    return request.param, result


def test_moving(result):
    name, result = result
    if name == "client is killed":
        assert result.sessions == 2
        return
    assert result.sessions == 1, f"a session was lost:\n{result.log}"
    if "dies" in name:
        assert result.pause <= BACK_S
    if name == "relayed to local":
        assert result.better <= BETTER_S and result.pause < SLOWER
