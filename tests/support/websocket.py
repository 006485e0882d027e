"""The client's side of a WebSocket (RFC 6455) on a socket that is connected, for tests that break its rules."""

import base64
import os
import secrets
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def upgrade_request(path="/", host="localhost", protocol="turn", key=None, more=""):
    key = key or base64.b64encode(secrets.token_bytes(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode()


def frame(data, opcode=BINARY, last=True):
    """Masked, as a client's must be."""
    mask = os.urandom(4)
    head = bytes([(0x80 if last else 0) | opcode])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += struct.pack(">BH", 0x80 | 126, len(data))
    else:
        head += struct.pack(">BQ", 0x80 | 127, len(data))
    pad = (mask * (len(data) // 4 + 1))[:len(data)]
    return head + mask + (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")


def read_head(sock):
    """The head of an HTTP answer, and the bytes behind it."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = sock.recv(4096)
        if not more:
            raise EOFError(f"closed after {got!r}")
        got += more
    head, rest = got.split(b"\r\n\r\n", 1)
    return head.decode("latin-1"), rest


class WebSocket:
    """Looks like a stream socket to turn.py: what is sent is one binary frame, what is read are payloads."""

    def __init__(self, sock, **request):
        self.sock, self.frames = sock, []  # frames: (opcode, payload) of all that came
        sock.sendall(upgrade_request(**request))
        self.head, self.rest = read_head(sock)
        if not self.head.startswith("HTTP/1.1 101 "):
            raise ConnectionRefusedError(self.head)

    def sendall(self, data):
        self.sock.sendall(frame(data))

    def send_frame(self, data, opcode=BINARY, last=True):
        self.sock.sendall(frame(data, opcode, last))

    def _take(self, size):
        while len(self.rest) < size:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError("closed")
            self.rest += more
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def next_frame(self):
        first, second = self._take(2)
        assert first & 0x80 and not second & 0x80, "a server's frame is whole and not masked"
        size = second
        if size == 126:
            size, = struct.unpack(">H", self._take(2))
        elif size == 127:
            size, = struct.unpack(">Q", self._take(8))
        self.frames.append((first & 15, self._take(size)))
        return self.frames[-1]

    def recv(self, _size):
        while True:
            opcode, data = self.next_frame()
            if opcode == CLOSE:
                return b""
            if opcode == BINARY:
                return data

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def getsockname(self):
        return self.sock.getsockname()

    def close(self):
        self.sock.close()
