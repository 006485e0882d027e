"""Servers with one thing wrong with them, for what `fairlead check` has to name."""

import datetime
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HANG, CLOSE = "hang", "close"
DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority of the tests."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        self.certificate = (
            x509.CertificateBuilder().subject_name(self.subject).issuer_name(self.subject)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - 100 * DAY).not_valid_after(now + 100 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256()))
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, name="localhost", begins=-1, ends=30):
        """(certificate, key) files for a name, valid from and to days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        names = [x509.DNSName(name)]
        if name == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        certificate = (
            x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256()))
        paths = []
        for suffix, content in (("pem", certificate.public_bytes(serialization.Encoding.PEM)),
                                ("key", key.private_bytes(serialization.Encoding.PEM,
                                                          serialization.PrivateFormat.PKCS8,
                                                          serialization.NoEncryption()))):
            paths.append(self.folder / f"{self.name.split()[0]}-{name}-{begins}-{ends}.{suffix}")
            paths[-1].write_bytes(content)
        return tuple(paths)


class Server:
    """Accepts, and hands each connection to talk() in a thread. talk() may keep the connection in held."""

    def __init__(self, address=("127.0.0.1", 0)):
        self.held = []
        self.socket = socket.create_server(address)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._try, args=(connection,), daemon=True).start()

    def _try(self, connection):
        try:
            self.talk(connection)
        except (OSError, ValueError, http.client.HTTPException):
            pass
        if connection not in self.held:
            connection.close()

    def talk(self, connection):
        raise NotImplementedError

    def close(self):
        self.socket.close()
        for connection in self.held:
            connection.close()


class Raw(Server):
    """Below TLS. says: bytes after the first that arrive; HANG; CLOSE."""

    def __init__(self, says, **more):
        self.says = says
        super().__init__(**more)

    def talk(self, connection):
        if self.says == HANG:
            self.held.append(connection)
            return
        connection.recv(65536)
        if self.says != CLOSE:
            connection.sendall(self.says)
            time.sleep(0.1)


def page(status, body, kind="text/html", more=""):
    reason = http.client.responses.get(status, "Status")
    return (f"HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\n{more}content-length: {len(body)}\r\n\r\n"
            f"{body}").encode()


class Web(Server):
    """TLS with that certificate. says: an answer to every request, HANG or CLOSE."""

    def __init__(self, certificate, says=None, **more):
        self.says = says
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        super().__init__(**more)

    def talk(self, connection):
        with self.context.wrap_socket(connection, server_side=True) as tls:
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    got = tls.recv(65536)
                    if not got:
                        return
                    head += got
                if not self.answer(tls, head.decode("latin-1")):
                    return

    def answer(self, tls, head):
        """True: the connection goes on."""
        if self.says == HANG:
            time.sleep(8)
        elif self.says != CLOSE:
            tls.sendall(self.says)
            return True
        return False


class Middle(Web):
    """Stands before a hub. change(path, body) gives another body, or a whole answer as bytes, HANG or CLOSE;
    upgrade(head) another head, None to pass it on as it is, or what is said (bytes, HANG, CLOSE, "drop": opened and cut,
    "swallow": opened, then nothing)."""

    def __init__(self, hub_port, certificate, change=None, upgrade=None, **more):
        self.hub_port, self.change, self.upgrade = hub_port, change, upgrade
        super().__init__(certificate, **more)

    def _connect(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.hub_port)))

    def answer(self, tls, head):
        if re.search(r"(?im)^connection:.*upgrade", head):
            return self._upgrade(tls, head)
        target = head.split()[1]
        connection = http.client.HTTPSConnection("127.0.0.1", self.hub_port, timeout=5,
                                                 context=ssl._create_unverified_context())  # pylint: disable=protected-access
        connection.request("GET", target, headers={"Host": re.search(r"(?im)^host: *(\S+)", head).group(1)})
        got = connection.getresponse()
        body = got.read().decode()
        connection.close()
        said = self.change(target, body) if self.change else body
        if isinstance(said, bytes):
            tls.sendall(said)
            return True
        if said in (HANG, CLOSE):
            time.sleep(8 if said == HANG else 0)
            return False
        tls.sendall(page(got.status, said, "application/json"))
        return True

    def _upgrade(self, tls, head):
        said = self.upgrade(head) if self.upgrade else None
        if isinstance(said, bytes):
            tls.sendall(said)
            return False
        if said in (HANG, CLOSE):
            time.sleep(8 if said == HANG else 0)
            return False
        with self._connect() as hub:
            hub.sendall((said if said and said.startswith("GET ") else head).encode("latin-1"))
            got = b""
            while b"\r\n\r\n" not in got:
                got += hub.recv(1)
            tls.sendall(got)
            if said == "drop":
                return False
            if said == "swallow":
                time.sleep(8)
                return False
            back = threading.Thread(target=self._pump, args=(hub, tls), daemon=True)
            back.start()
            self._pump(tls, hub)
        return False

    @staticmethod
    def _pump(from_, to):
        try:
            while data := from_.recv(65536):
                to.sendall(data)
        except (OSError, ValueError):
            pass


class Udp:
    """Answers datagrams: says(data) gives bytes, or None."""

    def __init__(self, says=lambda data: None, address=("127.0.0.1", 0)):
        self.says = says
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data, to = self.socket.recvfrom(65536)
            except OSError:
                return
            said = self.says(data)
            if said is not None:
                self.socket.sendto(said, to)

    def close(self):
        self.socket.close()


class Line(Udp):
    """A bad line to a server: drop(number, data) loses a datagram, delay holds each back (seconds)."""

    def __init__(self, port, drop=lambda number, data: False, delay=0):
        self.to, self.drop, self.delay, self.number, self.flows = ("127.0.0.1", port), drop, delay, 0, {}
        super().__init__()

    def _serve(self):
        while True:
            try:
                data, to = self.socket.recvfrom(65536)
            except OSError:
                return
            self.number += 1
            if not self.drop(self.number, data):
                threading.Thread(target=self._carry, args=(data, to), daemon=True).start()

    def _carry(self, data, to):
        time.sleep(self.delay)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.settimeout(2)
            try:
                out.sendto(data, self.to)
                self.socket.sendto(out.recv(65536), to)
            except OSError:
                pass
