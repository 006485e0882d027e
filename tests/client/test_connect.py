"""fairlead connect, route and devices against the real hub, client and terminal module."""

import hashlib
import json
import os
import signal
import subprocess

import pytest

from programs import BUILD, Shell, cli, cli_env, cli_words, wait_for


def test_output_error_and_status(hub, client):
    done = cli(hub, "connect", client.id, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)


def test_ten_megabytes_each_way(hub, client):
    data = os.urandom(10_000_000)
    done = cli(hub, "connect", client.id, "cat", stdin=data)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    done = cli(hub, "connect", client.id, "sha256sum", stdin=data)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_files_as_input_and_output(hub, client, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(300_000))
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        done = subprocess.run(cli_words(hub, "connect", client.id, "cat"), stdin=stdin, stdout=stdout,
                              env=cli_env(hub), timeout=30, check=False)
    assert done.returncode == 0
    assert target.read_bytes() == source.read_bytes()


def test_reader_that_goes_away(hub, client):
    """yes | head ends, although yes never does."""
    words = cli_words(hub, "connect", client.id, "yes")
    one = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=cli_env(hub))
    assert one.stdout.read(4) == b"y\ny\n"
    one.stdout.close()
    one.send_signal(signal.SIGTERM)
    assert one.wait(30) == 128 + signal.SIGTERM


def test_signals_reach_the_command(hub, client):
    script = "trap 'echo caught; exit 5' INT; echo ready; sleep 100 & wait"
    one = subprocess.Popen(cli_words(hub, "connect", client.id, "sh", "-c", script), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, env=cli_env(hub))
    assert one.stdout.readline() == b"ready\n"
    one.send_signal(signal.SIGINT)
    assert one.stdout.read() == b"caught\n"
    assert one.wait(30) == 5


@pytest.mark.parametrize("words, status, text", [
    (["/no/such/program"], 127, "no such command"),
    (["sh", "-c", "kill -9 $$"], 137, ""),
])
def test_how_commands_end(hub, client, words, status, text):
    done = cli(hub, "connect", client.id, *words)
    assert done.returncode == status
    assert text in done.stderr.decode()


def test_shell_with_window_size_and_escape(hub, client):
    shell = Shell(hub, client.id, cols=91, rows=33)
    try:
        shell.type("stty size; echo read''y\r")
        shell.expect("33 91")
        shell.expect("ready")
        shell.size(50, 20)
        # the size is on its way like what is typed; ask until it has come
        shell.type("while [ \"$(stty size)\" != '20 50' ]; do sleep 0.05; done; echo res''ized\r")
        shell.expect("resized")
        shell.type("echo one; cat\r")
        shell.expect("one")
        shell.type("\x04")
        shell.type("\r~.")
        shell.expect("left the session")
        assert shell.process.wait(30) == 255
    finally:
        shell.close()


def test_shell_exit_status(hub, client):
    shell = Shell(hub, client.id)
    try:
        shell.type("exit 9\r")
        assert shell.process.wait(30) == 9
    finally:
        shell.close()


def test_device_by_name_and_unknown_device(hub, client):
    name = hub.staff("GET", "/api/devices").json["devices"][0]["name"]
    assert cli(hub, "connect", name.upper(), "true").returncode == 0
    done = cli(hub, "connect", "nobody", "true")
    assert done.returncode == 255
    assert b"no device is called nobody" in done.stderr and client.id.encode() in done.stderr


def test_ambiguous_name_lists_the_ids(hub, client, start_client):
    other = start_client(hub, token=hub.token())
    other.said("hub-connected")
    name = hub.staff("GET", "/api/devices").json["devices"][0]["name"]
    done = cli(hub, "connect", name, "true")
    assert done.returncode == 255
    assert client.id.encode() in done.stderr and other.id.encode() in done.stderr
    assert cli(hub, "connect", other.id, "true").returncode == 0


def test_offline_device(hub, client):
    client.stop()
    wait_for(lambda: not client.online())
    done = cli(hub, "connect", client.id, "true")
    assert done.returncode == 255
    assert b"offline" in done.stderr


def test_route_json(hub, client):
    done = cli(hub, "route", client.id, "--json")
    assert done.returncode == 0, done.stderr
    route = json.loads(done.stdout)
    assert set(route) - {"verdict"} == {"method", "transport", "via", "rtt_ms", "setup_ms", "reason", "pair", "tried",
                                        "candidates", "servers", "nat", "ignored"}
    assert route["method"] == "local" and route["transport"] == "udp"
    assert 0 < route["rtt_ms"] < 1000 and route["reason"]
    assert set(route["pair"]["local"]) == {"type", "address", "port", "protocol"}
    assert any(p["state"] == "succeeded" and p["answered"] for p in route["tried"])
    text = cli(hub, "route", client.id)
    assert text.stdout.startswith(b"local  ") and b"\x1b" not in text.stdout


def test_route_is_kept_with_the_session(hub, client):
    assert cli(hub, "connect", client.id, "true").returncode == 0
    session = wait_for(lambda: [s for s in hub.staff("GET", "/api/sessions").json["sessions"] if s["ended"]])[0]
    assert session["device"] == client.id and session["modules"] == ["terminal"]
    assert session["route"]["method"] == "local"
    assert session["endReason"] == "user"


def test_a_method_that_there_is_not(hub, client):
    done = cli(hub, "connect", "--route", "local", client.id, "true")
    assert done.returncode == 0, done.stderr
    done = cli(hub, "connect", "--route", "sideways", client.id, "true")
    assert done.returncode == 2


def test_devices(hub, client):
    done = cli(hub, "devices")
    assert done.returncode == 0 and client.id.encode() in done.stdout and b"online" in done.stdout
    listed = json.loads(cli(hub, "devices", "--json").stdout)["devices"]
    assert [d["id"] for d in listed] == [client.id]
    assert listed[0]["modules"].count("terminal") == 1


def test_wrong_key_and_untrusted_certificate(hub, tmp_path):
    env = cli_env(hub) | {"FAIRLEAD_TOKEN": "x" * 43}
    done = subprocess.run(cli_words(hub, "devices"), env=env, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1
    words = [str(w) for w in cli_words(hub, "devices")]
    del words[2:4]  # --ca
    done = subprocess.run(words, env=cli_env(hub), capture_output=True, timeout=30, check=False)
    assert done.returncode == 1 and b"--ca FILE" in done.stderr


@pytest.mark.parametrize("words", [["devices"], ["connect", "x", "true"], ["route", "x"]])
def test_hub_that_is_gone(hub, words):
    hub.kill()
    done = cli(hub, *words)
    said = done.stderr.decode()
    assert done.returncode == (255 if words[0] == "connect" else 1) and not done.stdout
    assert "Nothing answers at" in said and "Is the hub running" in said and said.count("\n") == 1


@pytest.mark.parametrize("days, works", [(-1, True), (1, True), (-10, False), (10_000, False)])
def test_clock_that_is_off(hub, days, works):
    """A day either way is forgiven; beyond the certificate's dates the clock is named."""
    env = cli_env(hub) | {"LD_PRELOAD": str(BUILD / "tests" / "client" / "libyesterday.so"),
                          "CLOCK_OFF_S": str(days * 86400),
                          "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
    done = subprocess.run(cli_words(hub, "devices"), env=env, capture_output=True, timeout=30, check=False)
    said = done.stderr.decode()
    assert done.returncode == (0 if works else 1), said
    assert works or ("Check this machine's clock" in said and said.count("\n") == 1)


def test_no_hub_and_no_key_are_told(tmp_path):
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([BUILD / "fairlead", "devices"], env=env, capture_output=True, timeout=30, check=False)
    assert done.returncode == 2 and b"--hub URL" in done.stderr and done.stderr.count(b"\n") == 1
    words = ["devices", "--hub", "https://127.0.0.1:9", "--token-file", tmp_path / "none"]
    done = subprocess.run([BUILD / "fairlead", *words], env=env, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1 and b"--token-file" in done.stderr and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", [
    ["no-such-command"], ["connect"], ["connect", "--no-such-option", "x"], ["route"], ["devices", "x"],
    ["up", "--port", "70000"], [],
])
def test_usage_errors_end_with_2(hub, words):
    done = subprocess.run([cli_words(hub, "x")[0], *words], env=cli_env(hub), capture_output=True, timeout=30,
                          check=False)
    assert done.returncode == 2 and done.stderr and not done.stdout


@pytest.mark.parametrize("words", [["--help"], ["help"], ["--version"], ["help", "connect"], ["--completion"]] + [
    [command, flag] for command in ["up", "devices", "connect", "route", "put", "get"] for flag in ["--help", "--manual", "--completion"]
])
def test_help_in_every_form(hub, words):
    done = subprocess.run([cli_words(hub, "x")[0], *words], env=cli_env(hub), capture_output=True, timeout=30,
                          check=False)
    assert done.returncode == 0 and len(done.stdout) > 10 and not done.stderr
    if words[-1] == "--completion":
        check = "complete -p fairlead; declare -F _fairlead >/dev/null"
        assert subprocess.run(["bash", "-ec", f"{done.stdout.decode()}\n{check}"], timeout=30, check=False).returncode == 0
    if words[-1] == "--manual":
        assert done.stdout.startswith(f".TH fairlead-{words[0]} 1\n".encode())


def test_seventeenth_session_is_refused(hub, client):
    words = cli_words(hub, "connect", client.id, "sh", "-c", "echo there; cat")
    running = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=cli_env(hub))
               for _ in range(16)]
    try:
        assert [one.stdout.readline() for one in running] == [b"there\n"] * 16
        done = cli(hub, "connect", client.id, "true")
        assert done.returncode == 255 and b"16 sessions run on this device already" in done.stderr
    finally:
        for one in running:
            one.stdin.close()
    assert [one.wait(30) for one in running] == [0] * 16
    assert cli(hub, "connect", client.id, "true").returncode == 0
