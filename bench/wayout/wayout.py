"""From the start of fairlead-client to its being online, over several ways out, in the networks of tests/lab without delay.

wayout.py [--rounds N] [--row NAME …], inside tests/support/netns

From just before the process is started to the time stamp of its own line "hub-connected", which it writes when the hub has
proved itself. "first": nothing is remembered of this network; "second": the start after a first one. The rows take turns, so
that all meet the same machine. The proxy is squid on the site's router.
"""

import argparse
import os
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests/lab"), str(HERE.parents[1] / "tests/support")]

from announce import Names, Web, restart, script  # noqa: E402
from lab import Lab  # noqa: E402
from proxies import USER, password_file  # noqa: E402

LIMITS = {  # ms
    ("direct", "first"): 300,
    ("PAC file, proxy with a password", "first"): 1500,
    ("set proxy refuses, direct works", "first"): 2000,
    ("set proxy is silent, direct works", "first"): 2000,
    ("set proxy has no name, direct works", "first"): 2000,
}
TIMES_DIRECT = 1.2  # a second start at most, whatever the way


def build(lab):
    """Each row's client, enrolled and stopped."""
    rows, site = {}, lab.site("port-restricted")

    def add(name, client):
        client.stop()
        rows[name] = client

    add("direct", site.start_client())
    for name, url in (("refuses", "http://192.168.1.1:9"), ("is silent", "http://192.168.1.99:3128"),
                      ("has no name", "http://nowhere.invalid:3128")):
        add(f"set proxy {name}, direct works", site.start_client(environment={"https_proxy": url}))
    closed = lab.site("proxy-only")
    lab.start_proxy(closed, auth="basic")
    closed.proxy = None
    pac = Web(closed, script("PROXY 192.168.1.1:3128"))
    add("PAC file, proxy with a password", closed.start_client("--pac", pac.url, "--proxy-user", USER, "--proxy-password-file",
                                                               str(password_file(lab.folder()))))
    for name, options, hosts in (
            ("WPAD by DNS", (), [("wpad.site.example", "192.168.1.1")]),
            ("WPAD by DHCP", ("--dhcp-range=192.168.1.0,static,255.255.255.0",
                              "--dhcp-option-force=252,http://192.168.1.1/wpad.dat"), [])):
        quiet = lab.site("proxy-only")
        lab.start_proxy(quiet)
        quiet.proxy = None
        Web(quiet, script("PROXY 192.168.1.1:3128"), port=80)
        lab.ends.enter_context(Names(quiet, *options, hosts=hosts))
        add(name, quiet.start_client())
    return rows


def measure(rows, rounds):
    took = {}
    for _ in range(rounds):
        for name, client in rows.items():
            (client.data / "ways").unlink(missing_ok=True)
            for start in ("first", "second"):
                took.setdefault((name, start), []).append(restart(client) * 1000)
            client.stop()
    return took


def report(rows, took):
    direct = statistics.median(took["direct", "first"])
    print(f"\n| way | first start, ms | limit | second start, ms | second : direct (at most {TIMES_DIRECT}) |")
    print("|---|---|---|---|---|")
    for name in rows:
        first, second = took[name, "first"], took[name, "second"]
        limit = LIMITS.get((name, "first"), "")
        print(f"| {name} | {statistics.median(first):.0f} ({min(first):.0f}–{max(first):.0f}) | {limit} | "
              f"{statistics.median(second):.0f} ({min(second):.0f}–{max(second):.0f}) | {statistics.median(second) / direct:.2f} |")
    print(f"\nload {os.getloadavg()[0]:.1f}; median (fastest–slowest)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--row", action="append", help="only this one, beside direct")
    args = parser.parse_args()
    with Lab() as lab:
        lab.start_relay()
        lab.start_hub()
        rows = build(lab)
        if args.row:
            rows = {name: client for name, client in rows.items() if name in ("direct", *args.row)}
        report(rows, measure(rows, args.rounds))


if __name__ == "__main__":
    main()
