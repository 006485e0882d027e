import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from faults import Authority, Web, page  # noqa: E402
from hub import BUILD, Hub  # noqa: E402
from relay import OPEN, SECRET, Relay, make_certificate  # noqa: E402

STORES = ["log-captures", "log-rulesets", "modules", "portal-modules", "notifications", "service-desk"]
ABSENT = page(400, "<?xml version='1.0'?><Error/>", "application/xml")


def run_check(*words, env=None, timeout=30):
    """(exit status, what --json says, seconds)."""
    began = time.monotonic()
    # into a file: a pipe of this process could be read by a planted server's thread that still has its number
    with tempfile.NamedTemporaryFile("ab") as out:
        done = subprocess.run([BUILD / "fairlead", "check", "--json", *map(str, words)], stdout=out,
                              stderr=subprocess.PIPE, text=True, timeout=timeout, check=False,
                              env={key: value for key, value in os.environ.items() if "proxy" not in key.lower()} |
                              {"HOME": "/nonexistent"} | (env or {}))
        assert done.returncode in (0, 1), (done.returncode, done.stderr)
        said = pathlib.Path(out.name).read_text(encoding="utf-8")
    return done.returncode, json.loads(said), time.monotonic() - began


def failed(told):
    """{(item without hosts, cause)} of what is wrong."""
    for item in told["items"]:
        assert item["ok"] == (item["cause"] is None) == (item["fix"] is None), item
    return {(re.sub(r"^proxy:.*|:[^/]*", lambda m: m[0][:5] if m[0].startswith("proxy") else "", item["id"]),
             item["cause"]) for item in told["items"] if not item["ok"]}


class Site:
    """A hub, a relay by all its ways, a store, on loopback."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(folder, "Site authority")
        self.stranger = Authority(folder, "Zscaler Intermediate Root CA")
        self.store = Web(self.authority.sign(), ABSENT)
        cert, key = make_certificate(folder)
        self.relay = Relay("--realm", "check", "--secret", SECRET, *OPEN, "--cert", cert, "--key", key,
                           listen=("udp", "tcp", "tls", "wss"))
        (folder / "secret").write_text(SECRET + "\n")
        turn = [f"turn:localhost:{self.relay.ports['udp']}", f"turn:localhost:{self.relay.ports['tcp']}?transport=tcp",
                f"turns:localhost:{self.relay.ports['tls']}?transport=tcp",
                f"turns:localhost:{self.relay.ports['wss']}?transport=wss"]
        self.hub = Hub(folder / "hub", "--name", "localhost", "--stun", f"localhost:{self.relay.ports['udp']}",
                       *(word for url in turn for word in ("--turn", url)), "--turn-secret-file", folder / "secret",
                       *(f"--store=eu/{store}=https://localhost:{self.store.port}/" for store in STORES))
        self.ca = folder / "ca.pem"
        self.ca.write_text((folder / "hub" / "ca.pem").read_text() + self.authority.pem)
        self.own = (folder / "hub" / "hub.pem", folder / "hub" / "hub-tls.key")
        self.network = self.hub.ask("GET", "/network.json").json

    def url(self, port=None):
        return f"https://localhost:{port or self.hub.port}"

    def needs(self, **ports):
        """The hub's list with other ports by kind ("turn_tcp"), or without a kind (None)."""
        told = json.loads(json.dumps(self.network))
        for kind, port in ports.items():
            for need in [n for n in told["needs"] if n["kind"] == kind.replace("_", "-")]:
                if port is None:
                    told["needs"].remove(need)
                else:
                    need["portMin"] = need["portMax"] = port
                    need["ports"] = str(port)
                    need["id"] = f"{need['kind']}:{need['host']}:{port}"
        path = self.folder / f"network-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(told))
        return path

    def check(self, *words, port=None, ca=True, **more):
        return run_check("--hub", self.url(port), *(("--ca", self.ca) if ca else ()), *words, **more)

    def stop(self):
        self.hub.stop()
        self.relay.kill()
        self.store.close()


@pytest.fixture(scope="session", name="site")
def fixture_site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.stop()
