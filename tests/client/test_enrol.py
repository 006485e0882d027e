"""Enrolment, identity, and one clear sentence for each thing that can be wrong at the start."""

import os
import stat
import subprocess

import pytest

from programs import BUILD, cli, wait_for


def sentence(log):
    """What was said, without the lines of ordinary events."""
    return "".join(line for line in log.splitlines() if " info: " not in line)


def test_key_file_and_second_start(hub, client):
    path = client.data / "device.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(client.data.stat().st_mode) == 0o700
    before = client.identity
    assert client.stop() == 0
    client.start()  # without a token
    wait_for(client.online)
    assert client.identity == before


@pytest.mark.parametrize("what", ["file", "link"])
def test_key_is_not_written_into_what_lies_there(hub, start_client, tmp_path, what):
    """A leftover with a wider mode, or a link to elsewhere, beside device.json."""
    client = start_client(hub, start=False)
    client.data.mkdir(mode=0o755)
    fresh, elsewhere = client.data / "device.json.new", tmp_path / "elsewhere"
    elsewhere.write_text("untouched", encoding="ascii")
    if what == "link":
        fresh.symlink_to(elsewhere)
    else:
        fresh.touch(mode=0o644)
    client.start(hub.token())
    client.said("enrolled hub=")
    path = client.data / "device.json"
    assert not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert elsewhere.read_text(encoding="ascii") == "untouched"


def test_hub_is_remembered(hub, client):
    client.stop()
    client.hub, url = None, client.hub
    client.start()
    client.hub = url
    wait_for(client.online)


def test_wrong_token(hub, start_client):
    client = start_client(hub, start=False)
    status, log = client.finish("nonsense")
    assert status == 2 and "not an enrolment token" in log


def test_token_from_a_file(hub, start_client, tmp_path):
    """Where the list of processes does not show it. Once enrolled the file may be gone."""
    path = tmp_path / "token"
    path.write_text(hub.token() + "\n", encoding="ascii")
    client = start_client(hub, "--enrol-file", path)
    client.said("hub-connected")
    assert client.stop() == 0
    path.unlink()
    client.start()
    wait_for(client.online)


def test_token_from_standard_input(hub, tmp_path):
    words = [BUILD / "fairlead-client", "--data", tmp_path / "d", "--hub", hub.url, "--enrol-file", "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(hub.token().encode() + b"\n")
        process.stdin.close()
        line = process.stderr.readline()
        process.terminate()
        process.wait(10)
    assert b" enrolled hub=" in line


@pytest.mark.parametrize("content, text", [
    (None, "No such file"), (b"", "empty or too long"), (b"\n", "empty or too long"), (b"x" * 600, "empty or too long"),
    (b"nonsense", "not an enrolment token"),
])
def test_token_file_of_no_use(hub, start_client, tmp_path, content, text):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    client = start_client(hub, "--enrol-file", path, start=False)
    status, log = client.finish()
    assert status == 2 and text in log


def test_unknown_token(hub, start_client):
    token = hub.token()
    parts = token.split(".")
    parts[1] = "AAAAAAAAAAAA"
    client = start_client(hub, start=False)
    status, log = client.finish(".".join(parts))
    assert status == 1 and len(sentence(log).splitlines()) == 1
    assert "does not take this enrolment" in log


def test_spent_token(hub, start_client):
    token = hub.token()
    start_client(hub, token=token).said("hub-connected")
    late = start_client(hub, start=False)
    status, log = late.finish(token)
    assert status == 1 and "does not take this enrolment" in log
    assert token.split(".")[2] not in log
    # a new token for the same folder, and it works
    late.start(hub.token())
    wait_for(lambda: late.log.count("hub-connected"))


def test_token_of_another_hub(hub, start_hub, start_client):
    """The other hub does not know the token, or cannot prove that it made it; either way nothing is kept."""
    other = start_hub()
    client = start_client(hub, start=False)
    status, log = client.finish(other.token())
    assert status == 1 and "device" not in client.identity, log


def test_enrols_when_the_hub_comes_later(hub, start_client):
    token = hub.token()
    hub.kill()
    client = start_client(hub, token=token)
    client.said("Nothing answers at")
    hub.start()
    client.said("hub-connected", timeout=15)
    assert client.log.count("Nothing answers at") == 1


def test_folder_that_cannot_be_written(hub, start_client, tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    client = start_client(hub, data=tmp_path / "file" / "folder", start=False)
    client.log_path = tmp_path / "log"
    status, log = client.finish(hub.token())
    assert status == 1 and "cannot be written" in log and "--data" in log


def test_damaged_identity_is_not_overwritten(hub, client):
    client.stop()
    path = client.data / "device.json"
    path.write_text("{", encoding="ascii")
    status, log = client.finish()
    assert status == 1 and "device.json cannot be used" in log
    assert path.read_text(encoding="ascii") == "{"


def test_second_client_on_the_same_folder(hub, client, start_client):
    twin = start_client(hub, data=client.data, start=False)
    twin.log_path = client.data / "twin.log"
    status, log = twin.finish()
    assert status == 1 and "already runs" in log
    assert client.online()


@pytest.mark.parametrize("words, text", [
    (["--no-such-option"], "no-such-option"),
    (["--hub", "http://x", "--enrol", "y"], "https://"),
    (["--hub", "https://localhost", "--enrol", "x", "--enrol-file", "y"], "use one"),
    (["--hub", "https://localhost", "--enrol", "x", "--proxy", "proxy"], "port has to be named"),
    (["--proxy", "auto"], "not enrolled yet"),
    (["--proxy", "none"], "not enrolled yet"),
])
def test_usage_errors_end_with_2(tmp_path, words, text):
    done = subprocess.run([BUILD / "fairlead-client", "--data", tmp_path / "d", *words], capture_output=True,
                          timeout=30, check=False, text=True)
    assert done.returncode == 2 and text in done.stderr


@pytest.mark.parametrize("word", ["--help", "--version", "--manual", "--completion"])
def test_help_in_every_form(word):
    done = subprocess.run([BUILD / "fairlead-client", word], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0 and len(done.stdout) > 10 and not done.stderr


def test_small_and_without_listener(hub, client):
    with open(f"/proc/{client.process.pid}/status", encoding="ascii") as f:
        resident = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    sanitized = b"__asan_init" in (BUILD / "fairlead-client").read_bytes()
    assert sanitized or resident <= 10 * 1024
    inodes = set()
    for fd in os.listdir(f"/proc/{client.process.pid}/fd"):
        target = os.readlink(f"/proc/{client.process.pid}/fd/{fd}")
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for table in ["tcp", "tcp6"]:
        with open(f"/proc/net/{table}", encoding="ascii") as f:
            rows = [line.split() for line in list(f)[1:]]
        assert not [r for r in rows if r[3] == "0A" and r[9] in inodes]


def test_clock_off_by_a_day(hub, start_client, tmp_path):
    """Said in one sentence, and sessions work all the same: their grants are measured by the hub's clock."""
    env = dict(os.environ, LD_PRELOAD=str(BUILD / "tests" / "client" / "libyesterday.so"), HOME=str(tmp_path),
               ASAN_OPTIONS="verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", ""))
    client = start_client(hub, token=hub.token(), env=env)
    client.said("hub-connected")
    assert client.log.count("clock-off") == 1
    assert "1440 minutes behind" in client.log or "1439 minutes behind" in client.log
    wait_for(client.online)
    wait_for(lambda: hub.staff("GET", "/api/devices").json["devices"][0].get("clockOff") in (-1440, -1439))
    done = cli(hub, "connect", client.id, "echo", "works")
    assert done.stdout == b"works\n", done.stderr
