import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from hub import Hub  # noqa: E402
from programs import Client, wait_for  # noqa: E402


@pytest.fixture(name="start_hub")
def fixture_start_hub(tmp_path):
    running = []

    def begin(*args, data=None, **more):
        running.append(Hub(data or tmp_path / f"hub{len(running)}", *args, **more))
        return running[-1]

    yield begin
    for one in running:
        if one.process and one.process.poll() is None:
            one.kill()


@pytest.fixture(name="hub")
def fixture_hub(start_hub):
    return start_hub()


@pytest.fixture(name="start_client")
def fixture_start_client(tmp_path):
    running = []

    def begin(hub, *args, data=None, **more):
        # a home of its own, so that nobody's profile takes part
        (tmp_path / "home").mkdir(exist_ok=True)
        more.setdefault("env", dict(os.environ, HOME=str(tmp_path / "home")))
        running.append(Client(hub, data or tmp_path / f"client{len(running)}", *args, **more))
        return running[-1]

    yield begin
    for one in running:
        if one.process and one.process.poll() is None:
            one.stop()
        print(one.log if one.log_path.exists() else "")


@pytest.fixture(name="client")
def fixture_client(hub, start_client):
    """An enrolled one that is online."""
    client = start_client(hub, token=hub.token())
    client.said("hub-connected")
    wait_for(client.online)
    return client
