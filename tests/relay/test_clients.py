"""Clients that others wrote, against fairlead-relay on loopback."""

import asyncio
import re
import secrets
import subprocess

import aioice
import pytest
from coturn import Peer, Uclient, free_pair
from relay import SECRET, Relay, make_certificate

USER, PASSWORD = "joe", "joe's own"
# relayed ports of our own, whatever else runs on this machine and takes those of 127.0.0.1
RELAYED = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
LOOPBACK = ("--allow-peer", "127.0.0.0/8", "--allow-peer", "::1", "--relay-address", RELAYED, "--relay-address", "::1")
BY_SECRET = ("-u", "anybody", "-W", SECRET)
BY_PASSWORD = ("-u", USER, "-w", PASSWORD)

# The options of turnutils_uclient, the transport they make it speak, and where its peer is. Not among
# them: -B, which loses what it leaves; -P and -R, which lose half or never end against coturn 4.6.1
# itself, too; -Z, which asks for both families by an attribute number of before RFC 8656.
FORMS = {
    "channels": ("", "udp", "127.0.0.1"),
    "indications": ("-s", "udp", "127.0.0.1"),
    "tcp": ("-t", "tcp", "127.0.0.1"),
    "tcp-indications": ("-t -s", "tcp", "127.0.0.1"),
    "tls": ("-t -S", "tls", "127.0.0.1"),
    "dtls": ("-S", "dtls", "127.0.0.1"),
    "between-clients": ("-y", "udp", None),
    "between-clients-indications": ("-y -s -c", "udp", None),
    "between-clients-tcp": ("-y -t", "tcp", None),
    "tcp-relay": ("-T", "tcp", None),
    "tcp-relay-tls": ("-T -S", "tls", None),
    "ipv6": ("-x", "udp", "::1"),
    "ipv6-tcp": ("-x -t", "tcp", "::1"),
    "ipv4-asked-for": ("-X", "udp", "127.0.0.1"),
    "padded-channels": ("-D", "udp", "127.0.0.1"),
    "padded-channels-tcp": ("-D -t", "tcp", "127.0.0.1"),
    "dont-fragment": ("-g", "udp", "127.0.0.1"),
    "mobility": ("-M", "udp", "127.0.0.1"),
    "mobility-tcp": ("-M -t", "tcp", "127.0.0.1"),
    "extra-requests": ("-G", "udp", "127.0.0.1"),
    "large": ("-l 1300", "udp", "127.0.0.1"),
    "large-tls": ("-l 1300 -t -S", "tls", "127.0.0.1"),
}


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relay")
    (folder / "secret").write_text(SECRET + "\n")
    (folder / "users").write_text(f"{USER}:{PASSWORD}\n")
    for name in ("secret", "users"):
        (folder / name).chmod(0o600)
    cert, key = make_certificate(folder)
    with Relay("--secret-file", folder / "secret", "--user-file", folder / "users", "--cert", cert, "--key", key,
               *LOOPBACK, listen=("udp", "tcp", "tls", "dtls")) as running:
        yield running
        assert running.end() == 0, running.log


@pytest.fixture(scope="module")
def uclients(relay):
    """All forms at once: each mostly waits."""
    peers = {host: Peer(host) for host in ("127.0.0.1", "::1")}
    running = {}
    for name, (words, transport, host) in FORMS.items():
        running[name] = Uclient([*words.split(), *BY_SECRET], relay.ports[transport], peer=peers.get(host))
    running["password"] = Uclient(BY_PASSWORD, relay.ports["udp"], peer=peers["127.0.0.1"])
    yield running
    for one in [*running.values(), *peers.values()]:
        one.close()


@pytest.mark.parametrize("name", [*FORMS, "password"])
def test_turnutils_uclient(relay, uclients, name):
    try:
        uclients[name].expect_nothing_lost()
    except AssertionError:
        print(relay.log)
        raise


# ---- STUN ----


def run(*words):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, check=False, errors="replace")
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def discovery():
    """Two addresses with two ports each: then the relay offers behaviour discovery."""
    hosts = ("127.0.0.1", "127.0.0.2")
    port = free_pair("0.0.0.0")
    words = [w for host in hosts for p in (port, port + 1) for w in ("--listen", f"udp:{host}:{p}")]
    with Relay(*words, listen=()) as running:
        running.port = port
        yield running
        assert running.end() == 0, running.log


def test_turnutils_stunclient(relay):
    status, said = run("turnutils_stunclient", "-p", relay.ports["udp"], "127.0.0.1")
    assert status == 0 and re.search(r"UDP reflexive addr: 127\.0\.0\.1:\d+", said), said


def test_turnutils_stunclient_with_discovery(discovery):
    """It goes on to RESPONSE-PORT and PADDING where OTHER-ADDRESS is offered."""
    for _ in range(10):
        status, said = run("turnutils_stunclient", "-p", discovery.port, "127.0.0.1")
        if "bind: Address already in use" not in said:  # it wants the port after its own, whoever has that
            break
    assert status == 0 and f"Other addr: : 127.0.0.2:{discovery.port + 1}" in said, said
    for number in (1, 2, 3):
        assert f"RFC 5780 response {number}" in said, said
    assert f"Response origin: : 127.0.0.2:{discovery.port + 1}" in said, said


def test_turnutils_natdiscovery(discovery):
    status, said = run("turnutils_natdiscovery", "-m", "-f", "-p", discovery.port, "127.0.0.1")
    assert status == 0, said
    assert "NAT with Endpoint Independent Mapping!" in said, said
    assert "NAT with Endpoint Independent Filtering!" in said, said


def test_stun_of_1_0(discovery):
    """The client of RFC 3489, which has no magic cookie, finds that there is no NAT."""
    _, said = run("stun", f"127.0.0.1:{discovery.port}")
    assert "Primary: Open" in said and "Return value is 0x000001" in said, said


def test_stun_of_1_0_with_one_address(relay):
    """It is told its address; what needs a second one of ours is refused."""
    _, said = run("stun", "-v", f"127.0.0.1:{relay.ports['udp']}")
    assert re.search(r"MappedAddress = 127\.0\.0\.1:\d+", said), said
    assert f"SourceAddress = 127.0.0.1:{relay.ports['udp']}" in said, said


# ---- aioice ----


def transported(relay, transport):
    return {"turn_server": ("127.0.0.1", relay.ports[transport]), "turn_username": USER, "turn_password": PASSWORD,
            "turn_transport": "tcp" if transport == "tls" else transport, "turn_ssl": transport == "tls"}


async def talk(relay, transport):
    """Two aioice connections that know nothing but their relayed candidates; both directions' data."""
    ends = [aioice.Connection(ice_controlling=first, components=1, use_ipv6=False, **transported(relay, transport))
            for first in (True, False)]
    try:
        for end in ends:
            await end.gather_candidates()
        for mine, other in (ends, ends[::-1]):
            candidates = [c for c in mine.local_candidates if c.type == "relay"]
            assert len(candidates) == 1, mine.local_candidates
            await other.add_remote_candidate(candidates[0])
            await other.add_remote_candidate(None)
            other.remote_username, other.remote_password = mine.local_username, mine.local_password
        await asyncio.gather(*(end.connect() for end in ends))
        got = []
        for count in range(50):
            for mine, other in (ends, ends[::-1]):
                await mine.send(b"%d" % count)
                got.append(await other.recv())
        return got
    finally:
        for end in ends:
            await end.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_aioice(relay, transport):
    got = asyncio.run(asyncio.wait_for(talk(relay, transport), 60))
    assert got == [b"%d" % (n // 2) for n in range(100)]
