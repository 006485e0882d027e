"""Which addresses of a machine take part, and in which order: the report of a host with many of them."""

import json

import pytest


@pytest.fixture(scope="module")
def machine(hub, lab):
    """A host with a ULA, a temporary, a deprecated and two link-local addresses, a container bridge and its LAN."""
    site = lab.site("same-lan")
    with site.host:
        with open("/proc/sys/net/ipv6/conf/eth0/use_tempaddr", "w", encoding="ascii") as file:
            file.write("2")
    site.host.batch(
        "address add fd12:3456:789a:1::10/64 dev eth0 nodad",
        "address add 2001:db8:77::10/64 dev eth0 mngtmpaddr nodad",
        "address add 2001:db8:78::10/64 dev eth0 preferred_lft 0 valid_lft 1000 nodad",
        "address add 169.254.7.7/16 dev eth0",
        "link add docker0 type bridge forward_delay 0", "link set docker0 up",
        "link add c0 type veth peer name c1", "link set c0 master docker0", "link set c0 up", "link set c1 up",
        "address add 172.17.0.1/16 dev docker0")
    return site, site.start_client()


def test_addresses(hub, machine):
    site, client = machine
    done = site.cli("route", client.id, "--json", host=1)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["method"] == "local" and seen["transport"] == "udp"
    assert seen["pair"]["remote"]["address"] == site.addresses[0]

    session = next(s for s in hub.staff("GET", "/api/sessions").json["sessions"] if s["device"] == client.id)
    report = hub.staff("GET", f"/api/sessions/{session['id']}").json["session"]["routes"]["device"]
    ours = [c for c in report["candidates"] if c["side"] == "local" and c["type"] == "host" and c["protocol"] == "udp"]
    by_address = {c["address"]: c for c in ours}
    net = {address: c["net"] for address, c in by_address.items()}
    assert net[site.addresses[0]] == net["fd12:3456:789a:1::10"] == net["2001:db8:77::10"] == "physical"
    assert net["172.17.0.1"] == "virtual" and net["169.254.7.7"] == "link-local"
    assert by_address[site.addresses[0]]["use"] == "selected" and by_address[site.addresses[0]]["origin"] == "eth0"
    temporary = [c for c in ours if c["address"].startswith("2001:db8:77:") and c["address"] != "2001:db8:77::10"]
    assert [c["net"] for c in temporary] == ["temporary"]

    # told why, and never offered to the other end
    old = by_address["2001:db8:78::10"]
    assert old["use"] == "ignored" and old["why"].startswith("deprecated")
    scoped = next(c for c in ours if c["address"].startswith("fe80:"))
    assert scoped["use"] == "ignored" and scoped["why"].startswith("link-local")
    offered = [c["address"] for c in seen["candidates"] if c["side"] == "remote"]
    assert "2001:db8:77::10" in offered
    assert old["address"] not in offered and not any(a.startswith("fe80") for a in offered)
