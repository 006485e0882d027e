"""Hub, clients and the command in the lab: names are found, and the routes of the real programs are those of theory. The
whole table of pairs is test_matrix.py's; here are those where something else than the library has a say, and one of each
outcome.
"""

import concurrent.futures
import ipaddress
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from lab import Vpn
from programs import PATIENCE, wait_for
from services import end

HERE = pathlib.Path(__file__).parent
DATA = 2_000_000
LOCAL_MAX = 100_000  # of them at the broadband line: allocations that end, route reports of both ends to the hub
SETTLE_S = 20
WAITED_MS = 5_000  # who waits for a dead interface waits for 20 s and more

#  kinds of the device's and of the person's site, method, transport
OUTSIDE = {
    "open+port-restricted": ("punched", "udp"),
    "full-cone+symmetric": ("punched", "udp"),
    "cgn+cgn": ("punched", "udp"),
    "port-restricted+symmetric": ("relayed", "udp"),
    "ipv6-only+ipv6-only": ("punched", "udp"),
    "ipv6-only+port-restricted": ("relayed", "udp"),
    "dual-symmetric+dual-symmetric": ("punched", "udp"),
    "dual-symmetric+ipv6-only": ("punched", "udp"),
    "dual-symmetric+symmetric": ("relayed", "udp"),
    "open+udp-blocked": ("punched", "tcp"),
    "port-restricted+udp-blocked": ("relayed", "tcp"),
    "port-restricted+tcp443-only": ("relayed", "tls"),
    "udp-blocked+udp-blocked": ("relayed", "tcp"),
    "tcp443-only+cgn": ("relayed", "udp"),
    "proxy-only+symmetric": ("relayed", "udp"),
    "symmetric+proxy-only": ("relayed", "tls"),
    "proxy-only+proxy-only": ("relayed", "tls"),
}
#  two hosts of one site, and what is other about it
INSIDE = {
    "same-lan": ("local", "udp", {}),
    "same-lan IPv6": ("local", "udp", {"nat": None, "v6": True}),
    "same-lan-no-udp": ("local", "tcp", {}),
    "vlans": ("local", "udp", {}),
    # global addresses of two networks are not known to be of one site; the data stays inside all the same
    "vlans IPv6": ("punched", "udp", {"nat": None, "v6": True}),
    "guest-hairpin": ("punched", "udp", {}),
    "guest": ("relayed", "udp", {}),
}


def route(site, client, host=0):
    done = site.cli("route", client.id, "--json", host=host)
    assert done.returncode == 0, done.stderr.decode() + client.log
    return json.loads(done.stdout)


def addresses(found):
    return [ipaddress.ip_address(found["pair"][end]["address"]) for end in ("local", "remote")]


def outside(lab, name):
    device, person = (lab.site(kind) for kind in name.split("+"))
    for site in (device, person):
        if site.name == "proxy-only":
            lab.start_proxy(site)
    client = device.start_client()
    return {"route": route(person, client)}


def running_route(hub, client):
    """What the hub knows of the client's running session, by the way of the command's own report."""
    running = [one for one in hub.staff("GET", f"/api/sessions?device={client.id}").json["sessions"] if not one["ended"]]
    return running[0]["route"] if running else None


def inside(lab, name):
    """The route, and the bytes at the broadband line while DATA came over it."""
    site = lab.site(name.split()[0], **INSIDE[name][2])
    client = site.start_client()
    process = site.start_cli("connect", client.id, "sh", "-c", f"read go; head -c {DATA} /dev/zero", host=1,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        try:
            wait_for(lambda: (running_route(lab.hub, client) or {}).get("method") == INSIDE[name][0], SETTLE_S)
        except AssertionError:
            pass  # the route that there is instead tells more
        found, before = running_route(lab.hub, client), site.wan_bytes()
        assert len(process.communicate(b"go\n", PATIENCE)[0]) == DATA
        return {"route": found, "crossed": site.wan_bytes() - before}
    finally:
        end(process)


@pytest.fixture(scope="module")
def runs(lab, hub, request):
    """All rows that are wanted, some at a time."""
    wanted = [item.callspec.params["name"] for item in request.session.items
              if item.module is request.module and "runs" in item.fixturenames]
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        yield {name: pool.submit(outside if name in OUTSIDE else inside, lab, name) for name in wanted}


def says(name, found, capsys):
    with capsys.disabled():
        print(f"\n{name:30} {found['method']} over {found['transport']}, {found['setup_ms']:.0f} ms", end=" ")


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside(runs, name, capsys):
    found = runs[name].result()["route"]
    says(name, found, capsys)
    assert (found["method"], found["transport"]) == OUTSIDE[name], json.dumps(found, indent=1)
    if found["method"] == "punched":  # IPv6 needs no luck with ports
        assert {a.version for a in addresses(found)} == {6 if "ipv6" in name or "dual" in name else 4}


@pytest.mark.parametrize("name", INSIDE)
def test_inside(runs, name, capsys):
    seen = runs[name].result()
    found, (method, transport, changes) = seen["route"], INSIDE[name]
    says(name, found, capsys)
    assert (found["method"], found["transport"]) == (method, transport), json.dumps(found, indent=1)
    assert {a.version for a in addresses(found)} == {6 if changes.get("v6") else 4}
    assert seen["crossed"] > DATA if method == "relayed" else seen["crossed"] < LOCAL_MAX, seen["crossed"]


def test_names(hub, lab):
    """Every host asks the lab's DNS server, with and without IPv4, and knows nothing else."""
    for site, address in ((lab.site("symmetric"), "198.18.0.20"), (lab.site("ipv6-only"), "2001:db8::20")):
        process = site.popen("getent", "ahosts", "hub.lab.test", stdout=subprocess.PIPE, text=True)
        assert address in process.communicate()[0].split()
        assert site.popen("getent", "hosts", "example.org").wait() == 2


def test_command(hub, lab):
    device, person = lab.site("full-cone"), lab.site("symmetric")
    done = person.cli("connect", device.start_client().id, "sh", "-c", "echo here")
    assert (done.returncode, done.stdout) == (0, b"here\n"), done.stderr


def test_vpn(hub, lab):
    """Two computers side by side that are in a VPN with all their traffic: their own network is shorter. And two in
    different places with a VPN that leads them nowhere useful: nobody waits for it."""
    vpn, home = Vpn(lab), lab.site("same-lan")
    for host in home.hosts:
        vpn.add(host, everything=True)
    found = route(home, home.start_client(), host=1)
    assert found["method"] == "local"
    assert [str(a) for a in addresses(found)] == home.addresses[::-1], json.dumps(found, indent=1)

    device, person = lab.site("port-restricted"), lab.site("restricted")
    for site in (device, person):
        vpn.add(site.host, everything=False)
    vpn.gateway.rules("table bridge filter { chain forward { type filter hook forward priority 0; policy drop; }\n}")
    found = route(person, device.start_client())
    assert found["method"] == "punched" and found["setup_ms"] < WAITED_MS, json.dumps(found, indent=1)
    assert str(addresses(found)[0]) != "10.8.0.5"


def test_shell():
    """The lab for one command, as docs/lab.md has it."""
    done = subprocess.run([sys.executable, HERE / "shell.py", "proxy-only", 'same-lan,nat="symmetric"', "--", "sh", "-c",
                           "fairlead route $DEVICE2; fairlead route $DEVICE1; exit 3"], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    if "no lab here" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 3, done.stderr
    assert re.findall("^[a-z]+(?=  )", done.stdout, re.M)[0] == "local" and "\nrelayed  " in done.stdout, done.stdout
