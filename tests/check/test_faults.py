"""fairlead check with one fault planted at a time: it names that one by its own cause, and no other."""

import json
import os
import pathlib
import re
import subprocess

import pytest
from conftest import failed, run_check
from faults import CLOSE, HANG, Line, Middle, Raw, Udp, Web, page
from hub import BUILD
from programs import wait_for  # noqa: F401  (the path is set up by conftest)
from proxies import Played, Socks, free_port, password_file

YESTERDAY = str(BUILD / "tests" / "client" / "libyesterday.so")
OFF = {"LD_PRELOAD": YESTERDAY, "CLOCK_OFF_S": "600",
       "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
SCREEN = '<!doctype html><html><form action="/in"><input name="user"></form></html>'
BLOCKED = "<!doctype html><html><h1>Blocked by your school</h1></html>"
HTTP = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
ALERT = bytes.fromhex("15030300020228")  # fatal handshake_failure
RELAY_WAYS = ("turn-udp", "turn-tcp", "turn-tls", "turn-wss")


def stun_error(data, code, kind):
    """An error answer to a request, as the relay writes it."""
    attribute = bytes.fromhex("0009") + (8).to_bytes(2, "big") + bytes([0, 0, code // 100, code % 100]) + b"nope"
    return (kind | 0x0110).to_bytes(2, "big") + len(attribute).to_bytes(2, "big") + data[4:20] + attribute


def at_hub(server, *words, **more):
    """The fault stands in the hub's place."""
    def plant(site):
        one = server(site)
        try:
            return site.check(*words, port=one.port, **more)
        finally:
            one.close()
    return plant


def at_need(server, *kinds):
    """The fault stands in the place of these needs."""
    def plant(site):
        one = server(site)
        try:
            return site.check("--network", site.needs(**{kind: one.port for kind in kinds}))
        finally:
            one.close()
    return plant


def before_hub(change=None, upgrade=None, certificate=None):
    return at_hub(lambda site: Middle(site.hub.port, certificate(site) if certificate else site.own, change, upgrade))


def health(say):
    """Other answers to the hub's first question."""
    return before_hub(lambda path, body: say if path.startswith("/health") else body)


def told_anew(site_certificate):
    return before_hub(certificate=site_certificate)


def stripped(upper, lower):
    """A proxy that strips the upgrade by its exact casing."""
    def upgrade(head):
        lost = (upper and "upgrade: WebSocket" in head) or (lower and "upgrade: websocket" in head)
        return page(426, "{}", "application/json") if lost else None
    return upgrade


def by_proxy(make, *words):
    def plant(site):
        with make(site) as proxy:
            return site.check("--proxy", proxy.url, *words)
    return plant


def wrong_key(site):
    folder = site.folder / "client"
    folder.mkdir(exist_ok=True)
    (folder / "device.json").write_text(json.dumps({"hubKey": "A" * 43}))
    return site.check("--client-data", folder)


class Nothing:
    """Nobody listens there."""

    def __init__(self, _site=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Named(Nothing):
    def __init__(self, url):
        super().__init__()
        self.url = url


class Tcp:
    """Over TCP: says(data) for what came, HANG or CLOSE."""

    def __init__(self, says):
        def talk(connection):
            if says == HANG:
                self.server.held.append(connection)
                return
            data = connection.recv(65536)
            if says != CLOSE:
                connection.sendall(says(data))
                connection.recv(1)
        self.server = Raw(CLOSE)
        self.server.talk = talk
        self.port = self.server.port

    def close(self):
        self.server.close()


# name: (how it is planted, what has to be told, does all that is required still work)
FAULTS = {
    # the hub, below TLS
    "hub-refused": (at_hub(Nothing), {("hub/tcp", "tcp-refused")}, False),
    "hub-hangs": (at_hub(lambda s: Raw(HANG)), {("hub/tls", "tls-silent")}, False),
    "hub-cut-at-tls": (at_hub(lambda s: Raw(CLOSE)), {("hub/tls", "tls-closed")}, False),
    "hub-speaks-http": (at_hub(lambda s: Raw(HTTP)), {("hub/tls", "not-tls")}, False),
    "hub-refuses-tls": (at_hub(lambda s: Raw(ALERT)), {("hub/tls", "tls-refused")}, False),
    # its certificate
    "hub-expired": (told_anew(lambda s: s.authority.sign(begins=-30, ends=-1)), {("hub/tls", "tls-expired")}, False),
    "hub-not-yet": (told_anew(lambda s: s.authority.sign(begins=1)), {("hub/tls", "tls-not-yet-valid")}, False),
    "hub-other-name": (told_anew(lambda s: s.authority.sign("other.example")), {("hub/tls", "tls-name")}, False),
    "hub-own-authority": (lambda s: s.check("--network", s.needs(store=None), ca=False), {("hub/tls", "tls-issuer")},
                          False),
    "inspected": (told_anew(lambda s: s.stranger.sign()), {("hub/tls", "inspection")}, False),
    "inspected-trusted": (told_anew(lambda s: s.authority.sign()), {("hub/inspection", "inspection-trusted")}, True),
    # what answers
    "portal-redirects": (health(page(302, "", more="location: http://portal.example/in\r\n")),
                         {("hub/https", "captive-portal")}, False),
    "portal-page": (at_hub(lambda s: Web(s.stranger.sign(), page(200, SCREEN))), {("hub/https", "captive-portal")}, False),
    "portal-511": (health(page(511, "sign in", "text/plain")), {("hub/https", "captive-portal")}, False),
    "filter-page": (health(page(403, BLOCKED)), {("hub/https", "filter-page")}, False),
    "not-a-hub": (health(page(200, '{"hello":"world"}', "application/json")), {("hub/https", "not-a-hub")}, False),
    "not-http": (health(b"220 mail.example ESMTP\r\n\r\n"), {("hub/https", "not-http")}, False),
    "http-silent": (health(HANG), {("hub/https", "http-silent")}, False),
    "http-closed": (health(CLOSE), {("hub/https", "http-closed")}, False),
    "hub-behind-is-down": (health(page(502, BLOCKED)), {("hub/https", "hub-down")}, False),
    "cached": (health(page(200, '{"ok":true,"echo":"yesterday"}', "application/json")), {("hub/https", "stale-answer")},
               False),
    "forged": (before_hub(lambda path, body: body.replace('"signature":"', '"signature":"A')),
               {("hub/identity", "hub-key")}, False),
    "another-hub": (wrong_key, {("hub/identity", "hub-key")}, False),
    "clock": (lambda s: s.check(env=OFF), {("clock", "clock-off")}, True),
    "list-of-another-version": (before_hub(lambda path, body: body.replace('"kind":"', '"kind":"x')),
                                {("hub/network", "network-list")}, False),
    # realtime
    "websocket-stripped": (before_hub(upgrade=stripped(True, True)),
                           {("hub/websocket", "websocket-stripped"), ("hub/WebSocket", "websocket-stripped")}, False),
    "one-casing-stripped": (before_hub(upgrade=stripped(False, True)), {("hub/websocket", "websocket-stripped")}, True),
    "websocket-dropped": (before_hub(upgrade=lambda head: "drop"),
                          {("hub/websocket", "websocket-dropped"), ("hub/WebSocket", "websocket-dropped")}, False),
    "websocket-swallowed": (before_hub(upgrade=lambda head: "swallow"),
                            {("hub/websocket", "websocket-silent"), ("hub/WebSocket", "websocket-silent")}, False),
    # a store
    "store-refused": (at_need(Nothing, "store"), {("store/tcp", "tcp-refused")}, False),
    "store-expired": (at_need(lambda s: Web(s.authority.sign(begins=-9, ends=-1), page(400, "")), "store"),
                      {("store/tls", "tls-expired")}, False),
    "store-inspected": (at_need(lambda s: Web(s.stranger.sign(), page(400, "")), "store"), {("store/tls", "inspection")},
                        False),
    "store-blocked": (at_need(lambda s: Web(s.authority.sign(), page(403, BLOCKED)), "store"),
                      {("store/https", "filter-page")}, False),
    "store-down": (at_need(lambda s: Web(s.authority.sign(), page(503, "")), "store"), {("store/https", "hub-down")},
                   False),
    # UDP
    "udp-refused": (at_need(Nothing, "turn_udp"), {("turn-udp/turn", "udp-refused")}, True),
    "udp-silent": (at_need(lambda s: Udp(), "turn_udp"), {("turn-udp/turn", "udp-silent")}, True),
    "stun-silent": (at_need(lambda s: Udp(), "stun"), {("stun/stun", "udp-silent")}, True),
    "stun-garbage": (at_need(lambda s: Udp(lambda data: b"hello, who is there?"), "stun"), {("stun/stun", "not-stun")}, True),
    "turn-garbage": (at_need(lambda s: Udp(lambda data: b"hello, who is there?"), "turn_udp"),
                     {("turn-udp/turn", "not-turn")}, True),
    "turn-says-no": (at_need(lambda s: Udp(lambda data: stun_error(data, 403, 3)), "turn_udp"),
                     {("turn-udp/turn", "turn-refused")}, True),
    "loss": (at_need(lambda s: Line(s.relay.ports["udp"], lambda number, data: number > 3 and number % 3 == 0), "stun"),
             {("stun/quality", "loss")}, True),
    "latency": (at_need(lambda s: Line(s.relay.ports["udp"], delay=0.5), "stun"), {("stun/quality", "latency")}, True),
    "mtu": (at_need(lambda s: Line(s.relay.ports["udp"], lambda number, data: len(data) > 600), "stun"),
            {("stun/mtu", "mtu-small")}, True),
    # the relay's streams
    "turn-tcp-refused": (at_need(Nothing, "turn_tcp"), {("turn-tcp/tcp", "tcp-refused")}, True),
    "turn-tcp-silent": (at_need(lambda s: Tcp(HANG), "turn_tcp"), {("turn-tcp/turn", "turn-silent")}, True),
    "turn-tcp-cut": (at_need(lambda s: Tcp(CLOSE), "turn_tcp"), {("turn-tcp/turn", "turn-closed")}, True),
    "turn-tcp-is-http": (at_need(lambda s: Tcp(lambda data: HTTP), "turn_tcp"), {("turn-tcp/turn", "not-turn")}, True),
    "turn-tcp-says-no": (at_need(lambda s: Tcp(lambda data: stun_error(data, 486, 3)), "turn_tcp"),
                         {("turn-tcp/turn", "turn-refused")}, True),
    "turn-tls-cut": (at_need(lambda s: Raw(CLOSE), "turn_tls"), {("turn-tls/tls", "tls-closed")}, True),
    "turn-wss-stripped": (at_need(lambda s: Web(s.authority.sign(), page(426, "")), "turn_wss"),
                          {("turn-wss/turn", "websocket-stripped")}, True),
    "no-relay-at-all": (at_need(Nothing, *(way.replace("-", "_") for way in RELAY_WAYS)),
                        {("turn-udp/turn", "udp-refused"), ("turn-tcp/tcp", "tcp-refused"),
                         ("turn-tls/tcp", "tcp-refused"), ("turn-wss/tcp", "tcp-refused")}, False),
    # a proxy, where the direct way works: only the proxy is at fault
    "proxy-refused": (by_proxy(Nothing), {("proxy", "proxy-refused")}, True),
    "proxy-name": (by_proxy(lambda s: Named("http://nowhere.invalid:3128")), {("proxy", "proxy-name")}, True),
    "proxy-hangs": (by_proxy(lambda s: Played(None)), {("proxy", "proxy-timeout")}, True),
    "proxy-closes": (by_proxy(lambda s: Played(b"")), {("proxy", "proxy-closed")}, True),
    "proxy-not-http": (by_proxy(lambda s: Played(b"220 mail.example ESMTP\r\n\r\n")), {("proxy", "proxy-not-http")}, True),
    "proxy-scheme": (by_proxy(lambda s: Played(b"HTTP/1.1 407 No\r\nproxy-authenticate: Magic\r\ncontent-length: 0\r\n\r\n")),
                     {("proxy", "proxy-scheme")}, True),
    "proxy-user": (by_proxy(lambda s: Played(b"HTTP/1.1 407 No\r\nproxy-authenticate: Basic realm=x\r\n"
                                             b"content-length: 0\r\n\r\n")), {("proxy", "proxy-user")}, True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_no_other(site, fault):
    plant, expected, works = FAULTS[fault]
    status, told, seconds = plant(site)
    assert failed(told) == expected, json.dumps(told["change"], indent=1)
    assert (status, told["ok"]) == ((0, True) if works else (1, False))
    assert {change["id"] for change in told["change"]} == {i["id"] for i in told["items"] if not i["ok"]}
    assert told["tookMs"] < 10000


def test_every_fault_has_a_sentence_of_its_own(site):
    causes = {cause for _, expected, _ in FAULTS.values() for _, cause in expected}
    assert len(causes) >= 30 and len(FAULTS) >= 30


def test_nothing_is_wrong(site):
    status, told, seconds = site.check()
    assert (status, told["ok"], failed(told)) == (0, True, set())
    steps = {item["id"].split(":")[0] + "/" + item["id"].split("/")[-1] for item in told["items"]}
    assert steps >= {"hub/tcp", "hub/tls", "hub/https", "hub/identity", "hub/websocket", "hub/WebSocket", "store/https",
                     "stun/stun", "stun/mtu", "stun/quality", "turn-udp/turn", "turn-tcp/turn", "turn-tls/turn",
                     "turn-wss/turn"}
    assert told["methods"]["relayed"] == {"works": True, "why": "the relay answers over udp, tcp, tls, wss"}
    assert told["proxy"] is None and told["inspection"] is None and told["change"] == []


def test_the_inspecting_product_is_named(site):
    _, told, _ = FAULTS["inspected"][0](site)
    assert told["inspection"] == {"issuer": "Zscaler Intermediate Root CA", "product": "Zscaler"}


def test_a_working_proxy_carries_what_the_direct_way_does_not(site):
    with Socks() as proxy:
        url = f"socks5h://127.0.0.1:{proxy.port}"
        status, told, _ = run_check("--hub", site.url(), "--ca", site.ca, "--proxy", url)
        assert (status, failed(told)) == (0, set()) and told["proxy"] == {"url": url, "found": "option", "works": True}


def test_text_is_for_people(site):
    done = subprocess.run([BUILD / "fairlead", "check", "--hub", site.url(), "--ca", site.ca], capture_output=True,
                          text=True, timeout=30, check=False, env={**os.environ, "HOME": "/nonexistent"})
    assert done.returncode == 0 and done.stderr == "" and "\x1b" not in done.stdout
    assert "nothing to change" in done.stdout and "3 relayed  yes" in done.stdout
    done = subprocess.run([BUILD / "fairlead", "check", "--hub", f"https://localhost:{free_port()}"], capture_output=True,
                          text=True, timeout=30, check=False, env={**os.environ, "HOME": "/nonexistent"})
    assert done.returncode == 1 and "tcp-refused" in done.stdout and "1. Connections to localhost port" in done.stdout


def test_usage(site, tmp_path):
    def run(*words):
        done = subprocess.run([BUILD / "fairlead", "check", *words], capture_output=True, text=True, timeout=30, check=False,
                              env={key: v for key, v in os.environ.items() if key != "FAIRLEAD_HUB"} |
                              {"HOME": str(tmp_path)})
        return done.returncode, done.stderr
    assert run()[0] == 2 and "which hub" in run()[1]
    assert run("--hub", "ftp://x")[0] == 2 and run("--nonsense")[0] == 2 and run("more")[0] == 2
    assert run("--network", str(tmp_path / "none"))[0] == 1
    # the list names the hub
    assert run("--network", str(site.needs()))[0] in (0, 1)


def test_the_page_explains_every_cause():
    root = pathlib.Path(__file__).resolve().parents[2]
    source = (root / "src" / "check" / "cause.c").read_text(encoding="utf-8")
    words = set(re.findall(r'\[CAUSE_\w+\] = \{\s*"([a-z0-9-]+)"', source))
    section = (root / "docs" / "check.md").read_text(encoding="utf-8").split("## Causes")[1].split("## JSON")[0]
    explained = {word for line in section.splitlines() if line.startswith("| `")
                 for word in re.findall(r"`([a-z0-9-]+)`", line.split("|")[1])}
    assert len(words) > 50 and words == explained
