"""The relay on a bad day: wrong options, reloads, quotas, drains, metrics, socket activation."""

import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time

import pytest
from relay import OPEN, PATIENCE, PROGRAM, SECRET, make_certificate, run
from turn import Peer, Refused, time_limited

OTHER = "another secret, that comes later on"


def refused(code, what, *args, **more):
    with pytest.raises(Refused) as caught:
        what(*args, **more)
    assert caught.value.code == code, caught.value
    return caught.value.answer


# ---- wrong options ----

def one_error(result, *words):
    """Exit status 2, each line with the program's name, nothing started."""
    assert result.returncode == 2 and result.stdout == "", result
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("Nothing was started.") and " ready " not in result.stderr, result
    for word in words:
        assert any(word in line for line in lines[:-1]), (word, result.stderr)
    assert all(line.startswith("fairlead-relay: ") or " fairlead-relay " in line for line in lines[:-1]), result.stderr


@pytest.mark.parametrize("options,words", [
    (["--lisen", "x"], 'did you mean "--listen"?'),
    (["surplus"], '"surplus" belongs to no option'),
    (["--listen"], "--listen needs a value: --listen [TRANSPORT:]ADDR:PORT"),
    (["--listen", "udp:relay.example:3478"], "is not [udp|tcp|tls|dtls|wss:]ADDRESS:PORT"),
    (["--listen", "udp:127.0.0.1:65536"], "is not [udp|tcp|tls|dtls|wss:]ADDRESS:PORT"),
    (["--listen", "quic:127.0.0.1:1"], "is not [udp|tcp|tls|dtls|wss:]ADDRESS:PORT"),
    (["--listen", "udp+proxy:127.0.0.1:1"], "+proxy, which goes with tcp, tls and wss only"),
    (["--listen", "tcp:127.0.0.1:1", "--listen", "wss:127.0.0.1:1"], "listened on already"),
    (["--listen", "tls:127.0.0.1:0"], "--cert: is missing"),
    (["--cert", "/etc/hostname"], "--key, which is missing"),
    (["--cert", "/etc/hostname", "--key", "/etc/hostname"], "certificate /etc/hostname cannot be used"),
    (["--relay-address", "example.org"], "is not an address, nor PUBLIC=LOCAL"),
    (["--relay-address", "203.0.113.5"], "behind a 1:1 NAT name both: 203.0.113.5=LOCAL"),
    (["--relay-address", "0.0.0.0"], "no address at which peers could reach this relay"),
    (["--relay-address", "127.0.0.1", "--relay-address", "127.0.0.2"], "second of its family"),
    (["--min-port", "60000", "--max-port", "50000"], "--min-port: 60000 is above --max-port 50000"),
    (["--max-port", "70000"], "is not a number from 1 to 65535"),
    (["--realm", 'a"b'], "--realm: "),
    (["--allow-peer", "10.0.0.1/8"], "bits behind the length must be 0"),
    (["--user-bandwidth", "10MB"], "is not a number of bits a second such as 500k, 10M"),
    (["--threads", "many"], "is not a number from 0 to 256"),
    (["--metrics", "9641"], "is not ADDRESS:PORT"),
    (["--xdp", "none0"], 'there is no network interface "none0"'),
    (["--secret-file", "/nonexistent"], "/nonexistent: cannot be read"),
    (["--config", "/nonexistent"], "/nonexistent: cannot be read"),
    (["--tcp-relay=no"], "--tcp-relay takes no value"),
    (["--check-config", "--drain-seconds", "-1"], "is not a number from 0 to 86400"),
])
def test_wrong_options(options, words):
    one_error(run(*options), words)


@pytest.mark.parametrize("text,where", [
    ("listen = udp:127.0.0.1:1\nlisen = x\n", ':2: unknown key "lisen"; did you mean "listen"?'),
    ("\n\nlisten = nowhere\n", ":3: listen: "),
    ("listen\n", ':1: expected "key = value"'),
    ("# all well\nmin-port = 60000\nmax-port = 50000\n", ":2: min-port: 60000 is above"),
    ("realm =\n", ":1: realm: "),
    ("version = yes\n", ':1: "version" belongs on the command line'),
    ("tcp-relay = perhaps\n", ':1: tcp-relay: "perhaps" is neither "yes" nor "no"'),
    ("user = alice\n", ":1: user: the value is not NAME:PASSWORD"),
    ("secret = a\nsecret = b\nsecret = c\n", ":3: secret: the value is the third secret"),
    ("listen = tls:127.0.0.1:0\ncert = /nonexistent\nkey = /nonexistent\n", ":2: cert: "),
    ("user-bandwidth = 5\n", ":1: user-bandwidth: "),
    ("deny-peer = 300.0.0.0/8\n", ":1: deny-peer: "),
    ("realm = x\0y\n", ":1: has a zero byte"),
])
def test_wrong_file(tmp_path, text, where):
    config = tmp_path / "relay.conf"
    config.write_text(text)
    one_error(run("--config", config), f"{config}{where}")


def test_all_errors_at_once(tmp_path):
    """One start shows what would else take four."""
    config, users = tmp_path / "relay.conf", tmp_path / "users"
    users.write_text("alice:a\nbob\nalice:b\n")
    config.write_text(f"listen = nowhere\nnonsense = 1\nthreads = x\nuser-file = {users}\nsecret-file = /nonexistent\n")
    one_error(run("--config", config), f"{config}:1: ", f"{config}:2: ", f"{config}:3: ", f"{users}:2: ", f"{users}:3: ",
              "/nonexistent: ")


def test_secrets_are_not_told_again(tmp_path, start):
    result = run("--user", "hunter2")
    assert "hunter2" not in result.stderr
    relay = start("--secret", SECRET, "--user=alice:hunter2", *OPEN)
    command = open(f"/proc/{relay.process.pid}/cmdline", "rb").read().decode()
    assert SECRET not in command and "hunter2" not in command and "--secret" in command
    with relay.client(user="alice", password="hunter2") as client:
        client.allocate()
    relay.end()
    assert SECRET not in relay.log and "hunter2" not in relay.log


def test_readable_secrets_are_warned_of(secret_file, start):
    secret_file.chmod(0o644)
    assert f"chmod o-r {secret_file}" in start("--secret-file", secret_file, *OPEN).said("readable-secret")


def test_texts():
    for word, sign in (("--help", "Quotas (0: no limit):"), ("--version", "fairlead-relay "), ("--manual", ".SH OPTIONS"),
                       ("--completion", "complete -o default")):
        result = run(word)
        assert result.returncode == 0 and sign in result.stdout and result.stderr == ""


@pytest.mark.skipif(not shutil.which("man"), reason="man-db is not installed")
def test_manual_page():
    page = subprocess.run(["man", "-l", "-"], input=run("--manual").stdout, capture_output=True, text=True, check=False)
    assert page.returncode == 0 and not page.stderr, page.stderr


def test_check_config(secret_file):
    good = run("--check-config", "--secret-file", secret_file)
    assert (good.returncode, good.stdout) == (0, "fairlead-relay: nothing is wrong with the configuration\n")


def test_port_taken(start):
    relay = start(listen=("udp", "tcp"))
    for transport in ("udp", "tcp"):
        result = run("--listen", f"{transport}:127.0.0.1:{relay.ports[transport]}")
        assert result.returncode == 1 and "Is another relay" in result.stderr, result


def test_without_secret_only_stun(start):
    relay = start(*OPEN)
    assert "--secret-file" in relay.said("turn-off")
    with relay.client(user="a", password="b", timeout=3) as client:
        assert client.binding().mapped == client.address
        with pytest.raises((Refused, TimeoutError)):
            client.allocate()


# ---- reload ----

def config_of(tmp_path, *lines):
    path = tmp_path / "relay.conf"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def test_secret_is_rotated(tmp_path, start, secret_file):
    relay = start("--secret-file", secret_file, *OPEN)
    user, password = time_limited(SECRET, "early", 5)
    old = relay.client(user=user, password=password)
    old.allocate()
    refused(401, relay.client(secret=OTHER).allocate)
    # both
    secret_file.write_text(f"{OTHER}\n{SECRET}\n")
    assert "reloaded turn=on" in relay.reload()
    for secret in (SECRET, OTHER):
        relay.client(secret=secret).allocate()
    # the new one alone: the old one's session lives until its time is over, but cannot be renewed
    secret_file.write_text(f"{OTHER}\n")
    relay.reload()
    peer = Peer()
    refused(401, relay.client().allocate)
    refused(401, old.permission, peer.address)
    relay.client(secret=OTHER).allocate()
    assert "user=early" in relay.said("credentials expired")


def test_session_ends_with_its_credentials(start, secret_file):
    relay = start("--secret-file", secret_file, "--metrics", "127.0.0.1:0", *OPEN)
    user, password = time_limited(SECRET, "guest", 5)
    with relay.client(user=user, password=password) as client:
        client.allocate()
        assert relay.metric("fairlead_relay_allocations", transport="udp") == 1
        relay.said("credentials expired")
        assert relay.metric("fairlead_relay_allocations_closed_total", reason="credentials") == 1
        assert relay.metric("fairlead_relay_allocations", transport="udp") == 0


def test_bad_file_changes_nothing(tmp_path, start, secret_file):
    config = config_of(tmp_path, f"secret-file = {secret_file}", "user-allocations = 1")
    relay = start("--config", config, "--metrics", "127.0.0.1:0", *OPEN)
    config.write_text("user-allocations = 5\nnonsense = 1\nthreads = x\n")
    said = relay.reload()
    assert f"{config}:2: unknown key" in said and f"{config}:3: threads" in said and "settings before stay" in said
    assert relay.metric("fairlead_relay_config_last_reload_successful") == 0
    client = relay.client()
    client.allocate()
    refused(486, relay.client().allocate)
    config.write_text(f"secret-file = {secret_file}\nuser-allocations = 2\n")
    assert "reloaded" in relay.reload()
    relay.client().allocate()
    refused(486, relay.client().allocate)
    assert relay.metric("fairlead_relay_config_last_reload_successful") == 1
    assert relay.metric("fairlead_relay_reloads_total", result="failed") == 1


def test_reload_names_what_needs_a_restart(tmp_path, start, secret_file):
    config = config_of(tmp_path, f"secret-file = {secret_file}", "threads = 1")
    relay = start("--config", config, *OPEN)
    config.write_text(f"secret-file = {secret_file}\nthreads = 2\nmin-port = 50000\n")
    assert 'restart-needed changed="min-port, threads"' in relay.reload()
    assert "restart-needed" in relay.reload(), "told again until the restart"
    config.write_text(f"secret-file = {secret_file}\nthreads = 1\n")
    assert "restart-needed" not in relay.reload()


def test_reload_of_peers(tmp_path, start, secret_file):
    config = config_of(tmp_path, f"secret-file = {secret_file}", "allow-peer = 127.0.0.0/8")
    relay = start("--config", config, "--relay-address", "127.0.0.1")
    peer, client = Peer(), relay.client()
    client.allocate()
    client.permission(peer.address)
    client.send(peer.address, b"before")
    assert peer.echo()[0] == b"before"
    config.write_text(f"secret-file = {secret_file}\n")
    relay.reload()
    refused(403, client.permission, peer.address)
    client.refresh()  # the allocation lives on


def fingerprint(sock):
    return hash(sock.getpeercert(binary_form=True))


def dtls_fingerprint(relay):
    """Python speaks no DTLS; openssl shows the certificate."""
    shown = subprocess.run(["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{relay.ports['dtls']}"],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    found = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", shown.stdout, re.S)
    assert found, shown
    return hash(ssl.PEM_cert_to_DER_cert(found.group(0)))


def test_certificate_is_reloaded(tmp_path, start, secret_file):
    cert, key = make_certificate(tmp_path, "first")
    relay = start("--secret-file", secret_file, "--cert", cert, "--key", key, "--metrics", "127.0.0.1:0", *OPEN,
                  listen=("tls", "dtls"))
    peer, old = Peer(), relay.client("tls")
    old.allocate()
    old.permission(peer.address)
    assert relay.metric("fairlead_relay_certificate_expires_seconds") > time.time()
    first = fingerprint(old.sock)
    assert dtls_fingerprint(relay) == first
    make_certificate(tmp_path, "second")
    relay.reload()
    second = fingerprint(relay.client("tls").sock)
    assert second != first and dtls_fingerprint(relay) == second
    # by itself, too: not every tool that renews certificates signals
    since = len(relay.lines)
    make_certificate(tmp_path, "third")
    relay.said("certificate-loaded", since)
    assert fingerprint(relay.client("tls").sock) not in (first, second)
    # a broken pair changes nothing
    since = len(relay.lines)
    key.write_text("nonsense")
    assert "settings before stay" in relay.said("certificate-not-loaded", since) and "config-error" in relay.log
    relay.client("tls").binding()
    assert relay.metric("fairlead_relay_reloads_total", result="failed") >= 1
    assert relay.metric("fairlead_relay_config_last_reload_successful") == 1, "that is about the config"
    # and through all of it the old connection relays
    old.send(peer.address, b"still here")
    assert peer.echo()[0] == b"still here" and old.receive()[1] == b"still here"


def test_reloads_lose_no_packet(tmp_path, start, secret_file):
    """Certificates, secrets and quotas come and go; sessions do not notice."""
    cert, key = make_certificate(tmp_path)
    config = config_of(tmp_path, f"secret-file = {secret_file}", f"cert = {cert}", f"key = {key}")
    relay = start("--config", config, *OPEN, listen=("udp", "tcp", "tls"))
    peer, clients = Peer(), []
    for transport in ("udp", "tcp", "tls") * 4:
        clients.append(relay.client(transport))
        clients[-1].allocate()
        clients[-1].channel(0x4000, peer.address)
    for turn in range(10):
        since = len(relay.lines)
        config.write_text(f"secret-file = {secret_file}\ncert = {cert}\nkey = {key}\nuser-packets = {10000 + turn}\n")
        relay.tell(signal.SIGHUP)
        for n, client in enumerate(clients):
            words = f"{turn}/{n}".encode()
            client.send_channel(0x4000, words)
            assert peer.echo()[0] == words and client.receive() == (peer.address, words)
        relay.said("reloaded", since)
    for client in clients:
        client.refresh()


# ---- quotas and ports ----

def test_quota_of_allocations(start, secret_file):
    relay = start("--secret-file", secret_file, "--user", "alice:a", "--user-allocations", 2, "--total-allocations", 3,
                  "--metrics", "127.0.0.1:0", *OPEN)
    mine = [relay.client(user="alice", password="a") for _ in range(2)]
    for client in mine:
        client.allocate()
    refused(486, relay.client(user="alice", password="a").allocate)
    relay.client().allocate()
    refused(508, relay.client(secret=SECRET).allocate)
    mine[0].refresh(0)
    relay.client(user="alice", password="a").allocate()
    assert relay.metric("fairlead_relay_errors_total", kind="quota") == 1
    assert relay.metric("fairlead_relay_errors_total", kind="capacity") == 1


def test_quota_of_packets(start, secret_file):
    relay = start("--secret-file", secret_file, "--user-packets", 50, "--metrics", "127.0.0.1:0", *OPEN)
    peer, client = Peer(), relay.client()
    client.allocate()
    client.channel(0x4000, peer.address)
    for n in range(400):
        client.send_channel(0x4000, struct.pack(">I", n))
    # the burst of a second passes, and what is not is counted
    deadline = time.monotonic() + PATIENCE
    while True:
        passed = relay.metric("fairlead_relay_relayed_packets_total", transport="udp", direction="up")
        dropped = relay.metric("fairlead_relay_dropped_total", reason="over_quota")
        if passed + dropped >= 400:
            break
        assert time.monotonic() < deadline, (passed, dropped)
    assert passed >= 50 and dropped > 0 and passed + dropped == 400, (passed, dropped)


def test_ports_run_out_and_come_back(start, secret_file):
    free = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1] & ~3
    free.close()
    relay = start("--secret-file", secret_file, "--min-port", port, "--max-port", port + 3, "--metrics", "127.0.0.1:0",
                  *OPEN)
    clients = []
    for _ in range(5):
        clients.append(relay.client())
        try:
            clients[-1].allocate()
        except Refused as full:
            assert full.code == 508
            break
    assert 2 <= len(clients) <= 5, "some of the four may belong to another program"
    refused(508, relay.client().allocate)
    for _ in range(20):
        clients[0].refresh(0)
        clients[0].close()
        clients[0] = relay.client()
        clients[0].allocate()  # at once
        assert port <= clients[0].relayed[1] <= port + 3
    assert relay.metric("fairlead_relay_ports_free") == 0


# ---- the end ----

def test_drain_without_allocations(start, secret_file):
    relay = start("--secret-file", secret_file, *OPEN)
    assert relay.end(signal.SIGTERM) == 0
    assert "drained" in relay.log and "deadline" not in relay.log


def test_drain_waits_for_the_last(start, secret_file):
    relay = start("--secret-file", secret_file, "--metrics", "127.0.0.1:0", *OPEN)
    peer, client, second = Peer(), relay.client(), relay.client()
    client.allocate()
    second.allocate()
    client.permission(peer.address)
    assert relay.get("/health") == (200, "ok\n")
    relay.tell(signal.SIGTERM)
    relay.said("draining allocations=2 left_s=")
    assert relay.get("/health") == (503, "draining\n")
    assert relay.metric("fairlead_relay_draining") == 1
    refused(508, relay.client().allocate)
    # who is there goes on, refreshes included
    client.send(peer.address, b"while draining")
    assert peer.echo()[0] == b"while draining" and client.receive()[1] == b"while draining"
    client.refresh(600)
    second.refresh(0)
    assert relay.process.poll() is None
    client.refresh(0)
    assert relay.wait() == 0
    assert "drained" in relay.log


def test_drain_has_a_deadline(start, secret_file):
    relay = start("--secret-file", secret_file, "--drain-seconds", 1, *OPEN)
    relay.client().allocate()
    assert relay.end(signal.SIGTERM) == 0
    assert 'drain-deadline allocations=1' in relay.log


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_at_once(start, secret_file, second):
    relay = start("--secret-file", secret_file, "--drain-seconds", 3600, *OPEN)
    relay.client().allocate()
    relay.tell(signal.SIGTERM)
    relay.said("draining allocations=1")
    assert relay.end(second) == 0
    assert "stopping" in relay.log


# ---- metrics ----

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+=\"[^\"\\]*\",?)*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)")


def check_format(text):
    """Prometheus' text format 0.0.4: HELP and TYPE before samples, each family in one piece, no sample twice."""
    assert text.endswith("\n")
    types, helped, seen, current = {}, set(), set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helped and line.split(" ", 3)[3], line
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped and name not in types and kind in ("counter", "gauge"), line
            assert (kind == "counter") == name.endswith("_total"), line
            types[name], current = kind, name
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found.group(1) == current, f"{line} stands apart from its family"
            key = (found.group(1), found.group(2))
            assert key not in seen, f"{line} comes twice"
            seen.add(key)
            float(found.group(3))
    assert set(types) == {name for name, _ in seen} == helped
    return seen


def test_metrics(start, secret_file):
    relay = start("--secret-file", secret_file, "--metrics", "127.0.0.1:0", *OPEN, listen=("udp", "tcp"))
    before = check_format(relay.get("/metrics")[1])
    peer = Peer()
    clients = [relay.client(transport, user=time_limited(SECRET, f"user-{n}")[0],
                            password=time_limited(SECRET, f"user-{n}")[1])
               for transport in ("udp", "tcp") for n in range(3)]
    for client in clients:
        client.allocate()
        client.permission(peer.address)
        client.send(peer.address, b"12345")
        peer.echo()
        client.receive()
    refused(403, clients[0].permission, ("10.0.0.1", 1))
    refused(401, relay.client(secret="not the secret, whatever it is").allocate)
    text = relay.get("/metrics")[1]
    after = check_format(text)
    assert after == before, "labels depend on what clients do"
    for word in ("user-", "127.0.0.1", "realm"):
        assert word not in text
    for transport in ("udp", "tcp"):
        assert relay.metric("fairlead_relay_allocations", transport=transport) == 3
        for direction in ("up", "down"):
            labels = {"transport": transport, "direction": direction}
            assert relay.metric("fairlead_relay_relayed_packets_total", **labels) == 3
            assert relay.metric("fairlead_relay_relayed_bytes_total", **labels) == 15
    assert relay.metric("fairlead_relay_errors_total", kind="forbidden_peer") == 1
    assert relay.metric("fairlead_relay_errors_total", kind="unauthenticated") >= 7
    assert relay.metric("fairlead_relay_allocations_created_total") == 6


def test_metrics_listener_is_no_way_in(start):
    relay = start("--metrics", "127.0.0.1:0")
    assert relay.get("/")[0] == 404 and relay.get("/metrics?x=1")[0] == 200
    many = []
    for _ in range(64):  # more than it keeps open
        many.append(socket.create_connection(("127.0.0.1", relay.ports["metrics"]), PATIENCE))
    relay.said("metrics-refused")
    for sock in many:
        sock.close()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            assert relay.get("/health")[0] == 200
            break
        except OSError:  # the closed ones are still being noticed
            assert time.monotonic() < deadline
    for request, status in ((b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"405"),
                            (b"GET /metrics HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", b"400"),
                            (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n", b"4"),
                            (b"nonsense\r\n\r\n", b"400")):
        with socket.create_connection(("127.0.0.1", relay.ports["metrics"]), PATIENCE) as sock:
            sock.sendall(request)
            answer = sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 " + status), (request[:40], answer[:100])
    with socket.create_connection(("127.0.0.1", relay.ports["metrics"]), PATIENCE) as sock:
        sock.sendall(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")


# ---- systemd ----

LAUNCHER = """
import os, sys
# what systemd does: descriptors from 3 on, their number, their names, and whom they are for
fds = [int(fd) for fd in sys.argv[1].split(",")]
for n, fd in enumerate(fds):
    os.dup2(fd, 100 + n)
for n in range(len(fds)):
    os.dup2(100 + n, 3 + n, inheritable=True)
    os.close(100 + n)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def activated(start, sockets, names, *options, **more):
    fds = [s.fileno() for s in sockets]
    return start("-c", LAUNCHER, ",".join(map(str, fds)), names, PROGRAM, *options, listen=(), program=sys.executable,
                 pass_fds=fds, **more)


def bound(kind, host="127.0.0.1"):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    sock.bind((host, 0))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_socket_activation(start, secret_file, threads, shared):
    """The sockets are the listeners; they work whether or not others may bind beside them (ReusePort=)."""
    udp, tcp = (socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    for sock in (udp, tcp):
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
    tcp.listen()
    ports = {"udp": udp.getsockname()[1], "tcp": tcp.getsockname()[1]}
    relay = activated(start, [udp, tcp], "fairlead-relay.socket:fairlead-relay.socket", "--secret-file", secret_file,
                      "--threads", threads, *OPEN)
    udp.close()
    tcp.close()
    assert relay.ports == ports
    for transport in ("udp", "tcp"):
        for _ in range(4):
            with relay.client(transport) as client:
                client.allocate()
    assert relay.end() == 0


def test_socket_activation_by_address_and_name(start, secret_file, tmp_path):
    cert, key = make_certificate(tmp_path)
    udp, tls, stray = bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM), bound(socket.SOCK_STREAM)
    port = udp.getsockname()[1]
    # --listen given: the socket of that address and type is used, and what nobody wants is told and closed
    relay = activated(start, [udp, stray], "a:b", "--listen", f"udp:127.0.0.1:{port}", "--secret-file", secret_file, *OPEN)
    assert "name=b" in relay.said("socket-unused")
    assert relay.ports == {"udp": port}
    relay.client().allocate()
    relay.end()
    # not given: FileDescriptorName= says what a socket is for
    relay = activated(start, [tls], "tls", "--cert", cert, "--key", key, "--secret-file", secret_file, *OPEN)
    assert relay.ports == {"tls": tls.getsockname()[1]}
    relay.client("tls").allocate()


def test_wrong_sockets(start):
    dual = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    dual.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    dual.bind(("::", 0))
    relay = activated(start, [dual], "x", wait=False)
    assert relay.wait() == 2 and "BindIPv6Only=ipv6-only" in relay.log
    pair = socket.socketpair()
    relay = activated(start, [pair[0]], "x", wait=False)
    assert relay.wait() == 2 and "is not a UDP or TCP socket" in relay.log


class Manager:
    """The service manager's end of sd_notify."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(PATIENCE)
        self.env = dict(os.environ, NOTIFY_SOCKET=self.path)

    def expect(self, word):
        while True:
            said = self.sock.recv(4096).decode()
            if word in said:
                return said


def test_notify(start, secret_file, tmp_path):
    manager = Manager(tmp_path)
    relay = start("--secret-file", secret_file, "--drain-seconds", 77, *OPEN,
                  env=dict(manager.env, WATCHDOG_USEC="400000"))
    manager.expect("READY=1")
    manager.expect("WATCHDOG=1")
    manager.expect("WATCHDOG=1")
    relay.tell(signal.SIGHUP)
    said = manager.expect("RELOADING=1")
    assert re.search(r"^MONOTONIC_USEC=\d+$", said, re.M)
    manager.expect("READY=1")
    client = relay.client()
    client.allocate()
    relay.tell(signal.SIGTERM)
    # systemd's own time-out must not cut the drain off
    assert "EXTEND_TIMEOUT_USEC=87000000" in manager.expect("STOPPING=1")
    manager.expect("STATUS=Draining: waits for 1 allocations")
    client.refresh(0)
    assert relay.wait() == 0


UNITS = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "systemd")


def test_units(tmp_path):
    """systemd takes the units, and finds them well confined."""
    try:
        version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not installed")
    assert version.returncode == 0
    names = ("fairlead-relay.service", "fairlead-relay.socket")
    for name in names:
        text = open(os.path.join(UNITS, name), encoding="utf-8").read()
        (tmp_path / name).write_text(text.replace("/usr/bin/fairlead-relay", str(PROGRAM)))
    units = [str(tmp_path / name) for name in names]
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    ours = [line for line in result.stderr.splitlines() if "fairlead" in line]
    assert result.returncode == 0 and not ours, result.stderr
    result = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", units[0]],
                            capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-300:]


# ---- this machine's addresses ----

IN_A_NETWORK = """
(
	while [ ! -e "$FLAG" ] && [ -e "/proc/$$" ]; do sleep 0.05; done
	exec ip address add 198.51.100.9/24 dev lan0
) 2>/dev/null &
exec "$@"
"""


def test_addresses_are_found_and_followed(start, secret_file, tmp_path):
    """In a network of its own: the relay finds its address, and a new one becomes its own at once."""
    netns = os.path.join(os.path.dirname(__file__), "..", "support", "netns")
    if subprocess.run([netns, "true"], capture_output=True, check=False).returncode == 77:
        pytest.skip("this machine allows no network namespaces")
    flag = tmp_path / "flag"
    relay = start("sh", "-c", IN_A_NETWORK, "sh", PROGRAM, "--secret-file", secret_file, program=netns, listen=(),
                  env=dict(os.environ, FLAG=str(flag)))
    assert "local=10.77.0.1 chosen=by-us" in relay.said("relaying address=10.77.0.1")
    assert "--relay-address PUBLIC=10.77.0.1" in relay.said("private-relay-address address=10.77.0.1")
    assert [name for name in ("udp", "tcp") if relay.ports[name] == 3478] == ["udp", "tcp"]
    flag.touch()
    relay.said("addresses-changed")
