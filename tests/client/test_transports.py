"""Networks that do not let the WebSocket through: the client and the command find the transport that works."""

import os
import subprocess

import pytest

from middle import Middle
from programs import BUILD, cli_env, wait_for

EVERYTHING = ("strip", "drop", "buffer")


class Behind:
    """A hub as it is seen through somebody in between."""

    def __init__(self, hub, middle):
        self.hub, self.url = hub, middle.url

    def __getattr__(self, name):
        return getattr(self.hub, name)


def run(hub, middle, *words):
    return subprocess.run([BUILD / "fairlead", words[0], "--ca", middle.ca, *words[1:]], stdin=subprocess.DEVNULL,
                          capture_output=True, env=cli_env(hub) | {"FAIRLEAD_HUB": middle.url}, timeout=40, check=False)


@pytest.mark.parametrize("rules, transport", [
    ((), None),
    (("strip-lower",), "websocket-case"),
    (("strip",), "server-sent-events"),
    (("drop",), "server-sent-events"),
    (("strip", "buffer"), "long-polling"),
])
def test_finds_what_gets_through(hub, start_client, tmp_path, rules, transport):
    with Middle(tmp_path / "middle", hub.port, *rules) as middle:
        client = start_client(Behind(hub, middle), token=hub.token())
        client.said("hub-connected")
        wait_for(client.online)
        assert (f"transport={transport} " in client.log) if transport else "hub-transport" not in client.log
        done = run(hub, middle, "connect", client.id, "--", "head", "-c", "300000", "/dev/zero")
        assert (len(done.stdout), done.returncode) == (300000, 0), done.stderr


def test_what_worked_is_tried_first(hub, start_client, tmp_path):
    with Middle(tmp_path / "middle", hub.port, "drop", "buffer") as middle:
        client = start_client(Behind(hub, middle), token=hub.token())
        client.said("hub-connected")
        hub.kill()
        client.said("hub-away")
        before = len(middle.requests)
        hub.start()
        wait_for(lambda: client.log.count("hub-connected") == 2)
        assert [one for one in middle.requests[before:] if "negotiate" in one][:1] == ["POST /endpoint/negotiate"]
        assert "GET /endpoint" in middle.requests[before:]
        assert client.log.count("transport=long-polling") == 2


def test_a_connection_that_is_cut_again_and_again(hub, start_client, tmp_path):
    with Middle(tmp_path / "middle", hub.port, "cut") as middle:
        client = start_client(Behind(hub, middle), token=hub.token())
        client.said("transport=websocket-case")
        client.said("transport=server-sent-events")
        wait_for(client.online)


def test_the_hub_itself_says_no(hub, tmp_path):
    with Middle(tmp_path / "middle", hub.port, *EVERYTHING) as middle:
        env = cli_env(hub) | {"FAIRLEAD_HUB": middle.url, "FAIRLEAD_TOKEN": "wrong"}
        done = subprocess.run([BUILD / "fairlead", "connect", "--ca", middle.ca, "x"], capture_output=True, env=env,
                              stdin=subprocess.DEVNULL, timeout=40, check=False)
        assert done.returncode != 0 and b"API key" in done.stderr, done.stderr


def test_inspection_is_named(hub, start_client, tmp_path):
    with Middle(tmp_path / "middle", hub.port, name="Example Inspection CA") as middle:
        client = start_client(Behind(hub, middle), token=hub.token())
        client.said("hub-connected")
        assert client.log.count('inspected issuer="Example Inspection CA"') == 1
        seen = wait_for(lambda: [d for d in hub.staff("GET", "/api/devices").json["devices"] if d.get("inspectedBy")])
        assert [d["inspectedBy"] for d in seen] == ["Example Inspection CA"]
        # trusted or not makes no difference to whether it is seen
        client.stop()
        trusting = dict(os.environ, HOME=str(tmp_path), SSL_CERT_FILE=str(middle.ca))
        status, log = start_client(Behind(hub, middle), "--inspection", "refuse", data=client.data, start=False,
                                   env=trusting).finish()
        assert status == 1 and "Exclude localhost" in log and "Example Inspection CA" in log
    direct = start_client(hub, "--inspection", "refuse", data=client.data, start=False).start()
    wait_for(lambda: direct.log.count("hub-connected") == 2)
    wait_for(lambda: not any(d.get("inspectedBy") for d in hub.staff("GET", "/api/devices").json["devices"]))
