"""Hub and relay on one port: TURN in TLS and in WebSockets goes through the hub to the relay."""

import json
import ssl

import pytest

from programs import cli
from relay import OPEN, SECRET, Relay
from turn import Peer, Turn


@pytest.fixture(name="site")
def fixture_site(start_hub, start_client, tmp_path):
    secret = tmp_path / "turn.secret"
    secret.write_text(SECRET)
    with Relay(*OPEN, "--realm", "r", "--secret", SECRET, listen=("tcp+proxy",)) as relay:
        hub = start_hub("--turn-secret-file", secret, "--relay-stream", f"127.0.0.1:{relay.ports['tcp']}")
        yield hub, relay, start_client


def alpn():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["stun.turn"])
    return context


def test_turn_through_the_hub(site):
    hub, _, _ = site
    peer = Peer()
    with Turn(("127.0.0.1", hub.port), "tls", secret=SECRET, tls=alpn()) as turn:
        assert tuple(turn.binding().mapped[:2]) == turn.address  # the client's own address, not the hub's
        turn.allocate()
        turn.permission(peer.address)
        turn.channel(0x4000, peer.address)
        for size in (1, 3, 1200, 9000):
            turn.send_channel(0x4000, b"x" * size)
            peer.echo()
            assert turn.receive()[1] == b"x" * size
    peer.close()


def test_without_its_name_it_is_http(site):
    hub, _, _ = site
    assert hub.ask("GET", "/turn").status == 426
    with pytest.raises(Exception):
        with Turn(("127.0.0.1", hub.port), "tls", secret=SECRET, timeout=2) as turn:
            turn.binding()


@pytest.mark.parametrize("transport", ["tls", "wss"])
def test_sessions_by_it(site, transport):
    hub, _, start_client = site
    client = start_client(hub, token=hub.token())
    client.said("hub-connected")
    policy = {"methods": ["relayed"], "turnTransports": [transport]}
    assert hub.staff("PUT", "/api/places/hub", {"policy": policy}).status == 200
    done = cli(hub, "connect", client.id, "--", "head", "-c", "2000000", "/dev/zero", timeout=60)
    assert (len(done.stdout), done.returncode) == (2000000, 0), done.stderr
    done = cli(hub, "route", client.id, "--json", timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["method"] == "relayed"
    # the relay stands on this machine: the end without an allocation sends to it directly
    answered = {server["transport"] for server in told["servers"] if server["state"] == "answered"}
    assert answered == {transport}, told["servers"]


def test_it_is_told(site):
    hub, _, _ = site
    kinds = {need["kind"]: need for need in hub.ask("GET", "/network.json").json["needs"]}
    for kind in ("turn-tls", "turn-wss"):
        assert (kinds[kind]["host"], kinds[kind]["ports"]) == (kinds["hub"]["host"], str(hub.port))


def test_a_hub_without_it(start_hub):
    hub = start_hub()
    with pytest.raises(Exception):
        with Turn(("127.0.0.1", hub.port), "tls", secret=SECRET, tls=alpn(), timeout=2) as turn:
            turn.binding()


def test_a_relay_that_is_away(site):
    hub, relay, _ = site
    relay.kill()
    with pytest.raises(Exception):
        with Turn(("127.0.0.1", hub.port), "tls", secret=SECRET, tls=alpn(), timeout=2) as turn:
            turn.binding()
    assert hub.ask("GET", "/health").status == 200
