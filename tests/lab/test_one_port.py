"""Hub and relay on one address and port: sites that let nothing out but TCP 443 to the hub still get everything."""

import hashlib
import os

import pytest
from lab import Lab, RELAY, Unsupported
from proxies import USER, password_file
from services import HUB, HUB_NAME, HUB_V6, LabHub, end

DATA = 1_000_000


@pytest.fixture(name="one", scope="module")
def fixture_one():
    try:
        lab = Lab()
    except Unsupported as reason:
        pytest.skip(str(reason))
    with lab:
        lab.start_relay(f"--listen=tcp+proxy:{RELAY}:3479")
        try:
            lab.start_dns()
        except Unsupported as reason:
            pytest.skip(str(reason))
        lab.dns.add(HUB_NAME, HUB, HUB_V6)
        folder = lab.folder()
        secret = folder / "secret"
        secret.write_text(f"{lab.secret}\n", encoding="ascii")
        secret.chmod(0o600)
        lab.hub = LabHub(lab.server(HUB, HUB_V6), folder / "hub", lab.certificates, "--turn-secret-file", secret,
                         "--relay-stream", f"{RELAY}:3479")
        lab.ends.callback(end, lab.hub)
        yield lab


def works(one, person, client, *way):
    data = os.urandom(DATA)
    done = person.cli("connect", *way, client.id, "--", "sh", "-c", "tee /dev/stderr | sha256sum", stdin=data)
    assert done.returncode == 0, done.stderr[-200:] + client.log.encode()
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert done.stderr == data
    here, there = one.folder() / "here", one.folder() / "there"
    here.write_bytes(data)
    done = person.cli("put", *way, str(here), f"{client.id}:{there}")
    assert done.returncode == 0, done.stderr
    assert there.read_bytes() == data


def test_both_ends_have_only_443(one):
    device, person = one.site("tcp443-only"), one.site("tcp443-only")
    works(one, person, device.start_client())


def test_both_ends_have_only_a_proxy(one):
    closed = [one.site("proxy-only"), one.site("proxy-only")]
    try:
        for site in closed:
            one.start_proxy(site, auth="basic")
    except Unsupported as reason:
        pytest.skip(str(reason))
    ways = [["--proxy", site.proxy, "--proxy-user", USER, "--proxy-password-file", str(password_file(one.folder()))]
            for site in closed]
    works(one, closed[1], closed[0].start_client(*ways[0]), *ways[1])
