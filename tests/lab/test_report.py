"""What `fairlead route` and the hub's session record tell, behind routers of a named kind, and when there is no route."""

import json
import time

import pytest
from lab import RELAY, RELAY_OTHER


def route(site, device):
    done = site.cli("route", device.id, "--json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done


@pytest.fixture(scope="module")
def device(hub, lab):
    """A client with a public address, behind no NAT."""
    return lab.site("open").start_client()


@pytest.mark.parametrize("kind, mapping, filtering", [
    ("open", "none", "open"),
    ("full-cone", "independent", "open"),
    ("restricted", "independent", "address"),
    ("port-restricted", "independent", "port"),
    ("symmetric", "port", "port"),
    ("cgn", "independent", "port"),
])
def test_nat(lab, device, kind, mapping, filtering):
    found, done = route(lab.site(kind), device)
    assert done.returncode == 0, done.stderr
    assert found["nat"] == {"mapping": mapping, "filtering": filtering}, found["servers"]
    stun = [s for s in found["servers"] if s["url"].startswith("stun:")]
    assert len(stun) == 2 and all(s["state"] == "answered" and s["mapped"] for s in stun)
    relays = [s for s in found["servers"] if s["url"].startswith("turn")]
    assert {s["transport"] for s in relays} == {"udp", "tcp", "tls", "wss"}
    chosen = [c for c in found["candidates"] if c["use"] == "selected"]
    assert {c["side"] for c in chosen} == {"local", "remote"}
    assert all(c["why"] for c in found["candidates"] if c["use"] in ("unused", "ignored", "gone"))


def test_udp_blocked(lab, device):
    """What does not answer over UDP is named, and so is what does over TCP."""
    site = lab.site("udp-blocked")
    found, done = route(site, device)
    assert done.returncode == 0, done.stderr
    states = {s["transport"] + " " + s["url"].split(":")[0]: s["state"] for s in found["servers"]}
    assert states["tcp turn"] == states["tls turns"] == "answered", states
    # after half a second nobody can say yet that a server will not answer
    assert states["udp stun"] in ("asking", "silent") and states["udp turn"] in ("asking", "silent"), states
    assert found["nat"] == {"mapping": "unknown", "filtering": "unknown"}
    text = site.cli("route", device.id).stdout.decode()
    for heading in ("candidates", "pairs of addresses", "servers", "NAT in front of this end"):
        assert f"\n{heading}\n" in text
    assert "\x1b" not in text


def test_no_route(hub, lab):
    """Neither direct nor by the relay: both ends say which step failed, in a bounded time."""
    sites = [lab.site("symmetric"), lab.site("symmetric")]
    for site in sites:
        site.router.rules(f"table ip no_relay {{ chain f {{ type filter hook forward priority -5; "
                          f"ip daddr {{ {RELAY}, {RELAY_OTHER} }} drop; }}; }}")
    client = sites[0].start_client()
    began = time.monotonic()
    found, done = route(sites[1], client)
    assert time.monotonic() - began < 45
    assert done.returncode == 1 and b"No route" in done.stderr
    assert found["method"] == "none" and found["pair"] is None and found["rtt_ms"] is None
    assert found["reason"].startswith("No route: nothing of the other side arrives"), found["reason"]
    assert "No relay: turn:" in found["reason"]
    assert found["tried"] and all(p["state"] == "failed" and p["error"] for p in found["tried"])
    assert {s["state"] for s in found["servers"]} <= {"silent", "failed"}, found["servers"]
    assert all(s["error"] for s in found["servers"])

    sessions = hub.staff("GET", "/api/sessions").json["sessions"]
    session = next(s for s in sessions if s["device"] == client.id)
    kept = hub.staff("GET", f"/api/sessions/{session['id']}").json["session"]["routes"]
    for end in ("console", "device"):
        assert kept[end]["method"] == "none", end
        assert {s["state"] for s in kept[end]["servers"]} <= {"silent", "failed", "asking"}
        assert any(not p["answered"] for p in kept[end]["tried"])
