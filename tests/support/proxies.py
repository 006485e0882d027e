"""Real proxies on loopback: squid open or with any authentication, microsocks, and a few that misbehave.

    with Squid(folder, auth="ntlm") as proxy:            # http://localhost:PORT; USER and PASSWORD get in
        proxy.url, proxy.tunnels()                       # what it let through: [(user, "host:port")]
        proxy.refusals()                                 # how often it answered 407
"""

import hashlib
import os
import pathlib
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

from relay import make_certificate

USER, PASSWORD, REALM = "nora", "s3cret of nora", "lab"
SQUID, HELPERS = "/usr/sbin/squid", pathlib.Path("/usr/lib/squid")
PATIENCE = 30
HERE = pathlib.Path(__file__).resolve().parent


def missing(*programs):
    """What is not installed here."""
    return ", ".join(str(p) for p in programs if not shutil.which(str(p)))


def free_port(host="127.0.0.1"):
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def wait_for_port(process, host, port, log=lambda: ""):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: {log()}")
        with socket.socket() as s:
            if s.connect_ex((host, port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"it did not listen in time: {log()}")


def maps_one():
    """In a user namespace with one user, who is called root."""
    return pathlib.Path("/proc/self/uid_map").read_text(encoding="ascii").split()[2:] == ["1"]


def is_root():
    return os.geteuid() == 0 and not maps_one()


def nobody():
    """Words before those of a program that will not be root where there is nobody else."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 and maps_one() else []


class Program:
    """One that runs until the end of the with block."""

    process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Squid(Program):
    """auth: None, "basic", "digest", "ntlm", "negotiate" (kdc: a Kdc), or several in a list; tls: an HTTPS proxy;
    inspect: by whose name it opens TLS;
    hosts: {name: address} that only the proxy knows; deny: a line of squid's for what is not let through."""

    def __init__(self, folder, auth=None, tls=False, kdc=None, hosts=None, rules=(), listen="127.0.0.1", port=None,
                 name="localhost", inspect=None):
        # squid will not be root; its user has no way into a test's folder
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-squid-"))
        self.name = "fairlead" + os.urandom(8).hex()
        self.auth = [auth] if isinstance(auth, str) else list(auth or [])
        self.port = port or free_port(listen)
        self.scheme = "https" if tls else "http"
        self.url = f"{self.scheme}://{name}:{self.port}"
        self.ca = None
        lines = [f"pid_filename {self.folder}/pid", f"cache_log {self.folder}/cache.log", "cache deny all",
                 "logformat test %>Hs %Ss %rm %ru %un", f"access_log stdio:{self.folder}/access.log logformat=test",
                 "shutdown_lifetime 0 seconds", "pinger_enable off", "visible_hostname proxy.test", "coredump_dir none",
                 "buffered_logs off", "max_filedescriptors 1024", "cache_mem 1 MB", "memory_pools off", "netdb_filename none"]
        if is_root():
            lines.append("cache_effective_user proxy")
        if tls:
            cert, key = make_certificate(self.folder, "localhost")
            self.ca = pathlib.Path(folder) / "proxy-ca.pem"
            self.ca.write_bytes(cert.read_bytes())
            lines.append(f"https_port {listen}:{self.port} tls-cert={cert} tls-key={key}")
        elif inspect:
            cert, key = make_certificate(self.folder, inspect)
            self.inspector = pathlib.Path(folder) / "inspector.pem"
            self.inspector.write_bytes(cert.read_bytes())
            lines += [f"http_port {listen}:{self.port} ssl-bump generate-host-certificates=off tls-cert={cert} tls-key={key}",
                      "ssl_bump bump all", "sslproxy_cert_error allow all", "tls_outgoing_options flags=DONT_VERIFY_PEER",
                      "http_upgrade_request_protocols WebSocket allow all"]
        else:
            lines.append(f"http_port {listen}:{self.port}")
        if hosts:
            (self.folder / "hosts").write_text("127.0.0.1 localhost\n"
                                               + "".join(f"{at} {who}\n" for who, at in hosts.items()), encoding="ascii")
            lines.append(f"hosts_file {self.folder}/hosts")
        env = dict(os.environ)
        for scheme in self.auth:
            lines += self._scheme(scheme)
        if "negotiate" in self.auth:
            env |= kdc.env | {"KRB5_KTNAME": str(kdc.keytab(f"HTTP/{name}", self.folder)), "KRB5RCACHETYPE": "none"}
        if self.auth:
            lines += ["acl known proxy_auth REQUIRED"]
        lines += [*rules, "http_access allow known" if self.auth else "http_access allow all", "http_access deny all"]
        (self.folder / "squid.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._give()
        with open(self.folder / "said", "wb") as said:
            self.process = subprocess.Popen([*nobody(), SQUID, "-N", "-n", self.name, "-f", self.folder / "squid.conf"],
                                            stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=env)
        try:
            wait_for_port(self.process, listen, self.port, self._log)
        except RuntimeError:
            self.stop()
            raise

    def _scheme(self, scheme):
        if scheme == "basic":
            code = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True).stdout
            (self.folder / "basic").write_text(f"{USER}:{code}", encoding="ascii")
            return [f"auth_param basic program {HELPERS}/basic_ncsa_auth {self.folder}/basic",
                    f"auth_param basic realm {REALM}", "auth_param basic children 1 startup=1"]
        if scheme == "digest":
            code = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode()).hexdigest()
            (self.folder / "digest").write_text(f"{USER}:{REALM}:{code}\n", encoding="ascii")
            return [f"auth_param digest program {HELPERS}/digest_file_auth -c {self.folder}/digest",
                    f"auth_param digest realm {REALM}", "auth_param digest children 1 startup=1"]
        if scheme == "ntlm":
            shutil.copy(HERE / "ntlm_helper.py", self.folder)
            (self.folder / "ntlm").write_text(f"{USER}:{PASSWORD}", encoding="ascii")
            return [f"auth_param ntlm program {sys.executable} {self.folder}/ntlm_helper.py {self.folder}/ntlm",
                    "auth_param ntlm children 1 startup=1", "auth_param ntlm keep_alive on"]
        return [f"auth_param negotiate program {HELPERS}/negotiate_kerberos_auth -s GSS_C_NO_NAME",
                "auth_param negotiate children 1 startup=1", "auth_param negotiate keep_alive on"]

    def _give(self):
        if not is_root():
            return
        who = pwd.getpwnam("proxy")
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, who.pw_uid, who.pw_gid)
        os.chmod(self.folder, stat.S_IRWXU)

    def _log(self):
        return "".join(log.read_text(encoding="utf-8", errors="replace")[-3000:]
                       for log in (self.folder / "said", self.folder / "cache.log") if log.exists())

    def lines(self):
        """(status, method, target, user) of each request that is over, or of a tunnel that has begun to end."""
        log = self.folder / "access.log"
        words = [line.split() for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
        return [(int(w[0]), w[2], w[3], w[4]) for w in words]

    def tunnels(self):
        return [(user, target) for status, method, target, user in self.lines() if method == "CONNECT" and status == 200]

    def refusals(self):
        """How often it has answered 407: to who shows no password, for each step of NTLM, to a wrong one."""
        return sum(status == 407 for status, *_ in self.lines())

    def stop(self):
        super().stop()
        for left in pathlib.Path("/dev/shm").glob(f"{self.name}-*"):
            left.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


class Kdc(Program):
    """A Kerberos realm of its own, with USER in it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-kdc-"))
        os.chmod(self.folder, 0o755)
        port = free_port()
        (self.folder / "krb5.conf").write_text(f"""[libdefaults]
            default_realm = LAB
            dns_lookup_kdc = false
            dns_lookup_realm = false
            dns_canonicalize_hostname = false
            rdns = false
            [realms]
            LAB = {{
                kdc = 127.0.0.1:{port}
            }}
            [domain_realm]
            localhost = LAB
            """, encoding="ascii")
        (self.folder / "kdc.conf").write_text(f"""[kdcdefaults]
            kdc_listen = 127.0.0.1:{port}
            kdc_tcp_listen = 127.0.0.1:{port}
            [realms]
            LAB = {{
                database_name = {self.folder}/principal
                key_stash_file = {self.folder}/stash
                acl_file = {self.folder}/acl
            }}
            """, encoding="ascii")
        self.env = {"KRB5_CONFIG": str(self.folder / "krb5.conf")}
        self.all_env = dict(os.environ) | self.env | {"KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}
        self._run("kdb5_util", "create", "-s", "-P", "the master's", "-r", "LAB")
        self._admin(f'addprinc -pw "{PASSWORD}" {USER}')
        self.process = subprocess.Popen(["krb5kdc", "-n"], env=self.all_env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.process, "127.0.0.1", port)

    def _run(self, *words, **more):
        subprocess.run(words, env=self.all_env, check=True, capture_output=True, **more)

    def _admin(self, query):
        self._run("kadmin.local", "-r", "LAB", "-q", query)

    def keytab(self, service, folder):
        path = pathlib.Path(folder) / "keytab"
        self._admin(f"addprinc -randkey {service}@LAB")
        self._admin(f"ktadd -k {path} {service}@LAB")
        return path

    def ticket(self, folder):
        """The environment of somebody who is USER."""
        env = self.env | {"KRB5CCNAME": f"FILE:{folder}/ticket"}
        subprocess.run(["kinit", f"{USER}@LAB"], input=PASSWORD + "\n", text=True, check=True, capture_output=True,
                       env=dict(os.environ) | env)
        return env

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Socks(Program):
    def __init__(self, user=None, password=None):
        self.port = free_port()
        self.url = f"socks5h://127.0.0.1:{self.port}"
        words = ["microsocks", "-i", "127.0.0.1", "-p", str(self.port)]
        if user:
            words += ["-u", user, "-P", password]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for_port(self.process, "127.0.0.1", self.port)


class Refusing:
    """An address where nobody listens, and nobody else can begin to."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Played:
    """A proxy that says the same to everybody. answer: bytes after the request's head; None: nothing; b"": closes."""

    def __init__(self, answer):
        self.answer, self.asked, self.held = answer, 0, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            got = connection.recv(4096)
            if not got:
                return
            head += got
        self.asked += 1
        if self.answer is None:
            self.held.append(connection)
            return
        connection.sendall(self.answer)
        if self.answer and b" 200 " in self.answer:
            self.held.append(connection)
            return
        connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        for connection in self.held:
            connection.close()


def password_file(folder, password=PASSWORD, name="proxy-password"):
    path = pathlib.Path(folder) / name
    path.touch(mode=0o600)
    path.write_text(password + "\n", encoding="utf-8")
    return path
