"""Clients over TCP, TLS, WSS and DTLS, PROXY headers, and TCP to peers (RFC 6062)."""

import hashlib
import os
import random
import secrets
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from relay import OPEN, PATIENCE, PROGRAM, make_certificate
from turn import (ALLOCATE, BINDING, CONNECT, CONNECTION_ATTEMPT, CONNECTION_BIND, CONNECTION_ID, MOBILITY_TICKET, TCP,
                  XOR_PEER_ADDRESS, Message, Peer, Refused, Turn, message, pack_address)
from websocket import BINARY, CLOSE, PING, PONG, TEXT, WebSocket, frame, read_head, upgrade_request

USER = ("--user", "alice:secret")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture
def certificate(tmp_path):
    cert, key = make_certificate(tmp_path)
    return "--cert", str(cert), "--key", str(key)


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def connect(port, tls=None, first=b""):
    """A socket, with TLS when there is a context, that said first before anything else."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    if first:
        sock.sendall(first)
    return tls.wrap_socket(sock, server_hostname="localhost") if tls else sock


class Over(Turn):
    """A client on a socket that is there already."""

    def __init__(self, sock, server=None, user="alice", password="secret"):  # pylint: disable=super-init-not-called
        self.sock, self.server, self.transport, self.timeout, self.sha256 = sock, server, "tcp", PATIENCE, False
        self.user, self.password = user, password
        self.realm = self.nonce = self.algorithms = None
        self.waiting, self.buffer, self.channels = [], b"", {}


def client(relay, transport, first=b""):
    if transport == "tcp":
        return Over(connect(relay.ports["tcp"], first=first))
    sock = connect(relay.ports[transport], tls_context(), first)
    return Over(WebSocket(sock) if transport == "wss" else sock)


def element(turn):
    """The next message or ChannelData, as bytes."""
    return turn.element(time.monotonic() + PATIENCE)


def closed(sock):
    """Everything that still comes until the other side closes."""
    got = b""
    sock.settimeout(PATIENCE)
    try:
        while True:
            data = sock.recv(65536)
            if not data:
                return got
            got += data
    except (ConnectionResetError, ssl.SSLEOFError, BrokenPipeError, EOFError):
        return got


def works(turn):
    """Relays both ways."""
    peer = Peer()
    turn.allocate()
    turn.permission(peer.address)
    turn.channel(0x4000, peer.address)
    for size in (1, 2, 3, 4, 1200, 8000):
        data = os.urandom(size)
        turn.send_channel(0x4000, data)
        assert peer.echo() == (data, turn.relayed)
        assert turn.receive() == (peer.address, data)
        turn.send(peer.address, data)
        assert peer.echo() == (data, turn.relayed)
        assert turn.receive() == (peer.address, data)
    stranger = Peer()
    turn.permission(stranger.address)
    stranger.sock.sendto(b"no channel", turn.relayed)
    assert turn.receive() == (stranger.address, b"no channel")
    peer.close()
    stranger.close()


ALL = ("tcp", "tls", "wss")


@pytest.fixture
def relay(start, certificate):
    """Ends in good order whatever is open then; a sanitizer's findings are its exit status."""
    one = start(*OPEN, *USER, *certificate, "--threads", "2", listen=(*ALL, "dtls"))
    yield one
    assert one.end() == 0, one.log


@pytest.mark.parametrize("transport", ALL)
def test_relays(relay, transport):
    with client(relay, transport) as turn:
        works(turn)
        answer = turn.binding()
        assert answer.mapped == (turn.sock.getsockname()[:2])


# ---- how the bytes come ----

@pytest.mark.parametrize("transport", ALL)
def test_messages_cut_anywhere(relay, transport):
    """Byte by byte, and many in one piece."""
    with client(relay, transport) as turn:
        request = message(BINDING)
        for i in range(len(request)):
            turn.sock.sendall(request[i:i + 1])
        assert Message(element(turn)).tid == request[8:20]
        many = [message(BINDING) for _ in range(20)]
        turn.sock.sendall(b"".join(many))
        for one in many:
            assert Message(element(turn)).tid == one[8:20]


def test_frames(relay):
    """Over WSS: one message is one frame; on the way in frames and messages need not fit each other."""
    with client(relay, "wss") as turn:
        web = turn.sock
        first, second = message(BINDING), message(BINDING)
        web.send_frame(first[:7], last=False)
        web.send_frame(b"between", PING)
        web.send_frame(first[7:] + second[:3], opcode=0)
        web.send_frame(second[3:])
        web.send_frame(b"")
        for one in (first, second):
            assert Message(element(turn)).tid == one[8:20]
        works(turn)
        assert [data for opcode, data in web.frames if opcode == PONG] == [b"between"]
        for opcode, data in web.frames:
            if opcode == PONG:
                continue
            kind, size = struct.unpack(">HH", data[:4])
            whole = 4 + size + -size % 4 if kind >= 0x4000 else 20 + size
            assert opcode == BINARY and len(data) == whole, "a frame is one message"


def http(relay, request):
    sock = connect(relay.ports["wss"], tls_context())
    sock.sendall(request)
    head, rest = read_head(sock)
    return head, rest + closed(sock)


def test_http_that_is_no_websocket(relay):
    head, body = http(relay, b"GET /any/path HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith("HTTP/1.1 426 ") and "sec-websocket-version: 13" in head.lower()
    assert b"TURN relay" in body
    for protocol in (None, "sip", "turn2, nothing"):
        head, body = http(relay, upgrade_request(protocol=protocol))
        assert head.startswith("HTTP/1.1 400 ") and b'"turn" must be asked for' in body
    head, _ = http(relay, upgrade_request().replace(b"Version: 13", b"Version: 8"))
    assert head.startswith("HTTP/1.1 426 ")
    head, _ = http(relay, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n" + bytes(9999))
    assert head.startswith("HTTP/1.1 413 ")
    head, _ = http(relay, b"\x16\x03\x01 nonsense\r\n\r\n")
    assert head.startswith("HTTP/1.1 400 ")
    web = WebSocket(connect(relay.ports["wss"], tls_context()), path="/some/where?x=1", protocol="other, turn")
    assert "sec-websocket-protocol: turn" in web.head.lower()
    with Over(web) as turn:
        works(turn)


@pytest.mark.parametrize("data,opcode,code", [
    (b"text", TEXT, 1003),
    (b"\xff" * 40, BINARY, 1007),
    (b"x" * 200, PING, 1002),
    (bytes(70000), BINARY, 1009),
], ids=["text", "garbage", "long-ping", "too-big"])
def test_frames_that_are_refused(relay, data, opcode, code):
    web = WebSocket(connect(relay.ports["wss"], tls_context()))
    web.sendall(message(BINDING)[:9])
    web.sock.sendall(frame(data, opcode)[:1000])  # what is too big is refused at once
    while web.next_frame()[0] != CLOSE:
        pass
    assert struct.unpack(">H", web.frames[-1][1][:2]) == (code,)
    closed(web.sock)


@pytest.mark.parametrize("transport", ALL)
def test_garbage(relay, transport):
    """Ends that connection and nothing else."""
    rng = random.Random(5)
    with client(relay, transport) as turn:
        turn.allocate()
        for size in (1, 5, 100, 5000, 100000):
            sock = connect(relay.ports[transport], tls_context() if transport != "tcp" and size % 2 == 0 else None)
            # the first two bits are not those of STUN or ChannelData
            try:
                sock.sendall(b"\xff" + rng.randbytes(size))
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was refused before all was written
            closed(sock)
        # a message without an allocation may not be long
        greedy = client(relay, transport)
        for _ in range(20):
            try:
                greedy.sock.sendall(struct.pack(">HH", 0x4000, 60000) + bytes(500))
            except OSError:
                break
        closed(greedy.sock)
        turn.refresh()


def test_silence_is_ended(start, certificate):
    """Nobody holds a connection without saying anything that makes sense."""
    relay = start(*OPEN, *USER, *certificate, listen=("tcp", "tls", "wss"))
    proxied = start(*OPEN, *USER, listen=("tcp+proxy",))
    waiting = [
        connect(relay.ports["tcp"]),
        connect(relay.ports["tcp"], first=message(BINDING)[:19]),
        connect(relay.ports["tls"]),
        connect(relay.ports["tls"], tls_context()),
        connect(relay.ports["wss"], tls_context()),
        connect(proxied.ports["tcp"], first=SIGNATURE[:5]),
    ]
    half = connect(relay.ports["wss"], tls_context())
    half.sendall(upgrade_request()[:40])
    silent = WebSocket(connect(relay.ports["wss"], tls_context())).sock
    for sock in (*waiting, half, silent):
        closed(sock)


# ---- a reader that does not read ----

# a sanitizer keeps what was freed
SANITIZED = any(word in PROGRAM.read_bytes() for word in (b"__asan_init", b"__tsan_init"))


def resident_kb(relay):
    with open(f"/proc/{relay.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize("transport", ALL)
def test_slow_reader(relay, transport):
    """User data is lost, in order, and memory stays; answers are not lost."""
    peer = Peer()
    with client(relay, transport) as turn:
        turn.allocate()
        turn.channel(0x4000, peer.address)
        before, total = resident_kb(relay), 0
        for number in range(40000):
            peer.sock.sendto(struct.pack(">I", number) + bytes(1000), turn.relayed)
            total += 1
        assert SANITIZED or resident_kb(relay) - before < 5000
        request = message(BINDING)
        turn.write(request)
        seen, last = 0, -1
        while True:
            data = element(turn)
            if data[0] < 0x40:
                assert Message(data).tid == request[8:20]
                break
            number, = struct.unpack(">I", data[4:8])
            assert number > last
            seen, last = seen + 1, number
        assert 0 < seen < total
        # and it goes on
        turn.send_channel(0x4000, b"again")
        assert peer.echo()[0] == b"again"
        while turn.receive() != (peer.address, b"again"):
            pass
    peer.close()


# ---- PROXY ----

def proxy_header(source="192.0.2.7", port=4321, command=0x21, family=None, tlvs=b""):
    v6 = ":" in source
    pack = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, source)
    body = pack + pack[:-1] + b"\x01" + struct.pack(">HH", port, 443) + tlvs
    return SIGNATURE + bytes([command, family or (0x21 if v6 else 0x11)]) + struct.pack(">H", len(body)) + body


@pytest.mark.parametrize("transport", ALL)
def test_proxy_header(start, certificate, transport):
    relay = start(*OPEN, *USER, *certificate, listen=(transport + "+proxy",))
    for source in ("192.0.2.7", "2001:db8::7"):
        with client(relay, transport, first=proxy_header(source, tlvs=b"\x05\0\x02ab")) as turn:
            assert turn.binding().mapped == (source, 4321)
            works(turn)
    with client(relay, transport, first=SIGNATURE + b"\x20\0\0\0") as turn:  # the balancer's own
        assert turn.binding().mapped == turn.sock.getsockname()[:2]


def test_proxy_header_in_pieces(start):
    relay = start(*OPEN, *USER, listen=("tcp+proxy",))
    sock = connect(relay.ports["tcp"])
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in proxy_header() + message(BINDING):
        sock.sendall(bytes([byte]))
    assert element(Over(sock))[:2] == b"\x01\x01"


def test_proxy_header_is_due(start):
    relay = start(*OPEN, *USER, listen=("tcp+proxy",))
    for bad in (message(BINDING), b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", proxy_header(command=0x11),
                proxy_header(family=0x31), proxy_header(tlvs=b"\x05\0\x09ab"), proxy_header(tlvs=bytes(5000))):
        assert closed(connect(relay.ports["tcp"], first=bad + message(BINDING))) == b""


# ---- TLS ----

def test_alpn(relay):
    for transport, offered, chosen in (("tls", ["stun.turn"], "stun.turn"), ("tls", ["h2"], None),
                                       ("tls", ["stun.nat-discovery"], "stun.nat-discovery"),
                                       ("wss", ["h2", "http/1.1"], "http/1.1")):
        context = tls_context()
        context.set_alpn_protocols(offered)
        assert connect(relay.ports[transport], context).selected_alpn_protocol() == chosen


def test_certificate_reload(start, tmp_path, certificate):
    relay = start(*OPEN, *USER, *certificate, "--threads", "2", listen=ALL)
    before = [client(relay, t) for t in ("tls", "wss")]
    for turn in before:
        turn.allocate()
    old = before[0].sock.getpeercert(True)
    make_certificate(tmp_path)
    assert "reloaded" in relay.reload()
    fresh = None
    for _ in range(8):  # in every worker
        fresh = connect(relay.ports["tls"], tls_context()).getpeercert(True)
    assert fresh != old
    for turn in before:
        peer = Peer()
        turn.refresh()
        turn.channel(0x4001, peer.address)
        turn.send_channel(0x4001, b"still here")
        assert peer.echo()[0] == b"still here"
        assert turn.receive() == (peer.address, b"still here")
        peer.close()


def test_sessions_resume_in_any_worker(relay):
    context = tls_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = connect(relay.ports["tls"], context)
    for _ in range(10):
        again = context.wrap_socket(socket.create_connection(("127.0.0.1", relay.ports["tls"])),
                                    server_hostname="localhost", session=first.session)
        assert again.session_reused
        again.close()


# ---- TCP to peers (RFC 6062) ----

class TcpPeer:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)

    @property
    def address(self):
        return self.listener.getsockname()[:2]

    def accept(self):
        sock, source = self.listener.accept()
        sock.settimeout(PATIENCE)
        return sock, source[:2]


def ask_connect(turn, peer):
    answer = turn.request(CONNECT, lambda tid: [(XOR_PEER_ADDRESS, pack_address(*peer, tid))])
    return answer.get(CONNECTION_ID)


def bind(relay, transport, connection):
    """A data connection; the bytes behind the answer are the peer's."""
    data = client(relay, transport)
    data.request(CONNECTION_BIND, [(CONNECTION_ID, connection)])
    return data


def pump(sock, size):
    """Sends that many bytes in a thread; (thread, digest)."""
    data = os.urandom(size)
    thread = threading.Thread(target=sock.sendall, args=(data,))
    thread.start()
    return thread, hashlib.sha256(data).digest()


def drink(sock, size, already=b""):
    digest, got = hashlib.sha256(already), len(already)
    while got < size:
        data = sock.recv(65536)
        assert data, f"closed after {got} of {size} bytes"
        digest.update(data)
        got += len(data)
    return digest.digest()


@pytest.mark.parametrize("transport", ALL)
def test_connect_to_a_peer(relay, transport):
    """Ten times: with two workers the ConnectionBind comes to the other one about every other time."""
    with client(relay, transport) as turn:
        turn.allocate(TCP)
        for _ in range(10):
            peer = TcpPeer()
            turn.permission(peer.address)
            connection = ask_connect(turn, peer.address)
            far, source = peer.accept()
            assert source == turn.relayed
            far.sendall(b"first")  # before the ConnectionBind: kept
            data = bind(relay, transport, connection)
            near = data.sock
            near.sendall(b"to the peer")
            assert far.recv(100) == b"to the peer"
            assert (data.buffer or near.recv(100)) == b"first"
            far.close()
            assert closed(near) == b""
            near.close()
            turn.refresh()


@pytest.mark.parametrize("transport", ALL)
def test_much_both_ways(relay, transport):
    """More than all buffers, at once in both directions, with a reader that starts late."""
    size = 4 << 20
    peer = TcpPeer()
    with client(relay, transport) as turn:
        turn.allocate(TCP)
        turn.permission(peer.address)
        connection = ask_connect(turn, peer.address)
        far, _ = peer.accept()
        data = bind(relay, transport, connection)
        near = data.sock
        if transport == "wss":  # a frame is to be no larger than what the relay takes
            whole = os.urandom(size)
            up_digest = hashlib.sha256(whole).digest()
            up = threading.Thread(target=lambda: [near.sendall(whole[i:i + 30000]) for i in range(0, size, 30000)])
            up.start()
        elif transport == "tls":  # one thread a direction is more than Python's ssl likes
            whole = os.urandom(200000)
            near.sendall(whole)
            up, up_digest = None, None
            assert drink(far, len(whole)) == hashlib.sha256(whole).digest()
        else:
            up, up_digest = pump(near, size)
        down, down_digest = pump(far, size)
        if up:
            assert drink(far, size) == up_digest
            up.join()
        assert drink(near, size, data.buffer) == down_digest
        down.join()


@pytest.mark.parametrize("side", ["client", "peer"])
def test_half_close(relay, side):
    """One side ends, the other still speaks: all of it arrives."""
    peer = TcpPeer()
    with client(relay, "tcp") as turn:
        turn.allocate(TCP)
        turn.permission(peer.address)
        connection = ask_connect(turn, peer.address)
        far, _ = peer.accept()
        near = bind(relay, "tcp", connection).sock
        ends, speaks = (near, far) if side == "client" else (far, near)
        ends.sendall(b"question")
        ends.shutdown(socket.SHUT_WR)
        assert closed(speaks) == b"question"
        thread, digest = pump(speaks, 1 << 20)
        assert drink(ends, 1 << 20) == digest
        thread.join()
        speaks.close()
        assert closed(ends) == b""


@pytest.mark.parametrize("transport", ALL)
def test_a_peer_connects(relay, transport):
    with client(relay, transport) as turn:
        turn.allocate(TCP)
        # nobody is let in without a permission
        assert closed(socket.create_connection(turn.relayed)) == b""
        turn.permission(("127.0.0.1", 9))
        for _ in range(6):
            far = socket.create_connection(turn.relayed)
            far.settimeout(PATIENCE)
            far.sendall(b"from outside")
            kind, attempt = turn.next()
            assert kind == "message" and attempt.method == CONNECTION_ATTEMPT
            assert attempt.address(XOR_PEER_ADDRESS) == far.getsockname()[:2]
            data = bind(relay, transport, attempt.get(CONNECTION_ID))
            assert (data.buffer or data.sock.recv(100)) == b"from outside"
            data.sock.sendall(b"answer")
            assert far.recv(100) == b"answer"
            data.sock.close()
            assert closed(far) == b""


def test_quota_slows_a_pair_down(start):
    """What is over quota is not lost, as datagrams are: it comes later."""
    relay = start(*OPEN, *USER, "--user-bandwidth", "16M", "--metrics", "127.0.0.1:0", listen=("tcp",))
    peer = TcpPeer()
    with client(relay, "tcp") as turn:
        turn.allocate(TCP)
        turn.permission(peer.address)
        connection = ask_connect(turn, peer.address)
        far, _ = peer.accept()
        near = bind(relay, "tcp", connection).sock
        up, up_digest = pump(near, 2 << 20)
        down, down_digest = pump(far, 2 << 20)
        assert drink(far, 2 << 20) == up_digest
        assert drink(near, 2 << 20) == down_digest
        up.join()
        down.join()
        assert relay.metric("fairlead_relay_relayed_bytes_total", transport="tcp", direction="up") == 2 << 20
        assert relay.metric("fairlead_relay_dropped_total", reason="over_quota") == 0


def test_connects_that_fail(relay):
    def code(what, *args):
        with pytest.raises(Refused) as caught:
            what(*args)
        return caught.value.code

    with client(relay, "tcp") as turn:
        turn.allocate(TCP)
        peer = TcpPeer()
        assert code(ask_connect, turn, ("10.0.0.1", 80)) == 403
        turn.permission(peer.address)
        refused_at = socket.create_server(("127.0.0.1", 0))
        address = refused_at.getsockname()
        refused_at.close()
        assert code(ask_connect, turn, address) == 447
        connection = ask_connect(turn, peer.address)
        assert code(ask_connect, turn, peer.address) == 446
        for wrong in (secrets.token_bytes(4), b"\0\0\0\0", bytes(4 - len(connection)) + connection[:-1] + b"\xee"):
            with client(relay, "tcp") as other:
                assert code(other.request, CONNECTION_BIND, [(CONNECTION_ID, wrong)]) == 400
        assert code(turn.request, ALLOCATE, []) in (400, 437)
        # the allocation's end is the end of what was joined
        far, _ = peer.accept()
        data = bind(relay, "tcp", connection)
        turn.refresh(0)
        assert closed(far) == b"" and closed(data.sock) == b""


# ---- mobility (RFC 8016) ----

@pytest.mark.parametrize("transport", ALL)
def test_an_allocation_survives_its_connection(relay, transport):
    """Eight times: the new connection comes to the worker of the allocation about every other time."""
    peer = Peer()
    turn = client(relay, transport)
    ticket = turn.allocate(more=[(MOBILITY_TICKET, b"")]).get(MOBILITY_TICKET)
    relayed = turn.relayed
    turn.channel(0x4000, peer.address)
    for _ in range(8):
        turn.close()
        turn = client(relay, transport)
        ticket = turn.refresh(more=[(MOBILITY_TICKET, ticket)]).get(MOBILITY_TICKET)
        turn.channels[0x4000] = peer.address
        turn.send_channel(0x4000, b"moved")
        assert peer.echo() == (b"moved", relayed)
        assert turn.receive() == (peer.address, b"moved")
    turn.close()
    peer.close()


# ---- DTLS ----

def test_dtls(relay):
    """A Binding request by `openssl s_client`."""
    request = message(BINDING)
    with subprocess.Popen(["openssl", "s_client", "-dtls1_2", "-quiet", "-alpn", "stun.turn", "-connect",
                           f"127.0.0.1:{relay.ports['dtls']}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as program:
        program.stdin.write(request)
        program.stdin.flush()
        answer = Message(os.read(program.stdout.fileno(), 2000))
        assert answer.tid == request[8:20] and answer.mapped[0] == "127.0.0.1"
        program.kill()
