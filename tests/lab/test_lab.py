"""Whether the lab's networks are what their names say: asked with STUN (RFC 5780) and with plain sockets."""

import contextlib
import re
import socket
import subprocess
import time

import pytest
from lab import KINDS, PORT, RELAY, RELAY_OTHER, RELAY_V6
from turn import Message, XOR_MAPPED_ADDRESS, message, unpack_address

BINDING = 1
ANSWER_S = 5  # an answer is waited for so long; silence is only believed after SILENCE_S
SILENCE_S = 0.3

MAPPING_AND_FILTERING = {
    "open": ("Endpoint Independent", "Endpoint Independent"),
    "full-cone": ("Endpoint Independent", "Endpoint Independent"),
    "restricted": ("Endpoint Independent", "Address Dependent"),
    "port-restricted": ("Endpoint Independent", "Address and Port Dependent"),
    "symmetric": ("Address and Port Dependent", "Address and Port Dependent"),
    "cgn": ("Endpoint Independent", "Address and Port Dependent"),
}


@pytest.fixture(scope="module")
def sites(lab):
    return {name: lab.site(name) for name in KINDS}


def udp(net, address, wait=ANSWER_S):
    with net:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 0))
        sock.settimeout(wait)
        return sock


def mapped(sock, server=RELAY):
    """The socket's address as the STUN server sees it. The request is repeated, as nothing may be lost but time."""
    for _ in range(ANSWER_S * 2):
        sock.sendto(message(BINDING), (server, PORT))
        sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            answer = Message(sock.recv(2048))
            return unpack_address(dict(answer.attributes)[XOR_MAPPED_ADDRESS], answer.tid)
    raise TimeoutError


def hears(sock, wait):
    sock.settimeout(wait)
    try:
        return sock.recv(2048)
    except TimeoutError:
        return None


def connects(net, address, port, wait):
    with net, contextlib.suppress(OSError):
        socket.create_connection((address, port), timeout=wait).close()
        return True
    return False


def test_mapping_and_filtering(sites):
    """What turnutils_natdiscovery, which is not ours, finds."""
    running = {}
    for name in MAPPING_AND_FILTERING:
        with sites[name].host:
            running[name] = subprocess.Popen(["turnutils_natdiscovery", "-m", "-f", "-p", str(PORT), RELAY],
                                             stdout=subprocess.PIPE, text=True)
    said = {name: process.communicate()[0] for name, process in running.items()}
    found = {name: tuple(re.search(rf"NAT with (.*) {what}!", text).group(1) for what in ("Mapping", "Filtering"))
             for name, text in said.items()}
    assert found == MAPPING_AND_FILTERING


def test_translation(sites):
    """Only a public host keeps its address, and a cone's port is one for both servers."""
    for name in MAPPING_AND_FILTERING:
        site = sites[name]
        with udp(site.host, site.addresses[0]) as sock:
            seen = mapped(sock)
            assert seen[0] == (site.addresses[0] if name == "open" else site.public), name
            assert (mapped(sock, RELAY_OTHER) == seen) == (name != "symmetric"), name
    carrier_side = sites["cgn"].router.ip("-4 -o address show dev wan")
    assert "100.64." in carrier_side


def test_ipv6_firewall(lab, sites):
    """Answers come in, nothing else does, and IPv4 is not there."""
    site = sites["ipv6-only"]
    with udp(site.host, site.addresses[0]) as inside, udp(lab.relay_host, RELAY_V6) as outside:
        assert mapped(inside, RELAY_V6) == inside.getsockname()[:2]
        outside.sendto(b"unasked", inside.getsockname()[:2])
        assert hears(inside, SILENCE_S) is None
        inside.sendto(b"hello", outside.getsockname()[:2])
        assert hears(outside, ANSWER_S) == b"hello"
        outside.sendto(b"answer", inside.getsockname()[:2])
        assert hears(inside, ANSWER_S) == b"answer"
    assert not connects(site.host, RELAY, PORT, ANSWER_S)


@pytest.mark.parametrize("name, passes", [
    ("port-restricted", {"udp", PORT, 443}), ("udp-blocked", {PORT, 443}), ("tcp443-only", {443}), ("proxy-only", set())])
def test_way_out(sites, name, passes):
    site, found = sites[name], set()
    with udp(site.host, site.addresses[0]) as sock:
        sock.sendto(message(BINDING), (RELAY, PORT))
        if hears(sock, ANSWER_S if "udp" in passes else SILENCE_S):
            found.add("udp")
    for port in (PORT, 443):
        if connects(site.host, RELAY, port, ANSWER_S if port in passes else SILENCE_S):
            found.add(port)
    assert found == passes


@pytest.mark.parametrize("name, direct, direct_tcp, around", [
    ("same-lan", True, True, False), ("same-lan-no-udp", False, True, False), ("vlans", True, True, False),
    ("guest", False, False, False), ("guest-hairpin", False, False, True), ("no-hairpin", False, False, False),
    ("hairpin", False, False, True)])
def test_inside(sites, name, direct, direct_tcp, around):
    """Between two hosts of a site: straight, and by the addresses that the internet knows them under."""
    site = sites[name]
    with udp(site.hosts[0], site.addresses[0]) as a, udp(site.hosts[1], site.addresses[1]) as b, site.hosts[1], \
            socket.create_server((site.addresses[1], 0)) as listening:
        seen_a, seen_b = mapped(a), mapped(b)
        a.sendto(b"straight", b.getsockname())
        assert (hears(b, ANSWER_S if direct else SILENCE_S) == b"straight") == direct
        port = listening.getsockname()[1]
        assert connects(site.hosts[0], site.addresses[1], port, ANSWER_S if direct_tcp else SILENCE_S) == direct_tcp
        for sender, to in ((a, seen_b), (b, seen_a)):
            sender.sendto(b"around", to)
        heard = [hears(sock, ANSWER_S if around else SILENCE_S) for sock in (a, b)]
        assert heard == ([b"around"] * 2 if around else [None] * 2)


def test_counter(sites):
    site = sites["symmetric"]
    before = site.wan_bytes()
    with udp(site.host, site.addresses[0]) as sock:
        for _ in range(10):
            sock.sendto(bytes(1000), (RELAY, 9))
        mapped(sock)
    assert 10_000 < site.wan_bytes() - before < 20_000


def test_delay_and_loss(lab):
    if not lab.delay:
        pytest.skip("FAIRLEAD_DELAY does not name the forwarder")
    slow, lossy = lab.site("open", delay_ms=20), lab.site("open", delay_ms=1, loss_permille=200)
    with udp(slow.host, slow.addresses[0]) as sock:
        mapped(sock)
        began = time.monotonic()
        mapped(sock)
        assert time.monotonic() - began >= 0.04
    with udp(lossy.host, lossy.addresses[0]) as there, udp(lab.relay_host, RELAY) as here:
        mapped(there)
        heard = 0
        for number in range(500):
            there.sendto(bytes(100), here.getsockname())
            if number % 10 == 9:  # few at a time: no socket's queue is to lose any
                while hears(here, 0.02):
                    heard += 1
        while hears(here, SILENCE_S):
            heard += 1
        assert 350 < heard < 450
    with slow.host:  # TCP, whose segments must not be larger than a frame
        with socket.create_connection((RELAY, PORT), timeout=ANSWER_S) as sock:
            sock.sendall(message(BINDING))
            assert Message(sock.recv(2048)).method == BINDING
