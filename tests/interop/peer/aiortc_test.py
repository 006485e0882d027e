"""Data channels between libfairlead and aiortc, each side offering in turn.

usage: aiortc_test.py PEER_CLI [COUNT]
"""
import asyncio
import json
import sys
import time

from aiortc import RTCPeerConnection, RTCSessionDescription

LIMIT = 20  # seconds; a hang is a failure


class Native:
    """The test program over its pipes."""

    async def start(self, path):
        self.proc = await asyncio.create_subprocess_exec(
            path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20)

    def do(self, what, **more):
        self.proc.stdin.write((json.dumps({"do": what, **more}) + "\n").encode())

    async def event(self, *names):
        """The next event of one of these names; others are passed over, failures are not."""
        while True:
            line = await asyncio.wait_for(self.proc.stdout.readline(), LIMIT)
            assert line, "the test program ended"
            event = json.loads(line)
            assert event["event"] not in ("failed", "error"), event
            if event["event"] in names:
                return event

    async def stop(self):
        self.proc.stdin.close()
        assert await asyncio.wait_for(self.proc.wait(), LIMIT) == 0


def opened(channel):
    future = asyncio.get_running_loop().create_future()
    if channel.readyState == "open":
        future.set_result(None)
    else:
        channel.on("open", lambda: future.done() or future.set_result(None))
    return asyncio.wait_for(future, LIMIT)


def message(channel):
    future = asyncio.get_running_loop().create_future()
    channel.on("message", lambda m: future.done() or future.set_result(m))
    return asyncio.wait_for(future, LIMIT)


async def they_offer(native):
    """aiortc opens the channel; what it says comes back."""
    native.do("new", loopback=True)
    pc = RTCPeerConnection()
    channel = pc.createDataChannel("from-aiortc")
    began = time.monotonic()
    await pc.setLocalDescription(await pc.createOffer())
    native.do("answer", sdp=pc.localDescription.sdp)
    answer = await native.event("description")
    await pc.setRemoteDescription(RTCSessionDescription(answer["text"], "answer"))
    await opened(channel)
    took = time.monotonic() - began
    back = message(channel)
    channel.send("hello, native")
    assert (await native.event("open"))["text"] == "from-aiortc"
    assert await back == "hello, native"
    big = message(channel)
    channel.send(b"x" * 65536)
    assert await big == b"x" * 65536
    await pc.close()
    await native.event("closed")
    return took


async def we_offer(native):
    """We open the channel; aiortc says it back."""
    native.do("new", loopback=True)
    began = time.monotonic()
    native.do("open", label="from-native")
    native.do("offer")
    offer = await native.event("description")
    pc = RTCPeerConnection()

    @pc.on("datachannel")
    def on_channel(channel):
        assert channel.label == "from-native"
        channel.on("message", channel.send)

    await pc.setRemoteDescription(RTCSessionDescription(offer["text"], "offer"))
    await pc.setLocalDescription(await pc.createAnswer())
    native.do("accept", sdp=pc.localDescription.sdp)
    channel = (await native.event("open"))["channel"]
    took = time.monotonic() - began
    native.do("send", channel=channel, text="hello, aiortc")
    assert (await native.event("data"))["data"] == "hello, aiortc"
    native.do("close")
    await native.event("closed")
    await pc.close()
    return took


async def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    native = Native()
    await native.start(sys.argv[1])
    for name, run in (("aiortc offers", they_offer), ("native offers", we_offer)):
        times = sorted([await run(native) for _ in range(count)])
        print(f"{name}: {count} connects, median {times[count // 2] * 1000:.0f} ms, "
              f"slowest {times[-1] * 1000:.0f} ms")
        assert times[-1] < 1, "a connect took a second or more"
    await native.stop()


asyncio.run(main())
