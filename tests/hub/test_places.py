"""The tree of places, policies along it, and what the hub makes of them: docs/protocol.md §1.2."""

import base64
import json
import sqlite3

import pytest
from hub import SDP
from signalr import MethodFailed

RELAY = ["--turn", "turn::3478?transport=udp", "--turn", "turn::3478?transport=tcp", "--turn", "turns::5349",
         "--turn", "turns::443?transport=wss"]
DEFAULT = {"methods": ["local", "punched", "relayed"], "relay": "allowed", "turnTransports": ["udp", "tcp", "tls", "wss"],
           "interfaces": {"prefer": [], "exclude": []}, "subnets": {"prefer": [], "exclude": []},
           "udpPorts": "any", "dscp": 0, "deviceKbit": 0, "siteKbit": 0}


def add(hub, kind, name, parent=None, policy=None):
    body = {"kind": kind, "name": name} | ({"parent": parent} if parent else {}) | ({"policy": policy} if policy else {})
    answer = hub.staff("POST", "/api/places", body)
    assert answer.status == 200, answer.body
    return answer.json["place"]["id"]


def change(hub, place, **what):
    answer = hub.staff("PUT", f"/api/places/{place}", what)
    assert answer.status == 200, answer.body
    return answer.json["place"]


def places(hub):
    return {p["id"]: p for p in hub.staff("GET", "/api/places").json["places"]}


def move(hub, device, place):
    answer = hub.staff("PUT", f"/api/devices/{device.id}/place", {"place": place})
    assert answer.status == 200, answer.body
    assert answer.json["device"]["place"] == place


def refused(answer):
    return answer.status, answer.code


def claims(grant):
    part = grant.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_tree_and_inheritance(hub):
    assert list(places(hub).values()) == [{"id": "hub", "parent": None, "kind": "hub", "name": "", "policy": {},
                                           "effective": DEFAULT, "devices": 0, "devicesBelow": 0}]
    change(hub, "hub", policy={"dscp": 34, "relay": "last-resort", "interfaces": {"exclude": ["tun*"]}})
    org = add(hub, "organisation", "Schools")
    site = add(hub, "site", "North", org, {"relay": "forbidden", "interfaces": {"prefer": ["eth*"]}})
    group = add(hub, "group", "Lab 1", site, {"dscp": 0})
    device = hub.enrol()
    move(hub, device, group)
    tree = places(hub)
    assert list(tree) == ["hub", org, site, group]
    assert tree[group]["policy"] == {"dscp": 0}
    assert tree[group]["effective"] == DEFAULT | {"relay": "forbidden", "interfaces": {"prefer": ["eth*"], "exclude": ["tun*"]}}
    assert tree[org]["effective"] == DEFAULT | {"relay": "last-resort", "dscp": 34, "interfaces": {"prefer": [], "exclude": ["tun*"]}}
    assert [(p["devices"], p["devicesBelow"]) for p in tree.values()] == [(0, 1), (0, 1), (0, 1), (1, 1)]
    # a policy is replaced as a whole; what is not named stays
    assert change(hub, site, name="South")["policy"] == {"relay": "forbidden", "interfaces": {"prefer": ["eth*"]}}
    assert change(hub, site, policy={"siteKbit": 500})["effective"]["relay"] == "last-resort"
    # and all of it is there after a start
    before = places(hub)
    hub.kill()
    hub.start()
    assert places(hub) == before


def test_moving_and_removing(hub):
    org, other = add(hub, "organisation", "A"), add(hub, "organisation", "B")
    site = add(hub, "site", "North", org)
    group = add(hub, "group", "G", site)
    inner = add(hub, "group", "Inner", group)
    assert change(hub, site, parent=other)["parent"] == other
    assert list(places(hub)) == ["hub", org, other, site, group, inner]
    device = hub.enrol(hub.staff("POST", "/api/enrolment-tokens", {"place": group}).json["token"])
    assert places(hub)[group]["devices"] == 1
    assert refused(hub.staff("DELETE", f"/api/places/{group}")) == (409, "not-empty")
    assert refused(hub.staff("DELETE", f"/api/places/{site}?move=somewhere")) == (409, "not-empty")
    assert hub.staff("DELETE", f"/api/places/{group}?move=parent").status == 204
    assert places(hub)[inner]["parent"] == site
    assert hub.staff("GET", "/api/devices").json["devices"][0]["place"] == site
    assert hub.staff("DELETE", f"/api/places/{inner}").status == 204
    # a device that was forgotten does not hold its place
    assert hub.staff("DELETE", f"/api/devices/{device.id}").status == 204
    assert places(hub)[site]["devices"] == 0
    assert hub.staff("DELETE", f"/api/places/{site}").status == 204
    assert list(places(hub)) == ["hub", org, other]
    rows = hub.staff("GET", "/api/audit").json["rows"]
    assert [r["action"] for r in rows[:4]] == ["place-remove", "device-forget", "place-remove", "place-remove"]
    assert rows[0]["target"] == site and rows[0]["detail"]["name"] == "North"
    moved = next(r for r in rows if r["action"] == "place-change")
    assert moved["detail"] == {"kind": "site", "name": "North", "parent": other, "before": {}, "policy": {}}


def test_refusals(hub):
    org, site = add(hub, "organisation", "A"), add(hub, "site", "S")
    group = add(hub, "group", "G", site)
    inner = add(hub, "group", "H", group)
    post = lambda **body: refused(hub.staff("POST", "/api/places", body))  # noqa: E731
    put = lambda place, **body: refused(hub.staff("PUT", f"/api/places/{place}", body))  # noqa: E731
    assert post(kind="city", name="X") == (400, "bad-request")
    assert post(kind="site", name="") == (400, "bad-request")
    assert post(kind="site", name="X", parent="nowhere") == (404, "unknown-place")
    assert post(kind="site", name="s") == (409, "name-taken")
    assert post(kind="site", name="X", parent=site) == (400, "bad-place")
    assert post(kind="organisation", name="X", parent=org) == (400, "bad-place")
    assert post(kind="site", name="X", parent=group) == (400, "bad-place")
    assert put(group, parent=inner) == (400, "bad-place")
    assert put(group, parent=group) == (400, "bad-place")
    assert put("hub", name="mine") == (409, "fixed-place")
    assert put("hub", parent=org) == (409, "fixed-place")
    assert put("nowhere", name="X") == (404, "unknown-place")
    assert refused(hub.staff("DELETE", "/api/places/hub")) == (409, "fixed-place")
    assert refused(hub.staff("DELETE", "/api/places/nowhere")) == (404, "unknown-place")
    assert refused(hub.staff("PUT", "/api/devices/nobody/place", {"place": site})) == (404, "unknown-device")
    device = hub.enrol()
    assert refused(hub.staff("PUT", f"/api/devices/{device.id}/place", {"place": "nowhere"})) == (404, "unknown-place")
    assert refused(hub.staff("POST", "/api/enrolment-tokens", {"place": "nowhere"})) == (404, "unknown-place")
    for place in range(13):
        group = add(hub, "group", f"deep {place}", group)
    assert post(kind="group", name="deeper", parent=group) == (400, "bad-place")
    for method, path in [("GET", "/api/places"), ("POST", "/api/places"), ("PUT", f"/api/places/{site}"), ("DELETE", f"/api/places/{site}")]:
        assert hub.ask(method, path, None if method in ("GET", "DELETE") else {"kind": "site", "name": "X"}).status == 401


@pytest.mark.parametrize("policy, why", [
    ({"dscp": 64}, "policy.dscp is not between 0 and 63"),
    ({"methods": ["lan"]}, "policy.methods[0] is not one of local, punched, relayed"),
    ({"subnets": {"exclude": ["10.0.0.0/33"]}}, "policy.subnets.exclude[0] is not a subnet such as 10.0.0.0/8 or 2001:db8::/32"),
    ({"udpPorts": "9-1"}, "policy.udpPorts begins above its end"),
    ({"rely": "forbidden"}, "policy has a key that is not known"),
    ([], "policy is not an object"),
])
def test_bad_policy_is_named(hub, policy, why):
    answer = hub.staff("PUT", "/api/places/hub", {"policy": policy})
    assert refused(answer) == (400, "bad-policy")
    assert answer.json["error"]["message"] == why
    assert places(hub)["hub"]["policy"] == {}


def test_grant_and_servers(start, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("north\n", encoding="ascii")
    hub = start("--stun", "stun.example:3478", "--turn-secret-file", str(secret), *RELAY)
    site = add(hub, "site", "S", policy={"turnTransports": ["tls", "wss"], "dscp": 10})
    device, console = hub.enrol(), hub.console()
    move(hub, device, site)
    device.online()
    ask = lambda: console.invoke("IceServers", {"device": device.id})  # noqa: E731
    urls = lambda answer: [u for s in answer["iceServers"] for u in s["urls"]]  # noqa: E731
    assert "policy" not in console.invoke("IceServers")
    assert urls(ask()) == ["stun:stun.example:3478", "turns:localhost:5349", "turns:localhost:443?transport=wss"]
    assert ask()["policy"] == DEFAULT | {"turnTransports": ["tls", "wss"], "dscp": 10}
    console.invoke("Connect", {"device": device.id, "modules": ["terminal"], "sdp": SDP})
    offer = device.connection.expect("connect")
    assert claims(offer["grant"])["pol"] == ask()["policy"]
    assert urls({"iceServers": offer["iceServers"]})[1:] == ["turns:localhost:5349", "turns:localhost:443?transport=wss"]
    # forbidden: no credentials leave the hub
    change(hub, site, policy={"relay": "forbidden"})
    assert urls(ask()) == ["stun:stun.example:3478"] and "credential" not in str(ask())
    # nothing to punch with either
    change(hub, site, policy={"methods": ["local"]})
    assert ask()["iceServers"] == []
    with pytest.raises(MethodFailed, match="unknown-device"):
        console.invoke("IceServers", {"device": "nobody"})


def opened(console, device):
    """A session that the device has answered: its id."""
    session = console.invoke("Connect", {"device": device.id, "modules": ["terminal"], "sdp": SDP})["session"]
    device.connection.expect("connect", where=lambda m: m["session"] == session)
    device.connection.invoke("Answer", device.answer(session))
    return session


def test_budgets(hub):
    site = add(hub, "site", "S", policy={"siteKbit": 9000, "deviceKbit": 5000})
    room = add(hub, "group", "R", site)
    near, far, away = hub.enrol(), hub.enrol(), hub.enrol()
    move(hub, near, site)
    move(hub, far, room)
    for device in (near, far, away):
        device.online()
    console = hub.console()

    def told(device, session, kbit):
        for end in (device.connection, console):
            end.expect("limit", where=lambda m: m == {"session": session, "kbit": kbit})

    # alone it has what its grant says, which is not told again
    first = opened(console, near)
    # the room inherits the site's budget and shares it; the device outside has none
    opened(console, away)
    second = opened(console, far)
    told(near, first, 4500)
    told(far, second, 4500)
    third = opened(console, near)
    for device, session, kbit in ((near, first, 2500), (near, third, 2500), (far, second, 3000)):
        told(device, session, kbit)
    # a budget of its own: the room leaves the site's
    change(hub, room, policy={"siteKbit": 700})
    told(far, second, 700)
    change(hub, site, policy={"siteKbit": 9000})
    told(near, first, 4500)
    told(near, third, 4500)
    console.invoke("End", {"session": third, "reason": "user"})
    told(near, first, 9000)
    # a device that comes back is told again
    near.connection.close()
    near.online(sessions=[first])
    told(near, first, 9000)
    change(hub, site, policy={})
    told(near, first, 0)
    assert away.connection.invoke("Status", away.status()) == {}
    assert not [target for target, _ in away.connection.kept if target == "limit"]


def test_an_older_store_gets_its_root(hub):
    device = hub.enrol()
    hub.stop()
    with sqlite3.connect(hub.data / "hub.db") as db:
        db.executescript("DROP INDEX devices_place; DROP INDEX tokens_place; ALTER TABLE devices DROP COLUMN place;"
                         "ALTER TABLE tokens DROP COLUMN place; DROP TABLE places; PRAGMA user_version = 2")
    db.close()
    hub.start()
    assert places(hub)["hub"]["devices"] == 1
    assert [(d["id"], d["place"]) for d in hub.staff("GET", "/api/devices").json["devices"]] == [(device.id, "hub")]
