"""Connecting over lines that lose packets and mix up their order, with 50 ms from end to end and back: every time, and by
the method that theory allows. What the lines lose is drawn from fixed seeds (delay.c).
"""

import concurrent.futures
import os

import pytest
from session import Failed, Seat, Session

SESSIONS = 8
SETTLE_S = 15
LINE_MS = 12.5  # each way, at each of the two lines
DATA = 50_000

#  kinds of both ends, what the line loses and what comes late of 1000, method
ROWS = {
    "no loss": ("port-restricted", "port-restricted", 0, 0, "punched"),
    "1 %": ("port-restricted", "port-restricted", 10, 0, "punched"),
    "5 %": ("port-restricted", "port-restricted", 50, 0, "punched"),
    "5 %, relayed": ("symmetric", "symmetric", 50, 0, "relayed"),
    "5 %, relayed over TLS": ("tcp443-only", "symmetric", 50, 0, "relayed"),
    "5 %, TCP to a public host": ("udp-blocked", "open", 50, 0, "punched"),
    "mixed up": ("port-restricted", "port-restricted", 0, 200, "punched"),
    "mixed up, 5 %": ("symmetric", "port-restricted", 50, 200, "relayed"),
}


def session(ends, number, method):
    """The milliseconds until the channel was open."""
    seats = [Seat(site.host, site.servers()) for site in (ends if number % 2 else ends[::-1])]
    with Session(*seats) as one:
        one.connect()
        opened = one.opened / 1000
        routes = one.settle(lambda *both: all(route["method"] == method for route in both), SETTLE_S)
        if any(route["method"] != method for route in routes):
            raise Failed(f"session {number}\n{one.story()}")
        one.exchange(DATA)
        return opened


@pytest.fixture(scope="module")
def runs(lab, request):
    """All sessions of all rows, some at a time."""
    if not lab.delay:
        pytest.skip("FAIRLEAD_DELAY does not name the forwarder")
    wanted = [item.callspec.params["name"] for item in request.session.items
              if item.module is request.module and "runs" in item.fixturenames]
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        found = {}
        for name in wanted:
            *kinds, lost, late, method = ROWS[name]
            ends = [lab.site(kind, delay_ms=LINE_MS, loss_permille=lost, late_permille=late, seed=side)
                    for side, kind in enumerate(kinds, 1)]
            found[name] = [pool.submit(session, ends, number, method) for number in range(SESSIONS)]
        yield found


@pytest.mark.parametrize("name", ROWS)
def test_connect(runs, name, capsys):
    opened = sorted(run.result() for run in runs[name])
    with capsys.disabled():
        print(f"\n{name:28} open after {opened[len(opened) // 2]:.0f} ms, at worst {opened[-1]:.0f} ms", end=" ")
