"""The client finds its way out by itself: what is set and the direct way race, PAC files and the network are asked, and what
is wrong with them is named and costs no time. Times are printed; limits are wide, because machines are busy."""

import contextlib
import datetime
import http.server
import re
import threading

import pytest
from lab import Unsupported
from programs import wait_for
from proxies import PASSWORD, USER, password_file
from services import LabClient

SCRIPT = """
const rules = new Map([[/lab[.]test$/, `%s`]]);
const FindProxyForURL = (url, host) => [...rules].find(([re]) => re.test(host))?.[1] ?? "DIRECT";
"""  # today's JavaScript


class Web:
    """A web server on a site's router with one answer for every path: bytes, or a function of the request's handler."""

    def __init__(self, site, answer, port=0, status=200):
        owner, self.asked = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                owner.asked.append(self.path)
                with contextlib.suppress(OSError):
                    if callable(answer):
                        answer(self.wfile)
                        return
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_):
                pass

        with site.router:
            self.server = http.server.ThreadingHTTPServer((str(site.inside), port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{site.inside}:{self.server.server_port}/proxy.pac"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        site.lab.ends.callback(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def script(ways):
    return (SCRIPT % ways).encode()


def when(client, event):
    """The client's own time stamp of its last line of that event."""
    line = [line for line in client.log.splitlines() if re.search(rf" {event}( |$)", line)][-1]
    return datetime.datetime.fromisoformat(re.search(r"\d{4}-\d\d-\d\dT[0-9:.]+", line)[0])


def way_of(client):
    return re.findall(r"way-out way=(\S+) found=(\S+)", client.log)[-1]


@pytest.fixture(autouse=True)
def logs(monkeypatch):
    """What the clients of a test said."""
    clients = []
    start = LabClient.__init__

    def begin(self, *args, **more):
        clients.append(self)
        start(self, *args, **more)

    monkeypatch.setattr(LabClient, "__init__", begin)
    yield
    for client in clients:
        print(client.log)


def again(client, what):
    """Started once more; seconds from its start to online, by the clock that its log shows."""
    client.stop()
    began = datetime.datetime.utcnow()
    before = client.log.count("hub-connected")
    client.start()
    wait_for(lambda: client.log.count("hub-connected") > before)
    took = (when(client, "hub-connected") - began).total_seconds()
    print(f"{what}: {took * 1000:.0f} ms")
    return took


@pytest.fixture(name="open_site", scope="module")
def fixture_open_site(lab):
    lab.start_hub()
    return lab.site("port-restricted")


@pytest.fixture(name="closed", scope="module")
def fixture_closed(lab, open_site):
    """Nothing leaves it but through the proxy, which wants a password. site.way: the options for it."""
    site = lab.site("proxy-only")
    try:
        site.squid = lab.start_proxy(site, auth="basic")
    except Unsupported as reason:
        pytest.skip(str(reason))
    site.proxy = None  # nobody is told
    site.password = password_file(lab.folder())
    site.way = ["--proxy-user", USER, "--proxy-password-file", str(site.password)]
    return site


@pytest.mark.parametrize("dead", ["http://192.168.1.1:9", "http://192.168.1.99:3128", "http://nowhere.invalid:3128"])
def test_dead_proxy_and_direct(open_site, dead):
    """The one that is set is gone: refuses, is silent, has no name."""
    client = open_site.start_client(environment={"https_proxy": dead})
    assert way_of(client) == ("direct", "direct")
    assert again(client, f"{dead} is dead, direct works") < 10
    client.stop()


def test_configured_proxy_has_precedence(lab, open_site):
    try:
        proxy = lab.start_proxy(open_site)
    except Unsupported as reason:
        pytest.skip(str(reason))
    open_site.proxy = None
    client = open_site.start_client(environment={"https_proxy": proxy.url})
    assert way_of(client) == (proxy.url, "environment")
    client.stop()
    client = open_site.start_client(environment={"https_proxy": proxy.url, "no_proxy": ".lab.test"})
    assert way_of(client) == ("direct", "direct")
    client.stop()


def test_pac_with_password(closed):
    web = Web(closed, script("PROXY 192.168.1.99:1; PROXY 192.168.1.1:3128; DIRECT"))
    client = closed.start_client("--pac", web.url, *closed.way)
    assert way_of(client) == ("http://192.168.1.1:3128", "pac")
    assert web.asked
    assert again(client, "PAC file, proxy with a password") < 10
    assert PASSWORD not in client.log
    client.stop()


BAD = {
    "pac-timeout": b"function FindProxyForURL() { for (;;); }",
    "pac-threw": b"function FindProxyForURL() { throw new Error('no'); }",
    "pac-nonsense": b"function FindProxyForURL() { return 'MAYBE'; }",
    "pac-not-a-script": b"<html>Welcome</html>",
    "pac-too-large": lambda out: out.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"/*FindProxyForURL*/\n" * (50 * 50_000)),
    "pac-slow": lambda out: threading.Event().wait(20),
    "pac-status": lambda out: out.write(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"),
    "pac-broken": lambda out: out.write(b"220 mail.example ESMTP\r\n"),
}


@pytest.mark.parametrize("cause", BAD)
def test_bad_pac(open_site, cause):
    """Named by its own word where it matters, and the direct way does not wait for it."""
    web = Web(open_site, BAD[cause])
    client = open_site.start_client("--pac", web.url)
    assert way_of(client) == ("direct", "direct")
    assert again(client, cause) < 10
    client.stop()


def test_wrong_password_is_shown_once(lab, closed):
    web = Web(closed, script("PROXY 192.168.1.1:3128"))
    wrong = password_file(lab.folder(), "not hers")
    before = closed.squid.refusals()
    client = closed.start_client("--pac", web.url, "--proxy-user", USER, "--proxy-password-file", str(wrong), online=False)
    client.said("refused the user or the password")
    with pytest.raises(AssertionError):
        wait_for(lambda: closed.squid.refusals() > before + 2, 2)
    assert client.process.poll() is None
    password_file(wrong.parent)
    client.said("hub-connected")
    client.stop()
