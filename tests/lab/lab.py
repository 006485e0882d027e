"""Networks to try routes in: an internet, a relay on it with two addresses, and sites behind routers of a named kind.

    with Lab() as lab:                              # raises Unsupported with the reason
        lab.start_relay()
        lab.start_hub()                             # and a DNS server
        a, b = lab.site("symmetric"), lab.site("full-cone")
        client = a.start_client()                   # fairlead-client on a's first host
        b.cli("route", client.id, "--json")         # fairlead route on b's first host
        with a.host:                                # what this thread starts now is in there
            ...
        a.wan_bytes()                               # what has crossed the site's broadband line, both ways

Every namespace is without a name and ends with this process: nothing stays behind, and any number of labs run side by
side. Root of a user namespace is enough (tests/support/netns). The addresses are those for benchmarks and documentation
(RFC 2544, RFC 3849), so nothing here means anything outside.

    internet 198.18.0.0/15, 2001:db8::/32 ──┬── 198.18.0.10, 198.18.0.11, 2001:db8::10, ::11: the relay
                                            ├── 198.18.0.20, 2001:db8::20: the hub
                                            ├── 198.18.0.53, 2001:db8::53: the DNS server
                                            └── 198.18.N.2 router N: br0 192.168.1.1/24 ── host 192.168.1.10 …

Every site behind NAT has the same private network, and its first host the same address, as most homes do.
"""

import atexit
import contextlib
import ipaddress
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import nets  # noqa: E402
from nets import Unsupported  # noqa: E402, F401
from proxies import SQUID, Squid, missing  # noqa: E402
from relay import Relay  # noqa: E402
from services import Certificates, DNS, DNS_V6, Programs, RELAY_NAME, RELAY_OTHER_NAME, Services, end  # noqa: E402

RELAY, RELAY_OTHER, RELAY_V6, RELAY_OTHER_V6 = "198.18.0.10", "198.18.0.11", "2001:db8::10", "2001:db8::11"
PORT, OTHER_PORT = 3478, 3479
HOME = "100.64.0.2"  # of a home's router behind a carrier's
USER, PASSWORD = "lab", "the password of the lab"

# How a router translates UDP (RFC 4787) and what it lets in and out; TCP is always translated by the kernel's own way.
#   nat: "cone" keeps one mapping for all destinations, "symmetric" makes one for each
#   lets_in: for a cone, from whom: "anyone", "address" (spoken to), "port" (spoken to at that port)
#   out: what may leave: "all", "tcp", "tcp443" (both with DNS), "nothing" (DNS is refused)
#   lans: a network each; routed: whether they may talk to each other; isolated: the hosts of one may not
#   hairpin: a host's public address works from inside, too
#   v6: IPv6 and nothing else; dual: IPv6 as well; either with a stateful firewall
#   delay_ms, loss_permille, late_permille: of the broadband line, each way; late: behind what was sent after it
#   cable: the first three for each host's own line to the router
#   seed: of loss and lateness
DEFAULTS = {"nat": "cone", "lets_in": "port", "out": "all", "lans": 1, "hosts": 1, "routed": True, "isolated": False,
            "hairpin": False, "lan_udp": True}
KINDS = {
    "open": {"nat": None},
    "full-cone": {"lets_in": "anyone"},
    "restricted": {"lets_in": "address"},
    "port-restricted": {},
    "symmetric": {"nat": "symmetric"},
    "cgn": {"carrier": True},
    "ipv6-only": {"nat": None, "v6": True},
    "dual-symmetric": {"nat": "symmetric", "dual": True},
    "udp-blocked": {"out": "tcp"},
    "tcp443-only": {"out": "tcp443"},
    "proxy-only": {"out": "nothing"},
    "proxy-wss": {"out": "nothing"},
    "same-lan": {"hosts": 2},
    "same-lan-no-udp": {"hosts": 2, "lan_udp": False},
    "vlans": {"lans": 2},
    "guest": {"hosts": 2, "isolated": True},
    "guest-hairpin": {"hosts": 2, "isolated": True, "hairpin": True},
    "no-hairpin": {"lans": 2, "routed": False},
    "hairpin": {"lans": 2, "routed": False, "hairpin": True},
}

MAPS = """
	map out {
		type ipv4_addr . inet_service : ipv4_addr . inet_service
		flags dynamic, timeout
		timeout 10m
	}
	map in {
		type inet_service : ipv4_addr . inet_service
		flags dynamic, timeout
		timeout 10m
	}
	set spoken {
		type inet_service . ipv4_addr
		flags dynamic, timeout
		timeout 10m
	}
"""


def nat_rules(kind, inside, public):
    """The table that translates; public: the router's own address outside. "out" holds each host's mapping, "in" the way
    back; both are filled behind source NAT, where the port that was chosen is known, and are asked before it. A packet that
    turns round at the router makes its sender's mapping, if there is none, as one that leaves does."""
    if kind["nat"] == "symmetric":
        return """table ip nat { chain source {
            type nat hook postrouting priority srcnat
            oifname "wan" masquerade fully-random
        }
        }"""
    let_in = {"anyone": 'iifname "wan" dnat ip to udp dport map @in',
              "address": 'iifname "wan" udp dport . ip saddr @spoken dnat ip to udp dport map @in',
              "port": ""}[kind["lets_in"]]
    turn, back = "", ""
    if kind["hairpin"]:
        turn = f'iifname "br*" ip daddr {public} dnat ip to udp dport map @in'
        back = f"""ip saddr {inside} ct status dnat snat ip to ip saddr . udp sport map @out
            ip saddr {inside} ct status dnat meta l4proto udp snat to {public} fully-random"""
    return f"""table ip nat {{ {MAPS}
        chain destination {{
            type nat hook prerouting priority dstnat
            {let_in}
            {turn}
        }}
        chain source {{
            type nat hook postrouting priority srcnat
            oifname "wan" meta l4proto udp snat ip to ip saddr . udp sport map @out
            oifname "wan" masquerade fully-random
            {back}
        }}
        chain learn {{
            type filter hook postrouting priority 101
            ip saddr {public} meta l4proto udp ct direction original \
                update @out {{ ct original ip saddr . ct original proto-src : ip saddr . udp sport }} \
                update @in {{ udp sport : ct original ip saddr . ct original proto-src }} \
                update @spoken {{ udp sport . ip daddr }}
        }}
        }}"""


def filter_rules(kind):
    """Who may pass. What is unasked for ends at the router's own input: accepted there, the kernel would remember it, and
    the host's own mapping towards that sender could no longer have its port."""
    # a network that blocks UDP has a name server of its own; the lab's stands for it. One with a proxy has one that knows
    # nothing outside, and says so at once
    names = f'ip daddr {DNS} udp dport 53 accept; ip6 daddr {DNS_V6} udp dport 53 accept'
    out = {"all": 'iifname "br*" oifname "wan" accept',
           "tcp": 'iifname "br*" oifname "wan" meta l4proto { tcp, icmp } accept; ' + names,
           "tcp443": 'iifname "br*" oifname "wan" tcp dport 443 accept; ' + names,
           "nothing": "udp dport 53 reject"}[kind["out"]]
    return f"""table inet filter {{
        chain input {{
            type filter hook input priority 0; policy drop
            iifname {{ "lo", "br0", "br1" }} accept
            meta l4proto {{ icmp, icmpv6 }} accept
            ct state established, related accept
        }}
        chain forward {{
            type filter hook forward priority 0; policy drop
            ct state established, related accept
            ct status dnat accept
            {out}
            {'iifname "br*" oifname "br*" accept' if kind["routed"] else ""}
        }}
        }}"""


LAN_WITHOUT_UDP = """table bridge filter { chain forward {
    type filter hook forward priority 0
    ip protocol udp drop
    ip6 nexthdr udp drop
}
}"""


SERVERS = {4: ipaddress.ip_network("198.18.0.0/24"), 6: ipaddress.ip_network("2001:db8::/64")}  # by IP version
NODAD = {4: "", 6: " nodad"}  # words at the end of ip address add


class RefusedRules(Exception):
    pass


class Net(nets.Net):
    """enter: what stands before the words of a program that asks the lab's DNS server."""

    enter = ()

    def batch(self, *lines):
        with self:
            subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True, capture_output=True)

    def rules(self, text):
        with self:
            done = subprocess.run(["nft", "-f", "-"], input=text, text=True, check=False, capture_output=True)
        if done.returncode:
            raise RefusedRules(f"nft: {done.stderr}{text}")

    def forward(self):
        """Makes a router of it."""
        with self:
            # a redirect would tell the hosts that hairpin packets need no router, and a bridge that does NAT itself
            # would send them straight on
            for name, value in (("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1"),
                                ("ipv4/conf/all/send_redirects", "0"), ("ipv4/conf/default/send_redirects", "0"),
                                ("bridge/bridge-nf-call-iptables", "0"), ("bridge/bridge-nf-call-ip6tables", "0")):
                file = pathlib.Path("/proc/sys/net", name)
                if file.exists():
                    file.write_text(value, encoding="ascii")


class Site(Programs):
    """A router of a named kind and the hosts behind it: .hosts, .addresses (theirs), .public (the router's)."""

    def __init__(self, lab, number, name, changes):
        self.lab, self.name, self.number = lab, name, number
        self.kind = {**DEFAULTS, **KINDS[name], **changes}
        self.v6 = bool(self.kind.get("v6"))  # only
        self.dual = bool(self.kind.get("dual"))
        self.hosts, self.addresses = [], []
        self.router = self.edge = lab.net()
        self.router.forward()
        self.public = f"198.18.{number}.2"
        self.proxy = None  # Lab.start_proxy()
        if self.kind.get("carrier"):
            self._carrier()
        else:
            self._line(self.router)
        self._lans()
        if self.kind["nat"] or self.v6:
            self.router.rules(filter_rules(self.kind))
        if self.kind["nat"]:
            self.router.rules(nat_rules(self.kind, "192.168.0.0/16", HOME if self.edge is not self.router else self.public))
        if not self.kind["lan_udp"]:
            self.router.rules(LAN_WITHOUT_UDP)

    @property
    def host(self):
        return self.hosts[0]

    @property
    def inside(self):
        """The router's own address in the first network."""
        return self._networks(0)[0][1]

    def _line(self, router):
        """The broadband line: ours is "wan", the internet's end has the site's number."""
        lab, n = self.lab, self.number
        lab.join(lab.internet, f"site{n}", router, "wan", self.kind)
        lab.internet.batch(f"address add 198.18.{n}.1/24 dev site{n}",
                           f"address add 2001:db8:ffff:{n:x}::1/64 dev site{n} nodad",
                           f"route add 198.19.{n}.0/24 via 198.18.{n}.2",
                           f"route add 2001:db8:{n:x}::/48 via 2001:db8:ffff:{n:x}::2")
        router.batch(f"address add 198.18.{n}.2/24 dev wan", f"address add 2001:db8:ffff:{n:x}::2/64 dev wan nodad",
                     f"route add default via 198.18.{n}.1", f"route add default via 2001:db8:ffff:{n:x}::1")
        # what asks for these would be lost, too, and is only repeated after a second
        here, there = router.mac("wan"), lab.internet.mac(f"site{n}")
        for net, device, mac, end in ((lab.internet, f"site{n}", here, 2), (router, "wan", there, 1)):
            net.batch(*(f"neighbour replace {address} lladdr {mac} dev {device} nud permanent"
                        for address in (f"198.18.{n}.{end}", f"2001:db8:ffff:{n:x}::{end}")))

    def _carrier(self):
        """A second router in front: the home's line has an address of RFC 6598."""
        carrier = self.edge = self.lab.net()
        carrier.forward()
        self._line(carrier)
        self.lab.join(carrier, "br0", self.router, "wan")
        carrier.batch("address add 100.64.0.1/24 dev br0")
        self.router.batch(f"address add {HOME}/24 dev wan", "route add default via 100.64.0.1")
        carrier.rules(filter_rules({**DEFAULTS, "out": "all"}))
        carrier.rules(nat_rules(DEFAULTS, "100.64.0.0/24", self.public))

    def _lans(self):
        for lan in range(self.kind["lans"]):
            self.router.batch(f"link add br{lan} type bridge forward_delay 0", f"link set br{lan} up",
                              *(f"address add {network[1]}/{network.prefixlen} dev br{lan}{NODAD[network.version]}"
                                for network in self._networks(lan)))
            for _ in range(self.kind["hosts"]):
                self._host(lan)

    def _networks(self, lan):
        """One, or two with dual: what stands first is in .addresses."""
        v6 = ipaddress.ip_network(f"2001:db8:{self.number:x}:{lan}::/64")
        if self.v6:
            return [v6]
        v4 = ipaddress.ip_network(f"192.168.{lan + 1}.0/24" if self.kind["nat"] else f"198.19.{self.number}.0/24")
        return [v4, v6] if self.dual else [v4]

    def _host(self, lan):
        host, networks, k = self.lab.net(), self._networks(lan), len(self.hosts)
        port = f"port{k}"
        self.lab.join(self.router, port, host, "eth0", self.kind.get("cable"))
        self.router.batch(f"link set {port} master br{lan}")
        if self.kind["isolated"]:
            self.router.run("bridge", "link", "set", "dev", port, "isolated", "on")
        for network in networks:
            host.batch(f"address add {network[10 + k]}/{network.prefixlen} dev eth0{NODAD[network.version]}",
                       f"route add default via {network[1]}")
        self.hosts.append(host)
        self.addresses.append(str(networks[0][10 + k]))

    def wan_bytes(self):
        link = json.loads(self.edge.ip("-j -s link show dev wan"))[0]["stats64"]
        return link["rx"]["bytes"] + link["tx"]["bytes"]

    def servers(self, *transports):
        """What a client here would be told: STUN, and the relay over these transports (all, when none is named)."""
        at = f"[{RELAY_V6}]" if self.v6 else RELAY
        wss = f"[{RELAY_OTHER_V6}]" if self.v6 else RELAY_OTHER
        urls = {"udp": f"turn:{at}:{PORT}?transport=udp", "tcp": f"turn:{at}:{PORT}?transport=tcp",
                "tls": f"turns:{at}:443?transport=tcp", "wss": f"turns:{wss}:443?transport=wss"}
        return [{"url": f"stun:{at}:{PORT}"}] + [
            {"url": url, "username": USER, "credential": PASSWORD}
            for transport, url in urls.items() if not transports or transport in transports]


class Vpn:
    """A gateway on the internet, and computers that have an interface in its network besides their own."""

    ADDRESS = "198.18.0.99"

    def __init__(self, lab):
        self.lab, self.members = lab, 0
        self.gateway = lab.server(self.ADDRESS)
        self.gateway.forward()
        self.gateway.batch("link add br0 type bridge forward_delay 0", "link set br0 up", "address add 10.8.0.1/24 dev br0")
        self.gateway.rules("""table ip nat { chain source {
            type nat hook postrouting priority srcnat
            oifname "eth0" masquerade fully-random
        }
        }
        table bridge own { chain members {
            type filter hook prerouting priority -300
            ip saddr != 10.8.0.0/24 drop
        }
        }""")  # as WireGuard does: what comes from elsewhere is not a member's

    def add(self, host, everything):
        """everything: the way to the internet is through the VPN, too. The cable to the gateway stands for the tunnel, whose
        packets nobody counts."""
        self.members += 1
        self.lab.join(self.gateway, f"member{self.members}", host, "tun0")
        self.gateway.batch(f"link set member{self.members} master br0")
        host.batch(f"address add 10.8.0.{self.members + 1}/24 dev tun0",
                   *(["route replace default via 10.8.0.1"] if everything else []))


class Lab(Services, nets.Lab):
    """delay: the program of delay.c, for sites with delay_ms, loss_permille or late_permille."""

    relay_names = {RELAY_NAME: (RELAY, RELAY_V6), RELAY_OTHER_NAME: (RELAY_OTHER, RELAY_OTHER_V6)}
    secret = "what hub and relay of the lab share"

    def __init__(self, delay=None):
        super().__init__()
        for program in ("nft", "bridge"):
            if not shutil.which(program):
                raise Unsupported(f"{program} is missing (packages nftables, iproute2)")
        self.ends, self.sites, self.delay = contextlib.ExitStack(), [], delay
        self.site_numbers, self.server_numbers = itertools.count(1), itertools.count(1)  # threads may build side by side
        atexit.register(self.ends.close)  # what runs in the namespaces would keep them
        self.internet = self.net()
        try:
            self.internet.rules("add table ip probe; add chain ip probe nat { type nat hook postrouting priority 0; }; "
                                "delete table ip probe")
        except RefusedRules as refused:
            raise Unsupported(f"the kernel lets us make no NAT: {refused}") from refused
        self.internet.forward()
        self.internet.batch("link add servers type bridge forward_delay 0", "link set servers up",
                            *(f"address add {network[1]}/{network.prefixlen} dev servers{NODAD[version]}"
                              for version, network in SERVERS.items()))
        self.relay_host = self.server(RELAY, RELAY_OTHER, RELAY_V6, RELAY_OTHER_V6)
        # the internet has no way to private addresses
        self.internet.batch(*(f"route add unreachable {net}" for net in
                              ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def net(self):
        try:
            net = Net(self.home)
        except OSError as error:
            raise Unsupported(f"no network namespace: {error}") from error
        net.enter = self.enter
        self.nets.append(net)
        return net

    def server(self, *addresses):
        """A machine on the internet."""
        net, name = self.net(), f"server{next(self.server_numbers)}"
        self.join(self.internet, name, net, "eth0")
        self.internet.batch(f"link set {name} master servers")
        for address in map(ipaddress.ip_address, addresses):
            net.batch(f"address add {address}/{SERVERS[address.version].prefixlen} dev eth0{NODAD[address.version]}",
                      f"route replace default via {SERVERS[address.version][1]}")
        return net

    def join(self, a, name_a, b, name_b, kind=None):
        """A cable; with delay_ms, loss_permille or late_permille in kind a long one, with the forwarder in the middle."""
        ms, lost, late = (kind.get(name, 0) if kind else 0 for name in ("delay_ms", "loss_permille", "late_permille"))
        if ms or lost or late:
            middle = self.net()
            self.link(a, name_a, middle, "left")
            self.link(b, name_b, middle, "right")
            words = [self.delay, "left", "right", int(ms * 1000), lost, late, kind.get("seed", 1)]
            with middle:
                forwarder = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
            self.ends.callback(end, forwarder)
            assert forwarder.stdout.readline() == "ready\n", "the forwarder did not start"
            return
        a.batch(f"link add {name_a} type veth peer name {name_b} netns /proc/{os.getpid()}/fd/{b.fd}",
                f"link set {name_a} up")
        b.batch(f"link set {name_b} up")

    def site(self, name, **changes):
        site = Site(self, next(self.site_numbers), name, changes)
        self.sites.append(site)
        return site

    def start_relay(self, *options):
        """All transports; the four UDP addresses make behaviour discovery (RFC 5780) possible."""
        folder = self.folder()
        self.certificates = Certificates(folder)
        secret = folder / "secret"
        secret.write_text(f"{self.secret}\n", encoding="ascii")
        secret.chmod(0o600)
        words = [f"--listen=udp:{at}:{port}" for at in (RELAY, RELAY_OTHER, f"[{RELAY_V6}]", f"[{RELAY_OTHER_V6}]")
                 for port in (PORT, OTHER_PORT)]
        words += [f"--listen=tcp:{at}:{PORT}" for at in (RELAY, f"[{RELAY_V6}]")]
        words += [f"--listen=tls:{at}:443" for at in (RELAY, f"[{RELAY_V6}]")]
        words += [f"--listen=wss:{at}:443" for at in (RELAY_OTHER, f"[{RELAY_OTHER_V6}]")]
        with self.relay_host:
            relay = Relay(*words, "--cert", self.certificates.cert, "--key", self.certificates.key, "--relay-address", RELAY,
                          "--relay-address", RELAY_V6, "--allow-peer", "198.18.0.0/15", "--allow-peer", "2001:db8::/32",
                          "--secret-file", secret, "--user", f"{USER}:{PASSWORD}", *options, listen=())
        self.ends.callback(relay.kill)
        return relay

    def start_proxy(self, site, *rules, **more):
        """squid on the site's router, for its hosts; it lets through to port 443 and nowhere else, as proxies do, and not
        what the rules (squid's) forbid. site.proxy is its URL then."""
        if missing(SQUID):
            raise Unsupported("squid is missing (package squid-openssl)")
        inside = str(site.inside)
        with site.router:
            proxy = Squid(self.folder(), listen=inside, port=3128, name=inside,
                          rules=[f"dns_nameservers {DNS} {DNS_V6}", "acl https port 443", "http_access deny !https",
                                 *rules], **more)
        self.ends.callback(proxy.stop)
        site.proxy = proxy.url
        return proxy

    def close(self):
        self.ends.close()
        super().close()
