"""A lab to walk around in, or for one command: docs/lab.md.

    tests/support/netns /usr/bin/python3 tests/lab/shell.py [KIND[,KEY=VALUE…]…] [-- COMMAND…]

A site of each kind, with a client on its first host ($DEVICE1, $DEVICE2 …); COMMAND runs on the last site's last host, and
its exit status is this program's. Without it: a prompt that takes 2 (site 2's first host), 2.2 (its second), 2.router, bytes
(what has crossed each broadband line) and quit.
"""

import json
import os
import subprocess
import sys

from lab import KINDS, Lab, Unsupported
from programs import BUILD


def site_of(lab, text):
    """A kind, and what is to be other about it, in the words of lab.py's DEFAULTS; values as in JSON."""
    kind, *changes = text.split(",")
    if kind not in KINDS:
        sys.exit(f"there is no kind {kind}; there are: {' '.join(KINDS)}")
    site = lab.site(kind, **{key: json.loads(value) for key, value in (change.split("=", 1) for change in changes)})
    if site.kind["out"] == "nothing":
        lab.start_proxy(site)
    return site


def environment(lab, devices):
    more = {f"DEVICE{number}": device for number, device in enumerate(devices, 1)}
    return {**os.environ, **more, "FAIRLEAD_HUB": lab.hub.url, "FAIRLEAD_TOKEN": lab.hub.key,
            "SSL_CERT_FILE": str(lab.hub.ca), "PATH": f"{BUILD}:{os.environ['PATH']}"}


def shell(site, net, words, env):
    proxy = {"https_proxy": site.proxy} if site.proxy else {}
    with net:
        return subprocess.run([*net.enter, *words], env=env | proxy, check=False).returncode


def place(lab, text):
    """The site, and the network that 2, 2.1 or 2.router names."""
    number, _, part = text.partition(".")
    site = lab.sites[int(number) - 1]
    return site, site.router if part == "router" else site.hosts[int(part or 1) - 1]


def walk(lab, env):
    while True:
        try:
            asked = input("lab> ").strip()
        except EOFError:
            return
        if asked in ("quit", "exit"):
            return
        if asked == "bytes":
            for site in lab.sites:
                print(site.number, site.name, site.wan_bytes())
            continue
        try:
            site, net = place(lab, asked)
        except (ValueError, IndexError):
            print("2, 2.2, 2.router, bytes or quit")
            continue
        shell(site, net, ["bash", "--norc"], env | {"PS1": f"{asked} {site.name}$ "})


def main(words):
    command = words[words.index("--") + 1:] if "--" in words else []
    kinds = words[:words.index("--")] if "--" in words else words
    with Lab(delay=os.environ.get("FAIRLEAD_DELAY", BUILD / "tests/lab/delay")) as lab:
        lab.start_relay()
        lab.start_hub()
        sites = [site_of(lab, text) for text in kinds or ["full-cone", "symmetric"]]
        devices = [site.start_client().id for site in sites]
        env = environment(lab, devices)
        if command:
            return shell(sites[-1], sites[-1].hosts[-1], command, env)
        for site, device in zip(sites, devices):
            print(f"{site.number}  {site.name:18} {site.public:14} hosts {' '.join(site.addresses)}  client {device}"
                  + (f"  proxy {site.proxy}" if site.proxy else ""))
        print(f"hub {lab.hub.url}, sign in with {lab.hub.new_link()}")
        walk(lab, env)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Unsupported as reason:
        sys.exit(f"no lab here: {reason}")
