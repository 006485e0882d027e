"""A WebSocket (RFC 6455) and SignalR client for tests, standard library only."""

import base64
import hashlib
import json
import os
import queue
import socket
import ssl
import struct
import threading

SEPARATOR = "\x1e"


class Closed(Exception):
    """The other side ended the connection."""

    def __init__(self, code=None, text=""):
        super().__init__(f"closed {code} {text}")
        self.code = code


def tls_socket(port, host="127.0.0.1", timeout=10):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    raw = socket.create_connection((host, port), timeout=timeout)
    return context.wrap_socket(raw, server_hostname="localhost")


class WebSocket:
    def __init__(self, port, path, headers=None, timeout=10):
        self.sock = tls_socket(port, timeout=timeout)
        self.data = b""
        self.write_lock = threading.Lock()
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: localhost:{port}", "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.data:
            self._more()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        self.status = int(self.head.split()[1])
        if self.status == 101:
            accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
            assert f"sec-websocket-accept: {accept.decode()}" in self.head

    def _more(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise Closed()
        self.data += piece

    def _take(self, n):
        while len(self.data) < n:
            self._more()
        out, self.data = self.data[:n], self.data[n:]
        return out

    def send_frame(self, opcode, payload, fin=True):
        mask = os.urandom(4)
        head = bytes([opcode | (0x80 if fin else 0)])
        if len(payload) < 126:
            head += bytes([0x80 | len(payload)])
        elif len(payload) < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", len(payload))
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", len(payload))
        wide = mask * (len(payload) // 4 + 1)
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(wide[:len(payload)], "big")).to_bytes(len(payload), "big")
        with self.write_lock:
            self.sock.sendall(head + mask + masked)

    def send(self, text):
        self.send_frame(1, text.encode())

    def recv(self):
        """The next text message; raises Closed."""
        while True:
            first, length = self._take(2)
            length &= 0x7F
            if length == 126:
                length = struct.unpack(">H", self._take(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self._take(8))[0]
            payload = self._take(length)
            opcode = first & 15
            if opcode == 8:
                code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else None
                raise Closed(code, payload[2:].decode())
            if opcode == 9:
                self.send_frame(10, payload)
            elif opcode == 1:
                return payload.decode()

    def close(self):
        self.sock.close()


class MethodFailed(Exception):
    @property
    def code(self):
        return str(self).split(":")[0]


class SignalR:
    """Reads in a thread of its own and pings, so a test may take its time."""

    def __init__(self, port, path, headers=None, ping=1.0, handshake=True):
        self.ws = WebSocket(port, path, headers)
        if self.ws.status != 101:
            raise Closed(self.ws.status, self.ws.head)
        self.messages = queue.Queue()
        self.kept = []
        self.results = {}
        self.next_id = 0
        self.closed = None
        self.stop = threading.Event()
        if handshake:
            self.ws.send('{"protocol":"json","version":1}' + SEPARATOR)
        threading.Thread(target=self._read, daemon=True).start()
        if ping:
            threading.Thread(target=self._ping, args=(ping,), daemon=True).start()

    def _ping(self, every):
        while not self.stop.wait(every):
            try:
                self.ws.send('{"type":6}' + SEPARATOR)
            except (OSError, ValueError):
                return

    def _read(self):
        try:
            while True:
                self.ws.sock.settimeout(None)
                for part in self.ws.recv().split(SEPARATOR)[:-1]:
                    self.messages.put(json.loads(part))
        except (OSError, ValueError, Closed) as e:
            self.closed = e
            self.messages.put(None)

    def _next(self, timeout):
        try:
            message = self.messages.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError("nothing came") from None
        if message is None:
            self.messages.put(None)
            raise self.closed if isinstance(self.closed, Closed) else Closed(None, str(self.closed))
        return message

    def start(self, target, *args):
        """Sends an invocation; its id for result()."""
        self.next_id += 1
        self.ws.send(json.dumps({"type": 1, "invocationId": str(self.next_id), "target": target, "arguments": list(args)})
                     + SEPARATOR)
        return str(self.next_id)

    def result(self, call, timeout=10):
        while call not in self.results:
            message = self._next(timeout)
            if message.get("type") == 3:
                self.results[message["invocationId"]] = message
            elif message.get("type") == 1:
                self.kept.append((message["target"], message["arguments"][0]))
        message = self.results.pop(call)
        if "error" in message:
            raise MethodFailed(message["error"])
        return message.get("result")

    def invoke(self, target, arg=None, timeout=10):
        return self.result(self.start(target, {} if arg is None else arg), timeout)

    def expect(self, target, timeout=10, where=lambda arg: True):
        """The argument of the next call of that name from the hub; others stay for later."""
        for i, (name, arg) in enumerate(self.kept):
            if name == target and where(arg):
                del self.kept[i]
                return arg
        while True:
            message = self._next(timeout)
            if message.get("type") == 3:
                self.results[message["invocationId"]] = message
            elif message.get("type") == 1:
                name, arg = message["target"], message["arguments"][0]
                if name == target and where(arg):
                    return arg
                self.kept.append((name, arg))

    def wait_closed(self, timeout=10):
        """The close code."""
        while True:
            try:
                self._next(timeout)
            except Closed as e:
                return e.code

    def close(self):
        self.stop.set()
        try:
            self.ws.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.ws.close()
