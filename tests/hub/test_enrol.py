"""Enrolment: docs/protocol.md §1, and the proof of the key in §2.3."""

import os
import time

import ed25519
import pytest
from hub import Device, b64, lines, unb64
from signalr import Closed, MethodFailed


def test_device_appears_and_proves_its_key(hub):
    console = hub.console()
    assert console.invoke("WatchDevices") == {"devices": []}
    device = hub.enrol()
    shown = console.expect("device")["device"]
    assert shown["id"] == device.id and shown["online"] is False
    assert shown["key"] == b64(device.public)
    device.online()
    shown = console.expect("device", where=lambda m: m["device"]["online"])["device"]
    assert shown["modules"] == ["terminal", "screen"] and shown["address"] == "10.0.0.7"
    assert shown["platform"] == {"os": "Linux", "version": "12", "arch": "x86_64"}
    assert hub.staff("GET", "/api/devices").json["devices"][0] == shown


def test_token_errors(hub):
    token = hub.token(uses=1)
    kind, token_id, secret, hub_hash = token.split(".")
    device = Device(hub)
    unknown = ".".join([kind, b64(os.urandom(9)), secret, hub_hash])
    assert device.enrol(unknown).code == "unknown-token"
    wrong = ".".join([kind, token_id, b64(os.urandom(32)), hub_hash])
    assert device.enrol(wrong).code == "wrong-proof"
    assert device.enrol(token).status == 200
    assert Device(hub).enrol(token).code == "spent-token"
    short = hub.token(expires_in=1)
    time.sleep(1.1)
    answer = Device(hub).enrol(short)
    assert (answer.status, answer.code) == (403, "expired-token")
    assert "console" in answer.json["error"]["message"]


def test_lost_answer_may_be_asked_again(hub):
    token = hub.token(uses=1)
    device = Device(hub)
    assert device.enrol(token).status == 200
    first = device.id
    assert device.enrol(token).status == 200
    assert device.id == first
    other = hub.token()
    assert device.enrol(other).code == "known-key"
    # the refused one did not use it up
    assert Device(hub).enrol(other).status == 200


def test_uses_are_counted(hub):
    token = hub.token(uses=3)
    for _ in range(3):
        assert Device(hub).enrol(token).status == 200
    assert Device(hub).enrol(token).code == "spent-token"


@pytest.mark.parametrize("changes", [
    {"publicKey": "x" * 43 + "="}, {"publicKey": "!" * 43}, {"name": ""}, {"name": "a" * 256}, {"name": 7},
    {"platform": None}, {"platform": {"os": "Linux"}}, {"version": ["1"]}, {"tokenId": "../../etc"}, {"proof": "short"},
])
def test_bad_fields(hub, changes):
    answer = Device(hub).enrol(hub.token(), **changes)
    assert (answer.status, answer.code) == (400, "bad-request")


def test_wrong_key_is_refused(hub):
    device = hub.enrol()
    device.connect()
    with pytest.raises(MethodFailed) as failed:
        device.prove(seed=os.urandom(32))
    assert failed.value.code == "wrong-signature"
    assert device.connection.wait_closed() == 1008
    assert hub.staff("GET", "/api/devices").json["devices"][0]["online"] is False


def test_signature_of_another_challenge_is_refused(hub):
    device = hub.enrol()
    device.connect()
    old = device.challenge
    device.connect()
    assert device.challenge["nonce"] != old["nonce"]
    device.challenge = old
    with pytest.raises(MethodFailed) as failed:
        device.prove()
    assert failed.value.code == "wrong-signature"


def test_nothing_before_the_proof(hub):
    device = hub.enrol()
    connection = device.connect()
    with pytest.raises(MethodFailed) as failed:
        connection.invoke("Status", device.status())
    assert failed.value.code == "not-proved"
    assert connection.wait_closed(timeout=15) == 1008  # after 10 s


def test_forgotten_device(hub):
    console = hub.console()
    console.invoke("WatchDevices")
    device = hub.enrol()
    connection = device.online()
    assert hub.staff("DELETE", f"/api/devices/{device.id}").status == 204
    told = connection.expect("forget")
    assert ed25519.verify(device.hub_key, lines("fairlead-forget-v1", device.id, device.nonce, device.challenge["nonce"]),
                          unb64(told["signature"]))
    assert connection.wait_closed() == 1008
    assert console.expect("deviceGone") == {"device": device.id}
    device.connect()
    with pytest.raises(MethodFailed) as failed:
        device.prove()
    assert failed.value.code == "unknown-device"
    assert hub.staff("DELETE", f"/api/devices/{device.id}").code == "unknown-device"
    assert hub.staff("GET", "/api/devices").json == {"devices": []}
    actions = [row["action"] for row in hub.staff("GET", "/api/audit").json["rows"]]
    assert actions[:3] == ["device-forget", "enrol", "token-make"]


def test_newer_connection_replaces_the_old(hub):
    device = hub.enrol()
    first = device.online()
    second = device.online()
    assert first.wait_closed() == 1008
    assert second.invoke("Status", device.status(user="nora")) == {}
    shown = hub.staff("GET", "/api/devices").json["devices"][0]
    assert shown["online"] is True and shown["user"] == "nora"


def test_offline_within_five_seconds(hub):
    console = hub.console()
    console.invoke("WatchDevices")
    device = hub.enrol()
    device.online()
    console.expect("device", where=lambda m: m["device"]["online"])
    device.connection.stop.set()  # no pings: as when the power goes
    began = time.monotonic()
    shown = console.expect("device", where=lambda m: not m["device"]["online"])["device"]
    assert time.monotonic() - began < 7.5
    assert abs(shown["lastSeen"] - time.time() * 1000) < 10_000


def test_the_tests_own_ed25519():
    # RFC 8032 §7.1, test 2
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
    assert ed25519.public_key(seed) == public
    assert ed25519.sign(seed, b"\x72") == signature
    assert ed25519.verify(public, b"\x72", signature)
    assert not ed25519.verify(public, b"\x73", signature)
