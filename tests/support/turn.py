"""A small TURN client for tests (RFC 8489, RFC 8656): says exactly what it is told to, hides nothing.

    with Turn(("127.0.0.1", port), user="alice", password="secret") as client:
        client.allocate()                       # answers 401 and 438 by itself
        client.permission(peer)
        client.channel(0x4000, peer)
        client.send_channel(0x4000, b"hello")
        assert client.receive() == (peer, b"answer")

A refused request raises Refused, whose code is the server's. UDP requests are repeated every 0.5 s.
"""

import base64
import hashlib
import hmac
import os
import secrets
import socket
import ssl
import struct
import time
import zlib

MAGIC = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, DATA, CREATE_PERMISSION, CHANNEL_BIND = 1, 3, 4, 6, 7, 8, 9
CONNECT, CONNECTION_BIND, CONNECTION_ATTEMPT = 10, 11, 12
REQUEST, INDICATION, SUCCESS, ERROR = 0x000, 0x010, 0x100, 0x110

MAPPED_ADDRESS, CHANGE_REQUEST, USERNAME, MESSAGE_INTEGRITY, ERROR_CODE = 0x0001, 0x0003, 0x0006, 0x0008, 0x0009
UNKNOWN_ATTRIBUTES, CHANNEL_NUMBER, LIFETIME, XOR_PEER_ADDRESS, DATA_ATTR = 0x000A, 0x000C, 0x000D, 0x0012, 0x0013
REALM, NONCE, XOR_RELAYED_ADDRESS, REQUESTED_ADDRESS_FAMILY = 0x0014, 0x0015, 0x0016, 0x0017
EVEN_PORT, REQUESTED_TRANSPORT, DONT_FRAGMENT, MESSAGE_INTEGRITY_SHA256 = 0x0018, 0x0019, 0x001A, 0x001C
PASSWORD_ALGORITHM, USERHASH, XOR_MAPPED_ADDRESS, RESERVATION_TOKEN = 0x001D, 0x001E, 0x0020, 0x0022
CONNECTION_ID, ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE, PASSWORD_ALGORITHMS = 0x002A, 0x8000, 0x8001, 0x8002
ICMP, SOFTWARE, FINGERPRINT, MOBILITY_TICKET = 0x8004, 0x8022, 0x8028, 0x8030
UDP, TCP = 17, 6
V4, V6 = 1, 2


class Refused(Exception):
    def __init__(self, answer):
        self.answer, self.code = answer, answer.code
        super().__init__(f"{self.code} {answer.reason}")


def time_limited(secret, name="test", seconds=600):
    """User name and password as the hub would make them from a shared secret."""
    user = f"{int(time.time() + seconds)}:{name}"
    return user, base64.b64encode(hmac.new(secret.encode(), user.encode(), hashlib.sha1).digest()).decode()


def pack_address(host, port, tid=None):
    """XORed when a transaction id is given."""
    v6 = ":" in host
    ip = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, host)
    if tid is not None:
        port ^= MAGIC >> 16
        ip = bytes(a ^ b for a, b in zip(ip, struct.pack(">I", MAGIC) + tid))
    return struct.pack(">BBH", 0, V6 if v6 else V4, port) + ip


def unpack_address(value, tid=None):
    _, family, port = struct.unpack(">BBH", value[:4])
    ip = value[4:]
    if tid is not None:
        port ^= MAGIC >> 16
        ip = bytes(a ^ b for a, b in zip(ip, struct.pack(">I", MAGIC) + tid))
    return socket.inet_ntop(socket.AF_INET6 if family == V6 else socket.AF_INET, ip), port


def attribute(kind, value):
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def with_length(head, body, more):
    """What an integrity or fingerprint is computed over: the length counts the attribute to come."""
    return head[:2] + struct.pack(">H", len(body) + more) + head[4:] + body


def message(method, kind=REQUEST, attributes=(), tid=None, key=None, sha256=False, fingerprint=False):
    """attributes: (type, bytes) pairs; addresses that are XORed need the tid that is given here."""
    # the class bits lie between the method's (RFC 8489 section 5)
    kind |= (method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2
    head = struct.pack(">HHI", kind, 0, MAGIC) + (tid or secrets.token_bytes(12))
    body = b"".join(attribute(*a) for a in attributes)
    if key:
        digest, size = (hashlib.sha256, 32) if sha256 else (hashlib.sha1, 20)
        mac = hmac.new(key, with_length(head, body, 4 + size), digest).digest()
        body += attribute(MESSAGE_INTEGRITY_SHA256 if sha256 else MESSAGE_INTEGRITY, mac)
    if fingerprint:
        body += attribute(FINGERPRINT, struct.pack(">I", zlib.crc32(with_length(head, body, 8)) ^ 0x5354554E))
    return with_length(head, body, 0)


class Message:
    """A parsed message."""

    def __init__(self, data):
        kind, length, magic = struct.unpack(">HHI", data[:8])
        assert magic == MAGIC and length == len(data) - 20 and length % 4 == 0, data
        self.raw, self.tid, self.kind = data, data[8:20], kind & 0x0110
        self.method = (kind & 0x000F) | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
        self.attributes, self.offsets, at = [], {}, 20
        while at < len(data):
            number, size = struct.unpack(">HH", data[at:at + 4])
            assert at + 4 + size <= len(data), data
            self.attributes.append((number, data[at + 4:at + 4 + size]))
            self.offsets.setdefault(number, at)
            at += 4 + size + -size % 4

    def get(self, number):
        return next((value for n, value in self.attributes if n == number), None)

    def all(self, number):
        return [value for n, value in self.attributes if n == number]

    def address(self, number):
        value = self.get(number)
        return None if value is None else unpack_address(value, None if number == MAPPED_ADDRESS else self.tid)

    @property
    def relayed(self):
        return [unpack_address(v, self.tid) for v in self.all(XOR_RELAYED_ADDRESS)]

    @property
    def mapped(self):
        return self.address(XOR_MAPPED_ADDRESS)

    @property
    def lifetime(self):
        value = self.get(LIFETIME)
        return None if value is None else struct.unpack(">I", value)[0]

    @property
    def code(self):
        value = self.get(ERROR_CODE)
        return None if value is None else value[2] * 100 + value[3]

    @property
    def reason(self):
        return (self.get(ERROR_CODE) or b"....")[4:].decode()

    def sealed_with(self, key, sha256=False):
        """The integrity attribute is there and right."""
        number, digest = (MESSAGE_INTEGRITY_SHA256, hashlib.sha256) if sha256 else (MESSAGE_INTEGRITY, hashlib.sha1)
        at, mac = self.offsets.get(number), self.get(number)
        if at is None:
            return False
        over = with_length(self.raw[:20], self.raw[20:at], 4 + len(mac))
        return hmac.compare_digest(mac, hmac.new(key, over, digest).digest())


class Turn:
    """One client: one 5-tuple. transport: udp, tcp or tls (not verified, or give tls=SSLContext)."""

    def __init__(self, server, transport="udp", user=None, password=None, secret=None, local=None, tls=None,
                 sha256=False, timeout=10):
        self.server, self.transport, self.sha256, self.timeout = server, transport, sha256, timeout
        self.user, self.password = time_limited(secret) if secret else (user, password)
        self.realm = self.nonce = self.algorithms = None
        self.waiting, self.buffer, self.channels = [], b"", {}
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        if local:
            self.sock.bind(local)
        self.sock.settimeout(timeout)
        self.sock.connect(server)
        if transport == "tls":
            if tls is None:
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    @property
    def address(self):
        return self.sock.getsockname()[:2]

    # ---- bytes ----

    def write(self, data):
        if self.transport == "udp":
            self.sock.send(data)
        else:
            self.sock.sendall(data + (bytes(-len(data) % 4) if data[0] >= 0x40 else b""))

    def element(self, deadline):
        """The next message or ChannelData, as bytes; TimeoutError."""
        while True:
            if self.transport != "udp" and len(self.buffer) >= 4:
                first, second = struct.unpack(">HH", self.buffer[:4])
                size = 4 + second if first >= 0x4000 else 20 + second
                if len(self.buffer) >= size + -size % 4:
                    data, self.buffer = self.buffer[:size], self.buffer[size + -size % 4:]
                    return data
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("nothing came")
            self.sock.settimeout(left)
            data = self.sock.recv(70000)
            if self.transport == "udp":
                return data
            if not data:
                raise EOFError("the server closed the connection")
            self.buffer += data

    # ---- requests ----

    def key(self):
        text = f"{self.user}:{self.realm}:{self.password}".encode()
        return (hashlib.sha256 if self.sha256 else hashlib.md5)(text).digest()

    def credentials(self):
        given = [(USERNAME, self.user.encode()), (REALM, self.realm.encode()), (NONCE, self.nonce)]
        if self.sha256:
            given += [(PASSWORD_ALGORITHMS, self.algorithms), (PASSWORD_ALGORITHM, struct.pack(">HH", 2, 0))]
        return given

    def transact(self, data, wait=None):
        """Sends a whole request, repeated over UDP, and gives the answer, whatever it says."""
        tid, deadline = data[8:20], time.monotonic() + (wait or self.timeout)
        self.write(data)
        again = time.monotonic() + 0.5
        while True:
            try:
                got = self.element(min(deadline, again) if self.transport == "udp" else deadline)
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise
                self.write(data)
                again = time.monotonic() + 0.5
                continue
            if got[0] < 0x40 and got[8:20] == tid:
                return Message(got)
            self.waiting.append(got)

    def request(self, method, attributes=(), authenticate=True, **more):
        """attributes may be a function of the transaction id. Answers 401 once and 438 once."""
        for _ in range(3):
            tid = secrets.token_bytes(12)
            own = list(attributes(tid) if callable(attributes) else attributes)
            key = None
            if authenticate and self.nonce and self.user is not None:
                own += self.credentials()
                key = self.key()
            answer = self.transact(message(method, REQUEST, own, tid, key, self.sha256, **more))
            if answer.kind == SUCCESS:
                assert key is None or answer.sealed_with(key, self.sha256), "the answer's integrity is wrong"
                return answer
            ask_again = answer.code == 438 or (answer.code == 401 and key is None)
            if not authenticate or self.user is None or not ask_again or answer.get(NONCE) is None:
                break
            self.realm, self.nonce = answer.get(REALM).decode(), answer.get(NONCE)
            self.algorithms = answer.get(PASSWORD_ALGORITHMS)
        raise Refused(answer)

    def binding(self):
        return self.request(BINDING, authenticate=False)

    def allocate(self, protocol=UDP, lifetime=None, family=None, more=()):
        own = [(REQUESTED_TRANSPORT, bytes([protocol, 0, 0, 0])), *more]
        if lifetime is not None:
            own.append((LIFETIME, struct.pack(">I", lifetime)))
        if family:
            own.append((REQUESTED_ADDRESS_FAMILY, bytes([family, 0, 0, 0])))
        answer = self.request(ALLOCATE, own)
        self.relayed = answer.relayed[0]
        return answer

    def refresh(self, lifetime=600, more=()):
        return self.request(REFRESH, [(LIFETIME, struct.pack(">I", lifetime)), *more])

    def permission(self, *peers):
        return self.request(CREATE_PERMISSION, lambda tid: [(XOR_PEER_ADDRESS, pack_address(*p[:2], tid)) for p in peers])

    def channel(self, number, peer):
        answer = self.request(CHANNEL_BIND, lambda tid: [(CHANNEL_NUMBER, struct.pack(">HH", number, 0)),
                                                         (XOR_PEER_ADDRESS, pack_address(*peer[:2], tid))])
        self.channels[number] = peer[:2]
        return answer

    # ---- data ----

    def send(self, peer, data, more=()):
        tid = secrets.token_bytes(12)
        self.write(message(SEND, INDICATION, [(XOR_PEER_ADDRESS, pack_address(*peer[:2], tid)), (DATA_ATTR, data), *more], tid))

    def send_channel(self, number, data):
        self.write(struct.pack(">HH", number, len(data)) + data)

    def next(self, timeout=None):
        """What came and was no answer: ("channel", number, data) or ("message", Message)."""
        data = self.waiting.pop(0) if self.waiting else self.element(time.monotonic() + (timeout or self.timeout))
        if data[0] >= 0x40:
            number, length = struct.unpack(">HH", data[:4])
            assert len(data) >= 4 + length, data
            return "channel", number, data[4:4 + length]
        return "message", Message(data)

    def receive(self, timeout=None):
        """The next user data: (peer, bytes), whichever way it came."""
        got = self.next(timeout)
        if got[0] == "channel":
            return self.channels[got[1]], got[2]
        assert (got[1].method, got[1].kind) == (DATA, INDICATION), got[1].raw
        return got[1].address(XOR_PEER_ADDRESS), got[1].get(DATA_ATTR)


class Peer:
    """A peer on loopback that sends everything back unless told otherwise by reading it itself."""

    def __init__(self, host="127.0.0.1"):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.sock.settimeout(10)

    @property
    def address(self):
        return self.sock.getsockname()[:2]

    def echo(self):
        data, source = self.sock.recvfrom(70000)
        self.sock.sendto(data, source)
        return data, source[:2]

    def close(self):
        self.sock.close()


def self_test():
    """RFC 5769 section 2.1: the request's integrity and fingerprint come out as they stand there."""
    raw = bytes.fromhex(
        "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff"
        "80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249"
        "c1b571a280280004e57a3bcf")
    got = Message(raw)
    assert (got.method, got.kind) == (BINDING, REQUEST) and got.get(USERNAME) == b"evtj:h6vY"
    assert got.sealed_with(b"VOkJxbRl1RmTxUk/WvJxBt")
    assert unpack_address(pack_address("192.0.2.1", 32853, got.tid), got.tid) == ("192.0.2.1", 32853)
    assert unpack_address(pack_address("2001:db8::1", 1, got.tid), got.tid) == ("2001:db8::1", 1)
    own = Message(message(ALLOCATE, REQUEST, [(USERNAME, b"x")], key=os.urandom(16), fingerprint=True))
    assert own.method == ALLOCATE and own.kind == REQUEST and own.get(FINGERPRINT)


if __name__ == "__main__":
    self_test()
    print("ok")
