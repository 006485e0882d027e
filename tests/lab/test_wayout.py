"""The client finds its way out by itself: what is set and the direct way race, PAC files and the network are asked, and what
is wrong with them is named and costs no time. Times are printed; limits are wide, because machines are busy."""

import re
import threading

import pytest
from announce import Names, Web, restart, script
from lab import Unsupported
from programs import wait_for
from proxies import PASSWORD, USER, password_file
from services import DNS, LabClient

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
        if client.process.poll() is None:
            client.stop()
        assert "Sanitizer" not in client.log


def again(client, what):
    took = restart(client)
    print(f"{what}: {took * 1000:.0f} ms")
    return took


@pytest.fixture(name="open_site", scope="module")
def fixture_open_site(lab, hub):
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


@pytest.fixture(name="quiet", scope="module")
def fixture_quiet(lab, open_site):
    """Nothing leaves it but through the proxy, which wants no password; only the proxy knows names outside."""
    site = lab.site("proxy-only")
    try:
        site.squid = lab.start_proxy(site)
    except Unsupported as reason:
        pytest.skip(str(reason))
    site.proxy = None
    return site


@pytest.fixture(name="announced", scope="module")
def fixture_announced(quiet):
    return Web(quiet, script("PROXY 192.168.1.1:3128"), port=80)


def test_wpad_by_dns(quiet, announced):
    """Up to the organisation's own domain and not beyond it; what worked is gone to first the next time."""
    with Names(quiet, hosts=[("wpad.site.example", "192.168.1.1")]) as dns:
        client = quiet.start_client()
        assert way_of(client) == ("http://192.168.1.1:3128", "wpad-dns")
        assert {"wpad.north.site.example", "wpad.site.example"} <= dns.names()
        assert not {"wpad.example", "wpad"} & dns.names()
        asked = len(announced.asked)
        assert asked and set(announced.asked) == {"/wpad.dat"}
        assert again(client, "second start where WPAD announced the proxy") < 10
        assert way_of(client) == ("http://192.168.1.1:3128", "wpad-dns")
        assert len(announced.asked) == asked
        client.stop()


def test_password_is_not_for_announced_proxies(closed):
    """Whoever runs the network may announce what they like."""
    web = Web(closed, script("PROXY 192.168.1.1:3128"), port=80)
    with Names(closed, hosts=[("wpad.north.site.example", "192.168.1.1")]):
        client = closed.start_client(*closed.way, online=False)
        client.said("wants to know who is there")
        assert web.asked
        assert not closed.squid.tunnels()[-1:] or "hub-connected" not in client.log
        client.stop()


def dhcp(value):
    """dnsmasq's options for a DHCP server that announces that."""
    return "--dhcp-range=192.168.1.0,static,255.255.255.0", f"--dhcp-option-force=252,{value}"


def test_wpad_by_dhcp(quiet, announced):
    with Names(quiet, *dhcp("http://192.168.1.1/dhcp.dat")):
        client = quiet.start_client()
        assert way_of(client) == ("http://192.168.1.1:3128", "wpad-dhcp")
        assert announced.asked[-1] == "/dhcp.dat"
        client.stop()


@pytest.mark.parametrize("value, cause", [
    ("http://pac.elsewhere.example.net/wpad.dat", "wpad-outside"),
    ("ftp://192.168.1.1/wpad.dat", "dhcp-garbage"),
    ("00:ff:00:13", "dhcp-garbage"),
])
def test_bad_dhcp(quiet, announced, value, cause):
    """Not followed, and named; the other announcement is taken when it is there."""
    with Names(quiet, *dhcp(value)):
        client = quiet.start_client(online=False)
        client.said(f"way-out-problem cause={cause} ")
    with Names(quiet, *dhcp(value), hosts=[("wpad.north.site.example", "192.168.1.1")]):
        client.said("hub-connected")
        assert way_of(client) == ("http://192.168.1.1:3128", "wpad-dns")
        client.stop()


def test_names_that_answer_everything(lab, open_site):
    """A page instead of a PAC file, under any name."""
    page = Web(open_site, b"<html>Welcome</html>", port=80)
    with Names(open_site, "--address=/site.example/192.168.1.1", f"--server=/lab.test/{DNS}"):
        client = open_site.start_client()
        assert way_of(client) == ("direct", "direct")
        assert not page.asked  # the direct way worked
        client.stop()
