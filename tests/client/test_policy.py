"""Policies along the tree of places, kept to by the real client and command: docs/protocol.md §1.2."""

import json
import os
import pathlib
import socket
import struct
import subprocess
import threading
import time

import pytest

from programs import cli, cli_env, cli_words, wait_for
from relay import OPEN, SECRET, Relay



@pytest.fixture(name="site")
def fixture_site(tmp_path, start_hub, start_client):
    """A hub with a relay, and a client in a place of its own."""
    secret = tmp_path / "turn.secret"
    secret.write_text(SECRET + "\n", encoding="ascii")
    with Relay(*OPEN, "--realm", "r", "--secret", SECRET, listen=("udp", "tcp")) as relay:
        urls = [f"turn:127.0.0.1:{relay.ports[transport]}?transport={transport}" for transport in ("udp", "tcp")]
        hub = start_hub("--turn-secret-file", secret, *(word for url in urls for word in ("--turn", url)))
        client = start_client(hub, token=hub.token())
        client.said("hub-connected")
        wait_for(client.online)
        yield Site(hub, client)


class Site:
    def __init__(self, hub, client):
        self.hub, self.client = hub, client
        self.place = self.tell("add", "site", "North").stdout.decode().strip()
        assert self.tell("assign", client.id, "north").returncode == 0

    def tell(self, *words):
        return cli(self.hub, "place", *words)

    def policy(self, **keys):
        done = self.tell("change", "North", "--policy", json.dumps(keys))
        assert done.returncode == 0, done.stderr

    def route(self):
        done = cli(self.hub, "route", self.client.id, "--json", timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr.decode()

    def report(self):
        """What the device said of the latest session."""
        newest = self.hub.staff("GET", f"/api/sessions?device={self.client.id}&limit=1").json["sessions"][0]["id"]
        return self.hub.staff("GET", f"/api/sessions/{newest}").json["session"]["routes"]["device"]


def test_kinds_of_routes_and_ways_to_the_relay(site):
    assert site.route()["method"] == "local"
    site.policy(methods=["relayed"])
    told = site.route()
    assert (told["method"], told["transport"]) == ("relayed", "udp")
    site.policy(methods=["relayed"], turnTransports=["tcp"])
    told = site.route()
    assert told["method"] == "relayed"
    for report in (told, wait_for(site.report)):
        assert {server["transport"] for server in report["servers"] if server["url"].startswith("turn")} == {"tcp"}
    # both ends stand in one machine: local is what there is, and the policy's end takes the relay away
    site.policy(relay="forbidden")
    assert site.route()["method"] == "local"
    done = cli(site.hub, "connect", site.client.id, "--route", "relayed", "true", timeout=60)
    assert done.returncode == 255


def test_last_resort(site):
    """No relay is asked while something direct works; five seconds later, when nothing does."""
    site.policy(relay="last-resort")
    told = site.route()
    assert told["method"] == "local"
    for report in (told, wait_for(site.report)):
        relays = [server for server in report["servers"] if server["url"].startswith("turn")]
        assert len(relays) == 2 and all(server["state"] == "unused" for server in relays)
    site.policy(relay="last-resort", methods=["relayed"])
    told = site.route()
    assert told["method"] == "relayed" and told["setup_ms"] > 4900


def test_nothing_allowed_is_found(site):
    """Never slips to what is not allowed; the end names the policy."""
    site.policy(methods=["punched"], relay="forbidden")
    done = cli(site.hub, "connect", site.client.id, "true", timeout=60)
    assert done.returncode == 255
    assert "he policy allows only punched routes" in done.stderr.decode()
    session = site.hub.staff("GET", "/api/sessions?limit=1").json["sessions"][0]
    assert not session["route"] or session["route"]["method"] == "none"


def test_excluded_interface(site):
    site.policy(interfaces={"exclude": ["lo"]}, subnets={"exclude": ["::1/128"]})
    site.route()
    report = wait_for(site.report)
    own = [c for c in report["candidates"] if c["side"] == "local" and c["origin"] == "lo"]
    assert own and all(c["use"] == "ignored" and "policy" in c["why"] for c in own)
    assert not [p for p in report["tried"] if p["local"]["type"] != "relay" and p["local"]["address"].startswith("127.")]


def udp_ports(pid):
    """Local ports of a process's UDP sockets."""
    inodes = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(fd))
        except OSError:
            pass
    ports = set()
    for table in ("udp", "udp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if f"socket:[{words[9]}]" in inodes:
                ports.add(int(words[1].rsplit(":", 1)[1], 16))
    return ports


def free_range(n):
    """The first of n ports that nobody has now."""
    while True:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
            first = probe.getsockname()[1]
        taken = []
        try:
            for port in range(first, first + n):
                taken.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                taken[-1].bind(("::", port))
            return first
        except (OSError, OverflowError):
            continue
        finally:
            for one in taken:
                one.close()


def test_ports(site):
    first = free_range(20)
    site.policy(udpPorts=f"{first}-{first + 19}")
    words = cli_words(site.hub, "connect", site.client.id, "cat")
    one = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=cli_env(site.hub))
    one.stdin.write(b"here\n")
    one.stdin.flush()
    assert one.stdout.readline() == b"here\n"
    ports = udp_ports(site.client.process.pid) - {5353}
    assert ports and all(first <= port < first + 20 for port in ports), ports
    one.stdin.close()
    assert one.wait(30) == 0
    # and a range that somebody else has
    site.policy(udpPorts=f"{first}-{first}")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as wide:
        wide.bind(("::", first))
        done = cli(site.hub, "connect", site.client.id, "true", timeout=60)
    assert done.returncode == 255
    assert f"No UDP port of {first}-{first} is free" in done.stderr.decode()


def marks(port, seconds, out):
    """DSCP of the UDP packets from a port, off the loopback."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as raw:
        raw.bind(("lo", 0x0800))
        raw.settimeout(0.2)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not out.get("stop"):
            try:
                packet = raw.recv(256)
            except TimeoutError:
                continue
            head = 4 * (packet[0] & 15)
            if packet[9] == 17 and struct.unpack_from("!H", packet, head)[0] == port:
                out.setdefault("seen", []).append(packet[1] >> 2)


def test_dscp(site):
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except PermissionError:
        pytest.skip("reading packets off an interface needs CAP_NET_RAW")
    first = free_range(1)
    site.policy(udpPorts=f"{first}-{first}", dscp=34)
    out = {}
    reader = threading.Thread(target=marks, args=(first, 60, out))
    reader.start()
    try:
        done = cli(site.hub, "connect", site.client.id, "cat", stdin=b"x" * 50000)
    finally:
        out["stop"] = True
        reader.join()
    assert done.returncode == 0, done.stderr
    assert len(out["seen"]) > 10 and set(out["seen"]) == {34}


def test_budget(site, tmp_path):
    """Slower machines are slower; none is faster than the budget, in either direction."""
    kbit, size = 6000, 1_500_000
    site.policy(deviceKbit=kbit)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    target = tmp_path / "target"
    for words in (("put", str(source), f"{site.client.id}:{target}"), ("get", f"{site.client.id}:{target}", str(tmp_path / "back"))):
        began = time.monotonic()
        done = cli(site.hub, *words, timeout=60)
        took = time.monotonic() - began
        assert done.returncode == 0, done.stderr
        assert size * 8 / 1000 / took < kbit
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_place_command(site):
    assert site.tell("add", "group", "Lab 1", "--parent", "North", "--policy", '{"dscp":10}').returncode == 0
    shown = json.loads(site.tell("show", "lab 1", "--json").stdout)
    assert shown["parent"] == site.place and shown["effective"]["dscp"] == 10
    listed = site.tell("list").stdout.decode().splitlines()
    assert listed[1].startswith("the hub") and listed[3].startswith("    Lab 1") and listed[3].endswith('{"dscp":10}')
    for words, status, text in [
        (("change", "Lab 1", "--policy", '{"dscp":64}'), 2, "policy.dscp is not between 0 and 63"),
        (("add", "group", "x", "--policy", '{"relay":"no"}'), 2, "policy.relay is not one of allowed, last-resort, forbidden"),
        (("add", "group", "x", "--policy", "@/no/such/file"), 2, "/no/such/file cannot be read"),
        (("add", "group", "x", "--policy", "{"), 2, "policy is not JSON"),
        (("change", "Nowhere"), 1, "0 places are called Nowhere"),
        (("add", "site", "inner", "--parent", "Lab 1"), 1, "where no site can stand"),
        (("remove", "North"), 1, "move"),
        (("explode",), 2, "fairlead place --help"),
    ]:
        done = site.tell(*words)
        assert done.returncode == status and text in done.stderr.decode(), (words, done)
    assert site.tell("remove", "North", "--move").returncode == 0
    assert json.loads(site.tell("show", "Lab 1", "--json").stdout)["parent"] == "hub"
    assert b"fairlead place" in site.tell("--help").stdout
