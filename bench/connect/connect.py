"""From the offer to the first message of a data channel at the other end, over the networks of tests/lab.

connect.py --build DIR --node NODE [--rounds N] [--loss PERCENT …] [--row NAME …] [--pair NAME …] [--slow MS], inside
tests/support/netns; --slow: tells what both ends said when, for connects that took longer

50 ms round trip between the two ends, 25 ms from each to the relay and the STUN server, which is ours for all of them;
signalling takes 25 ms one way, through this process. The loss is that of a whole way, in each direction. In each round
every pair connects once, so that all meet the same machine. Times are taken in the ends themselves: from just before the
offer is made to the arrival of the message, which the offering end sends as soon as its library lets it.
"""

import argparse
import heapq
import json
import os
import pathlib
import selectors
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests/lab"), str(HERE.parents[1] / "tests/support")]

from lab import Lab  # noqa: E402

ONE_WAY_MS = 25
PATIENCE_S = 10
START_S = 60  # a browser's, on a busy machine
REST_S = 0.05  # between two connects: the last one's goodbyes
SERVERS = ("udp", "tcp")  # what all of them can use, as far as they can

# Each row: the two networks, and what a connect comes out as.
ROWS = {
    "same LAN": ("same-lan", None),
    "cone - cone": ("full-cone", "full-cone"),
    "port-restricted both": ("port-restricted", "port-restricted"),
    "symmetric both (relay)": ("symmetric", "symmetric"),
    "UDP blocked at one": ("udp-blocked", "port-restricted"),
}
PAIRS = {
    "native": ("native", "native"),
    "datachannel": ("datachannel", "datachannel"),
    "chromium": ("chromium", "chromium"),
    "chromium-client": ("chromium", "native"),
    "client-chromium": ("native", "chromium"),
}
CANNOT = {("UDP blocked at one", "datachannel"): "no TURN over TCP"}
RATIOS = (("native", ("chromium", "datachannel")), ("chromium-client", ("chromium",)),
          ("client-chromium", ("chromium",)))


class Failed(Exception):
    pass


class End:
    """A program that is one end, in its network."""

    def __init__(self, words, net, servers, folder):
        self.servers, self.said = servers, b""
        with net:
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)

    def do(self, what, **more):
        self.process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        self.process.stdin.flush()

    def read(self):
        said = os.read(self.process.stdout.fileno(), 1 << 20)
        if not said:
            raise Failed(f"an end stopped by itself, status {self.process.wait()}")
        *lines, self.said = (self.said + said).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Connect:
    """One connect of two ends, with the signalling between them."""

    def __init__(self, ends, native_offers):
        self.ends, self.native_offers = ends, native_offers
        self.mail, self.count = [], 0
        self.begun = self.arrived = None
        self.ready = set()  # sides
        self.story = []  # (milliseconds since 1970, side, event)

    def post(self, side, what, **more):
        self.count += 1
        heapq.heappush(self.mail, (time.monotonic() + ONE_WAY_MS / 1000, self.count, side, what, more))

    def take(self, side, event):
        kind = event["event"]
        if kind in ("ready", "started"):
            self.ready.add(side)
        elif side not in self.ready:
            return  # of the connect before
        self.story.append((event.get("at", time.time() * 1000), side, kind, event.get("text") or ""))
        if kind == "begin":
            self.begun = event["at"]
        elif kind == "description":
            self.post(1 - side, "answer" if side == 0 else "accept", sdp=event["text"])
        elif kind == "candidate":
            self.post(1 - side, "candidate", candidate=event["text"])
        elif kind == "data" and side == 1 and self.arrived is None:
            self.arrived = event["at"]
        elif kind in ("failed", "error") and self.arrived is None:
            raise Failed(f"{'answering' if side else 'offering'} end: {event.get('text')}")

    def until(self, what, wanted, patience=PATIENCE_S):
        watch = selectors.DefaultSelector()
        for side, end in enumerate(self.ends):
            watch.register(end.process.stdout, selectors.EVENT_READ, side)
        limit = time.monotonic() + patience
        while not what():
            now = time.monotonic()
            if now > limit:
                raise Failed(f"{wanted} not within {patience} s")
            while self.mail and self.mail[0][0] <= now:
                _, _, side, word, more = heapq.heappop(self.mail)
                self.ends[side].do(word, **more)
            due = self.mail[0][0] if self.mail else limit
            for key, _ in watch.select(max(0, due - time.monotonic())):
                for event in self.ends[key.data].read():
                    self.take(key.data, event)

    def run(self):
        for end in self.ends:
            end.do("new", iceServers=end.servers)
        self.until(lambda: len(self.ready) == 2, "ready ends")
        self.ends[0].do("open", label="bench", text="hello")
        if self.native_offers:
            self.begun = time.time() * 1000
        self.ends[0].do("offer")
        self.until(lambda: self.arrived is not None, "the first message")
        for end in self.ends:
            end.do("close")
        self.mail.clear()
        time.sleep(REST_S)
        return self.arrived - self.begun


class Bench:
    def __init__(self, args):
        self.args = args
        self.words = {
            "native": [str(pathlib.Path(args.build, "tests/interop/peer/peer_cli").resolve())],
            "chromium": [args.node, str(HERE / "chromium.mjs")],
            "datachannel": [args.node, str(HERE / "datachannel.mjs")],
        }
        self.times, self.failures = {}, []

    def start(self, kind, seat):
        net, servers = seat
        end = End(self.words[kind], net, servers, HERE)
        end.native = kind == "native"
        if not end.native:  # a browser takes its time
            wait = Connect([end], False)
            wait.until(lambda: wait.ready, f"a start of {kind}", START_S)
        return end

    def row(self, name, seats, loss):
        pairs = [p for p in self.args.pair if (name, p) not in CANNOT]
        ends = {}
        try:
            for pair in pairs:
                for side, kind in enumerate(PAIRS[pair]):
                    if (side, kind) not in ends:
                        ends[side, kind] = self.start(kind, seats[side])
            for turn in range(-1, self.args.rounds):  # the first one warms up
                for pair in pairs:
                    if self.once(name, pair, loss, [ends[s, k] for s, k in enumerate(PAIRS[pair])], turn):
                        continue
                    for side, kind in enumerate(PAIRS[pair]):  # whatever state they are in
                        ends[side, kind].end()
                        ends[side, kind] = self.start(kind, seats[side])
        finally:
            for end in ends.values():
                end.end()

    def once(self, name, pair, loss, ends, turn):
        connect = Connect(ends, ends[0].native)
        try:
            took = connect.run()
        except Failed as failed:
            self.failures.append(f"{name}, {pair}, {loss} % loss: {failed}")
            print(f"  {self.failures[-1]}", file=sys.stderr, flush=True)
            return False
        if took > self.args.slow:
            print(f"  {name}, {pair}, {loss:g} % loss: {took:.0f} ms", *(
                f"    {at - connect.begun:6.0f} {'AB'[side]} {kind} {text.strip()[:110] if kind == 'candidate' else ''}"
                for at, side, kind, text in connect.story), sep="\n", file=sys.stderr, flush=True)
        if turn >= 0:
            self.times.setdefault((loss, name, pair), []).append(took)
        return True

    def run(self):
        for loss in self.args.loss:
            half = {"delay_ms": ONE_WAY_MS / 2, "loss_permille": round(loss * 5)}
            with Lab(delay=str(pathlib.Path(self.args.build, "tests/lab/delay").resolve())) as lab:
                lab.start_relay()
                for name in self.args.row:
                    kind, other = ROWS[name]
                    if other:
                        sites = [lab.site(kind, **half), lab.site(other, **half)]
                        seats = [(site.host, site.servers(*SERVERS)) for site in sites]
                    else:
                        site = lab.site(kind, cable=half, delay_ms=ONE_WAY_MS / 2)
                        seats = [(host, site.servers(*SERVERS)) for host in site.hosts]
                    self.row(name, seats, loss)
                    self.say_row(loss, name)

    def medians(self, loss, name):
        return {pair: statistics.median(self.times[loss, name, pair]) for pair in self.args.pair
                if (loss, name, pair) in self.times}

    def say_row(self, loss, name):
        medians, words = self.medians(loss, name), []
        for pair, median in medians.items():
            times = self.times[loss, name, pair]
            words.append(f"{pair} {median:.0f} (slowest {max(times):.0f}, {len(times)})")
        print(f"{loss:g} % {name}: {', '.join(words)}", file=sys.stderr, flush=True)

    def table(self):
        head = ["loss", "networks", *self.args.pair, *(f"{pair} : best of {' and '.join(others)}" if len(others) > 1
                                                       else f"{pair} : {others[0]}" for pair, others in RATIOS)]
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        for loss in self.args.loss:
            for name in self.args.row:
                medians = self.medians(loss, name)
                cells = [f"{loss:g} %", name]
                for pair in self.args.pair:
                    cells.append(f"{medians[pair]:.0f} ({max(self.times[loss, name, pair]):.0f})" if pair in medians
                                 else CANNOT.get((name, pair), "failed"))
                for pair, others in RATIOS:
                    best = [medians[other] for other in others if other in medians]
                    cells.append(f"{medians[pair] / min(best):.2f}" if best and pair in medians else "")
                print("| " + " | ".join(cells) + " |")
        for pair in self.args.pair:
            times = [t for (loss, _, p), all_ in self.times.items() if p == pair and not loss for t in all_]
            if times:
                print(f"{pair} without loss: {len(times)} connects, slowest {max(times):.0f} ms, "
                      f"{sum(t >= 1000 for t in times)} at or over 1 s")
        print(f"failures: {len(self.failures)}", *self.failures, sep="\n  ")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--build", required=True)
    words.add_argument("--node", default="node")
    words.add_argument("--rounds", type=int, default=20)
    words.add_argument("--loss", type=float, nargs="*", default=[0, 1, 5], metavar="PERCENT")
    words.add_argument("--slow", type=float, default=float("inf"), metavar="MS")
    words.add_argument("--row", nargs="*", choices=ROWS, default=list(ROWS))
    words.add_argument("--pair", nargs="*", choices=PAIRS, default=list(PAIRS))
    bench = Bench(words.parse_args())
    bench.run()
    bench.table()


if __name__ == "__main__":
    main()
