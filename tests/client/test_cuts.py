"""fairlead put and get that are cut in the middle, in every way there is, and arrive all the same.

Most of the time is waiting for an end to be missed, so the cases run some at a time, each with a hub and a client of its own.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from contents import digest, write
from hub import Hub
from programs import PATIENCE, Client, cli, cli_env, cli_words, wait_for
from test_survive import children

# long enough to be caught in the middle; programs that check themselves are slower
SIZE = 40_000_000 if os.environ.get("FAIRLEAD_SANITIZED") else 200_000_000
SILENCE = 18  # seconds; longer than it takes to notice, and to give the session up
AT_ONCE = 5  # cases


def part_of(folder):
    parts = [p for p in pathlib.Path(folder).iterdir() if p.name.endswith(".part")]
    return parts[0] if parts and parts[0].stat().st_size else None


class Flight:
    """A transfer that stands still in the middle."""

    def __init__(self, put, folder):
        self.put, self.folder = put, folder
        self.client, self.process, self.words = None, None, []
        here, there = folder / "here", folder / "there"
        self.source, self.target = (here if put else there) / "a", (there if put else here) / "a"
        for one in (here, there, folder / "home"):
            one.mkdir()
        self.hub = Hub(folder / "hub", start=False)

    def begin(self, *more):
        self.hub.start()
        self.client = Client(self.hub, self.folder / "client", token=self.hub.token(),
                             env=dict(os.environ, HOME=str(self.folder / "home")))
        self.client.said("hub-connected")
        wait_for(self.client.online)
        write(self.source, SIZE)
        self.words = ["put", self.source, f"{self.client.id}:{self.target}"] if self.put else \
            ["get", f"{self.client.id}:{self.source}", self.target]
        self.process = subprocess.Popen(cli_words(self.hub, *self.words, "--json", *more), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=cli_env(self.hub))
        until = time.monotonic() + PATIENCE
        while not part_of(self.target.parent):
            assert time.monotonic() < until and self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.001)
        self.process.send_signal(signal.SIGSTOP)
        assert not self.target.exists()

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

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.client and self.client.process.poll() is None:
            self.client.process.send_signal(signal.SIGCONT)
            self.client.stop()
        if self.hub.process and self.hub.process.poll() is None:
            self.hub.kill()


def module_is_killed(flight):
    os.kill(children(flight.client.process.pid, "files")[0], signal.SIGKILL)
    flight.go_on()
    assert flight.lands()["bytes"] < SIZE * 5 // 4


def client_is_killed(flight):
    flight.client.stop(signal.SIGKILL)
    flight.client.start()
    flight.client.said("hub-connected")
    flight.go_on()
    flight.lands()


def device_is_silent_for_a_moment(flight):
    """Long enough that the route is given up; whichever way it comes back, nothing is missing."""
    flight.client.process.send_signal(signal.SIGSTOP)
    flight.go_on()
    time.sleep(5)
    flight.client.process.send_signal(signal.SIGCONT)
    flight.lands(1)


def device_is_silent_for_a_while(flight):
    """As when its network is out: the command makes a new session, while the old module still has the file."""
    flight.client.process.send_signal(signal.SIGSTOP)
    flight.go_on()
    time.sleep(SILENCE)
    flight.client.process.send_signal(signal.SIGCONT)
    flight.lands(2 if flight.put else 1)  # who only hears notices it later


def hub_is_killed(flight):
    flight.hub.kill()
    flight.go_on()
    wait_for(lambda: "hub-away" in flight.client.log)
    flight.hub.start()
    # the session needs no hub to go on
    assert flight.lands(1)["attempts"] == 1


def command_is_killed_and_run_again(flight):
    flight.go_on()
    flight.process.send_signal(signal.SIGTERM)
    _, err = flight.process.communicate(timeout=PATIENCE)
    assert flight.process.returncode == 128 + signal.SIGTERM and b"run the same command again" in err
    there_already = part_of(flight.target.parent).stat().st_size
    done = cli(flight.hub, *flight.words, "--json", timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == SIZE - there_already
    assert digest(flight.target) == digest(flight.source)


def source_that_changed_starts_anew(flight):
    flight.go_on()
    flight.process.terminate()
    flight.process.wait(PATIENCE)
    write(flight.source, 3_000_000, seed=2)
    done = cli(flight.hub, *flight.words, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == 3_000_000
    assert digest(flight.target) == digest(flight.source)


def gives_up_after_the_named_time(flight):
    flight.client.stop(signal.SIGKILL)
    flight.go_on()
    out, err = flight.process.communicate(timeout=120)
    assert flight.process.returncode == 1 and not json.loads(out)["complete"]
    assert b"run the same command again" in err and not flight.target.exists() and part_of(flight.target.parent)


# the longest first
CASES = {f"{case.__name__}-{'put' if put else 'get'}": (case, put, more) for case, puts, *more in (
    (device_is_silent_for_a_while, (True, False)),
    (gives_up_after_the_named_time, (True,), "--retry", "1"),
    (device_is_silent_for_a_moment, (True, False)),
    (module_is_killed, (True, False)),
    (client_is_killed, (True, False)),
    (hub_is_killed, (True, False)),
    (command_is_killed_and_run_again, (True,)),
    (source_that_changed_starts_anew, (True,)),
) for put in puts}


@pytest.fixture(scope="module", name="results")
def fixture_results(tmp_path_factory):
    base = tmp_path_factory.mktemp("cuts")  # the factory itself is not made for threads

    def run(name):
        case, put, more = CASES[name]
        folder = base / name
        folder.mkdir()
        try:
            with contextlib.closing(Flight(put, folder)) as flight:
                flight.begin(*more)
                case(flight)
        except BaseException as error:  # told by the case's own test
            return error
        shutil.rmtree(folder)
        return None

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(CASES, pool.map(run, CASES)))


@pytest.mark.parametrize("name", CASES)
def test_cut(results, name):
    if results[name]:
        raise results[name]
