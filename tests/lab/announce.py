"""What a site may say about its way out: PAC files on a web server, names and DHCP options by dnsmasq. And when a client came
online by its own log."""

import contextlib
import datetime
import http.server
import os
import re
import shutil
import socketserver
import subprocess
import threading

from services import ENTER, end
from programs import wait_for

SCRIPT = """
const rules = new Map([[/lab[.]test$/, `%s`]]);
const FindProxyForURL = (url, host) => [...rules].find(([re]) => re.test(host))?.[1] ?? "DIRECT";
"""  # today's JavaScript


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):  # without asking for the address's name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address


class Web:
    """A web server on a site's router with one answer for every path: bytes, or a function of the request's handler."""

    def __init__(self, site, answer, port=0, status=200):
        owner, self.asked = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                owner.asked.append(self.path)
                with contextlib.suppress(OSError):
                    if callable(answer):
                        answer(self.wfile)
                        return
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_):
                pass

        with site.router:
            self.server = Server((str(site.inside), port), Handler)
        self.url = f"http://{site.inside}:{self.server.server_port}/proxy.pac"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        site.lab.ends.callback(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Names:
    """dnsmasq on a site's router, which its hosts ask then, in the domain north.site.example."""

    def __init__(self, site, *options, hosts=(), search="north.site.example"):
        self.site, folder = site, site.lab.folder()
        program = shutil.which("dnsmasq", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
        conf = folder / "resolv.conf"
        conf.write_text(f"search {search}\nnameserver {site.inside}\noptions timeout:1 attempts:2\n", encoding="ascii")
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in hosts), encoding="ascii")
        with site.router:
            self.process = subprocess.Popen(
                [program, "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll", "--pid-file=",
                 "--log-facility=-", "--user=root", "--log-queries", "--bind-interfaces", f"--listen-address={site.inside}",
                 "--local=/#/", f"--addn-hosts={folder}/hosts", f"--dhcp-leasefile={folder}/leases", *options],
                stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if str(folder / "hosts") in line:
                break
        self.asked = []
        threading.Thread(target=lambda: self.asked.extend(self.process.stderr), daemon=True).start()
        site.host.enter = ["unshare", "--mount", "sh", "-c", ENTER, str(conf)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.site.host.enter = self.site.lab.enter
        end(self.process)

    def names(self):
        """What was asked for."""
        return {m[1] for line in self.asked if (m := re.search(r"query\[A\] (\S+) from", line))}


def script(ways):
    return (SCRIPT % ways).encode()


def when(client, event):
    """The client's own time stamp of its last line of that event."""
    line = [line for line in client.log.splitlines() if re.search(rf" {event}( |$)", line)][-1]
    return datetime.datetime.fromisoformat(re.search(r"\d{4}-\d\d-\d\dT[0-9:.]+", line)[0])


def restart(client):
    """Started once more; seconds from its start to online, by the clock that its log shows."""
    client.stop()
    began = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    before = client.log.count("hub-connected")
    client.start()
    wait_for(lambda: client.log.count("hub-connected") > before)
    return (when(client, "hub-connected") - began).total_seconds()
