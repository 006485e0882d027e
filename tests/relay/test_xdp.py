"""The relay with --xdp between real links: what goes past the daemon, and that nobody notices when it does not.

    client 10.1.0.2 fd01::2 ── cli0 relay per0 ── peer 10.2.0.2 fd02::2
    near peer 10.1.0.3 fd01::3 ──┘
"""

import os
import re
import shutil
import socket
import struct
import subprocess
import time

import pytest
from nets import BPF_LINK_DETACH, BPF_LINK_GET_FD_BY_ID, Lab, Unsupported, bpf
from relay import SECRET, Relay
from turn import MOBILITY_TICKET, Turn

CLIENT = {4: "10.1.0.2", 6: "fd01::2"}
SERVER = {4: ("10.1.0.1", 3478), 6: ("fd01::1", 3478)}
PEER = {4: "10.2.0.2", 6: "fd02::2"}
NEAR = {4: "10.1.0.3", 6: "fd01::3"}
RELAYED = {4: "10.2.0.1", 6: "fd02::1"}
RELAYED_NEAR = {4: "10.1.0.1", 6: "fd01::1"}
BOTH = [(4, 4), (6, 6), (4, 6), (6, 4)]


class Site:
    def __init__(self):
        self.lab = Lab()
        self.client, self.relay, self.peer = self.lab.net(), self.lab.net(), self.lab.net()
        self.lab.link(self.client, "c0", self.relay, "cli0")
        self.lab.link(self.peer, "p0", self.relay, "per0")
        for net, device, addresses in (
                (self.client, "c0", ("10.1.0.2/24", "fd01::2/64", "10.1.0.3/24", "fd01::3/64")),
                (self.relay, "cli0", ("10.1.0.1/24", "fd01::1/64")),
                (self.relay, "per0", ("10.2.0.1/24", "fd02::1/64")),
                (self.peer, "p0", ("10.2.0.2/24", "fd02::2/64"))):
            for address in addresses:
                net.ip(f"address add {address} dev {device}" + (" nodad" if ":" in address else ""))
        self.lab.pass_all(self.client, "c0")
        self.lab.pass_all(self.peer, "p0")
        for device, net, far in (("cli0", self.client, "c0"), ("per0", self.peer, "p0")):
            mac = net.mac(far)
            for address in ([*CLIENT.values(), *NEAR.values()] if far == "c0" else PEER.values()):
                self.relay.ip(f"neighbour replace {address} lladdr {mac} dev {device} nud permanent")
        self.running = []

    def start(self, *options, interfaces="cli0,per0", relayed=None, listen=("10.1.0.1", "[fd01::1]")):
        addresses = (relayed or RELAYED).values()
        with self.relay:
            relay = Relay(*(word for a in listen for word in ("--listen", f"udp:{a}:3478")),
                          *(word for a in addresses for word in ("--relay-address", a)), "--allow-peer", "10.0.0.0/8",
                          "--allow-peer", "fd00::/8", "--secret", SECRET, "--metrics", "127.0.0.1:9090",
                          *(("--xdp", interfaces) if interfaces else ()), *options, listen=())
        self.running.append(relay)
        off = re.search(r"xdp-off.*CAP_BPF", relay.log)
        if off:
            pytest.skip(off.group(0))
        return relay

    def turn(self, family, **more):
        with self.client:
            return Turn(SERVER[family], secret=SECRET, local=(CLIENT[family], 0), **more)

    def udp(self, address):
        with self.client if address in NEAR.values() else self.peer:
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((address, 0))
            sock.settimeout(10)
            return sock

    def metric(self, relay, name, **labels):
        with self.relay:
            return relay.metric("fairlead_relay_" + name, **labels)

    def offloaded(self, relay):
        return tuple(int(self.metric(relay, "offloaded_packets_total", direction=way)) for way in ("up", "down"))

    def close(self):
        for relay in self.running:
            relay.kill()
        self.lab.close()


@pytest.fixture
def site():
    try:
        made = Site()
    except Unsupported as reason:
        pytest.skip(str(reason))
    yield made
    made.close()


def open_way(site, client_family, peer_address, channel=0x4000):
    """A client with a channel to a peer's socket."""
    client, peer = site.turn(client_family), site.udp(peer_address)
    client.allocate(family=2 if ":" in peer_address else 1)
    client.channel(channel, peer.getsockname()[:2])
    return client, peer


def both_ways(client, peer, count=100, channel=0x4000, sizes=(160, 0, 1, 3, 1150)):
    """Every packet arrives, as it was sent and from where it should."""
    for n in range(count):
        up = struct.pack(">I", n) * (sizes[n % len(sizes)] // 4) + b"u" * (sizes[n % len(sizes)] % 4)
        client.send_channel(channel, up)
        got, source = peer.recvfrom(3000)
        assert (got, source[:2]) == (up, client.relayed)
        down = up[::-1] + b"d" * (n % 4)
        peer.sendto(down, client.relayed)
        assert client.next() == ("channel", channel, down)


def until_both_ways(client, peer, channel=0x4000):
    """After a move: what was under way to the old address is lost, as on any network; then all arrives."""
    for n in range(50):
        client.send_channel(channel, b"up%d" % n)
        assert peer.recvfrom(3000) == (b"up%d" % n, client.relayed)
        peer.sendto(b"down", client.relayed)
        try:
            assert client.next(timeout=0.2) == ("channel", channel, b"down")
            return
        except TimeoutError:
            continue
    raise AssertionError("nothing comes to the new address")


def assert_offloaded(site, relay, before, count):
    """All of them, but for the one of each flow that the daemon is shown in ten seconds."""
    up, down = site.offloaded(relay)
    assert count * 0.95 - 1 <= up - before[0] <= count and count * 0.95 - 1 <= down - before[1] <= count


@pytest.mark.parametrize("families", BOTH)
def test_two_interfaces(site, families):
    relay = site.start()
    assert "xdp-on" in relay.log and "mode=native" in relay.log
    client, peer = open_way(site, families[0], PEER[families[1]])
    before = site.offloaded(relay)
    both_ways(client, peer)
    assert_offloaded(site, relay, before, 100)


@pytest.mark.parametrize("families", BOTH)
def test_one_interface(site, families):
    relay = site.start(interfaces="cli0", relayed=RELAYED_NEAR)
    client, peer = open_way(site, families[0], NEAR[families[1]])
    both_ways(client, peer)
    assert_offloaded(site, relay, (0, 0), 100)


def test_listening_on_all_addresses(site):
    relay = site.start(listen=("0.0.0.0", "[::]"))
    for family in (4, 6):
        client, peer = open_way(site, family, PEER[family])
        before = site.offloaded(relay)
        both_ways(client, peer, 20)
        assert_offloaded(site, relay, before, 20)


def test_peers_on_an_interface_without_the_program(site):
    relay = site.start(interfaces="cli0")
    client, peer = open_way(site, 4, PEER[4])
    both_ways(client, peer, 20)
    assert site.offloaded(relay) == (0, 0)


def test_what_is_no_channel_goes_through_the_daemon(site):
    relay = site.start()
    client, peer = open_way(site, 4, PEER[4])
    other = site.udp(PEER[4])
    client.permission(other.getsockname())
    for n in range(10):
        client.send(other.getsockname(), b"indication")
        assert other.recvfrom(2000) == (b"indication", client.relayed)
        other.sendto(b"answer", client.relayed)
        assert client.receive() == (other.getsockname(), b"answer")
    assert site.offloaded(relay) == (0, 0)
    both_ways(client, peer, 10)
    assert client.binding().mapped == client.address  # and the server answers beside it
    assert_offloaded(site, relay, (0, 0), 10)


def nothing_comes(sock):
    sock.settimeout(0.3)
    with pytest.raises((TimeoutError, BlockingIOError)):
        sock.recv(2000)
    sock.settimeout(10)


def test_ends_with_the_allocation(site):
    relay = site.start()
    client, peer = open_way(site, 4, PEER[4])
    both_ways(client, peer, 10)
    before = site.offloaded(relay)
    client.refresh(0)
    for _ in range(5):
        client.send_channel(0x4000, b"late")
        peer.sendto(b"late", client.relayed)
    nothing_comes(peer)
    nothing_comes(client.sock)
    assert site.offloaded(relay) == before
    assert relay.end() == 0


def test_a_channel_nobody_bound_is_not_relayed(site):
    relay = site.start()
    client, peer = open_way(site, 4, PEER[4])
    stranger = site.turn(4)
    stranger.send_channel(0x4000, b"of another's channel")
    client.send_channel(0x4001, b"of no channel")
    with site.peer:
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind((PEER[4], 0))
    other.sendto(b"without a permission's channel", client.relayed)
    nothing_comes(peer)
    assert client.next()[0] == "message"  # the permission is for the address: as an indication
    nothing_comes(client.sock)
    assert site.offloaded(relay) == (0, 0)


def detach(relay):
    """Takes the program off every interface, as an administrator could."""
    links = set()
    for name in os.listdir(f"/proc/{relay.process.pid}/fdinfo"):
        with open(f"/proc/{relay.process.pid}/fdinfo/{name}", encoding="ascii") as info:
            links.update(int(i) for i in re.findall(r"^link_id:\s*(\d+)$", info.read(), re.M))
    for link in links:
        fd = bpf(BPF_LINK_GET_FD_BY_ID, "I", link)
        bpf(BPF_LINK_DETACH, "I", fd)
        os.close(fd)
    return len(links)


def test_detached_in_mid_flow(site):
    """The daemon goes on where the program ended, without a packet lost."""
    relay = site.start()
    client, peer = open_way(site, 4, PEER[4])
    both_ways(client, peer, 50)
    before = site.offloaded(relay)
    assert_offloaded(site, relay, (0, 0), 50)
    assert detach(relay) == 2
    both_ways(client, peer, 50)
    assert site.offloaded(relay) == before
    client.refresh()  # and the daemon does not mind
    client.channel(0x4000, peer.getsockname())
    both_ways(client, peer, 10)


def test_killed_relay_leaves_the_interfaces_clean(site):
    relay = site.start()
    assert "prog/xdp" in site.relay.ip("-d link show cli0")
    relay.kill()
    for _ in range(500):
        if "prog/xdp" not in site.relay.ip("-d link show"):
            break
        time.sleep(0.01)
    else:
        pytest.fail("a program is left behind")
    again = site.start()
    assert "xdp-on" in again.log


def test_falls_back(site):
    """Somebody else's program stays, and the relay works without."""
    first = site.start()
    with site.relay:
        second = Relay("--listen", "udp:10.1.0.1:3479", "--relay-address", RELAYED[4], "--min-port", "40000",
                       "--max-port", "40100", "--allow-peer", "10.0.0.0/8", "--secret", SECRET, "--xdp", "cli0", listen=())
    site.running.append(second)
    told = [line for line in second.log.splitlines() if "xdp" in line]
    assert len(told) == 1 and "xdp-off" in told[0] and "somebody else" in told[0]
    with site.client:
        client = Turn(("10.1.0.1", 3479), secret=SECRET, local=(CLIENT[4], 0))
    peer = site.udp(PEER[4])
    client.allocate()
    client.channel(0x4000, peer.getsockname())
    both_ways(client, peer, 10)
    assert site.offloaded(first) == (0, 0)


def test_too_long_for_the_way_out(site):
    relay = site.start()
    site.relay.ip("link set per0 mtu 1280")
    client, peer = open_way(site, 4, PEER[4])
    both_ways(client, peer, 20, sizes=(1252,))
    assert_offloaded(site, relay, (0, 0), 20)
    before = site.offloaded(relay)
    client.send_channel(0x4000, b"x" * 1300)
    assert peer.recv(3000) == b"x" * 1300  # in fragments, by the daemon
    assert site.offloaded(relay) == before


def test_quota(site):
    relay = site.start("--user-packets", "50")
    client, peer = open_way(site, 4, PEER[4])
    began = time.monotonic()
    for _ in range(1000):
        client.send_channel(0x4000, b"more than allowed")
    peer.settimeout(0.5)
    came = 0
    try:
        while peer.recv(2000):
            came += 1
    except TimeoutError:
        pass
    # the burst, what the time since then allowed, one for each CPU, one shown to the daemon
    assert 1 <= came <= 1 * 50 + (time.monotonic() - began) * 50 + os.cpu_count() + 2
    assert site.metric(relay, "dropped_total", reason="over_quota") >= 1000 - came


def test_follows_a_client_that_moves(site):
    relay = site.start()
    client, peer = site.turn(4), site.udp(PEER[4])
    ticket = client.allocate(more=[(MOBILITY_TICKET, b"")]).get(MOBILITY_TICKET)
    client.channel(0x4000, peer.getsockname())
    both_ways(client, peer, 10)
    moved = site.turn(4)
    moved.realm, moved.nonce, moved.user, moved.password = client.realm, client.nonce, client.user, client.password
    moved.refresh(more=[(MOBILITY_TICKET, ticket)])
    moved.relayed, moved.channels = client.relayed, client.channels
    until_both_ways(moved, peer)
    before = site.offloaded(relay)
    both_ways(moved, peer, 20)
    assert_offloaded(site, relay, before, 20)


def test_turnutils_uclient(site):
    """Somebody else's client and peer, 20 clients at once."""
    if not shutil.which("turnutils_uclient") or not shutil.which("turnutils_peer"):
        pytest.skip("turnutils_uclient is missing (package coturn)")
    relay = site.start()
    with site.peer:
        peer = subprocess.Popen(["turnutils_peer", "-L", PEER[4], "-p", "3480"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
    try:
        out = site.client.run("turnutils_uclient", "-W", SECRET, "-u", "somebody", "-e", PEER[4], "-r", "3480", "-n", "200",
                              "-m", "20", "-l", "160", "-c", "-L", CLIENT[4], SERVER[4][0])
    finally:
        peer.kill()
        peer.wait()
    assert "Total lost packets 0 (" in out, out[-2000:]
    up, down = site.offloaded(relay)
    assert up >= 20 * 200 * 0.9 and down >= 20 * 200 * 0.9
