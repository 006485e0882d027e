"""Sign-in, links, passwords, cookies and origins: docs/protocol.md §1."""

import pytest
from hub import SDP
from signalr import Closed, SignalR


def test_first_link_works_once(hub):
    code = hub.link.split("#code=")[1]
    assert hub.link.startswith(f"https://127.0.0.1:{hub.port}/sign-in#code=")
    answer = hub.ask("POST", "/id/link", {"code": code})
    assert answer.status == 200
    assert answer.json["user"] | {"id": ""} == {"id": "", "name": "admin", "displayName": "Administrator", "hasPassword": False}
    flags = answer.cookies[0].split("; ")[1:]
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
    again = hub.ask("POST", "/id/link", {"code": code})
    assert (again.status, again.code) == (401, "spent-link")
    assert not again.cookies
    assert hub.ask("POST", "/id/link", {"code": "A" * 43}).code == "unknown-link"
    rows = hub.staff("GET", "/api/audit").json["rows"]
    assert [r["action"] for r in rows] == ["sign-in-failed", "sign-in-failed", "sign-in", "account-make"]
    assert rows[2]["detail"] == {"how": "link", "address": "127.0.0.1"}


def test_expired_link(hub):
    import sqlite3
    url = hub.new_link()
    hub.stop()
    with sqlite3.connect(hub.data / "hub.db") as db:
        assert db.execute("UPDATE links SET expires = 1 + (SELECT max(created) FROM links)").rowcount == 2
        db.execute("UPDATE links SET expires = created - 1")
    db.close()
    hub.start()
    answer = hub.ask("POST", "/id/link", {"code": url.split("#code=")[1]})
    assert (answer.status, answer.code) == (401, "expired-link")
    assert "Make a new one" in answer.json["error"]["message"]


def test_link_at_a_later_start(hub):
    first = hub.link
    hub.stop()
    hub.link = None
    hub.start()
    assert hub.link is None
    hub.stop()
    hub.args = ["--sign-in-link"]
    hub.start()
    assert hub.link != first and hub.sign_in(hub.link)


def test_password(hub):
    cookie = hub.sign_in()
    other = hub.sign_in()
    wrong = hub.ask("POST", "/id/sign-in", {"name": "admin", "password": "correct horse"})
    assert (wrong.status, wrong.code) == (401, "wrong-password")
    short = hub.ask("POST", "/id/password", {"password": "short"}, cookie=cookie, origin=hub.origin)
    assert (short.status, short.code) == (400, "bad-request")
    assert "correct" not in short.json["error"]["message"]
    console = SignalR(hub.port, "/realtime", {"Cookie": f"fairlead={other}", "Origin": f"https://localhost:{hub.port}"})
    set_answer = hub.ask("POST", "/id/password", {"password": "correct horse"}, cookie=cookie, origin=hub.origin)
    assert set_answer.status == 204
    # whoever else was signed in is out, and told so
    assert console.expect("signedOut") == {}
    assert console.wait_closed() == 1008
    assert hub.ask("GET", "/id/me", cookie=other).status == 401
    assert hub.ask("GET", "/id/me", cookie=cookie).json["user"]["hasPassword"] is True
    right = hub.ask("POST", "/id/sign-in", {"name": "ADMIN", "password": "correct horse"})
    assert right.status == 200 and right.cookies
    assert hub.ask("POST", "/id/sign-in", {"name": "nobody", "password": "correct horse"}).code == "wrong-password"
    row = hub.staff("GET", "/api/audit").json["rows"][0]
    assert row["action"] == "sign-in-failed" and row["actor"] == "nobody" and "horse" not in str(row)
    assert not any("correct horse" in line or right.cookies[0][9:40] in line for line in hub.log)


def test_sign_out(hub):
    cookie = hub.sign_in()
    console = hub.console(cookie)
    console.invoke("WatchDevices")
    answer = hub.ask("POST", "/id/sign-out", cookie=cookie, origin=hub.origin)
    assert answer.status == 204 and "Max-Age=0" in answer.cookies[0]
    console.expect("signedOut")
    assert hub.ask("GET", "/id/me", cookie=cookie).code == "signed-out"


def test_attempts_are_limited(hub):
    codes = [hub.ask("POST", "/id/sign-in", {"name": "admin", "password": "wrong wrong"}).status for _ in range(22)]
    assert codes[:20] == [401] * 20 and codes[20:] == [429, 429]
    answer = hub.ask("POST", "/id/sign-in", {"name": "admin", "password": "wrong wrong"})
    assert answer.code == "too-many-attempts" and "wait" in answer.json["error"]["message"]


@pytest.mark.parametrize("method,path", [
    ("GET", "/id/me"), ("POST", "/id/sign-out"), ("GET", "/api/devices"), ("GET", "/api/sessions"), ("GET", "/api/audit"),
    ("DELETE", "/api/devices/abc"), ("POST", "/realtime/negotiate?negotiateVersion=1"),
])
def test_staff_only(hub, method, path):
    assert hub.ask(method, path).status == 401
    assert hub.ask(method, path, key="A" * 43).status == 401
    assert hub.ask(method, path, cookie="A" * 43, origin=hub.origin).status == 401


@pytest.mark.parametrize("path,body", [
    ("/api/enrolment-tokens", {}), ("/api/sign-in-links", {}), ("/id/password", {"password": "long enough"})])
def test_staff_only_with_body(hub, path, body):
    assert hub.ask("POST", path, body).status == 401


def test_links_need_the_key(hub):
    answer = hub.ask("POST", "/api/sign-in-links", {}, cookie=hub.sign_in(), origin=hub.origin)
    assert (answer.status, answer.code) == (403, "needs-key")


def test_origin(hub):
    cookie = hub.sign_in()
    for origin in (None, "https://evil.example", f"http://127.0.0.1:{hub.port}", "https://127.0.0.1", "null"):
        answer = hub.ask("POST", "/api/enrolment-tokens", {}, cookie=cookie, origin=origin)
        assert (answer.status, answer.code) == (403, "wrong-origin")
    assert hub.ask("POST", "/api/enrolment-tokens", {}, cookie=cookie, origin=hub.origin).status == 200
    # a form of another site cannot send JSON's type
    answer = hub.ask("POST", "/id/sign-in", '{"name":"admin","password":"x"}', headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.code) == (415, "not-json")


def test_websocket_origin(hub):
    cookie = hub.sign_in()
    for headers in ({"Origin": "https://evil.example"}, {}):
        with pytest.raises(Closed) as closed:
            SignalR(hub.port, "/realtime", {"Cookie": f"fairlead={cookie}"} | headers)
        assert closed.value.code == 403
    with pytest.raises(Closed) as closed:
        SignalR(hub.port, "/realtime", {"Origin": f"https://localhost:{hub.port}"})
    assert closed.value.code == 401
    with pytest.raises(Closed) as closed:
        SignalR(hub.port, "/endpoint", {"Origin": "https://evil.example"})
    assert closed.value.code == 403


def test_key_in_the_query_of_a_websocket(hub):
    assert SignalR(hub.port, f"/realtime?access_token={hub.key}").invoke("WatchDevices") == {"devices": []}
    assert hub.ask("GET", f"/id/me?access_token={hub.key}").status == 401
    assert not any(hub.key in line for line in hub.log)


def test_negotiate(hub):
    answer = hub.staff("POST", "/realtime/negotiate?negotiateVersion=1").json
    assert answer["negotiateVersion"] == 1 and answer["connectionToken"] != answer["connectionId"]
    assert [(one["transport"], one["transferFormats"]) for one in answer["availableTransports"]] == [
        ("WebSockets", ["Text"]), ("ServerSentEvents", ["Text"]), ("LongPolling", ["Text"])]
    assert hub.ask("POST", "/endpoint/negotiate?negotiateVersion=1").status == 200


def test_data_folder_is_private(hub):
    for name, mode in (("", 0o700), ("hub.key", 0o600), ("admin.token", 0o600), ("ca.key", 0o600), ("hub-tls.key", 0o600),
                       ("hub.db", 0o600), ("hub.db-wal", 0o600)):
        assert (hub.data / name).stat().st_mode & 0o777 == mode, name
    text = (hub.data / "hub.db").read_bytes() + (hub.data / "hub.db-wal").read_bytes()
    assert hub.key.encode() not in text and hub.link.split("=")[1].encode() not in text and SDP
