"""What runs on the lab's internet besides the relay, and the programs of a site that use it: a DNS server that every host
asks, the real hub with a certificate of the lab's own authority, fairlead-client and fairlead (the command).

Each program starts in its host's network with a mount namespace of its own, in which /etc/resolv.conf names the lab's DNS
server and /sys shows the host's own interfaces.
"""

import base64
import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from hub import Hub  # noqa: E402
from nets import Unsupported  # noqa: E402
from programs import BUILD, PATIENCE, Client, wait_for  # noqa: E402

HUB, HUB_V6 = "198.18.0.20", "2001:db8::20"
DNS, DNS_V6 = "198.18.0.53", "2001:db8::53"
HUB_NAME, RELAY_NAME, RELAY_OTHER_NAME = "hub.lab.test", "relay.lab.test", "relay2.lab.test"
ENTER = 'mount --bind "$0" /etc/resolv.conf && { mount -t sysfs sysfs /sys || true; } 2>/dev/null && exec "$@"'


class Certificates:
    """An authority, .ca, and a certificate that it signed for every name of the lab, .cert and .key; .pin: the SHA-256 of
    its public key in base64."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ca, self.cert, self.key = (self.folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        ext, request, ca_key = (self.folder / name for name in ("ext", "request.pem", "ca.key"))
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        ext.write_text("subjectAltName=DNS:lab.test,DNS:*.lab.test\nextendedKeyUsage=serverAuth\n", encoding="ascii")
        self._openssl("req", "-x509", *key, "-days", "30", "-subj", "/CN=The lab", "-keyout", ca_key, "-out", self.ca)
        self._openssl("req", "-new", *key, "-subj", f"/CN={HUB_NAME}", "-keyout", self.key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "30",
                      "-extfile", ext, "-out", self.cert)
        public = self._openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")
        self.pin = base64.b64encode(hashlib.sha256(public).digest()).decode()

    @staticmethod
    def _openssl(*words):
        return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


class Dns:
    """dnsmasq, which knows nothing but the names that it was told."""

    def __init__(self, net, folder):
        program = shutil.which("dnsmasq", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
        if not program:
            raise Unsupported("dnsmasq is missing (package dnsmasq-base)")
        self.hosts = pathlib.Path(folder, "hosts")
        self.hosts.touch()
        # resolv.conf of every host: one without IPv4 goes on to the second at once
        self.conf = pathlib.Path(folder, "resolv.conf")
        self.conf.write_text(f"nameserver {DNS}\nnameserver {DNS_V6}\noptions timeout:1 attempts:3\n", encoding="ascii")
        with net:
            self.process = subprocess.Popen(
                [program, "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll", "--pid-file=",
                 "--bind-interfaces", f"--listen-address={DNS},{DNS_V6}", "--local=/#/", f"--addn-hosts={self.hosts}",
                 "--log-facility=-"], stderr=subprocess.PIPE, text=True)  # no daemon: it stays who it is
        said = []
        for line in self.process.stderr:
            said.append(line)
            if "read " in line and str(self.hosts) in line:
                return
        raise RuntimeError("dnsmasq: " + "".join(said))

    def add(self, name, *addresses):
        with self.hosts.open("a", encoding="ascii") as file:
            file.writelines(f"{address} {name}\n" for address in addresses)
        self.process.send_signal(signal.SIGHUP)
        for line in self.process.stderr:
            if "read " in line and str(self.hosts) in line:
                return


class LabHub(Hub):
    """fairlead-hub on a machine of the internet; port 443, because that is what strict sites let out."""

    def __init__(self, net, data, certificates, *args):
        self.net, self.ca = net, certificates.ca
        super().__init__(data, "--listen", f"{HUB}:443", "--listen", f"[{HUB_V6}]:443", "--name", HUB_NAME, "--certificate",
                         certificates.cert, "--key", certificates.key, *args, port=443)

    def start(self, timeout=30):
        with self.net:
            return super().start(timeout)

    def ask(self, *args, **more):
        with self.net:
            return super().ask(*args, **more)

    def console(self, cookie=None):
        with self.net:
            return super().console(cookie)


class LabClient(Client):
    """fairlead-client on a host of a site."""

    def __init__(self, net, hub, data, *args, **more):
        self.net = net
        super().__init__(hub, data, *args, **more)

    def command(self, token=None):
        return [*self.net.enter, *super().command(token)]

    def start(self, token=None):
        with self.net:
            return super().start(token)


class Programs:
    """What a site's hosts can run; Site inherits it. host: its number."""

    def popen(self, *words, host=0, **more):
        """Any program, with the lab's names."""
        with self.hosts[host]:
            return subprocess.Popen([*self.hosts[host].enter, *map(str, words)], **more)

    def way_out(self):
        return ["--proxy", self.proxy] if self.proxy else []

    def start_client(self, *args, host=0, online=True, environment=None, **more):
        """An enrolled fairlead-client, which uses the site's proxy; waits until the hub has it online unless told not to."""
        hub, folder = self.lab.hub, self.lab.folder()
        home = folder / "home"
        home.mkdir()
        client = LabClient(self.hosts[host], hub, folder / "client", *self.way_out(), *args, token=hub.token(),
                           env=dict(os.environ, HOME=str(home), SHELL="/bin/sh", PS1="$ ") | (environment or {}), **more)
        self.lab.ends.callback(end, client)
        if online:
            client.said("hub-connected")
            wait_for(client.online)
        return client

    def cli_words(self, *args):
        return [BUILD / "fairlead", args[0], "--ca", self.lab.hub.ca, *self.way_out(), *args[1:]]

    def start_cli(self, *args, host=0, **more):
        """fairlead COMMAND …, as it starts."""
        env = dict(os.environ, FAIRLEAD_HUB=self.lab.hub.url, FAIRLEAD_TOKEN=self.lab.hub.key)
        return self.popen(*self.cli_words(*args), host=host, env=env, **more)

    def cli(self, *args, host=0, stdin=b"", timeout=PATIENCE):
        """The same until its end."""
        process = self.start_cli(*args, host=host, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with process:
            try:
                out, err = process.communicate(stdin, timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(args, process.returncode, out, err)


class Services:
    """What a lab's internet offers; Lab inherits it. .hub, .dns, .certificates"""

    hub = dns = None

    def folder(self):
        """A new one, which lives as long as the lab."""
        return pathlib.Path(self.ends.enter_context(tempfile.TemporaryDirectory(prefix="fairlead-lab-")))

    def start_dns(self):
        """From then on the hosts have names; those of hub and relay are known."""
        if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
            raise Unsupported("no mount namespace, so hosts can have no DNS server of their own (unshare --mount failed)")
        self.dns = Dns(self.server(DNS, DNS_V6), self.folder())
        self.ends.callback(end, self.dns)
        for net in self.nets:
            net.enter = self.enter
        return self.dns

    @property
    def enter(self):
        return ["unshare", "--mount", "sh", "-c", ENTER, str(self.dns.conf)] if self.dns else []

    def start_hub(self, *options):
        """DNS and a hub that names the relay for everything it can do; start_relay() first."""
        self.start_dns()
        self.dns.add(HUB_NAME, HUB, HUB_V6)
        for name, addresses in self.relay_names.items():
            self.dns.add(name, *addresses)
        folder = self.folder()
        secret = folder / "secret"
        secret.write_text(f"{self.secret}\n", encoding="ascii")
        secret.chmod(0o600)
        words = ["--turn-secret-file", secret]
        for name in self.relay_names:
            words += ["--stun", f"{name}:3478"]
        for url in (f"turn:{RELAY_NAME}:3478?transport=udp", f"turn:{RELAY_NAME}:3478?transport=tcp",
                    f"turns:{RELAY_NAME}:443?transport=tcp", f"turns:{RELAY_OTHER_NAME}:443?transport=wss"):
            words += ["--turn", url]
        self.hub = LabHub(self.server(HUB, HUB_V6), folder / "hub", self.certificates, *words, *options)
        self.ends.callback(end, self.hub)
        return self.hub


def end(owner):
    """Ends what this lab has started: an object with .process, or the process."""
    process = getattr(owner, "process", owner)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    process.wait()
