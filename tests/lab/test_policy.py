"""Policies in the lab: where theory allows a route that the policy does not, there is none."""

import json

import pytest


def confine(hub, client, **policy):
    """Into a place of its own with that policy."""
    answer = hub.staff("POST", "/api/places", {"kind": "site", "name": client.id, "policy": policy})
    assert answer.status == 200, answer.body
    moved = hub.staff("PUT", f"/api/devices/{client.id}/place", {"place": answer.json["place"]["id"]})
    assert moved.status == 200, moved.body


@pytest.mark.parametrize("kinds, theory, policy, why", [
    (("full-cone", "port-restricted"), "punched", {"methods": ["local"]}, "he policy allows only local routes"),
    (("symmetric", "symmetric"), "relayed", {"relay": "forbidden"}, "he policy allows only local and punched routes"),
])
def test_refused(lab, hub, kinds, theory, policy, why):
    device, person = (lab.site(kind) for kind in kinds)
    client = device.start_client()
    found = person.cli("route", client.id, "--json")
    assert json.loads(found.stdout)["method"] == theory, found
    confine(hub, client, **policy)
    refused = person.cli("connect", client.id, "true", timeout=60)
    assert refused.returncode == 255 and why in refused.stderr.decode(), refused
    latest = hub.staff("GET", f"/api/sessions?device={client.id}&limit=1").json["sessions"][0]
    assert not latest["route"] or latest["route"]["method"] == "none"


def test_allowed_at_home(lab, hub):
    site = lab.site("vlans")
    client = site.start_client()
    confine(hub, client, methods=["local"], relay="forbidden")
    found = site.cli("route", client.id, "--json", host=1)
    assert json.loads(found.stdout)["method"] == "local", found
