"""Sessions between a scripted console and a scripted device, over the real hub: docs/protocol.md §2, §3."""

import base64
import hmac
import json
import signal
import time

import ed25519
import pytest
from hub import FINGERPRINT, SDP, Device, lines, unb64
from signalr import MethodFailed

ROUTE = {
    "method": "local", "transport": "udp", "rtt_ms": 0.4, "setup_ms": 41, "reason": "same network",
    "pair": {"local": {"type": "host", "address": "10.0.0.4", "port": 50112, "protocol": "udp"},
             "remote": {"type": "host", "address": "10.0.0.7", "port": 50113, "protocol": "udp"}},
    "tried": [],
}


@pytest.fixture
def pair(hub):
    device = hub.enrol()
    device.online()
    return hub, hub.console(), device


def connect(console, target, **changes):
    return console.invoke("Connect", {"device": target.id, "modules": ["terminal"], "sdp": SDP, "trickle": True} | changes)


def opened(pair):
    """A session that the device has answered: its id."""
    hub, console, device = pair
    session = connect(console, device)["session"]
    device.connection.expect("connect")
    assert device.connection.invoke("Answer", device.answer(session)) == {}
    console.expect("answer")
    return session


def test_grant_and_answer(pair):
    hub, console, device = pair
    told = connect(console, device)
    offer = device.connection.expect("connect")
    assert offer["session"] == told["session"] and offer["grant"] == told["grant"] and offer["sdp"] == SDP
    header, claims, signature = offer["grant"].split(".")
    assert json.loads(unb64(header)) == {"alg": "EdDSA", "typ": "fairlead-grant"}
    assert ed25519.verify(device.hub_key, f"{header}.{claims}".encode(), unb64(signature))
    claims = json.loads(unb64(claims))
    assert claims["jti"] == told["session"] and claims["dev"] == device.id and claims["fp"] == FINGERPRINT
    assert claims["mod"] == ["terminal"] and claims["name"] == "Administrator"
    assert claims["exp"] == claims["iat"] + 60 and abs(claims["iat"] - time.time()) < 60
    assert told["expires"] == claims["exp"] * 1000 and unb64(told["deviceKey"]) == device.public

    answer = device.answer(told["session"])
    device.connection.invoke("Answer", answer)
    assert console.expect("answer") == answer
    assert ed25519.verify(unb64(told["deviceKey"]),
                          lines("fairlead-answer-v1", told["session"], FINGERPRINT, answer["fingerprint"]),
                          unb64(answer["signature"]))


def test_connect_result_comes_before_the_answer(pair):
    _, console, device = pair
    for _ in range(20):
        call = console.start("Connect", {"device": device.id, "modules": ["terminal"], "sdp": SDP})
        session = device.connection.expect("connect")["session"]
        device.connection.ws.send(json.dumps({"type": 1, "target": "Answer", "arguments": [device.answer(session)]}) + "\x1e")
        while call not in console.results:
            message = console._next(10)
            assert message.get("type") != 1, "the answer overtook the result"
            if message.get("type") == 3:
                console.results[message["invocationId"]] = message
        console.expect("answer")


def test_trickle_both_ways(pair):
    session = opened(pair)
    _, console, device = pair
    there = {"session": session, "candidate": "candidate:1 1 udp 1 10.0.0.4 50112 typ host", "mid": "0"}
    console.invoke("Trickle", there)
    assert device.connection.expect("trickle") == there
    back = {"session": session, "candidate": "", "mid": "0"}
    device.connection.invoke("Trickle", back)
    assert console.expect("trickle") == back


def test_end_by_console(pair):
    session = opened(pair)
    hub, console, device = pair
    console.invoke("End", {"session": session, "reason": "user"})
    assert device.connection.expect("end") == {"session": session, "reason": "user"}
    row = hub.staff("GET", "/api/sessions").json["sessions"][0]
    assert row["id"] == session and row["endReason"] == "user" and row["ended"] >= row["started"]
    with pytest.raises(MethodFailed) as failed:
        console.invoke("Trickle", {"session": session, "candidate": "", "mid": "0"})
    assert failed.value.code == "unknown-session"


def test_end_by_device_and_route(pair):
    session = opened(pair)
    hub, console, device = pair
    device.connection.invoke("Route", {"session": session, "route": ROUTE | {"reason": "device's word"}})
    console.invoke("Route", {"session": session, "route": ROUTE})
    device.connection.invoke("Ended", {"session": session, "reason": "closed"})
    assert console.expect("ended") == {"session": session, "by": "device", "reason": "closed"}
    row = hub.staff("GET", f"/api/sessions?device={device.id}&limit=1").json["sessions"][0]
    assert row["route"] == ROUTE and row["deviceName"] == "lab-1" and row["userName"] == "Administrator"
    actions = [r["action"] for r in hub.staff("GET", "/api/audit").json["rows"]]
    assert actions[:2] == ["session-end", "session-start"]


def test_refused_by_device(pair):
    hub, console, device = pair
    session = connect(console, device)["session"]
    device.connection.expect("connect")
    device.connection.invoke("Refuse", {"session": session, "code": "policy", "message": "not in lessons"})
    assert console.expect("refused") == {"session": session, "code": "policy", "message": "not in lessons"}
    row = hub.staff("GET", "/api/audit").json["rows"][0]
    assert row["action"] == "session-refused" and row["detail"]["code"] == "policy"


def test_no_answer(pair):
    _, console, device = pair
    began = time.monotonic()
    session = connect(console, device)["session"]
    refused = console.expect("refused", timeout=15)
    assert refused["session"] == session and refused["code"] == "no-answer"
    assert time.monotonic() - began >= 9.5
    assert device.connection.expect("end")["session"] == session


def test_device_goes_before_it_answers(pair):
    _, console, device = pair
    session = connect(console, device)["session"]
    device.connection.close()
    assert console.expect("refused")["code"] == "offline"
    with pytest.raises(MethodFailed) as failed:
        connect(console, device)
    assert failed.value.code == "offline"
    assert session


@pytest.mark.parametrize("changes,code", [
    ({"device": "nobody"}, "unknown-device"), ({"modules": []}, "bad-request"), ({"sdp": "v=0\r\n"}, "bad-request"),
    ({"sdp": SDP + "a=fingerprint:sha-256 " + ":".join(["EE"] * 32) + "\r\n"}, "bad-request"),
    ({"sdp": "x" * 32769}, "bad-request"), ({"modules": ["m" * 33]}, "bad-request"), ({"trickle": "yes"}, "bad-request"),
])
def test_connect_errors(pair, changes, code):
    _, console, device = pair
    with pytest.raises(MethodFailed) as failed:
        connect(console, device, **changes)
    assert failed.value.code == code


def test_restart_and_resume(pair):
    session = opened(pair)
    hub, console, device = pair
    other = SDP + "a=ice-ufrag:next\r\n"
    console.invoke("Restart", {"session": session, "sdp": other})
    assert device.connection.expect("restart") == {"session": session, "sdp": other}
    console.close()
    again = hub.console()
    assert again.invoke("Resume", {"session": session}) == {"ok": True}
    assert again.invoke("Resume", {"session": "unknown"}) == {"ok": False}
    device.connection.invoke("Trickle", {"session": session, "candidate": "", "mid": "0"})
    again.expect("trickle")


def test_one_console_cannot_use_anothers_session(pair):
    session = opened(pair)
    hub, _, device = pair
    other = hub.console()
    for method, arg in (("Trickle", {"candidate": "", "mid": "0"}), ("End", {"reason": "x"}), ("Restart", {"sdp": SDP}),
                        ("Route", {"route": ROUTE})):
        with pytest.raises(MethodFailed) as failed:
            other.invoke(method, {"session": session} | arg)
        assert failed.value.code == "unknown-session"
    stranger = hub.enrol(name="lab-2")
    stranger.online()
    with pytest.raises(MethodFailed) as failed:
        stranger.connection.invoke("Answer", stranger.answer(session))
    assert failed.value.code == "unknown-session"


def test_session_survives_the_devices_reconnect(pair):
    session = opened(pair)
    _, console, device = pair
    device.connection.close()
    device.online(sessions=[session, "long-gone"])
    assert device.connection.expect("end") == {"session": "long-gone", "reason": "unknown"}
    console.invoke("Trickle", {"session": session, "candidate": "", "mid": "0"})
    device.connection.expect("trickle")


def test_session_the_device_lost(pair):
    session = opened(pair)
    _, console, device = pair
    device.connection.close()
    device.online()
    assert console.expect("ended") == {"session": session, "by": "device", "reason": "lost"}


def test_ice_servers(start):
    hub = start("--stun", "stun.example:3478", "--stun", ":3479")
    servers = hub.console().invoke("IceServers")
    assert [s["urls"] for s in servers["iceServers"]] == [["stun:stun.example:3478"], ["stun:localhost:3479"]]
    assert servers["expires"] > time.time() * 1000
    device = hub.enrol()
    device.connect()
    assert device.prove()["iceServers"] == servers["iceServers"]


def test_too_many_sessions_of_one_console(pair):
    _, console, device = pair
    for _ in range(64):
        connect(console, device)
    with pytest.raises(MethodFailed) as failed:
        connect(console, device)
    assert failed.value.code == "busy"


def test_too_many_sessions_of_one_device(pair):
    hub, first, device = pair
    second = hub.console()
    for i in range(64):
        connect([first, second][i % 2], device)
    for console in [first, second]:
        with pytest.raises(MethodFailed) as failed:
            connect(console, device)
        assert failed.value.code == "busy" and "This device has 64" in str(failed.value)


def test_more_devices_than_one_message_holds(hub):
    token = hub.token(uses=300)
    devices = [Device(hub, name=f"lab-{i}" + "x" * 240, real=False) for i in range(300)]
    wide = {"os": "o" * 255, "version": "v" * 255, "arch": "a" * 255}
    for device in devices:
        assert device.enrol(token, platform=wide).status == 200
    console = hub.console()
    seen = {d["id"] for d in console.invoke("WatchDevices")["devices"]}
    assert 0 < len(seen) < 300  # one message holds at most 256 KiB
    while len(seen) < 300:
        seen.add(console.expect("device")["device"]["id"])
    assert seen == {d.id for d in devices}


def test_relay_credentials(start, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the new secret of the tests\nthe old one\n")
    hub = start("--turn", "turn::3478?transport=udp", "--turn", "turns:relay.example:443?transport=wss",
                "--turn-secret-file", secret)
    console = hub.console()
    (server,) = console.invoke("IceServers")["iceServers"]
    assert server["urls"] == ["turn:localhost:3478?transport=udp", "turns:relay.example:443?transport=wss"]
    expiry, who = server["username"].split(":", 1)
    assert 3600 < int(expiry) - time.time() < 13 * 3600 and who
    assert server["credential"] == password("the new secret of the tests", server["username"])
    device = hub.enrol()
    device.connect()
    (mine,) = device.prove()["iceServers"]
    assert mine["username"].endswith(":" + device.id), "whose session it is can be told by the name"
    secret.write_text("another secret\n")
    hub.process.send_signal(signal.SIGHUP)
    until(lambda: relay_password_is(console, "another secret"))
    secret.unlink()
    hub.process.send_signal(signal.SIGHUP)
    assert relay_password_is(console, "another secret"), "a file that is gone changes nothing"


def password(secret, user):
    return base64.b64encode(hmac.digest(secret.encode(), user.encode(), "sha1")).decode()


def relay_password_is(console, secret):
    (server,) = console.invoke("IceServers")["iceServers"]
    return server["credential"] == password(secret, server["username"])


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_one_session_has_both_reports_whole(pair):
    session = opened(pair)
    hub, console, device = pair
    whole = ROUTE | {"candidates": [], "servers": [], "nat": {"mapping": "none", "filtering": "unknown"}, "ignored": {"malformed": 1}}
    device.connection.invoke("Route", {"session": session, "route": whole})
    one = hub.staff("GET", f"/api/sessions/{session}").json["session"]
    assert one["id"] == session and one["route"] == whole and one["routes"] == {"console": None, "device": whole}
    console.invoke("Route", {"session": session, "route": ROUTE})
    one = hub.staff("GET", f"/api/sessions/{session}").json["session"]
    assert one["routes"] == {"console": ROUTE, "device": whole}
    answer = hub.staff("GET", "/api/sessions/unknown")
    assert answer.status == 404 and answer.code == "unknown-session"
    assert hub.ask("GET", f"/api/sessions/{session}").status == 401
