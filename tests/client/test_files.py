"""fairlead put and get against the real hub, client and files module: what arrives, and what is refused. Transfers that are
cut are in test_cuts.py."""

import json
import os
import resource
import signal
import subprocess

import pytest

from contents import digest, write
from programs import PATIENCE, cli, cli_env, cli_words

SIZES = [0, 1, 65535, 65536, 65537, 50_000_000]


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
