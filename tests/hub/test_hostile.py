"""Malformed and oversized input on every way in. After each of them the hub still serves."""

import json
import os
import random
import socket

import pytest
from hub import SDP
from signalr import Closed, MethodFailed, SignalR, WebSocket, tls_socket


@pytest.fixture
def served(hub):
    yield hub
    assert hub.process.poll() is None
    assert hub.ask("GET", "/health").json["ok"] is True


def raw(hub, data, timeout=10):
    with tls_socket(hub.port, timeout=timeout) as s:
        s.sendall(data)
        out = b""
        try:
            while piece := s.recv(65536):
                out += piece
        except (OSError, TimeoutError):
            pass
        return out


@pytest.mark.parametrize("request_bytes,status", [
    (b"GARBAGE\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /%2e%2e/hub.key HTTP/1.1\r\nHost: x\r\n\r\n", 400), (b"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40000 + b"\r\n\r\n", 431),
    (b"POST /id/link HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 70000\r\n\r\n", 413),
    (b"POST /id/link HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
])
def test_http(served, request_bytes, status):
    assert raw(served, request_bytes).split(b" ", 2)[1] == str(status).encode()


def test_not_tls(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert b"HTTP" not in s.recv(1000)
        except ConnectionResetError:
            pass


def test_random_bytes(served):
    rng = random.Random(1)
    for _ in range(30):
        raw(served, rng.randbytes(rng.randrange(1, 3000)) + b"\r\n\r\n", timeout=0.2)


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'{"code":1}', b'{"code":""}', b'{"code":"a","code":"b"}', b'{"code":"\xff"}',
    b'{"code":"a\\u0000b"}', b"[" * 5000, b'{"code":"' + b"x" * 200 + b'"}', b'{"code":"\\ud800"}',
])
def test_bad_json(served, body):
    answer = served.ask("POST", "/id/link", body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "bad-request")


@pytest.mark.parametrize("body", [{"uses": 0}, {"uses": 1.5}, {"uses": "1"}, {"uses": 10**20}, {"expiresIn": -1}])
def test_bad_numbers(served, body):
    assert served.staff("POST", "/api/enrolment-tokens", body).status == 400


@pytest.mark.parametrize("path,status", [
    ("/api/nothing", 404), ("/api/devices/a/b", 404), ("/id/../api/devices", 400), ("/nothing.js", 404), ("/realtime", 426),
])
def test_paths(served, path, status):
    answer = served.staff("GET", path)
    assert answer.status == status or (status == 426 and answer.status in (400, 426))


def test_wrong_methods(served):
    assert served.staff("PUT", "/api/devices").status == 405
    assert served.staff("POST", "/").status == 405


PATHS = ("/endpoint", "/realtime")


def open_ws(hub, path):
    return WebSocket(hub.port, path, {"Authorization": f"Bearer {hub.key}"})


def code_of_close(ws):
    try:
        while True:
            ws.recv()
    except Closed as e:
        return e.code


@pytest.mark.parametrize("path", PATHS)
def test_websocket_frames(served, path):
    for opcode, payload, code in ((2, b"binary", 1003), (1, b"\xff\xfe", 1007), (3, b"", 1002), (1, b"x" * 300_000, 1009)):
        ws = open_ws(served, path)
        ws.send_frame(opcode, payload)
        assert code_of_close(ws) == code
    ws = open_ws(served, path)
    ws.sock.sendall(b"\x81\x05hello")  # not masked
    assert code_of_close(ws) == 1002


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("text", [
    "nonsense\x1e", "{}\x1e", '{"protocol":"messagepack","version":1}\x1e', '{"protocol":"json","version":99}\x1e',
    '{"protocol":"json","version":1}\x1enonsense\x1e', '{"protocol":"json","version":1}\x1e{"type":1}\x1e',
    '{"protocol":"json","version":1}\x1e' + '{"type":1,"target":"T","arguments":' + "[" * 100 + "]" * 100 + "}\x1e",
])
def test_signalr_messages(served, path, text):
    ws = open_ws(served, path)
    ws.send(text)
    assert code_of_close(ws) is not None


@pytest.mark.parametrize("args", [[], [{}, {}], ["text"], [None], [[]]])
def test_wrong_arguments(served, args):
    console = served.console()
    with pytest.raises(MethodFailed) as failed:
        console.result(console.start("Connect", *args))
    assert failed.value.code == "bad-request"
    with pytest.raises(MethodFailed) as failed:
        console.result(console.start("NoSuchMethod", *args))
    assert failed.value.code == "unknown-method"


HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m\x7f"


@pytest.mark.parametrize("changes", [
    {"name": ""}, {"name": "a" * 256}, {"name": None}, {"platform": {"os": "a" * 256, "version": "", "arch": ""}},
    {"user": 5}, {"address": ["x"]}, {"modules": "terminal"}, {"modules": ["m"] * 33}, {"modules": [""]}, {"display": 1},
    {"clockOff": "day"}, {"clockOff": 1 << 40},
])
def test_status_is_checked(served, changes):
    device = served.enrol()
    device.online()
    with pytest.raises(MethodFailed) as failed:
        device.connection.invoke("Status", device.status(**changes))
    assert failed.value.code == "bad-request"
    assert served.staff("GET", "/api/devices").json["devices"][0]["name"] == "lab-1"


def test_hostile_text_stays_text(served):
    device = served.enrol(name=HOSTILE)
    device.online()
    device.connection.invoke("Status", device.status(name=HOSTILE, user=HOSTILE, extra={"a": 1}))
    answer = served.staff("GET", "/api/devices")
    shown = answer.json["devices"][0]
    assert shown["name"] == HOSTILE and shown["user"] == HOSTILE and "extra" not in shown
    assert answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"
    assert not any("\x1b" in line or "\u202e" in line for line in served.log)


@pytest.mark.parametrize("route", [
    {}, {"method": "teleport"}, {"method": "local", "transport": "udp", "rtt_ms": "fast", "reason": "", "pair": {}},
])
def test_routes_are_checked(served, route):
    device = served.enrol()
    device.online()
    console = served.console()
    session = console.invoke("Connect", {"device": device.id, "modules": ["terminal"], "sdp": SDP})["session"]
    with pytest.raises(MethodFailed) as failed:
        console.invoke("Route", {"session": session, "route": route})
    assert failed.value.code == "bad-request"


def test_no_signalr_handshake(served):
    ws = open_ws(served, "/endpoint")
    ws.sock.settimeout(20)
    assert code_of_close(ws) == 1008  # after 5 s of silence, or 10 without proof


def test_slow_consumer_is_dropped(served):
    """A console that stops reading loses its connection; the other one gets everything."""
    devices = [served.enrol(served.token()) for _ in range(2)]
    slow = WebSocket(served.port, "/realtime", {"Authorization": f"Bearer {served.key}"})
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.send('{"protocol":"json","version":1}\x1e')
    slow.recv()
    for device in devices:
        device.online()
    # answers to its own calls pile up: it asks for far more than it reads
    slow.sock.settimeout(0.5)
    call = {"type": 1, "target": "WatchDevices", "arguments": [{}]}
    sent = 0
    try:
        for i in range(40_000):
            slow.send(json.dumps(call | {"invocationId": str(i)}) + "\x1e")
            sent = i
    except (OSError, TimeoutError):
        pass
    assert sent > 100
    quick = served.console()  # is answered while the slow one has not read on
    assert len(quick.invoke("WatchDevices")["devices"]) == 2
    slow.sock.settimeout(30)
    with pytest.raises((Closed, OSError)):
        while True:
            slow._more()
            slow.data = b""


def test_many_connections_at_once(served):
    held = [socket.create_connection(("127.0.0.1", served.port), timeout=10) for _ in range(300)]
    assert served.ask("GET", "/health").status == 200
    for s in held:
        s.close()


def test_half_requests_do_not_hold_others_up(served):
    held = []
    for _ in range(20):
        s = tls_socket(served.port)
        s.sendall(b"POST /id/link HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n")
        held.append(s)
    assert served.ask("GET", "/health").status == 200
    assert os.path.exists(f"/proc/{served.process.pid}")


def test_wrong_endpoint_messages_end_only_their_connection(served):
    good = served.enrol()
    good.online()
    bad = SignalR(served.port, "/endpoint")
    bad.ws.send('{"type":1,"target":1}\x1e')
    assert bad.wait_closed() is not None
    assert good.connection.invoke("Status", good.status()) == {}
