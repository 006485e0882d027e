"""kill -9 of hub, client and module: everything is back within 5 s, and what runs goes on."""

import json
import os
import queue
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import types

import pytest

from signalr import tls_socket
from programs import BUILD, PATIENCE, cli, cli_env, cli_words, wait_for
from turn import Turn


def children(pid, name=None):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        pids = [int(word) for word in f.read().split()]
    if name is None:
        return pids
    found = []
    for one in pids:
        try:
            with open(f"/proc/{one}/cmdline", encoding="utf-8") as f:
                words = f.read().split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == name:
            found.append(one)
    return found


@pytest.fixture(name="running_cat")
def fixture_running_cat(hub, client):
    """A session with a command that answers every line."""
    one = subprocess.Popen(cli_words(hub, "connect", client.id, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, env=cli_env(hub))

    def echo(text):
        one.stdin.write(text + b"\n")
        one.stdin.flush()
        got = one.stdout.readline()
        assert got == text + b"\n", got or one.stderr.read()

    one.echo = echo
    echo(b"before")
    yield one
    one.kill()
    one.wait()


def test_hub_is_killed(hub, client, running_cat):
    hub.kill()
    client.said("hub-away")
    running_cat.echo(b"without the hub")
    hub.start()
    wait_for(lambda: client.log.count("hub-connected") == 2)
    wait_for(client.online)
    running_cat.echo(b"with it again")
    # the hub knows the session still, and is told its end by whichever end is connected again first
    running_cat.stdin.close()
    assert running_cat.wait(PATIENCE) == 0
    ended = wait_for(lambda: [s for s in hub.staff("GET", "/api/sessions").json["sessions"] if s["ended"]])
    assert ended[0]["endReason"] in ("user", "closed")
    assert client.log.count("hub-away") == 1


def test_module_is_killed(hub, client, running_cat):
    module = children(client.process.pid, "terminal")
    assert len(module) == 1
    os.kill(module[0], signal.SIGKILL)
    # its channel is gone, which the console tells; the client and the next session are not touched
    assert running_cat.wait(PATIENCE) == 255
    assert b"closed the terminal" in running_cat.stderr.read()
    assert cli(hub, "connect", client.id, "echo", "again").stdout == b"again\n"
    assert client.log.count("hub-connected") == 1


def test_no_process_is_left_behind(hub, client, running_cat):
    assert children(client.process.pid)
    running_cat.kill()
    running_cat.wait()
    # the console vanished without a word; consent checks tell, at the latest after half a minute
    assert cli(hub, "connect", client.id, "true").returncode == 0
    client.stop()
    assert not os.path.exists(f"/proc/{client.process.pid}/task")


def test_client_is_killed(hub, client, running_cat):
    module = children(client.process.pid, "terminal")[0]
    client.stop(signal.SIGKILL)
    wait_for(lambda: not client.online())
    # its modules end with it
    wait_for(lambda: not os.path.exists(f"/proc/{module}/exe"))
    client.start()
    wait_for(client.online)
    assert cli(hub, "connect", client.id, "echo", "back").stdout == b"back\n"


def test_hub_with_another_key(hub, client):
    """The same address and database, but another key: it is not the hub that this device belongs to."""
    identity = client.identity
    hub.kill()
    (hub.data / "hub.key").unlink()
    hub.start()
    client.said("another key than the one this device was enrolled")
    assert client.process.poll() is None and client.identity == identity
    assert client.log.count("another key than") == 1


def test_forgotten_device_says_so_and_ends(hub, client):
    assert hub.staff("DELETE", f"/api/devices/{client.id}").status == 204
    assert client.process.wait(PATIENCE) == 1
    assert "was removed at the hub" in client.log


class Between:
    """Somebody in between with a certificate of his own, who hands on everything, and may add to what the hub says."""

    def __init__(self, hub, folder):
        self.hub, self.more = hub, queue.Queue()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=between", "-keyout", folder / "key", "-out", folder / "cert"],
                       check=True, capture_output=True)
        self.context.load_cert_chain(folder / "cert", folder / "key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self.context.wrap_socket(self.listener.accept()[0], server_side=True)
                with client, tls_socket(self.hub.port) as hub:
                    self._relay(client, hub)
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def _relay(self, client, hub):
        """One connection after the other, and all of it in one thread: an SSL object is not for two."""
        while True:
            for source in select.select([client, hub], [], [], 0.05)[0]:
                data = source.recv(65536)
                if not data:
                    return
                (hub if source is client else client).sendall(data)
                while source.pending():
                    (hub if source is client else client).sendall(source.recv(65536))
            if not self.more.empty():
                client.sendall(self.more.get())

    def say(self, text):
        self.more.put(bytes([0x81, len(text)]) + text)


def test_somebody_in_between_cannot_end_the_client(hub, start_client, tmp_path):
    between = Between(hub, tmp_path)
    client = start_client(types.SimpleNamespace(url=between.url, staff=hub.staff), token=hub.token())
    client.said("hub-connected")
    between.say(b'{"type":1,"target":"forget","arguments":[{}]}\x1e')
    client.said("does not have the hub's key")
    # the hub's own word still counts, although it came the same way
    assert client.process.poll() is None and client.online()
    assert hub.staff("DELETE", f"/api/devices/{client.id}").status == 204
    assert client.process.wait(PATIENCE) == 1
    between.listener.close()


# ---- fairlead up ----


class Up:
    def __init__(self, tmp_path, *args):
        self.state = tmp_path / "state"
        self.data = self.state / "fairlead"
        self.env = {k: v for k, v in os.environ.items() if k not in ("FAIRLEAD_HUB", "FAIRLEAD_TOKEN", "DISPLAY")}
        self.env |= {"XDG_STATE_HOME": str(self.state), "HOME": str(tmp_path)}
        self.process = subprocess.Popen([BUILD / "fairlead", "up", "--port", "0", "--relay-port", "0", *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)

    def cli(self, *args):
        return subprocess.run([BUILD / "fairlead", *args], env=self.env, capture_output=True, timeout=PATIENCE,
                              check=False)

    def devices(self):
        done = self.cli("devices", "--json")
        return json.loads(done.stdout)["devices"] if done.returncode == 0 else []

    def one_online(self):
        return [d for d in self.devices() if d["online"]]

    def child(self, name):
        found = children(self.process.pid, name)
        return found[0] if found else None

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture(name="up")
def fixture_up(tmp_path):
    running = []

    def begin(*args):
        running.append(Up(tmp_path, *args))
        return running[-1]

    yield begin
    for one in running:
        one.stop()
        for log in sorted((one.data / "log").glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')}")


def test_up_prints_two_lines_and_everything_works(up):
    one = up()
    first, second = one.process.stdout.readline(), one.process.stdout.readline()
    assert first.startswith("console  https://") and second.startswith("sign in  https://")
    assert "/sign-in#code=" in second
    assert (one.data / "admin.token").stat().st_mode & 0o777 == 0o600
    device = wait_for(one.one_online)[0]
    with open(f"/proc/{one.child('fairlead-client')}/cmdline", "rb") as f:
        words = f.read()
    assert b"--enrol-file" in words and b"fl1." not in words
    token = one.data / "enrol.token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert device["display"] == bool(shutil.which("Xvfb"))
    done = one.cli("connect", device["id"], "sh", "-c", "echo $DISPLAY; exit 3")
    assert done.returncode == 3
    assert done.stdout.startswith(b":") == device["display"]
    pids = children(one.process.pid)
    assert len(pids) >= 3
    assert one.stop() == 0
    assert not token.exists()
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}/exe")]


def test_up_relays_with_its_secret(up):
    one = up("--no-client")
    assert one.process.stdout.readline()
    secret = one.data / "relay.secret"
    assert secret.stat().st_mode & 0o777 == 0o600 and len(secret.read_text()) == 64
    with open(f"/proc/{one.child('fairlead-relay')}/cmdline", "rb") as f:
        assert secret.read_text().encode() not in f.read()
    for transport in ("udp", "tcp"):
        found = wait_for(lambda: re.search(transport + r"=0\.0\.0\.0:(\d+)", (one.data / "log" / "relay.log").read_text()))
        with Turn(("127.0.0.1", int(found.group(1))), transport, secret=secret.read_text()) as client:
            assert client.binding().mapped == client.address
            assert client.allocate().relayed
    assert one.stop() == 0


def test_up_starts_again_what_dies(up):
    one = up()
    assert one.process.stdout.readline()
    wait_for(one.one_online)
    for name in ["fairlead-client", "fairlead-hub", "fairlead-relay"]:
        old = one.child(name)
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: (one.child(name) or old) != old)  # pylint: disable=cell-var-from-loop
        wait_for(one.one_online)


def test_up_dies_and_takes_all_along(up):
    one = up("--no-client")
    assert one.process.stdout.readline()
    pids = children(one.process.pid)
    one.process.kill()
    one.process.wait()
    wait_for(lambda: not [pid for pid in pids if os.path.exists(f"/proc/{pid}/exe")])


def test_up_twice(up):
    one = up("--no-client")
    assert one.process.stdout.readline()
    two = up("--no-client")
    assert two.process.wait(PATIENCE) == 1
    assert "already runs" in two.process.stderr.read()


def test_up_with_a_taken_port(up, hub):
    one = up("--no-client", "--port", str(hub.port))
    assert one.process.wait(PATIENCE) == 1
    said = one.process.stderr.read()
    assert str(hub.port) in said and said.count("\n") == 1
    assert not one.process.stdout.read()


def test_up_in_a_folder_that_cannot_be_written(up, tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    one = up("--no-client", "--data", str(tmp_path / "file" / "folder"))
    assert one.process.wait(PATIENCE) == 1
    said = one.process.stderr.read()
    assert "cannot be written" in said and "--data" in said and said.count("\n") == 1


def test_up_with_a_taken_relay_port(up):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        port = taken.getsockname()[1]
        one = up("--no-client", "--relay-port", str(port))
        assert one.process.wait(PATIENCE) == 1
    said = one.process.stderr.read()
    assert f":{port}" in said and "in use" in said and said.count("\n") == 1
