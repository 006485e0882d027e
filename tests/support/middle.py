"""Somebody in between who looks into TLS and does to the realtime transports what filters do."""

import contextlib
import pathlib
import socket
import ssl
import threading
import time

from relay import make_certificate


class Ended(Exception):
    """One side closed."""


class Pipe:
    """A TLS socket that is read by heads and counts."""

    def __init__(self, sock):
        self.sock, self.data = sock, b""

    def more(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise Ended
        self.data += piece

    def until(self, mark):
        while mark not in self.data:
            self.more()
        head, self.data = self.data.split(mark, 1)
        return head + mark

    def take(self, n):
        while len(self.data) < n:
            self.more()
        out, self.data = self.data[:n], self.data[n:]
        return out


def field(head, name):
    for line in head.decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return None


def body_of(pipe, head, say):
    """Passes a body on, piece by piece."""
    if (field(head, "transfer-encoding") or "").lower() == "chunked":
        while True:
            line = pipe.until(b"\r\n")
            size = int(line.split(b";")[0], 16)
            say(line + pipe.take(size + 2))
            if size == 0:
                return
    left = int(field(head, "content-length") or 0)
    if left:
        say(pipe.take(left))


class Middle:
    """rules: "strip" takes Upgrade away, "strip-lower" only "websocket" as most write it, "drop" accepts WebSockets
    and lets nothing through, "buffer" keeps event streams back until they end, "cut" ends WebSockets after a moment."""

    def __init__(self, folder, target, *rules, name="localhost"):
        self.target, self.rules = target, set(rules)
        self.requests = []
        pathlib.Path(folder).mkdir(exist_ok=True)
        self.ca, key = make_certificate(pathlib.Path(folder), name)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca, key)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname, self.client.verify_mode = False, ssl.CERT_NONE
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, raw):
        with contextlib.suppress(OSError, Ended, ssl.SSLError):
            with self.context.wrap_socket(raw, server_side=True) as here, \
                 self.client.wrap_socket(socket.create_connection(("127.0.0.1", self.target)),
                                         server_hostname="localhost") as there:
                near, far = Pipe(here), Pipe(there)
                while self.one(near, far):
                    pass

    def change(self, head):
        """What of a request's head is passed on."""
        upgrade = field(head, "upgrade")
        if not upgrade or not ("strip" in self.rules or ("strip-lower" in self.rules and upgrade == "websocket")):
            return head
        lines = head.decode("latin-1").split("\r\n")
        return "\r\n".join(one for one in lines if not one.lower().startswith(("upgrade:", "connection:"))).encode("latin-1")

    def one(self, near, far):
        head = near.until(b"\r\n\r\n")
        self.requests.append(head.split(b"\r\n", 1)[0].decode().split("?")[0])
        far.sock.sendall(self.change(head))
        body_of(near, head, far.sock.sendall)
        answer = far.until(b"\r\n\r\n")
        if b" 101 " in answer.split(b"\r\n", 1)[0]:
            near.sock.sendall(answer)
            if "drop" in self.rules:
                time.sleep(60)
            elif "cut" in self.rules:
                self.pump(near, far, time.monotonic() + 1)
            else:
                self.pump(near, far, None)
            return False
        if "buffer" in self.rules and "event-stream" in (field(answer, "content-type") or ""):
            kept = [answer]
            body_of(far, answer, kept.append)
            near.sock.sendall(b"".join(kept))
        else:
            near.sock.sendall(answer)
            body_of(far, answer, near.sock.sendall)
        return True

    @staticmethod
    def pump(near, far, until):
        def one_way(a, b):
            with contextlib.suppress(OSError, Ended, ssl.SSLError):
                while True:
                    if a.data:
                        b.sock.sendall(a.data)
                        a.data = b""
                    a.more()
            for one in (a, b):
                with contextlib.suppress(OSError):
                    one.sock.shutdown(socket.SHUT_RDWR)

        ways = [threading.Thread(target=one_way, args=pair, daemon=True) for pair in ((near, far), (far, near))]
        for one in ways:
            one.start()
        if until:
            time.sleep(max(0, until - time.monotonic()))
            near.sock.shutdown(socket.SHUT_RDWR)
        for one in ways:
            one.join()
