"""A browser and a client in every kind of pair of networks that matters for it: the console's page comes from the hub, the
route is the one that theory allows, a command works in the terminal, and what is local stays off the broadband line.
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
from dataclasses import dataclass

import pytest
from programs import BUILD
from services import end

NODE = pathlib.Path(os.environ.get("FAIRLEAD_NODE", BUILD / "tools/node"))
CONSOLE = pathlib.Path(__file__).with_name("console.mjs")
CLOSE_S = 10
DATA = 300_000  # bytes, as console.mjs fetches them
LOCAL_MAX = 40_000  # of them at the broadband line: pings of both ends to the hub, and allocations that end

# The computer's own firewall lets in nothing but answers: the client has to find the browser by its .local name.
FIREWALL = """table inet own { chain input {
    type filter hook input priority 0; policy drop
    iifname "lo" accept
    ct state established, related accept
    meta l4proto { icmp, icmpv6 } accept
    udp dport 5353 accept
}
}"""


@dataclass
class Row:
    device: str  # kinds of the sites; one kind: both are in the same site
    person: str
    method: str
    transport: str
    firewall: bool = False
    browser: str = "chromium"


ROWS = {
    "same-lan": Row("same-lan", "", "local", "udp"),
    "same-lan-firewall": Row("same-lan", "", "local", "udp", firewall=True),
    "same-lan-firefox": Row("same-lan", "", "local", "udp", firewall=True, browser="firefox"),
    "same-lan-no-udp": Row("same-lan-no-udp", "", "local", "tcp"),
    "vlans": Row("vlans", "", "local", "udp"),
    "hairpin": Row("hairpin", "", "punched", "udp"),
    "guest": Row("guest", "", "relayed", "udp"),
    "cone+cone": Row("port-restricted", "port-restricted", "punched", "udp"),
    "full-cone+symmetric": Row("full-cone", "symmetric", "punched", "udp"),
    "symmetric+symmetric": Row("symmetric", "symmetric", "relayed", "udp"),
    "ipv6-only": Row("ipv6-only", "ipv6-only", "punched", "udp"),
    "device udp-blocked": Row("udp-blocked", "port-restricted", "relayed", "udp"),
    "person udp-blocked": Row("port-restricted", "udp-blocked", "relayed", "tcp"),
    "person tcp443-only": Row("port-restricted", "tcp443-only", "relayed", "tls"),
    "device proxy-only": Row("proxy-only", "port-restricted", "relayed", "udp"),
    "person proxy-only": Row("port-restricted", "proxy-only", "relayed", "tls"),
    "both proxy-only": Row("proxy-only", "proxy-only", "relayed", "tls"),
}


class Failed(Exception):
    pass


class Person:
    """A browser at a site (console.mjs)."""

    def __init__(self, site, host, hub, device, row):
        folder = site.lab.folder()
        told = {"browser": row.browser, "link": hub.new_link(), "device": device, "trusted": site.lab.certificates.pin,
                "method": row.method, "transport": row.transport} | ({"proxy": site.proxy} if site.proxy else {})
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = site.popen(NODE, CONSOLE, json.dumps(told), host=host, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=log, text=True, env=dict(os.environ, HOME=str(folder), TMPDIR=str(folder)))

    def read(self):
        line = self.process.stdout.readline()
        event = json.loads(line) if line else {"event": "failed", "text": self.log.read_text(errors="replace")}
        if event["event"] == "failed":
            raise Failed(f"{event['text']}\npage: {event.get('page')}")
        return event

    def do(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()

    def close(self):
        """The browser ends in good order, when it can."""
        self.process.stdin.close()
        try:
            self.process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            end(self)
        self.process.stdout.close()


def story(hub, client):
    """The device's log, and what the hub has of its sessions: both ends' reports."""
    sessions = hub.staff("GET", f"/api/sessions?device={client.id}").json["sessions"]
    whole = [hub.staff("GET", f"/api/sessions/{session['id']}").json for session in sessions]
    return f"{client.log}\n{json.dumps(whole, indent=1)}"


def run(lab, hub, name):
    """What the browser saw, and the bytes at the device's broadband line while it fetched DATA."""
    row = ROWS[name]
    device = lab.site(row.device)
    person, host = (lab.site(row.person), 0) if row.person else (device, 1)
    for site in (device, person):
        if site.name == "proxy-only":
            lab.start_proxy(site)
    if row.firewall:
        device.host.rules(FIREWALL)
    client = device.start_client()
    browser = Person(person, host, hub, client.id, row)
    try:
        seen = browser.read()
        before = device.wan_bytes()
        browser.do("data")
        browser.read()
        return seen | {"crossed": device.wan_bytes() - before, "story": story(hub, client)}
    except Failed as failed:
        raise Failed(f"{name}: {failed}\n{story(hub, client)}") from failed
    finally:
        browser.close()
        client.stop()


@pytest.fixture(scope="module")
def runs(lab, hub, request):
    """All rows that are wanted, as many at a time as there are cores."""
    for program in ("/usr/bin/chromium", "/usr/bin/firefox-esr"):
        if not shutil.which(program):
            pytest.skip(f"{program} is missing")
    if not NODE.exists() or not CONSOLE.parents[1].joinpath("e2e/node_modules/playwright-core").exists():
        pytest.skip("Node.js or the browser tests' packages are missing; make test fetches them")
    wanted = [item.callspec.params["name"] for item in request.session.items
              if item.module is request.module and "runs" in item.fixturenames]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield {name: pool.submit(run, lab, hub, name) for name in wanted}


@pytest.mark.parametrize("name", ROWS)
def test_row(runs, name, capsys):
    row, seen = ROWS[name], runs[name].result()
    route = seen["route"]
    with capsys.disabled():
        print(f"\n{name:22} {seen['opened_ms']:5} ms  {route['method']} over {route['transport']}, "
              f"{seen['crossed']} bytes at the broadband line", end=" ")
    assert (seen["badge"], route["method"], route["transport"]) == (row.method, row.method, row.transport), json.dumps(
        seen | {"story": ""}, indent=1) + seen["story"]
    # with IPv6 alone Chromium makes no such names, and tells STUN's answer only
    assert seen["hosts"] or row.device == "ipv6-only"
    assert all(address.endswith(".local") for address in seen["hosts"]), "the browser hides its addresses"
    if row.person or row.method == "relayed":
        assert seen["crossed"] > DATA
    else:
        assert seen["crossed"] < LOCAL_MAX
