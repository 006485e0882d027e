"""What malformed, hostile and excessive messages get from fairlead-relay, over real sockets."""

import os
import pathlib
import secrets
import socket
import struct
import time

import pytest
from relay import SECRET
from turn import (ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE, ALLOCATE, BINDING, CHANNEL_BIND, CHANNEL_NUMBER,
                  CREATE_PERMISSION, ERROR, EVEN_PORT, LIFETIME, MOBILITY_TICKET, NONCE, REFRESH,
                  REQUESTED_ADDRESS_FAMILY, REQUESTED_TRANSPORT, RESERVATION_TOKEN, UNKNOWN_ATTRIBUTES, V4, V6,
                  XOR_PEER_ADDRESS, Message, Peer, Refused, Turn, message)

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus"
BOTH = ("--relay-address", "127.0.0.1", "--relay-address", "::1")
LOOPBACK = ("--allow-peer", "127.0.0.0/8", "--allow-peer", "::1")
UDP_TRANSPORT = (REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))
PUBLIC = ("198.41.0.4", 53)  # never spoken to


@pytest.fixture
def relay(start, secret_file):
    """Both families, and peers on loopback."""
    return start("--secret-file", secret_file, *BOTH, *LOOPBACK, listen=("udp", "tcp"))


@pytest.fixture
def strict(start, secret_file):
    """As delivered: no peer is allowed that is not public."""
    return start("--secret-file", secret_file, *BOTH)


def refused(code, call, *args, **more):
    with pytest.raises(Refused) as why:
        call(*args, **more)
    assert why.value.code == code, why.value
    return why.value.answer


def sealed(client, method, attributes):
    """A request with the client's credentials that goes out once; its answer."""
    return client.transact(message(method, 0, [*attributes, *client.credentials()], key=client.key()))


# ---- who it is ----


def test_wrong_password(relay):
    answer = refused(401, relay.client(secret="another").allocate)
    assert answer.get(NONCE), "the client can try again"
    refused(401, relay.client(user="nobody", password="x").allocate)


def test_no_credentials(relay):
    with relay.client(user=None) as client:
        for method in (ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND):
            assert refused(401, client.request, method, [UDP_TRANSPORT]).get(NONCE)


def test_stale_nonce(relay):
    with relay.client() as client:
        client.allocate()
        good = client.nonce
        for nonce in (good[:-1] + bytes([good[-1] ^ 1]), good[:9], b"made up", b"x" * 128):
            client.nonce = nonce
            answer = sealed(client, REFRESH, [])
            assert (answer.kind, answer.code) == (ERROR, 438) and answer.get(NONCE)
        client.nonce = good
        assert client.refresh().lifetime > 0


def test_nonce_of_another_address(relay):
    with relay.client() as one, relay.client(local=("127.0.0.2", 0)) as other:
        one.allocate()
        other.realm, other.nonce = one.realm, one.nonce
        assert sealed(other, ALLOCATE, [UDP_TRANSPORT]).code == 438


def test_allocation_of_another_user(start, tmp_path):
    users = tmp_path / "users"
    users.write_text("anna:a\nbert:b\n")
    users.chmod(0o600)
    with start("--user-file", users, *BOTH).client(user="anna", password="a") as client:
        client.allocate()
        client.user, client.password = "bert", "b"
        refused(441, client.refresh)


def test_move_that_is_repeated(start, secret_file):
    """A client repeats its Refresh while the allocation is on its way from worker to worker: it is not refused."""
    relay = start("--secret-file", secret_file, "--threads", "4", *BOTH)
    with relay.client() as first:
        ticket = first.allocate(more=[(MOBILITY_TICKET, b"")]).get(MOBILITY_TICKET)
        nonce, realm = first.nonce, first.realm
    for _ in range(40):
        with relay.client() as client:
            client.nonce, client.realm = nonce, realm
            own = [(LIFETIME, struct.pack(">I", 600)), (MOBILITY_TICKET, ticket), *client.credentials()]
            data = message(REFRESH, 0, own, key=client.key())
            for _ in range(3):
                client.write(data)
            answer = client.transact(data)
            assert answer.code is None, answer.code
            ticket = answer.get(MOBILITY_TICKET)
            try:
                while True:
                    late = Message(client.element(time.monotonic() + 0.02))
                    assert late.code is None, late.code
                    ticket = late.get(MOBILITY_TICKET) or ticket
            except TimeoutError:
                pass


# ---- what it may have ----


def test_user_quota(start, secret_file):
    relay = start("--secret-file", secret_file, "--user-allocations", "2", *BOTH)
    with relay.client() as one, relay.client() as two, relay.client() as three:
        one.allocate()
        two.allocate()
        refused(486, three.allocate)
        one.refresh(0)
        three.allocate()


def test_capacity(start, secret_file):
    relay = start("--secret-file", secret_file, "--total-allocations", "1", *BOTH)
    with relay.client() as one, relay.client() as two:
        one.allocate()
        refused(508, two.allocate)
        one.refresh(0)
        two.allocate()


def test_families(start, secret_file):
    only_v4 = start("--secret-file", secret_file, "--relay-address", "127.0.0.1", *LOOPBACK)
    with only_v4.client() as client:
        refused(440, client.allocate, family=V6)
        refused(440, client.allocate, family=3)
        assert client.allocate(family=V4).relayed
        refused(443, client.permission, ("::1", 1))
        refused(443, client.channel, 0x4000, ("::1", 1))
        refused(443, client.refresh, more=[(REQUESTED_ADDRESS_FAMILY, bytes([V6, 0, 0, 0]))])
    with only_v4.client() as client:
        answer = client.allocate(more=[(ADDITIONAL_ADDRESS_FAMILY, bytes([V6, 0, 0, 0]))])
        error = answer.get(ADDRESS_ERROR_CODE)
        assert len(answer.relayed) == 1 and error[0] == V6 and error[2] * 100 + error[3] == 440


def test_both_families(relay):
    peers = Peer(), Peer("::1")
    with relay.client() as client:
        answer = client.allocate(more=[(ADDITIONAL_ADDRESS_FAMILY, bytes([V6, 0, 0, 0]))])
        assert sorted(":" in host for host, _ in answer.relayed) == [False, True]
        for number, peer in enumerate(peers):
            client.channel(0x4000 + number, peer.address)
            client.send_channel(0x4000 + number, b"to both")
            assert peer.echo() == (b"to both", answer.relayed[number])
            assert client.receive() == (peer.address, b"to both")
    with relay.client() as client:
        both = [(REQUESTED_ADDRESS_FAMILY, bytes([V4, 0, 0, 0])), (ADDITIONAL_ADDRESS_FAMILY, bytes([V6, 0, 0, 0]))]
        refused(400, client.allocate, more=both)


@pytest.mark.parametrize("family", [V4, V6])
def test_reservations(relay, family):
    with relay.client() as one, relay.client() as two, relay.client() as three:
        wish = [(REQUESTED_ADDRESS_FAMILY, bytes([family, 0, 0, 0])), (EVEN_PORT, b"\x80")]
        answer = one.allocate(more=wish)
        host, port = answer.relayed[0]
        token = answer.get(RESERVATION_TOKEN)
        assert port % 2 == 0 and len(token) == 8
        refused(508, two.allocate, more=[(RESERVATION_TOKEN, secrets.token_bytes(8))])
        assert two.allocate(more=[(RESERVATION_TOKEN, token)]).relayed == [(host, port + 1)]
        refused(508, three.allocate, more=[(RESERVATION_TOKEN, token)])
        refused(400, three.allocate, more=[(RESERVATION_TOKEN, token[:7])])
        refused(400, three.allocate, more=[(RESERVATION_TOKEN, token), (EVEN_PORT, b"\0")])


# ---- whom it may reach ----

REFUSED_V4 = ("127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1",
              "192.168.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255")
REFUSED_V6 = ("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00::1", "ff02::1", "2001:db8::1", "100::1",
              "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::127.0.0.1",
              "64:ff9b:1::8.8.8.8", "2002:7f00:1::1", "2001:0:808:808:0:ffff:80ff:fffe", "2a00::5efe:10.0.0.1")


@pytest.mark.parametrize("family, hosts", [(V4, REFUSED_V4), (V6, REFUSED_V6)])
def test_peers(strict, family, hosts):
    with strict.client() as client:
        client.allocate(family=family)
        for host in hosts:
            refused(403, client.permission, (host, 5000))
            refused(403, client.channel, 0x4000, (host, 5000))
        public = PUBLIC if family == V4 else ("2001:500:2::c", 53)
        # one that is refused spoils the whole request
        refused(403, client.permission, public, (hosts[0], 5000))
        client.permission(public)
        client.channel(0x4000, public)


def test_peer_port_0(strict):
    with strict.client() as client:
        client.allocate()
        refused(403, client.channel, 0x4000, (PUBLIC[0], 0))
        client.permission((PUBLIC[0], 0))


def test_nothing_reaches_a_refused_peer(strict):
    peer = Peer()
    peer.sock.settimeout(0.3)
    with strict.client() as client:
        client.allocate()
        refused(403, client.permission, peer.address)
        client.send(peer.address, b"without permission")
        client.send_channel(0x4000, b"without a channel")
        with pytest.raises(TimeoutError):
            peer.sock.recv(100)
        assert client.refresh().lifetime > 0


def test_deny_wins(start, secret_file):
    relay = start("--secret-file", secret_file, *BOTH, *LOOPBACK, "--deny-peer", "127.0.0.2", "--allow-peer", "64:ff9b::/96")
    with relay.client() as client:
        client.allocate()
        client.permission(("127.0.0.1", 1))
        refused(403, client.permission, ("127.0.0.2", 1))
    with relay.client() as client:
        client.allocate(family=V6)
        client.permission(("64:ff9b::127.0.0.1", 1))
        refused(403, client.permission, ("64:ff9b::127.0.0.2", 1))


# ---- what cannot be understood ----


def test_wrong_requests(relay):
    peer = ("127.0.0.1", 5000)
    with relay.client() as client:
        refused(437, client.refresh)  # nothing to refresh
        refused(437, client.permission, peer)
        refused(400, client.request, ALLOCATE)
        refused(400, client.request, ALLOCATE, [(REQUESTED_TRANSPORT, b"\x11\0\0")])
        refused(442, client.allocate, protocol=132)
        refused(400, client.allocate, more=[(LIFETIME, b"\0")])
        client.allocate()
        refused(437, client.allocate)
        refused(400, client.request, CREATE_PERMISSION)
        refused(400, client.request, CREATE_PERMISSION, [(XOR_PEER_ADDRESS, b"\0\x07\0\0\0\0\0\0")])
        refused(400, client.request, CHANNEL_BIND, [(CHANNEL_NUMBER, b"\x40\0\0\0")])
        for number in (0, 0x3FFF, 0x8000, 0xFFFF):
            refused(400, client.channel, number, peer)
        client.channel(0x4001, peer)
        refused(400, client.channel, 0x4002, peer)  # one channel for each peer
        refused(400, client.channel, 0x4001, ("127.0.0.1", 5001))  # and one peer for each channel
        client.channel(0x4001, peer)


@pytest.mark.parametrize("method", [BINDING, ALLOCATE, REFRESH])
def test_unknown_attributes(relay, method):
    with relay.client() as client:
        if method == REFRESH:
            client.allocate()
        attributes = [UDP_TRANSPORT] if method == ALLOCATE else []
        answer = refused(420, client.request, method, [*attributes, (0x7ABC, b"?"), (0xFABC, b"?")],
                         authenticate=method != BINDING)
        assert answer.get(UNKNOWN_ATTRIBUTES) == b"\x7a\xbc"


def entries():
    """All that was ever found to be worth keeping about STUN and TURN, whole and damaged."""
    for folder in ("stun", "stun_server", "turn_auth", "turn_server", "turn_stream"):
        for path in sorted((CORPUS / folder).iterdir()):
            data = path.read_bytes()[:1400]
            yield from (data, data[1:], data[:-1], data[:20])


def test_corpus(relay):
    """Nothing of it ends the relay or disturbs a client."""
    peer = Peer()
    with relay.client() as client:
        client.allocate()
        client.channel(0x4000, peer.address)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for data in entries():
                sock.sendto(data, ("127.0.0.1", relay.ports["udp"]))
                client.sock.send(data[:3] or b"\0")  # from the allocation's own address, too
        for data in entries():
            with socket.create_connection(("127.0.0.1", relay.ports["tcp"])) as sock:
                sock.sendall(data)
        for _ in range(20):
            client.send_channel(0x4000, b"still there")
            assert peer.echo()[0] == b"still there"
            assert client.receive() == (peer.address, b"still there")
    assert relay.end() == 0, relay.log


# ---- what strangers get ----


def test_flood_of_strangers(relay):
    """They get no more bytes than they brought but for 8 KiB a second; who has a nonce is served."""
    flood = [message(ALLOCATE, 0, [UDP_TRANSPORT]) for _ in range(3000)]
    answered = got = 0
    with relay.client() as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        client.allocate()
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        stranger.setblocking(False)
        stranger.connect(("127.0.0.1", relay.ports["udp"]))
        begun = time.monotonic()
        for number, data in enumerate(flood):
            stranger.send(data)
            if number % 100 == 0:
                assert client.refresh().lifetime > 0
        while True:
            try:
                answer = stranger.recv(2000)
            except BlockingIOError:
                break
            assert Message(answer).code == 401
            answered += 1
            got += len(answer)
        seconds = int(time.monotonic() - begun) + 2
    assert answered > 0
    assert got <= sum(map(len, flood)) + 8192 * seconds
    assert answered <= 400 * seconds


def test_port_0_and_the_relay_itself(relay):
    """An answer to one's own port would come back for ever: the relay is no peer of itself by UDP's listener."""
    with relay.client() as client:
        client.allocate()
        me = ("127.0.0.1", relay.ports["udp"])
        client.permission(me)  # loopback is allowed here
        request = message(BINDING)
        client.send(me, request)
        source, data = client.receive()
        assert source == me and Message(data).tid == request[8:20]
        # an answer is not answered
        client.send(me, data)
        client.send(me, struct.pack(">HH", 0x4000, 0) + os.urandom(8))
        with pytest.raises(TimeoutError):
            client.receive(timeout=0.3)


def test_secrets_are_not_logged(relay):
    user = f"{int(time.time()) + 600}:anna"
    refused(401, Turn(("127.0.0.1", relay.ports["udp"]), user=user, password="hunter2 of the tests").allocate)
    with relay.client() as client:
        client.allocate()
        assert client.password not in relay.log and client.nonce.decode() not in relay.log
    assert SECRET not in relay.log and "hunter2" not in relay.log
