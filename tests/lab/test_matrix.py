"""Every pair of networks: two peers meet by the method and the transport that theory allows, and not by a worse one.

P punched   a NAT that keeps one mapping can be told to the other side; with two that make a new one for each
            destination, or one such and a filter by port, nobody knows which port to send to
T punched over TCP: who has no UDP still reaches a public host
R relayed   through one relay, that of either side; D through one at each side, where neither side can send UDP
-           not tried: the column of proxy-only says as much

A proxy lets through to port 443 only, that of proxy-wss not to the relay's TLS.
"""

import concurrent.futures
import os
import time
from dataclasses import dataclass, field

import pytest
from lab import RELAY, Unsupported
from session import Failed, Seat, Session

THEORY = """
                open  full-cone  restricted  port-restricted  symmetric  cgn  ipv6-only  udp-blocked  tcp443-only  proxy-only  proxy-wss
open             P       P           P              P             P       P       R           T            R            R           R
full-cone                P           P              P             P       P       R           R            R            R           -
restricted                           P              P             P       P       R           R            R            R           -
port-restricted                                     P             R       P       R           R            R            R           -
symmetric                                                         R       R       R           R            R            R           -
cgn                                                                       P       R           R            R            R           -
ipv6-only                                                                         P           R            R            R           -
udp-blocked                                                                                   D            D            D           -
tcp443-only                                                                                                D            D           -
proxy-only                                                                                                              D           D
proxy-wss                                                                                                                           D
"""

# Two hosts of one site: the method, over TCP or not, and whether their data stays behind the router.
INSIDE = {
    "same-lan": ("local", "udp", True),
    "same-lan-no-udp": ("local", "tcp", True),
    "vlans": ("local", "udp", True),
    "hairpin": ("punched", "udp", True),
    "guest-hairpin": ("punched", "udp", True),
    "guest": ("relayed", "udp", False),
    "no-hairpin": ("relayed", "udp", False),
}

OUTCOME = {"P": ("punched", "udp"), "T": ("punched", "tcp"), "R": ("relayed", "udp"), "D": ("relayed", "udp")}
# else udp; behind a proxy through it
WAY_TO_THE_RELAY = {"udp-blocked": "tcp", "tcp443-only": "tls", "proxy-only": "tls", "proxy-wss": "wss"}
PROXY_RULES = {"proxy-only": [], "proxy-wss": [f"acl relay dst {RELAY}", "http_access deny relay"]}
SETTLE_S = 10
DATA = 400_000  # bytes there, and as many back
# At the broadband line: STUN, an allocation over each of four transports by both, and the checks between these until the
# choice is made: 60 kB here, and up to 120 where the machine is so busy that it takes 0.5 s
SET_UP_MAX = 200_000
DATA_MAX = 20_000  # the same while data flows: the allocations end
REST_S, REST_MAX = 0.3, 1000  # the line's rest: what the NAT does may still be asked


@dataclass
class Row:
    """A pair of hosts, and what is to come out."""

    name: str
    sites: tuple
    hosts: tuple
    method: str
    transport: str
    relays: int = 0
    inside: bool = False
    routes: list = field(default_factory=list)
    opened_ms: float = 0
    set_up_bytes: int = 0
    data_bytes: int = 0
    failed: str = ""

    @property
    def to_the_relay(self):
        """(transport, through a proxy) of each side's way."""
        return [(WAY_TO_THE_RELAY.get(site.name, "udp"), site.name in PROXY_RULES) for site in self.sites]

    def as_expected(self, *routes):
        if any(r["method"] != self.method or r["tcp"] != (self.transport == "tcp") for r in routes):
            return False
        used = [((r["relay"], r["proxy"]), way) for r, way in zip(routes, self.to_the_relay) if r["relay"]]
        return len(used) == self.relays and all(relay == way for relay, way in used)

    def settled(self, *routes):
        """As expected; and inside no server is asked any more: its answers would count as data."""
        return self.as_expected(*routes) and not (self.inside and any(r["asking"] for r in routes))

    def until_at_rest(self, session):
        """Checks that were under way when the choice was made may still be answered, the later the busier this machine."""
        end = time.monotonic() + SETTLE_S
        crossed = self.sites[0].wan_bytes()
        while time.monotonic() < end:
            session.rest(REST_S)
            before, crossed = crossed, self.sites[0].wan_bytes()
            if crossed - before < REST_MAX:
                return
        raise Failed(f"after the choice {crossed - before} bytes cross the broadband line each {REST_S} s\n{session.story()}")

    def run(self):
        seats = [Seat(host, site.servers(), site.proxy) for site, host in zip(self.sites, self.hosts)]
        before = self.sites[0].wan_bytes()
        with Session(*seats) as session:
            try:
                session.connect()
                session.choose()  # or the rest of the race counts as data
                self.opened_ms = session.opened / 1000
                self.routes = session.settle(self.settled, SETTLE_S)
                if not self.settled(*self.routes):
                    raise Failed(session.story())
                if self.inside:
                    self.until_at_rest(session)
                settled = self.sites[0].wan_bytes()
                session.exchange(DATA)
                self.set_up_bytes = settled - before
                self.data_bytes = self.sites[0].wan_bytes() - settled
            except Failed as failed:
                self.failed = str(failed)

    def __str__(self):
        seen = "; ".join(f"{r['method']}{' over TCP' if r['tcp'] else ''}{' by ' + r['relay'] if r['relay'] else ''}"
                         f"{' through the proxy' if r['proxy'] else ''}"
                         for r in self.routes)
        return f"{self.name:33} {self.opened_ms:6.0f} ms  {seen}{'  FAILED' if self.failed else ''}"


def theory():
    """(kind, kind, letter) of the table."""
    head, *lines = THEORY.strip("\n").splitlines()
    kinds = head.split()
    return [(kind, other, letter) for kind, line in zip(kinds, lines)
            for other, letter in zip(kinds[kinds.index(kind):], line.split()[1:]) if letter != "-"]


def outside(lab):
    """Each kind has two sites. Who offers takes turns: the offerer is the one who nominates."""
    sites = {}
    for number, (kind, other, letter) in enumerate(theory()):
        ends = ((kind, 0), (other, 1))
        for name, side in ends:
            if (name, side) not in sites:
                sites[name, side] = lab.site(name)
                if name in PROXY_RULES:
                    lab.start_proxy(sites[name, side], *PROXY_RULES[name])
        pair = tuple(sites[end] for end in (ends[::-1] if number % 2 else ends))
        relays = {"R": 1, "D": 2}.get(letter, 0)
        yield Row(f"{kind}+{other}", pair, tuple(site.host for site in pair), *OUTCOME[letter], relays)


def inside(lab):
    for name, (method, transport, stays) in INSIDE.items():
        site = lab.site(name)
        yield Row(name, (site, site), tuple(site.hosts), method, transport, 1 if method == "relayed" else 0, stays)


NAMES = [f"{kind}+{other}" for kind, other, _ in theory()] + list(INSIDE)


@pytest.fixture(scope="module")
def rows(lab, request):
    """All sessions, some at a time; nobody else uses the broadband lines of those inside."""
    try:
        found = [*outside(lab), *inside(lab)]
    except Unsupported as reason:
        pytest.skip(str(reason))
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        list(pool.map(Row.run, found))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", *found, sep="\n")
    return {row.name: row for row in found}


@pytest.mark.parametrize("name", NAMES)
def test_pair(rows, name):
    row = rows[name]
    wanted = f"{row.method} over {row.transport}, {row.relays} relays of {row.to_the_relay}"
    assert not row.failed, f"wanted: {wanted}\n{row}\n{row.failed}"
    if row.inside:
        assert row.set_up_bytes < SET_UP_MAX
        assert row.data_bytes < DATA_MAX
    else:
        assert row.data_bytes > DATA  # the counter counts
