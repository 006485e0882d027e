"""fairlead put and get against the real hub, client and files module: everything that can be cut is cut."""

import hashlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import time

import pytest

from programs import PATIENCE, cli, cli_env, cli_words, wait_for
from test_survive import children

SILENCE = 18  # seconds; longer than it takes to notice, and to give the session up
SIZES = [0, 1, 65535, 65536, 65537, 50_000_000]


def write(path, size, seed=1):
    """Contents that compress and repeat badly, quickly made."""
    block = hashlib.shake_256(str(seed).encode()).digest(1 << 20)
    with open(path, "wb") as f:
        for i in range(0, size, len(block)):
            f.write((i.to_bytes(8, "big") + block)[:min(len(block), size - i)])
    return path


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").digest() if hasattr(hashlib, "file_digest") else \
            hashlib.sha256(f.read()).digest()


@pytest.fixture(name="folders")
def fixture_folders(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    return here, there


@pytest.mark.parametrize("size", SIZES)
def test_sizes_both_ways(hub, client, folders, size):
    here, there = folders
    source = write(here / "a file", size)
    done = cli(hub, "put", source, f"{client.id}:{there}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert digest(there / "a file") == digest(source)
    done = cli(hub, "get", f"{client.id}:{there}/a file", here / "back", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert digest(here / "back") == digest(source)
    told = json.loads(done.stdout)
    assert told["complete"] and told["files"] == 1 and told["bytes"] == size and told["attempts"] == 1
    assert told["route"] == "local"


def tree(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        st = path.lstat()
        found[str(path.relative_to(folder))] = (kind, None if path.is_symlink() else (st.st_mode, st.st_mtime_ns))
    return found


def test_folder_of_a_thousand_files(hub, client, folders):
    here, there = folders
    folder = here / "folder"
    for i in range(1000):
        path = folder / f"{i % 10}" / f"ü{i % 7}" / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % i * i)
        path.chmod(0o600 + i % 64)
    (folder / "link").symlink_to("0/nowhere")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "empty").mkdir()
    (folder / "0").chmod(0o500)
    try:
        done = cli(hub, "put", folder, f"{client.id}:{there}", "--json", timeout=120)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["files"] == 1000
        assert tree(there / "folder") == tree(folder)
        done = cli(hub, "get", f"{client.id}:{there}/folder", here / "back", "--json", timeout=120)
        assert done.returncode == 0, done.stderr
        assert tree(here / "back") == tree(folder)
        # once more: nothing is sent
        done = cli(hub, "put", folder, f"{client.id}:{there}", "--json", timeout=120)
        told = json.loads(done.stdout)
        assert told["bytes"] == 0 and told["files"] == told["same"] == 1000
    finally:
        for one in (folder, there / "folder", here / "back"):
            if one.exists():
                (one / "0").chmod(0o700)


def test_several_and_home(hub, client, folders, tmp_path):
    here, _ = folders
    one, two = write(here / "one", 10), write(here / "two", 20)
    done = cli(hub, "put", one, two, f"{client.id}:")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "home" / "two").read_bytes() == two.read_bytes()
    done = cli(hub, "get", f"{client.id}:one", f"{client.id}:two", here / "none")
    assert done.returncode == 1 and b"no folder" in done.stderr
    (here / "some").mkdir()
    done = cli(hub, "get", f"{client.id}:one", f"{client.id}:two", here / "some")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(here / "some")) == ["one", "two"]


# ---- cuts ----


def part_of(folder):
    parts = [p for p in pathlib.Path(folder).iterdir() if p.name.endswith(".part")]
    return parts[0] if parts and parts[0].stat().st_size else None


class Flight:
    """A transfer that stands still in the middle."""

    def __init__(self, hub, words, target, source, *more):
        self.put, self.source, self.target = words[0] == "put", source, target
        self.process = subprocess.Popen(cli_words(hub, *words, "--json", *more), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=cli_env(hub))
        until = time.monotonic() + PATIENCE
        while not part_of(target.parent):
            assert time.monotonic() < until and self.process.poll() is None, self.process.stderr.read()
        self.process.send_signal(signal.SIGSTOP)
        assert not target.exists()

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def lands(self, attempts=2):
        out, err = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, err
        told = json.loads(out)
        assert told["complete"] and told["attempts"] >= attempts
        assert digest(self.target) == digest(self.source)
        assert not part_of(self.target.parent)
        return told


@pytest.fixture(name="flight", params=["put", "get"])
def fixture_flight(request, hub, client, folders):
    here, there = folders
    if request.param == "put":
        source, target = write(here / "a", 200_000_000), there / "a"
        words = ["put", source, f"{client.id}:{target}"]
    else:
        source, target = write(there / "a", 200_000_000), here / "a"
        words = ["get", f"{client.id}:{source}", target]
    one = Flight(hub, words, target, source)
    yield one
    if one.process.poll() is None:
        one.process.kill()
    one.process.wait()


def test_module_is_killed(client, flight):
    os.kill(children(client.process.pid, "files")[0], signal.SIGKILL)
    flight.go_on()
    assert flight.lands()["bytes"] < 250_000_000


def test_client_is_killed(client, flight):
    client.stop(signal.SIGKILL)
    client.start()
    client.said("hub-connected")
    flight.go_on()
    flight.lands()


def test_device_is_silent_for_a_moment(client, flight):
    """Long enough that the route is given up; whichever way it comes back, nothing is missing."""
    client.process.send_signal(signal.SIGSTOP)
    flight.go_on()
    time.sleep(5)
    client.process.send_signal(signal.SIGCONT)
    flight.lands(1)


def test_device_is_silent_for_a_while(client, flight):
    """As when its network is out: the command makes a new session, while the old module still has the file."""
    client.process.send_signal(signal.SIGSTOP)
    flight.go_on()
    time.sleep(SILENCE)
    client.process.send_signal(signal.SIGCONT)
    flight.lands(2 if flight.put else 1)  # who only hears notices it later


def test_hub_is_killed(hub, client, flight):
    hub.kill()
    flight.go_on()
    wait_for(lambda: "hub-away" in client.log)
    hub.start()
    # the session needs no hub to go on
    assert flight.lands(1)["attempts"] == 1


def test_command_is_killed_and_run_again(hub, client, folders):
    here, there = folders
    source, target = write(here / "a", 200_000_000), there / "a"
    one = Flight(hub, ["put", source, f"{client.id}:{target}"], target, source)
    one.go_on()
    one.process.send_signal(signal.SIGTERM)
    _, err = one.process.communicate(timeout=PATIENCE)
    assert one.process.returncode == 128 + signal.SIGTERM and b"run the same command again" in err
    there_already = part_of(there).stat().st_size
    done = cli(hub, "put", source, f"{client.id}:{target}", "--json", timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == 200_000_000 - there_already
    assert digest(target) == digest(source)


def test_source_that_changed_starts_anew(hub, client, folders):
    here, there = folders
    source, target = write(here / "a", 200_000_000), there / "a"
    one = Flight(hub, ["put", source, f"{client.id}:{target}"], target, source)
    one.go_on()
    one.process.terminate()
    one.process.wait(PATIENCE)
    write(source, 3_000_000, seed=2)
    done = cli(hub, "put", source, f"{client.id}:{target}", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == 3_000_000
    assert digest(target) == digest(source)


def test_gives_up_after_the_named_time(hub, client, folders):
    here, there = folders
    source, target = write(here / "a", 200_000_000), there / "a"
    one = Flight(hub, ["put", source, f"{client.id}:{target}"], target, source, "--retry", "1")
    client.stop(signal.SIGKILL)
    one.go_on()
    out, err = one.process.communicate(timeout=120)
    assert one.process.returncode == 1 and not json.loads(out)["complete"]
    assert b"run the same command again" in err and not target.exists() and part_of(there)


# ---- what is refused ----


def test_target_exists(hub, client, folders):
    here, there = folders
    source = write(here / "a", 1000)
    write(there / "a", 1000, seed=2)
    done = cli(hub, "put", source, f"{client.id}:{there}")
    assert done.returncode == 1 and b"--force" in done.stderr and done.stderr.count(b"\n") == 1
    assert digest(there / "a") != digest(source)
    done = cli(hub, "put", source, f"{client.id}:{there}", "--force")
    assert done.returncode == 0 and digest(there / "a") == digest(source)
    (there / "b" / "a").mkdir(parents=True)
    done = cli(hub, "put", source, f"{client.id}:{there}/b", "--force")
    assert done.returncode == 1 and b"folder" in done.stderr


def test_no_permission(hub, client, folders):
    here, there = folders
    source = write(here / "a", 1000)
    (there / "locked").mkdir(mode=0o500)
    # nobody makes files in /sys, not even root
    locked = "/sys" if os.geteuid() == 0 else there / "locked"
    done = cli(hub, "put", source, f"{client.id}:{locked}/a")
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1
    assert b"permi" in done.stderr or b"read-only" in done.stderr
    done = cli(hub, "get", f"{client.id}:{there}/none", here)
    assert done.returncode == 1 and b"does not exist" in done.stderr
    done = cli(hub, "put", here / "none", f"{client.id}:{there}")
    assert done.returncode == 1 and b"cannot be read" in done.stderr


def test_no_space(hub, client, folders):
    """A limit on the size of files, which the command hands to nobody: the receiving end is the command."""
    here, there = folders
    source = write(there / "a", 5_000_000)
    done = subprocess.run(cli_words(hub, "get", f"{client.id}:{source}", here), env=cli_env(hub), capture_output=True,
                          timeout=PATIENCE, check=False, preexec_fn=lambda: (
                              signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                              resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))))
    assert done.returncode == 1 and b"too large" in done.stderr and done.stderr.count(b"\n") == 1
    assert not (here / "a").exists()


def test_full_disk_is_told_before_anything_is_sent(hub, client, folders):
    here, there = folders
    with open(here / "huge", "wb") as f:
        f.truncate(1 << 43)
    done = cli(hub, "put", here / "huge", f"{client.id}:{there}")
    assert done.returncode == 1 and b"space" in done.stderr
    assert not list(there.iterdir())


@pytest.mark.parametrize("name", ["line\nbreak", "escape\x1b[2J"])
def test_hostile_names(hub, client, folders, name):
    here, there = folders
    (here / "folder").mkdir()
    write(here / "folder" / name, 10)
    done = cli(hub, "put", here / "folder", f"{client.id}:{there}")
    assert done.returncode == 1 and b"control characters" in done.stderr and b"\x1b" not in done.stderr
    done = cli(hub, "get", f"{client.id}:{here}/folder", there / "back")
    assert done.returncode == 1 and b"control characters" in done.stderr and b"\x1b" not in done.stderr


def test_links_on_the_device_are_not_followed(hub, client, folders, tmp_path):
    here, there = folders
    outside = tmp_path / "outside"
    outside.mkdir()
    (here / "folder" / "sub").mkdir(parents=True)
    write(here / "folder" / "sub" / "a", 10)
    (there / "folder").mkdir()
    (there / "folder" / "sub").symlink_to(outside)
    done = cli(hub, "put", here / "folder", f"{client.id}:{there}")
    assert done.returncode == 1
    assert not list(outside.iterdir())


@pytest.mark.parametrize("words", [
    ["put"], ["put", "x"], ["put", "x", "y"], ["get", "d:x"], ["get", "x", "y"], ["get", "d:x", "e:y", "z"],
    ["get", "d:/", "x"], ["get", "d:..", "x"], ["get", "d:a/x", "d:b/x", "y"],
])
def test_usage_errors_end_with_2(hub, words):
    done = cli(hub, *words)
    assert done.returncode in (1, 2) and done.stderr.count(b"\n") == 1 and not done.stdout
    assert done.returncode == 2 or words == ["put", "x", "y"]
