"""Our TURN client's core on real sockets, against fairlead-relay and against coturn."""

import shutil
import socket
import subprocess

import pytest
from coturn import free_pair
from programs import wait_for
from relay import BUILD, OPEN, Relay

CLIENT = BUILD / "tests/relay/turn_client_cli"
USER, PASSWORD = "joe", "joe's own"
STEPS = ["allocated", "indication", "bound", "channel", "moved", "channel after the move", "closed"]


def run(transport, port, password=PASSWORD, more=()):
    return subprocess.run([CLIENT, transport, f"127.0.0.1:{port}", USER, password, *more], capture_output=True,
                          text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    users = tmp_path_factory.mktemp("relay") / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    users.chmod(0o600)
    with Relay("--user-file", users, *OPEN, listen=("udp", "tcp")) as running:
        yield running
        assert running.end() == 0, running.log


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def coturn(tmp_path_factory):
    if not shutil.which("turnserver"):
        pytest.skip("turnserver is not installed (package coturn)")
    folder, port = tmp_path_factory.mktemp("coturn"), free_pair("127.0.0.1")
    words = ["-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port), "-m", "1", "-a", "-u", f"{USER}:{PASSWORD}",
             "-r", "test", "--no-tls", "--no-dtls", "--no-cli", "--no-rfc5780", "--mobility", "--allow-loopback-peers",
             "--log-file", "/dev/null", "--no-stdout-log", "--userdb", folder / "db", "--pidfile", folder / "pid"]
    process = subprocess.Popen(["turnserver", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port))
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_against_our_relay(relay, transport):
    done = run(transport, relay.ports[transport])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == STEPS


def test_against_coturn(coturn):
    done = run("udp", coturn)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == STEPS


def test_against_coturn_over_tcp(coturn):
    # coturn 4.6.1 answers a move over TCP with 24 bytes that are no STUN message: an attribute alone
    done = run("tcp", coturn, more=["stay"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [step for step in STEPS if "move" not in step]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_wrong_password(relay, coturn, transport):
    for port in (relay.ports[transport], coturn):
        done = run(transport, port, "a guess")
        assert done.returncode == 1
        assert "authenticate: 401" in done.stderr
