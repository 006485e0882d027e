"""What the hub says it needs (GET /network.json), and the command that makes lists of it."""

import base64
import csv
import hashlib
import io
import json
import os
import ssl
import subprocess
import time

import ed25519
import pytest
from hub import BUILD, Hub, lines, unb64

STORES = ["log-captures", "log-rulesets", "modules", "portal-modules", "notifications", "service-desk"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    data = tmp_path_factory.mktemp("network")
    (data / "secret").write_text("a secret that the relay has too\n")
    stores = [f"--store={region}/{store}=https://{store}-{region}.blob.example/"
              for region in ("eu", "us") for store in STORES]
    one = Hub(data / "hub", "--name", "localhost", "--stun", ":3478", "--turn", "turn::3478", "--turn",
              "turns:relay.example:443?transport=wss", "--turn-secret-file", str(data / "secret"), *stores)
    yield one
    one.stop()


def allowlist(hub, *args, status=0):
    done = subprocess.run([BUILD / "fairlead", "allowlist", "--hub", f"https://localhost:{hub.port}", "--ca",
                           hub.data / "ca.pem", *args], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "HOME": "/nonexistent"})
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def test_anybody_may_ask(hub):
    answer = hub.ask("GET", "/network.json")
    needs = answer.json["needs"]
    assert answer.status == 200
    assert {"hub", "store", "stun", "turn-udp", "turn-wss", "relay-ports", "peers", "local", "mdns"} == \
        {need["kind"] for need in needs}
    [hub_need] = [need for need in needs if need["kind"] == "hub"]
    assert (hub_need["protocol"], hub_need["portMin"], hub_need["need"]) == ("tcp", hub.port, "required")
    [wss] = [need for need in needs if need["kind"] == "turn-wss"]
    assert (wss["host"], wss["ports"], wss["methods"]) == ("relay.example", "443", [3])
    [stun] = [need for need in needs if need["kind"] == "stun"]
    assert stun["host"] == hub_need["host"]  # a STUN server without a name is the hub's own


def test_it_is_this_hub_that_answers(hub):
    told = hub.ask("GET", "/health?echo=a-fresh_TEXT1").json
    key = unb64(told["hubKey"])
    assert told["ok"] and told["echo"] == "a-fresh_TEXT1" and abs(told["time"] / 1000 - time.time()) < 60
    said = lines("fairlead-health-v1", told["echo"], str(told["time"]), told["certificate"])
    assert ed25519.verify(key, said, unb64(told["signature"]))
    assert key == hub.enrol().hub_key
    pem = ssl.get_server_certificate(("127.0.0.1", hub.port))
    spki = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=pem, capture_output=True, text=True,
                          check=True).stdout
    der = base64.b64decode("".join(spki.splitlines()[1:-1]))
    assert unb64(told["certificate"]) == hashlib.sha256(der).digest()
    for echo in ("", "a" * 65, "a%0Ab", "a%20b", "a+b"):
        assert hub.ask("GET", f"/health?echo={echo}").json == {"ok": True, "version": told["version"]}


def test_stores_by_region(hub):
    assert "-us.blob.example" not in allowlist(hub, "--region", "EU")
    rows = list(csv.reader(io.StringIO(allowlist(hub, "--region", "eu", "--format", "csv"))))
    stores = [row for row in rows if row[9] in STORES]
    assert sorted(row[9] for row in stores) == sorted(STORES)
    assert all(row[8] == "eu" and row[2].endswith("-eu.blob.example") and row[3] == "443" for row in stores)


def test_a_list_of_its_own_is_complete(hub, tmp_path):
    for form in ("text", "json", "csv"):
        path = tmp_path / form
        path.write_text(allowlist(hub, "--format", form))
        found = json.loads(allowlist(hub, "--verify", path, "--json"))
        assert found == {"ok": True, "missing": [], "excess": []}, form


def test_what_is_missing_and_too_much(hub, tmp_path):
    path = tmp_path / "list"
    path.write_text(f"# the old list\nlocalhost {hub.port}\n*.blob.example 443\nudp localhost 3478\nold.example 443\n")
    said = subprocess.run([BUILD / "fairlead", "allowlist", "--hub", f"https://localhost:{hub.port}", "--ca",
                           hub.data / "ca.pem", "--verify", path, "--json"], capture_output=True, text=True, timeout=30)
    found = json.loads(said.stdout)
    assert said.returncode == 1 and not found["ok"]
    assert {need["id"] for need in found["missing"]} == {"turn-wss:relay.example:443", "peers",
                                                         "relay-ports:localhost:49152-65535",
                                                         "relay-ports:relay.example:49152-65535"}
    assert [(entry["line"], entry["host"]) for entry in found["excess"]] == [(5, "old.example")]
    text = subprocess.run([BUILD / "fairlead", "allowlist", "--hub", f"https://localhost:{hub.port}", "--ca",
                           hub.data / "ca.pem", "--verify", path], capture_output=True, text=True, timeout=30)
    assert "missing  tcp 443 to relay.example (one-of)" in text.stdout
    assert f"too much {path}:5: old.example" in text.stdout and "\x1b" not in text.stdout


def test_bad_input(hub, tmp_path):
    path = tmp_path / "list"
    path.write_text("localhost 443\n<script>alert(1)</script>\n")
    assert f'{path}:2: "<script>alert(1)</script>" is not understood' in allowlist(hub, "--verify", path, status=1)
    assert "cannot be read: No such file" in allowlist(hub, "--verify", tmp_path / "nothing", status=1)
    assert "does not resolve" in allowlist(hub, "--format", "nftables", status=1)
    assert "--wildcard has no meaning" in allowlist(hub, "--format", "nftables", "--wildcard", status=2)
    assert "--format" in allowlist(hub, "--format", "xml", status=2)
    path.write_text('{"needs":[{"kind":"everything"}]}')
    assert "entry 1 of the list is not understood" in allowlist(hub, "--network", path, status=1)


@pytest.mark.parametrize("store", ["eu=https://x.example", "eu/log=https://x.example", "EU/modules=https://x.example",
                                   "eu/modules=http://x.example", "eu/modules=https://", "eu/modules=https://a b/",
                                   "/modules=https://x.example", "eu/modules=https://x.example:0/"])
def test_bad_stores_are_refused(store, tmp_path):
    done = subprocess.run([BUILD / "fairlead-hub", "--data", tmp_path, "--store", store], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 2 and "--store" in done.stderr and "six stores" in done.stderr
