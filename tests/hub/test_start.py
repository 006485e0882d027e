"""Options, configuration, and what stops a hub from starting: one sentence each."""

import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import time

import pytest
from hub import PROGRAM


def run(*args, timeout=20):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=timeout, check=False)


def one_sentence(result, status):
    assert result.returncode == status, result
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("fairlead-hub: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_texts():
    help_text = run("--help")
    assert help_text.returncode == 0 and "--listen" in help_text.stdout
    assert run("--version").stdout.startswith("fairlead-hub ")
    assert run("--manual").stdout.startswith(".")
    assert "complete" in run("--completion").stdout


@pytest.mark.parametrize("text,where", [
    ("port = 8443\nprot = 1\n", ":2: unknown key \"prot\"; did you mean \"port\"?"),
    ("port = many\n", ":1: port: \"many\" is not a number"),
    ("data\n", ":1: expected \"key = value\""),
    ("version = yes\n", ":1: \"version\" belongs on the command line"),
])
def test_config_file_errors(tmp_path, text, where):
    config = tmp_path / "hub.conf"
    config.write_text(text)
    assert where in one_sentence(run("--config", str(config), "--data", str(tmp_path / "d")), 2)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("args,words", [
    (["--prot", "1"], "did you mean \"--port\""), (["stray"], "is not an option"), (["--listen", "here"], "is not an address"),
    (["--name", "no_name"], "is not a host name"), (["--stun", "stun.example"], "is not HOST:PORT"),
    (["--turn", "turn:relay.example"], "is not turn:HOST:PORT"), (["--turn", "turn:a:1?transport=wss"], "is not turn:HOST:PORT"),
    (["--turn", "turn::3478"], "--turn-secret-file is missing"), (["--turn-secret-file", "x"], "--turn is missing"),
    (["--certificate", "x"], "--key is missing"), (["--config", "/nonexistent"], "cannot be read"),
])
def test_usage_errors(tmp_path, args, words):
    assert words in one_sentence(run("--data", str(tmp_path / "d"), *args), 2)
    assert not (tmp_path / "d").exists()


def test_config_file_and_flags(start, tmp_path):
    config = tmp_path / "hub.conf"
    config.write_text("# a hub\nname = hub.example\nport = 1\nstun = stun.example:3478\n")
    hub = start("--config", str(config))
    assert hub.url == f"https://hub.example:{hub.port}" and hub.port != 1
    assert hub.console().invoke("IceServers")["iceServers"] == [{"urls": ["stun:stun.example:3478"]}]


def test_port_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = one_sentence(run("--data", str(tmp_path / "d"), "--listen", "127.0.0.1", "--port", str(port)), 1)
    assert f"127.0.0.1:{port} is in use" in said and "--port" in said


def test_data_folder_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    said = one_sentence(run("--data", str(tmp_path / "file" / "d"), "--listen", "127.0.0.1", "--port", "0"), 1)
    assert "is not writable" in said and "--data" in said


def test_second_hub_in_the_same_folder(hub):
    said = one_sentence(run("--data", str(hub.data), "--listen", "127.0.0.1", "--port", "0"), 1)
    assert "another fairlead-hub uses the data folder" in said


def stopped(start):
    hub = start()
    hub.stop()
    return hub, ["--data", str(hub.data), "--listen", "127.0.0.1", "--port", "0"]


def test_database_of_the_future(start):
    hub, args = stopped(start)
    with sqlite3.connect(hub.data / "hub.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert "was written by a later fairlead-hub (schema 99" in one_sentence(run(*args), 1)


def test_database_of_another_program(start):
    hub, args = stopped(start)
    os.unlink(hub.data / "hub.db")
    with sqlite3.connect(hub.data / "hub.db") as db:
        db.execute("CREATE TABLE other(x)")
    db.close()
    assert "is a database of another program" in one_sentence(run(*args), 1)


def test_damaged_database(start):
    hub, args = stopped(start)
    (hub.data / "hub.db").write_bytes(b"not a database" * 1000)
    assert "is damaged" in one_sentence(run(*args), 1)


def test_locked_database(start):
    hub, args = stopped(start)
    db = sqlite3.connect(hub.data / "hub.db", isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    assert "is locked by another program" in one_sentence(run(*args), 1)
    db.close()


def test_damaged_key(start):
    hub, args = stopped(start)
    (hub.data / "hub.key").write_bytes(b"short")
    assert "hub.key is damaged" in one_sentence(run(*args), 1)


def certificate_of(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context.wrap_socket(raw) as tls:
        return tls.getpeercert(binary_form=True)


def test_local_authority(start):
    hub = start("--name", "hub.example")
    for name in ("localhost", "hub.example", "console.hub.example", "turn.hub.example"):
        context = ssl.create_default_context(cafile=hub.data / "ca.pem")
        with socket.create_connection(("127.0.0.1", hub.port), timeout=10) as raw, \
                context.wrap_socket(raw, server_hostname=name) as tls:
            assert tls.version() == "TLSv1.3"
            names = [v for _, v in tls.getpeercert()["subjectAltName"]]
    assert "127.0.0.1" in names and "0:0:0:0:0:0:0:1" in names and "other.hub.example" not in names
    before = certificate_of(hub.port)
    hub.stop()
    hub.start()
    assert certificate_of(hub.port) == before  # kept, not made at each start
    hub.stop()
    hub.args = ["--name", "other.example"]
    hub.start()
    assert certificate_of(hub.port) != before


def make_certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-keyout", folder / "new.key", "-out", folder / "new.pem"],
                   check=True, capture_output=True)
    os.replace(folder / "new.key", folder / "tls.key")
    os.replace(folder / "new.pem", folder / "tls.pem")


def test_given_certificate_is_read_again(start, tmp_path):
    make_certificate(tmp_path, "first")
    hub = start("--certificate", str(tmp_path / "tls.pem"), "--key", str(tmp_path / "tls.key"))
    assert not (hub.data / "ca.pem").exists()
    console = hub.console()
    before = certificate_of(hub.port)
    (tmp_path / "tls.key").write_text("half written")
    time.sleep(2.2)
    assert certificate_of(hub.port) == before  # the old one stays
    assert any("certificate-not-loaded" in line for line in hub.log)
    make_certificate(tmp_path, "second")
    deadline = time.monotonic() + 10
    while certificate_of(hub.port) == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert console.invoke("WatchDevices") == {"devices": []}  # open connections stay


def test_bad_certificate(tmp_path):
    (tmp_path / "tls.pem").write_text("nonsense")
    (tmp_path / "tls.key").write_text("nonsense")
    said = one_sentence(run("--data", str(tmp_path / "d"), "--listen", "127.0.0.1", "--port", "0", "--certificate",
                            str(tmp_path / "tls.pem"), "--key", str(tmp_path / "tls.key")), 1)
    assert "tls.pem is damaged or not PEM" in said


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_clean_end(hub, sig):
    console = hub.console()
    device = hub.enrol()
    device.online()
    idle = hub.http()
    idle.connect()
    assert hub.stop(sig) == 0
    assert console.wait_closed() == 1001 and device.connection.wait_closed() == 1001
    assert not (hub.data / "hub.db-wal").exists()  # folded into the database


def test_file_descriptors(hub):
    limits = open(f"/proc/{hub.process.pid}/limits", encoding="ascii").read()
    soft, hard = next(line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files"))
    assert soft == hard
