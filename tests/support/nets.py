"""Network namespaces with veth links between them, for tests that need machines of their own. Root only.

    lab = Lab()                                       # raises Unsupported with the reason
    client, relay = lab.net(), lab.net()
    lab.link(client, "c0", relay, "r0")
    client.ip("address add 10.1.0.2/24 dev c0")
    with client:                                      # what this thread opens or starts now is in there
        ...
"""

import ctypes
import os
import shutil
import socket
import struct
import subprocess

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SYS_BPF = {"x86_64": 321, "aarch64": 280}
BPF_PROG_LOAD, BPF_LINK_CREATE, BPF_LINK_GET_FD_BY_ID, BPF_LINK_DETACH = 5, 28, 30, 34
BPF_PROG_TYPE_XDP, BPF_XDP, XDP_FLAGS_DRV_MODE = 6, 37, 1 << 2


class Unsupported(Exception):
    pass


def _check(status, what):
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def bpf(command, form, *values):
    """The bpf system call; attr is a struct.pack() of these."""
    number = SYS_BPF.get(os.uname().machine)
    if number is None:
        raise Unsupported(f"the bpf system call's number on {os.uname().machine} is not known here")
    attr = ctypes.create_string_buffer(struct.pack("=" + form, *values), 128)
    result = LIBC.syscall(number, command, attr, 128)
    if result < 0:
        raise Unsupported(f"bpf: {os.strerror(ctypes.get_errno())}")
    return result


class Net:
    """One namespace. It lives as long as this object, or what runs in it."""

    def __init__(self, home):
        self.home = home
        _check(LIBC.unshare(CLONE_NEWNET), "unshare")
        self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            # no address may wait for others who could have it
            for name, value in (("accept_dad", "0"), ("router_solicitations", "0")):
                with open(f"/proc/sys/net/ipv6/conf/default/{name}", "w", encoding="ascii") as file:
                    file.write(value)
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        finally:
            self.__exit__()

    def __enter__(self):
        _check(LIBC.setns(self.fd, CLONE_NEWNET), "setns")
        return self

    def __exit__(self, *_):
        _check(LIBC.setns(self.home, CLONE_NEWNET), "setns")

    def run(self, *words):
        with self:
            return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def ip(self, words):
        return self.run("ip", *words.split())

    def mac(self, device):
        with self:
            words = self.ip(f"-o link show {device}").split()
            return words[words.index("link/ether") + 1]


def _pass_program():
    """An XDP program that returns XDP_PASS."""
    instructions = ctypes.create_string_buffer(struct.pack("=BBhi BBhi", 0xb7, 0, 0, 2, 0x95, 0, 0, 0))
    name = ctypes.create_string_buffer(b"GPL")
    return bpf(BPF_PROG_LOAD, "IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(instructions), ctypes.addressof(name))


class Lab:
    def __init__(self):
        if os.geteuid() != 0:
            raise Unsupported("network namespaces with veth links need root")
        if not shutil.which("ip") or not shutil.which("ethtool"):
            raise Unsupported("ip (iproute2) or ethtool is missing")
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.nets, self.links = [], []

    def net(self):
        try:
            self.nets.append(Net(self.home))
        except OSError as error:
            raise Unsupported(f"no network namespace: {error}") from error
        return self.nets[-1]

    def link(self, a, name_a, b, name_b):
        """A veth pair. Checksums are made in full, because XDP cannot finish half ones."""
        path = f"/proc/{os.getpid()}/fd/{b.fd}"
        a.ip(f"link add {name_a} type veth peer name {name_b} netns {path}")
        for net, name in ((a, name_a), (b, name_b)):
            net.ip(f"link set {name} up")
            net.run("ethtool", "-K", name, "tx", "off")

    def pass_all(self, net, device):
        """What the XDP program at the other end of a veth sends arrives only where there is one, too."""
        program = _pass_program()
        with net:
            self.links.append(bpf(BPF_LINK_CREATE, "IIII", program, socket.if_nametoindex(device), BPF_XDP, XDP_FLAGS_DRV_MODE))
        os.close(program)

    def close(self):
        for fd in self.links:
            os.close(fd)
        for net in self.nets:
            os.close(net.fd)
        os.close(self.home)
