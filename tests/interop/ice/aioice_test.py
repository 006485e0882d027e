#!/usr/bin/env python3
"""Our ICE agent against aioice, over real sockets: aioice_test.py AGENT, in a namespace of its own."""

import asyncio
import os
import sys
import time

try:
    import aioice
except ImportError:
    print("skipped: python3-aioice is not installed")
    sys.exit(77)

ADDRESSES = ["10.77.0.1", "fd77::1"]


class Agent:
    def __init__(self, process):
        self.process = process
        self.lines = []
        self.credentials = self.state = None
        self.changed = asyncio.Condition()
        self.reader = asyncio.ensure_future(self.read())

    @classmethod
    async def start(cls, program, role):
        return cls(
            await asyncio.create_subprocess_exec(
                program, role, *ADDRESSES, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        )

    async def read(self):
        while line := (await self.process.stdout.readline()).decode().strip():
            async with self.changed:
                self.lines.append(line)
                if line.startswith("state "):
                    self.state = line[6:]
                if line.startswith("local "):
                    self.credentials = line.split()[1:]
                self.changed.notify_all()

    async def until(self, what):
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: what(self)), 10)

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    async def end(self):
        self.process.stdin.close()
        assert await asyncio.wait_for(self.process.wait(), 10) == 0
        await self.reader


async def connect(agent, other):
    """Both sides know all before they begin; the order of the rest is chance."""
    await other.gather_candidates()
    await agent.until(lambda a: "end" in a.lines)
    agent.say(f"remote {other.local_username} {other.local_password}")
    for candidate in other.local_candidates:
        agent.say("candidate:" + candidate.to_sdp())
    agent.say("end")
    other.remote_username, other.remote_password = agent.credentials
    for line in agent.lines:
        if line.startswith("candidate:"):
            await other.add_remote_candidate(aioice.Candidate.from_sdp(line[len("candidate:"):]))
    await other.add_remote_candidate(None)
    await asyncio.wait_for(other.connect(), 10)
    await agent.until(lambda a: a.state == "connected")


async def one(program, role, other_controls):
    agent = await Agent.start(program, role)
    other = aioice.Connection(ice_controlling=other_controls)
    try:
        began = time.monotonic()
        await connect(agent, other)
        took = time.monotonic() - began
        await other.send(b"\x80 data")
        assert await asyncio.wait_for(other.recv(), 5) == b"\x80 data"
        path = [line for line in agent.lines if line.startswith("path selected")]
        assert path, agent.lines
        print(f"ok {role}, aioice {'controlling' if other_controls else 'controlled'}: {took * 1000:.0f} ms, {path[-1]}")
    finally:
        await other.close()
        await agent.end()


async def main(program):
    for other_controls in (True, False):
        for role in ("controlling", "controlled"):  # two of these are role conflicts
            await one(program, role, other_controls)


if __name__ == "__main__":
    asyncio.run(main(os.path.abspath(sys.argv[1])))
