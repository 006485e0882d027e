"""kill -9 at any moment: nothing acknowledged is lost, sessions go on."""

import sqlite3
import threading
import time

from hub import SDP, Device


def again(hub):
    hub.kill()
    hub.start()


def test_everything_acknowledged_is_there(hub):
    cookie = hub.sign_in()
    hub.ask("POST", "/id/password", {"password": "correct horse"}, cookie=cookie, origin=hub.origin)
    token = hub.token(uses=2)
    device = hub.enrol(token)
    link = hub.new_link()
    key = hub.key
    again(hub)
    assert hub.key == key and hub.link is not None
    assert hub.ask("GET", "/id/me", cookie=cookie).status == 200
    assert hub.ask("POST", "/id/sign-in", {"name": "admin", "password": "correct horse"}).status == 200
    assert [d["id"] for d in hub.staff("GET", "/api/devices").json["devices"]] == [device.id]
    assert hub.ask("POST", "/id/link", {"code": link.split("#code=")[1]}).status == 200
    assert Device(hub).enrol(token).status == 200
    assert Device(hub).enrol(token).code == "spent-token"
    device.online()


def test_killed_while_it_writes(hub):
    """Devices enrol as fast as they can while the hub is killed; each that was told yes is there."""
    for _ in range(3):
        token = hub.token(uses=1000)
        told, stop = [], threading.Event()

        def enrol():
            while not stop.is_set():
                device = Device(hub)
                try:
                    if device.enrol(token).status == 200:
                        told.append(device.id)
                except OSError:
                    return
                except Exception:  # noqa: BLE001 - the connection broke in the middle of an answer
                    return

        workers = [threading.Thread(target=enrol) for _ in range(3)]
        for w in workers:
            w.start()
        while len(told) < 10:
            time.sleep(0.01)
        hub.kill()
        stop.set()
        for w in workers:
            w.join()
        hub.start()
        there = {d["id"] for d in hub.staff("GET", "/api/devices").json["devices"]}
        assert set(told) <= there


def test_session_survives(hub):
    device = hub.enrol()
    device.online()
    console = hub.console()
    session = console.invoke("Connect", {"device": device.id, "modules": ["terminal"], "sdp": SDP})["session"]
    device.connection.expect("connect")
    device.connection.invoke("Answer", device.answer(session))
    console.expect("answer")
    again(hub)
    console.wait_closed()
    console = hub.console()
    assert console.invoke("Resume", {"session": session}) == {"ok": True}
    device.online(sessions=[session])
    console.invoke("Restart", {"session": session, "sdp": SDP})
    assert device.connection.expect("restart")["session"] == session
    device.connection.invoke("Answer", device.answer(session))
    assert console.expect("answer")["session"] == session
    row = hub.staff("GET", "/api/sessions").json["sessions"][0]
    assert row["id"] == session and row["ended"] is None


def test_what_was_said_before_the_kill_is_kept(hub):
    """Route and End are answered when they are stored, so a kill right after the answer takes nothing."""
    from test_realtime import ROUTE
    for _ in range(3):
        device = hub.enrol()
        device.online()
        console = hub.console()
        session = console.invoke("Connect", {"device": device.id, "modules": ["terminal"], "sdp": SDP})["session"]
        device.connection.invoke("Answer", device.answer(session))
        calls = [console.start("Route", {"session": session, "route": ROUTE | {"rtt_ms": i}}) for i in range(50)]
        for call in calls:
            console.result(call)
        console.invoke("End", {"session": session, "reason": "user"})
        again(hub)
        row = hub.staff("GET", "/api/sessions").json["sessions"][0]
        assert row["id"] == session and row["endReason"] == "user" and row["route"]["rtt_ms"] == 49


def test_session_that_nobody_names_is_lost(hub):
    device = hub.enrol()
    device.online()
    console = hub.console()
    session = console.invoke("Connect", {"device": device.id, "modules": ["terminal"], "sdp": SDP})["session"]
    device.connection.invoke("Answer", device.answer(session))
    again(hub)
    deadline = time.monotonic() + 80
    while True:
        row = hub.staff("GET", "/api/sessions").json["sessions"][0]
        if row["ended"]:
            break
        assert time.monotonic() < deadline
        time.sleep(1)
    assert row["endReason"] == "lost" and row["ended"] - row["started"] > 55_000


def test_audit_log_cannot_be_changed_in_place(hub):
    hub.token()
    hub.stop()
    with sqlite3.connect(hub.data / "hub.db") as db:
        for sql in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"):
            try:
                db.execute(sql)
                raise AssertionError(sql)
            except sqlite3.IntegrityError as e:
                assert "append-only" in str(e)
    db.close()
