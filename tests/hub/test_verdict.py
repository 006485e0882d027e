"""The hub's verdict on a session's route, what becomes of it, and the counts: docs/protocol.md §1, §1.1, §2.2."""

import json
import re
import urllib.error
import urllib.request

import pytest
from hub import SDP

RELAY = "relay.example.org"
URLS = [f"turn:{RELAY}:3478?transport=udp", f"turn:{RELAY}:3478?transport=tcp", f"turns:{RELAY}:443?transport=tcp"]


def server(url, state, mapped=None, **more):
    transport = "tls" if url.startswith("turns:") else url.rsplit("=", 1)[1]
    return {"url": url, "transport": transport, "via": "direct", "state": state, "ms": None, "mapped": mapped, "code": None,
            "error": None} | more


def report(method, transport="udp", servers=(), nat=("unknown", "unknown"), **more):
    return {"method": method, "transport": transport, "rtt_ms": 12.5, "setup_ms": 41, "reason": "as seen here", "pair": None,
            "tried": [], "candidates": [], "servers": list(servers), "nat": {"mapping": nat[0], "filtering": nat[1]},
            "ignored": {}} | more


UDP = [server(URLS[0], "answered", "198.51.100.4:40000"), server(URLS[1], "unused")]
NO_UDP = [server(URLS[0], "silent"), server(URLS[1], "silent"), server(URLS[2], "answered")]
CONE = report("relayed", servers=UDP, nat=("independent", "port"))
BLOCKED = report("relayed", "tls", NO_UDP)
SENTENCE = ("Relayed over TLS 443 because the device's network lets nothing out but TCP 443. Allow UDP 3478 and 49152–65535 "
            f"outbound to {RELAY} and it goes through the relay over UDP; allow all UDP outbound and it goes straight, "
            "unless the router (NAT) there changes ports for every destination.")


@pytest.fixture
def hub(start, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("shared\n", encoding="ascii")
    return start("--turn-secret-file", secret, *[arg for url in URLS for arg in ("--turn", url)])


class Pair:
    def __init__(self, hub):
        self.hub, self.console, self.device = hub, hub.console(), hub.enrol()
        self.device.online()
        self.session = None

    def open(self):
        self.session = self.console.invoke("Connect", {"device": self.device.id, "modules": ["terminal"], "sdp": SDP})["session"]
        self.device.connection.expect("connect")
        self.device.connection.invoke("Answer", self.device.answer(self.session))
        self.console.expect("answer")
        return self

    def tell(self, route, device=False):
        (self.device.connection if device else self.console).invoke("Route", {"session": self.session, "route": route})

    def told(self):
        message = self.console.expect("verdict")
        assert message["session"] == self.session
        return message["verdict"]

    def row(self):
        return self.hub.staff("GET", f"/api/sessions/{self.session}").json["session"]

    def end(self):
        self.console.invoke("End", {"session": self.session, "reason": "user"})


@pytest.fixture
def pair(hub):
    return Pair(hub).open()


def test_pushed_when_it_changes_and_kept(pair):
    pair.tell(BLOCKED, device=True)
    first = pair.told()
    assert (first["method"], first["transport"], first["cause"], first["side"], first["final"]) == (
        "relayed", "tls", "udp-and-tcp-blocked", "device", False)
    pair.tell(CONE)
    verdict = pair.told()
    assert verdict["final"] is True and verdict["sentence"] == SENTENCE
    assert [(r["side"], r["protocol"], r["host"], r["ports"], r["gain"]) for r in verdict["remedy"]] == [
        ("device", "udp", RELAY, "3478,49152-65535", "relay-udp"), ("device", "udp", "*", "*", "punched")]
    row = pair.row()
    assert row["verdict"] == verdict and row["routes"] == {"console": CONE, "device": BLOCKED}
    assert pair.hub.staff("GET", "/api/sessions").json["sessions"][0]["verdict"] == verdict
    pair.tell(CONE | {"rtt_ms": 13})  # nothing new: the next verdict is another one
    pair.tell(report("punched", servers=UDP))
    verdict = pair.told()
    assert (verdict["method"], verdict["cause"], verdict["remedy"]) == ("punched", "direct", [])
    pair.end()
    assert pair.row()["verdict"]["method"] == "punched"


def test_end_makes_it_final(pair):
    pair.tell(report("none", servers=[server(URLS[0], "refused", code=401)]), device=True)
    assert pair.told()["final"] is False
    pair.device.connection.invoke("Ended", {"session": pair.session, "reason": "no-route"})
    verdict = pair.told()
    assert verdict["final"] is True and verdict["method"] == "none" and verdict["transport"] is None
    assert (verdict["cause"], verdict["side"]) == ("relay-refused", "device") and f"relay {RELAY} refuses the device" in verdict["sentence"]
    assert pair.row()["verdict"] == verdict


def test_no_report_no_verdict(pair):
    pair.end()
    assert pair.row()["verdict"] is None
    assert pair.hub.staff("GET", "/api/routes").json["places"] == []


def test_policy_counts(pair):
    place = pair.hub.staff("POST", "/api/places", {"kind": "site", "name": "North", "policy": {"methods": ["relayed"]}}).json["place"]["id"]
    pair.hub.staff("PUT", f"/api/devices/{pair.device.id}/place", {"place": place})
    pair.tell(CONE)
    assert pair.told()["cause"] == "policy"


def test_resume_tells_again_and_a_restart_knows(start, tmp_path, pair):
    pair.tell(BLOCKED, device=True)
    pair.tell(CONE)
    pair.told()
    verdict = pair.told()
    pair.hub.kill()
    pair.hub.start()
    pair.device.online(sessions=[pair.session])
    pair.console = pair.hub.console()
    assert pair.console.invoke("Resume", {"session": pair.session}) == {"ok": True}
    assert pair.told() == verdict
    pair.tell(CONE | {"nat": {"mapping": "port", "filtering": "port"}})
    assert "it can go straight" in pair.told()["sentence"]  # what the device said before counts on


def test_hostile_reports(pair):
    for text in ("<img src=x onerror=alert(1)>", "\u202e\x1b[31m\n", "A" * 255):
        candidate = {"type": "host", "address": text, "port": 1, "protocol": "udp"}
        found = {"side": "local", "origin": text, "net": "physical", "ms": 1, "use": "tried", "why": text} | candidate
        tried = {"local": candidate, "remote": candidate, "state": "failed", "sent": 7, "answered": 0, "received": 0, "error": text}
        servers = [server(URLS[0], "silent"), server(URLS[1], "answered", text, error=text), server(f"turn:{text}?transport=tcp", "silent")]
        pair.tell(report("relayed", "tcp", servers, candidates=[found] * 64, tried=[tried] * 64, reason=text), device=True)
        verdict = pair.row()["verdict"]
        assert verdict["cause"] == "udp-blocked" and text not in json.dumps(verdict, ensure_ascii=False)


def test_routes_by_place(hub):
    pair = Pair(hub)
    north = hub.staff("POST", "/api/places", {"kind": "site", "name": "North"}).json["place"]["id"]
    for console, device in ((CONE, BLOCKED), (CONE, BLOCKED), (report("local"), report("local")), (CONE, None)):
        pair.open()
        pair.tell(console)
        if device:
            pair.tell(device, device=True)
        pair.end()
    other = Pair(hub).open()
    hub.staff("PUT", f"/api/devices/{other.device.id}/place", {"place": north})
    other.tell(report("none"), device=True)
    answer = hub.staff("GET", "/api/routes?days=1").json
    first, second = answer["places"]
    assert {k: v for k, v in first.items() if k != "causes"} == {
        "place": "hub", "name": "", "sessions": 4, "local": 1, "punched": 0, "relayed": 3, "none": 0}
    assert [(c["method"], c["cause"], c["side"], c["count"]) for c in first["causes"]] == [
        ("relayed", "udp-and-tcp-blocked", "device", 2), ("relayed", "unknown", "none", 1), ("local", "same-network", "none", 1)]
    assert first["causes"][0]["sentence"] == SENTENCE and first["causes"][0]["remedy"][0]["host"] == RELAY
    assert (second["place"], second["name"], second["sessions"], second["none"]) == (north, "North", 1, 1)
    assert hub.ask("GET", "/api/routes").status == 401
    assert len(hub.staff("GET", "/api/routes?days=0").json["places"]) == 2  # 7, as when nothing is said


@pytest.fixture
def measured(start, tmp_path):
    """A hub with metrics, and what asks them."""
    secret = tmp_path / "secret"
    secret.write_text("shared\n", encoding="ascii")
    hub = start("--metrics", "127.0.0.1:0", "--turn-secret-file", secret, *[arg for url in URLS for arg in ("--turn", url)])
    at = re.search(r"metrics=(\S+)", "".join(hub.log)).group(1)

    def metrics(path="/metrics"):
        with urllib.request.urlopen(f"http://{at}{path}", timeout=10) as answer:
            return answer.read().decode()

    return hub, metrics


def samples(text):
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_metrics(measured):
    hub, metrics = measured
    assert metrics("/health") == "ok\n"
    with pytest.raises(urllib.error.HTTPError) as failed:
        metrics("/api/devices")
    assert failed.value.code == 404
    pair = Pair(hub)
    north = hub.staff("POST", "/api/places", {"kind": "site", "name": 'No"rth\\'}).json["place"]["id"]
    hub.staff("PUT", f"/api/devices/{pair.device.id}/place", {"place": north})
    pair.open()
    now = samples(metrics())
    assert now['fairlead_sessions_running{method=""}'] == "1" and now['fairlead_sessions_running{method="relayed"}'] == "0"
    pair.tell(BLOCKED, device=True)
    pair.tell(CONE)
    now = samples(metrics())
    assert now['fairlead_sessions_running{method=""}'] == "0" and now['fairlead_sessions_running{method="relayed"}'] == "1"
    assert (now["fairlead_devices"], now["fairlead_devices_connected"], now["fairlead_consoles_connected"]) == ("1", "1", "1")
    assert now['fairlead_session_setup_seconds_bucket{method="relayed",le="0.025"}'] == "0"
    assert now['fairlead_session_setup_seconds_bucket{method="relayed",le="0.05"}'] == "1"  # the first report's, once
    assert now['fairlead_session_setup_seconds_count{method="relayed"}'] == "1"
    assert now['fairlead_session_setup_seconds_sum{method="relayed"}'] == "0.041"
    assert not any(name.startswith("fairlead_sessions_routed_total") for name in now)
    pair.end()
    pair.open()
    pair.end()  # without a report: not counted
    now = samples(metrics())
    routed = {name: value for name, value in now.items() if name.startswith("fairlead_sessions_routed_total")}
    assert routed == {f'fairlead_sessions_routed_total{{place="{north}",method="relayed",transport="tls",'
                      'cause="udp-and-tcp-blocked"}': "1"}
    assert now[f'fairlead_place_info{{place="{north}",name="No\\"rth\\\\"}}'] == "1"
    assert now['fairlead_sessions_running{method="relayed"}'] == "0"
    pair.device.connection.close()
    assert "process_resident_memory_bytes" in now


def test_metrics_are_asked_for(start, hub):
    assert not any("metrics" in line for line in hub.log)
    with pytest.raises(RuntimeError, match='--metrics: "9642" is not ADDR:PORT'):
        start("--metrics", "9642")
