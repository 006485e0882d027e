"""10,000 allocations, all refreshed, all relaying, while certificates and configuration are read again and strangers
send whatever they like: none is lost, and no packet that a bare forwarder would not lose."""

import json
import multiprocessing
import os
import pathlib
import random
import resource
import socket
import ssl
import struct
import subprocess
import time

import pytest
from relay import BUILD, make_certificate

LOAD, FORWARD = BUILD / "bench/relay/bench-relay-load", BUILD / "bench/relay/bench-relay-forward"
FLOWS, SECONDS, RATE = 10_000, 8, 3_000
FIRST_RELAYED = 49152
FLOOD_PER_S, FLOOD_SOURCES = 10_000, 4_000
# of src/proto/turn/turn_limit.h, per worker and /24: what may be answered beyond what was brought
ADVANCE, PAID_BACK_PER_S = 8192, 512
MAGIC = 0x2112A442
IP_PKTINFO = 8  # Linux; Python 3.11 has no name for it


def allocate_request(n):
    return struct.pack(">HHI", 0x0003, 8, MAGIC) + struct.pack(">QI", n, 7) + struct.pack(">HHI", 0x0019, 4, 17 << 24)


def flood(port, seconds, told):
    """Requests without credentials, Binding requests and nonsense, from addresses that nobody else uses."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind(("0.0.0.0", 0))
    sock.setblocking(False)
    dice = random.Random(1)
    sent = sent_bytes = back_bytes = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(int(passed * FLOOD_PER_S) - sent):
            kind, source = sent % 3, dice.randrange(FLOOD_SOURCES)
            message = (allocate_request(sent), struct.pack(">HHI", 1, 0, MAGIC) + struct.pack(">QI", sent, 9),
                       dice.randbytes(dice.randrange(60)))[kind]
            info = struct.pack("=I4s4s", 0, bytes((127, 200, source >> 8, source & 255)), bytes(4))
            try:
                sock.sendmsg([message], [(socket.IPPROTO_IP, IP_PKTINFO, info)], 0, ("127.0.0.1", port))
            except BlockingIOError:
                pass
            sent += 1
            sent_bytes += len(message)
        try:
            while True:
                back_bytes += len(sock.recv(2048))
        except BlockingIOError:
            time.sleep(0.001)
    told.send((sent, sent_bytes, back_bytes))


class Flood:
    def __init__(self, port, seconds):
        self.seconds = seconds
        self.end, told = multiprocessing.Pipe(False)
        self.process = multiprocessing.Process(target=flood, args=(port, seconds, told), daemon=True)
        self.process.start()

    def result(self):
        assert self.end.poll(self.seconds + 60), "the flood did not end"
        self.process.join()
        return self.end.recv()


class Crowd:
    def __init__(self, port, *more):
        words = [LOAD, "crowd", "--flows", FLOWS, "--server", f"127.0.0.1:{port}", "--rate", RATE, "--size", 200,
                 "--time", SECONDS * 1000, *more]
        self.process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        assert json.loads(line) == {"ready": FLOWS}

    def result(self):
        out, err = self.process.communicate(timeout=200)
        assert self.process.returncode == 0, err
        return json.loads(out)


def lost_by_a_bare_forwarder():
    """With the same crowd and the same flood."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    forward = subprocess.Popen([FORWARD, "mmsg", "127.0.0.1", str(port), str(FIRST_RELAYED), str(FLOWS)],
                               stdout=subprocess.PIPE, text=True)
    try:
        assert forward.stdout.readline().strip() == "ready"
        crowd, strangers = Crowd(port, "--bare", FIRST_RELAYED), Flood(port, SECONDS)
        strangers.result()
        return crowd.result()["lost"]
    finally:
        forward.kill()
        forward.wait()


def serial_of(port):
    """Of the certificate that a new client is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain) as tls:
        return hash(tls.getpeercert(binary_form=True))


def reloads(relay, folder, config, for_s):
    """New certificates and another configuration, again and again."""
    shown, n, end = {serial_of(relay.ports["tls"])}, 0, time.monotonic() + for_s
    while time.monotonic() < end:
        n += 1
        make_certificate(folder, f"n{n}.example")
        config.write_text(config.read_text() + f"user = new{n}:password{n}\n")
        relay.reload()
        shown.add(serial_of(relay.ports["tls"]))
        time.sleep(0.5)
    assert n >= 2 and len(shown) == n + 1, f"{n} reloads, {len(shown)} certificates seen"


def test_crowd(start, tmp_path):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FLOWS + 500:
        pytest.skip(f"needs {FLOWS + 500} open files; the hard limit is lower (ulimit -Hn)")
    cert, key = make_certificate(tmp_path)
    config = tmp_path / "relay.conf"
    config.write_text(f"listen = udp:127.0.0.1:0\nlisten = tls:127.0.0.1:0\ncert = {cert}\nkey = {key}\n"
                      "relay-address = 127.0.0.1\nallow-peer = 127.0.0.0/8\nrealm = crowd\nuser = user:pass\n")
    config.chmod(0o600)
    relay = start("--config", config, "--metrics", "127.0.0.1:0", listen=())
    crowd, strangers = Crowd(relay.ports["udp"]), Flood(relay.ports["udp"], SECONDS)
    assert relay.metric("fairlead_relay_allocations", transport="udp") == FLOWS
    reloads(relay, tmp_path, config, SECONDS / 2)
    sent, sent_bytes, back_bytes = strangers.result()
    figures = crowd.result()
    print(f"crowd {figures}; strangers sent {sent} messages, {sent_bytes} bytes, got {back_bytes} back")
    assert figures["refreshed"] and figures["strays"] == 0
    assert figures["sent"] >= FLOWS, "each of them had its turn"
    advance = (ADVANCE + PAID_BACK_PER_S * (SECONDS + 1)) * -(-FLOOD_SOURCES // 256) * relay.metric("fairlead_relay_workers")
    assert sent > FLOOD_PER_S and back_bytes <= sent_bytes + advance, "strangers get no more than they bring"
    if figures["lost"]:
        assert figures["lost"] <= lost_by_a_bare_forwarder(), figures
    assert relay.metric("fairlead_relay_allocations", transport="udp") == 0
    assert relay.end() == 0
