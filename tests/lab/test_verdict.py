"""The hub's verdict on routes that the real programs find: the cause, whose network it is, and the rule that helps."""

import concurrent.futures
import json
import os

import pytest
from services import RELAY_NAME

RELAY_UDP = (RELAY_NAME, "3478,49152-65535", "relay-udp")
STRAIGHT = ("*", "*", "punched")
BLOCKS = "because the device's network blocks UDP. Allow UDP 3478 and 49152–65535 outbound to relay.lab.test and it goes"

#  the device's and the person's site: method, transport, cause, side, remedies as (side, (host, ports, gain)), words
OUTSIDE = {
    "udp-blocked+port-restricted": ("relayed", "tcp", "udp-blocked", "device", [("device", RELAY_UDP), ("device", STRAIGHT)],
                                    f"Relayed over TCP 3478 {BLOCKS} through the relay over UDP; allow all UDP outbound and it goes straight, unless "),
    "open+udp-blocked": ("punched", "tcp", "udp-blocked", "console", [("console", STRAIGHT)],
                         "but over TCP because the console's network blocks UDP. Allow all UDP outbound and it goes over UDP."),
    "tcp443-only+port-restricted": ("relayed", "tls", "udp-and-tcp-blocked", "device",
                                    [("device", RELAY_UDP), ("device", STRAIGHT)],
                                    "Relayed over TLS 443 because the device's network lets nothing out but TCP 443. "),
    "udp-blocked+tcp443-only": ("relayed", "tls", "udp-blocked", "both",
                                [("console", RELAY_UDP), ("device", RELAY_UDP), ("console", STRAIGHT), ("device", STRAIGHT)],
                                "the console's network lets nothing out but TCP 443 and the device's blocks UDP. "),
    "symmetric+symmetric": ("relayed", "udp", "nat-symmetric", "both", [("console", STRAIGHT), ("device", STRAIGHT)],
                            "the routers (NAT) of both networks use a new port for every destination"),
    "symmetric+port-restricted": ("relayed", "udp", "nat-symmetric", "device", [("device", STRAIGHT)],
                                  "the router (NAT) of the device's network uses a new port for every destination, and the "
                                  "console's"),
    "symmetric+restricted": ("punched", "udp", "direct", "none", [], "Punched: straight across the internet."),
    "ipv6-only+port-restricted": ("relayed", "udp", "no-common-family", "both", [],
                                  "because the device has only IPv6 and the console only IPv4. With IPv6 in the console's "
                                  "network, or IPv4 in the device's, it can go straight."),
    "ipv6-only+udp-blocked": ("relayed", "tcp", "udp-blocked", "console", [("console", RELAY_UDP)],
                              "It stays relayed all the same, because the device has only IPv6 and the console only IPv4."),
    "cgn+cgn": ("punched", "udp", "direct", "none", [], "Punched: straight across the internet."),
}
#  two hosts of one site; remedies: each to the other's address
INSIDE = {
    "same-lan": ("local", "udp", "same-network", "none", "Local: straight across the site's own network."),
    "vlans": ("local", "udp", "same-network", "none", "Local: straight across the site's own network."),
    "same-lan-no-udp": ("local", "tcp", "direct-tcp", "both", "Allow UDP both ways between the two and it goes over UDP."),
    "guest": ("relayed", "udp", "isolated", "both", "Switch off client isolation for the two, or allow UDP both ways between"),
    "guest-hairpin": ("punched", "udp", "isolated", "both", "Switch off client isolation for the two, or allow UDP both ways"),
    "no-hairpin": ("relayed", "udp", "isolated", "both", "Allow UDP both ways between their two networks and it goes straight"),
}


def judged(lab, site, client, host=0):
    """The hub's verdict as it is kept when the session is over, and the one that the command told."""
    done = site.cli("route", client.id, "--json", host=host)
    assert done.returncode == 0, done.stderr.decode() + client.log
    session = lab.hub.staff("GET", f"/api/sessions?device={client.id}").json["sessions"][0]["id"]
    return lab.hub.staff("GET", f"/api/sessions/{session}").json["session"], json.loads(done.stdout)["verdict"]


def run(lab, name):
    if name in OUTSIDE:
        device, person = (lab.site(kind) for kind in name.split("+"))
        return *judged(lab, person, device.start_client()), None
    site = lab.site(name)
    return *judged(lab, site, site.start_client(), host=1), site


@pytest.fixture(scope="module")
def runs(lab, hub):
    """All rows, some at a time."""
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        yield {name: pool.submit(run, lab, name) for name in (*OUTSIDE, *INSIDE)}


def check(kept, told, method, transport, cause, side, words):
    verdict, reports = kept["verdict"], json.dumps(kept["routes"], indent=1)
    assert (verdict["method"], verdict["transport"], verdict["cause"], verdict["side"]) == (method, transport, cause, side), reports
    assert words in verdict["sentence"], verdict["sentence"]
    assert verdict["final"] and (told["method"], told["cause"], told["side"]) == (method, cause, side)
    return [(r["side"], (r["host"], r["ports"], r["gain"])) for r in verdict["remedy"]]


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside(runs, name):
    kept, told, _ = runs[name].result()
    method, transport, cause, side, remedies, words = OUTSIDE[name]
    assert check(kept, told, method, transport, cause, side, words) == remedies


@pytest.mark.parametrize("name", INSIDE)
def test_inside(runs, name):
    kept, told, site = runs[name].result()
    remedies = check(kept, told, *INSIDE[name])
    device, person = site.addresses
    assert remedies == ([] if INSIDE[name][2] == "same-network" else
                        [("console", (device, "*", "local")), ("device", (person, "*", "local"))])


def test_counts(runs, hub):
    """How much is relayed, and why: of all the rows above."""
    for future in runs.values():
        future.result()
    place, = hub.staff("GET", "/api/routes").json["places"]
    assert place["sessions"] == len(OUTSIDE) + len(INSIDE) and place["none"] == 0
    rows = [*OUTSIDE.values(), *INSIDE.values()]
    for method in ("local", "punched", "relayed"):
        assert place[method] == sum(row[0] == method for row in rows)
    assert sorted((c["cause"], c["side"], c["method"]) for c in place["causes"]) == sorted({(r[2], r[3], r[0]) for r in rows})
