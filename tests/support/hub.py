"""Starts the real fairlead-hub on a port the kernel chooses, and speaks to it as people, programs and devices do."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import queue
import signal
import ssl
import subprocess
import threading
import time
import urllib.parse

import ed25519
from signalr import SignalR

BUILD = pathlib.Path(os.environ.get("FAIRLEAD_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
PROGRAM = BUILD / "fairlead-hub"
FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
SDP = f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:{FINGERPRINT}\r\n"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def lines(*parts):
    return "\n".join(parts).encode()


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.cookies = [v for k, v in response.getheaders() if k.lower() == "set-cookie"]
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]


class Hub:
    def __init__(self, data, *args, port=0, start=True):
        self.data, self.args, self.port = pathlib.Path(data), list(args), port
        self.process, self.link, self.url = None, None, None
        self.log = []
        if start:
            self.start()

    def start(self, timeout=30):
        self.process = subprocess.Popen(
            [PROGRAM, "--data", self.data, "--listen", "127.0.0.1", "--port", str(self.port), *self.args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        said = queue.Queue()
        threading.Thread(target=lambda out: [said.put(line) for line in out] + [said.put("")],
                         args=(self.process.stdout,), daemon=True).start()
        threading.Thread(target=lambda err: self.log.extend(err), args=(self.process.stderr,), daemon=True).start()
        while True:
            line = said.get(timeout=timeout)
            if line.startswith("sign in "):
                self.link = line.split()[2]
            elif line.startswith("ready "):
                self.url = line.split()[1]
                self.port = urllib.parse.urlsplit(self.url).port or 443
                return self
            elif not line:
                self.process.wait(timeout)
                time.sleep(0.1)
                raise RuntimeError(f"the hub ended with {self.process.returncode}: {''.join(self.log)}")

    def stop(self, sig=signal.SIGTERM, timeout=10):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(timeout) if self.process else None

    def kill(self):
        return self.stop(signal.SIGKILL)

    @property
    def key(self):
        return (self.data / "admin.token").read_text(encoding="ascii").strip()

    def http(self, timeout=10):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=timeout)

    def ask(self, method, path, body=None, key=None, cookie=None, origin=None, headers=None):
        h = dict(headers or {})
        if key:
            h["Authorization"] = f"Bearer {key}"
        if cookie:
            h["Cookie"] = f"fairlead={cookie}"
        if origin:
            h["Origin"] = origin
        if body is not None and not isinstance(body, (bytes, str)):
            body, h["Content-Type"] = json.dumps(body), "application/json"
        connection = self.http()
        try:
            connection.request(method, path, body=body, headers=h)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def staff(self, method, path, body=None):
        return self.ask(method, path, body, key=self.key)

    @property
    def origin(self):
        return f"https://127.0.0.1:{self.port}"

    def new_link(self):
        return self.staff("POST", "/api/sign-in-links", {}).json["url"]

    def sign_in(self, link=None):
        """The cookie."""
        code = (link or self.new_link()).split("#code=")[1]
        answer = self.ask("POST", "/id/link", {"code": code})
        assert answer.status == 200, answer.body
        return answer.cookies[0].split(";")[0].split("=", 1)[1]

    def token(self, uses=1, expires_in=3600):
        return self.staff("POST", "/api/enrolment-tokens", {"uses": uses, "expiresIn": expires_in}).json["token"]

    def console(self, cookie=None):
        if cookie:
            return SignalR(self.port, "/realtime", {"Cookie": f"fairlead={cookie}", "Origin": f"https://localhost:{self.port}"})
        return SignalR(self.port, "/realtime", {"Authorization": f"Bearer {self.key}"})

    def enrol(self, token=None, **changes):
        device = Device(self)
        answer = device.enrol(token or self.token(), **changes)
        assert answer.status == 200, answer.body
        return device


class Device:
    """A device as docs/protocol.md describes it."""

    def __init__(self, hub, name="lab-1", real=True):
        """Not real: a key that nobody has, for tests with many devices that never prove it."""
        self.hub, self.name, self.real = hub, name, real
        self.seed = os.urandom(32)
        self.public = ed25519.public_key(self.seed) if real else os.urandom(32)
        self.id, self.hub_key, self.connection, self.nonce = None, None, None, None

    def enrol(self, token, **changes):
        _, token_id, secret, hub_hash = token.split(".")
        proof = hmac.new(unb64(secret), lines("fairlead-enrol-v1", b64(self.public)), hashlib.sha256).digest()
        body = {"tokenId": token_id, "proof": b64(proof), "publicKey": b64(self.public), "name": self.name,
                "platform": {"os": "Linux", "version": "12", "arch": "x86_64"}, "version": "0.1.0"}
        body.update(changes)
        answer = self.hub.ask("POST", "/endpoint/enrol", body)
        if answer.status == 200:
            told = answer.json
            self.id, self.hub_key = told["device"], unb64(told["hubKey"])
            assert b64(hashlib.sha256(self.hub_key).digest()) == hub_hash
            assert not self.real or ed25519.verify(self.hub_key, lines("fairlead-enrolled-v1", self.id, b64(self.public)),
                                                   unb64(told["signature"]))
        return answer

    def status(self, **changes):
        return {"name": self.name, "platform": {"os": "Linux", "version": "12", "arch": "x86_64"}, "user": None,
                "address": "10.0.0.7", "modules": ["terminal", "screen"], "display": True} | changes

    def connect(self, ping=1.0):
        """Opens /endpoint and takes the challenge."""
        self.connection = SignalR(self.hub.port, "/endpoint", ping=ping)
        self.challenge = self.connection.expect("challenge")
        return self.connection

    def prove(self, sessions=(), seed=None, **changes):
        self.nonce = mine = b64(os.urandom(32))
        signature = ed25519.sign(seed or self.seed, lines("fairlead-device-v1", self.id, self.challenge["nonce"], mine))
        arg = {"device": self.id, "nonce": mine, "signature": b64(signature), "version": "0.1.0",
               "status": self.status(), "sessions": [{"id": s} for s in sessions]} | changes
        result = self.connection.invoke("Prove", arg)
        assert ed25519.verify(self.hub_key, lines("fairlead-hub-v1", self.id, mine, self.challenge["nonce"]),
                              unb64(result["signature"]))
        return result

    def online(self, sessions=(), ping=1.0):
        self.connect(ping)
        self.prove(sessions)
        return self.connection

    def answer(self, session):
        fingerprint = "sha-256 " + ":".join(["CD"] * 32)
        signature = ed25519.sign(self.seed, lines("fairlead-answer-v1", session, FINGERPRINT, fingerprint))
        return {"session": session, "sdp": SDP.replace("AB", "CD"), "fingerprint": fingerprint,
                "signature": b64(signature)}
