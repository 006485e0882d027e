"""fairlead check in a network of its own, with names, a firewall and a second address for STUN: what DNS and packet filters
do. All hosts are addresses of one loopback device; the firewall stands in its input."""

import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading

import pytest
from conftest import ABSENT, STORES, failed
from faults import Authority, Web
from hub import BUILD, Hub
from nets import Lab, Unsupported
from relay import SECRET, Relay, make_certificate

HUB, RELAY, OTHER, STORE, SITE = "192.0.2.10", "192.0.2.20", "192.0.2.21", "192.0.2.30", "192.0.2.100"
NAMES = {"hub.example.org": HUB, "relay.example.org": RELAY, "store.example.org": STORE}
ENTER = 'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/hosts && shift && exec "$@"'


class Dns:
    """Answers A queries from names; silent; anything: the answer for what it does not know."""

    def __init__(self):
        self.names, self.silent, self.anything = dict(NAMES), False, None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data, to = self.socket.recvfrom(4096)
            except OSError:
                return
            if self.silent:
                continue
            labels, at = [], 12
            while data[at]:
                labels.append(data[at + 1:at + 1 + data[at]].decode())
                at += 1 + data[at]
            kind = struct.unpack_from("!H", data, at + 1)[0]
            address = self.names.get(".".join(labels).lower(), self.anything)
            answer = b""
            if address and kind == 1:
                answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(address)
            flags = 0x8180 if address else 0x8183
            self.socket.sendto(data[:2] + struct.pack("!HHHHH", flags, 1, 1 if answer else 0, 0, 0) + data[12:at + 5] +
                               answer, to)

    def close(self):
        self.socket.close()


class Network:
    def __init__(self, folder):
        if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
            raise Unsupported("no mount namespace (unshare --mount failed)")
        self.folder, self.lab = folder, Lab()
        self.net = self.lab.net()
        for address in (HUB, RELAY, OTHER, STORE, SITE):
            self.net.ip(f"address add {address}/32 dev lo")
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
        (folder / "hosts").write_text("127.0.0.1 localhost\n")
        (folder / "secret").write_text(SECRET + "\n")
        self.authority = Authority(folder, "Site authority")
        cert, key = make_certificate(folder)
        with self.net:
            self.dns = Dns()
            self.store = Web(self.authority.sign("store.example.org"), ABSENT, address=(STORE, 443))
            self.relay = Relay("--realm", "check", "--secret", SECRET, "--relay-address", RELAY, "--cert", cert, "--key", key,
                               *(word for at in (f"udp:{RELAY}:3478", f"udp:{RELAY}:3479", f"udp:{OTHER}:3478",
                                                 f"udp:{OTHER}:3479", f"tcp:{RELAY}:3478", f"tls:{RELAY}:5349",
                                                 f"wss:{RELAY}:443") for word in ("--listen", at)), listen=())
            self.hub = Hub(folder / "hub", "--name", "hub.example.org", "--listen", HUB, "--stun", "relay.example.org:3478",
                           "--turn", "turn:relay.example.org:3478", "--turn", "turn:relay.example.org:3478?transport=tcp",
                           "--turn", "turns:relay.example.org:5349?transport=tcp",
                           "--turn", "turns:relay.example.org:443?transport=wss", "--turn-secret-file", folder / "secret",
                           *(f"--store=eu/{store}=https://store.example.org/" for store in STORES), port=443)
        self.ca = folder / "ca.pem"
        self.ca.write_text((folder / "hub" / "ca.pem").read_text() + self.authority.pem)

    def run(self, *words):
        with self.net:
            return subprocess.run(["unshare", "--mount", "sh", "-c", ENTER, self.folder / "resolv.conf", self.folder / "hosts",
                                   *words], capture_output=True, text=True, timeout=40, check=False,
                                  env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})

    def check(self, *more):
        done = self.run(BUILD / "fairlead", "check", "--json", "--hub", "https://hub.example.org", "--ca", self.ca, *more)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    def firewall(self, *rules, hook="input"):
        """In front of all services; none: open."""
        self.net.run("nft", "flush", "ruleset")
        if rules:
            text = "\n".join(["table inet wall {", "chain c {", f"type filter hook {hook} priority 0;", *rules, "}", "}", ""])
            path = pathlib.Path(self.folder, "wall.nft")
            path.write_text(text)
            self.net.run("nft", "-f", str(path))

    def close(self):
        self.hub.stop(signal.SIGTERM)
        self.relay.kill()
        self.store.close()
        self.dns.close()
        self.lab.close()


@pytest.fixture(scope="module", name="network")
def fixture_network(tmp_path_factory):
    try:
        network = Network(tmp_path_factory.mktemp("network"))
    except Unsupported as why:
        pytest.skip(str(why))
    yield network
    network.close()


@pytest.fixture(autouse=True)
def healthy(request):
    yield
    if "network" in request.fixturenames:
        network = request.getfixturevalue("network")
        network.dns.names, network.dns.silent, network.dns.anything = dict(NAMES), False, None
        network.firewall()


def set_dns(**changes):
    def plant(network):
        for key, value in changes.items():
            setattr(network.dns, key, value)
    return plant


def renamed(**names):
    def plant(network):
        for name, address in names.items():
            network.dns.names[name + ".example.org"] = address
    return plant


def wall(*rules, hook="input"):
    return lambda network: network.firewall(*rules, hook=hook)


RELAY_UDP = {("stun/stun", "udp-silent"), ("turn-udp/turn", "udp-silent")}
FAULTS = {
    "dns-silent": (set_dns(silent=True), {("dns", "dns-silent")}),
    "no-such-hub": (renamed(hub=None), {("dns", "dns-no-name")}),
    "no-such-store": (renamed(store=None), {("dns", "dns-no-name")}),
    "wildcard": (set_dns(anything="192.0.2.99"), {("dns-wildcard", "dns-wildcard")}),
    "wildcard-hides-a-store": (lambda n: (renamed(store="192.0.2.99")(n), set_dns(anything="192.0.2.99")(n),
                                          n.firewall("ip daddr 192.0.2.99 drop")),
                               {("dns-wildcard", "dns-wildcard"), ("dns", "dns-wildcard")}),
    "sinkhole": (renamed(store="0.0.0.0"), {("dns", "dns-private")}),
    "private": (lambda n: (renamed(store="10.99.0.1")(n), n.firewall("ip daddr 10.99.0.1 drop")), {("dns", "dns-private")}),
    "hub-dropped": (wall(f"ip daddr {HUB} tcp dport 443 drop"), {("hub/tcp", "tcp-timeout")}),
    "hub-rejected": (wall(f"ip daddr {HUB} tcp dport 443 reject with tcp reset"), {("hub/tcp", "tcp-refused")}),
    "hub-unreachable": (wall(f"ip daddr {HUB} tcp dport 443 reject with icmp type admin-prohibited"),
                        {("hub/tcp", "tcp-unreachable")}),
    "store-dropped": (wall(f"ip daddr {STORE} tcp dport 443 drop"), {("store/tcp", "tcp-timeout")}),
    "udp-dropped": (wall(f"ip daddr {{ {RELAY}, {OTHER} }} udp dport 1-65535 drop"), RELAY_UDP),
    "udp-forbidden-here": (wall(f"ip daddr {RELAY} udp dport 3478 drop", hook="output"),
                           {("stun/stun", "local-firewall"), ("turn-udp/turn", "local-firewall")}),
    "udp-rejected": (wall(f"ip daddr {RELAY} udp dport 3478 reject"),
                     {("stun/stun", "udp-refused"), ("turn-udp/turn", "udp-refused")}),
    "only-the-stun-server": (wall(f"ip daddr {OTHER} udp dport 1-65535 drop"), {("peers", "udp-to-others")}),
    "turn-tcp-dropped": (wall(f"ip daddr {RELAY} tcp dport 3478 drop"), {("turn-tcp/tcp", "tcp-timeout")}),
    "turn-tls-dropped": (wall(f"ip daddr {RELAY} tcp dport 5349 drop"), {("turn-tls/tcp", "tcp-timeout")}),
    "turn-wss-dropped": (wall(f"ip daddr {RELAY} tcp dport 443 drop"), {("turn-wss/tcp", "tcp-timeout")}),
    "only-the-hub": (wall(f"ip daddr {HUB} accept", f"ip daddr {STORE} accept", "ip saddr 127.0.0.0/8 accept",
                          "ct state established,related accept", "ip daddr 192.0.2.0/24 drop"),
                     RELAY_UDP | {("turn-tcp/tcp", "tcp-timeout"), ("turn-tls/tcp", "tcp-timeout"),
                                  ("turn-wss/tcp", "tcp-timeout")}),
    "all-blocked": (wall("iif lo ip daddr 127.0.0.1 accept", "drop"), {("hub/tcp", "tcp-timeout")}),
    "all-blocked-dns-too": (wall("drop"), {("dns", "dns-silent")}),
}


def test_nothing_is_wrong(network):
    status, told = network.check()
    assert (status, failed(told)) == (0, set())
    ids = {item["id"] for item in told["items"]}
    assert {"dns-wildcard", "dns:hub.example.org", "peers", "nat"} <= ids
    assert told["nat"]["mapping"] == "none" and told["methods"]["punched"]["works"] is True


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_no_other(network, fault):
    plant, expected = FAULTS[fault]
    plant(network)
    status, told = network.check()
    assert failed(told) == expected, json.dumps(told["change"], indent=1)
    assert told["tookMs"] < 10000
    assert status == (0 if told["ok"] else 1)


def test_a_proxy_that_a_pac_file_names(network, tmp_path):
    pac = tmp_path / "proxy.pac"
    pac.write_text("const FindProxyForURL = (url, host) => `PROXY 127.0.0.1:${3000 + 128}`;\n")
    status, told = network.check("--pac", pac)
    assert failed(told) == {("proxy", "proxy-refused")} and status == 0
    assert told["proxy"] == {"url": "http://127.0.0.1:3128", "found": "pac", "works": False}


ALLOWED = {
    "hub": {("hub/tcp", "tcp-timeout")},
    "store": {("store/tcp", "tcp-timeout")},
    "turn-tcp": {("turn-tcp/tcp", "tcp-timeout")},
    "turn-tls": {("turn-tls/tcp", "tcp-timeout")},
    "turn-wss": {("turn-wss/tcp", "tcp-timeout")},
    "peers": {("peers", "udp-to-others")},
    # the rule of the STUN server is the relay's as well; "peers" would let both pass
    "peers stun": RELAY_UDP,
}


@pytest.mark.parametrize("missing", [None, *ALLOWED])
def test_each_line_of_the_allowlist_is_needed_and_all_suffice(network, missing):
    done = network.run(BUILD / "fairlead", "allowlist", "--hub", "https://hub.example.org", "--ca", network.ca, "--format",
                       "nftables")
    rules = [line.strip() for line in done.stdout.splitlines() if " accept comment " in line]
    kinds = {rule.split('comment "')[1].split(":")[0].rstrip('"'): rule for rule in rules}
    assert {"hub", "store", "stun", "turn-tcp", "turn-tls", "turn-wss", "peers"} <= set(kinds), done.stdout
    gone = (missing or "").split()
    network.firewall("ip daddr 127.0.0.1 accept", "ct state established,related accept",
                     *(rule for kind, rule in kinds.items() if kind not in gone), "ip daddr 192.0.2.0/24 drop")
    status, told = network.check()
    assert failed(told) == (ALLOWED[missing] if missing else set()), json.dumps(told["change"], indent=1)
    assert status == (1 if missing in ("hub", "store") else 0)
