"""The real programs where nothing leaves the site but through its proxy, which wants to know who is there and lets through
to port 443 only: no DNS, no UDP, no other way to the hub."""

import hashlib
import json
import os

import pytest
from lab import Unsupported
from proxies import PASSWORD, USER, password_file
from programs import wait_for

DATA = 1_000_000


@pytest.fixture(name="sites", scope="module")
def fixture_sites(lab, hub):
    closed = [lab.site("proxy-only"), lab.site("proxy-only")]
    try:
        proxies = [lab.start_proxy(site, auth=auth) for site, auth in zip(closed, ("ntlm", "basic"))]
    except Unsupported as reason:
        pytest.skip(str(reason))
    known = ["--proxy-user", USER, "--proxy-password-file", str(password_file(lab.folder()))]
    for site in closed:
        site.way = ["--proxy", site.proxy, *known]
    return [*closed, lab.site("open"), proxies]


@pytest.fixture(name="client", scope="module")
def fixture_client(sites):
    return sites[0].start_client(*sites[0].way)


def route(site, client, *way):
    done = site.cli("route", *way, client.id, "--json")
    assert done.returncode == 0, done.stderr.decode() + client.log
    return json.loads(done.stdout)


def works(site, client, *way):
    """A command with a lot to say, both ways."""
    data = os.urandom(DATA)
    done = site.cli("connect", *way, client.id, "--", "sh", "-c", "tee /dev/stderr | sha256sum", stdin=data)
    assert done.returncode == 0, done.stderr[-200:]
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert done.stderr == data


def test_device_behind_it(lab, sites, client):
    """A person anywhere: one relay, which the device reaches over TLS through its proxy."""
    works(sites[2], client)
    found = route(sites[2], client)
    assert (found["method"], found["via"]) == ("relayed", "direct")
    session = lab.hub.staff("GET", "/api/sessions?limit=1").json["sessions"][0]["id"]
    device = wait_for(lambda: lab.hub.staff("GET", f"/api/sessions/{session}").json["session"]["routes"]["device"])
    rows = {(s["transport"], s["via"], s["state"]) for s in device["servers"] if s["url"].startswith("turn")}
    assert ("tls", "proxy", "answered") in rows
    assert (device["method"], device["transport"], device["via"]) == ("relayed", "tls", "proxy")


def test_both_behind_one(sites, client):
    works(sites[1], client, *sites[1].way)
    found = route(sites[1], client, *sites[1].way)
    assert (found["method"], found["transport"], found["via"]) == ("relayed", "tls", "proxy")
    rows = {(s["transport"], s["via"]): s for s in found["servers"] if s["url"].startswith("turn")}
    # that proxy lets nobody to the relay's port for TCP, and says so
    assert rows["tcp", "proxy"]["state"] == "failed"
    assert "does not let us to" in rows["tcp", "proxy"]["error"]


def test_without_it(sites, client):
    done = sites[1].cli("devices", "--proxy", "none")
    assert done.returncode == 1
    assert "was not found" in done.stderr.decode()
    wrong = sites[1].cli("devices", "--proxy", sites[1].proxy)
    assert "Give a user and password" in wrong.stderr.decode()
    assert PASSWORD not in client.log
    assert client.process.poll() is None
