"""squid's helper for NTLM that checks what it is shown (MS-NLMP §3.3.2, NTLMv2): one user, from the file argv[1]."""

import base64
import hmac
import os
import struct
import sys
import time

FLAGS = 0x1 | 0x4 | 0x200 | 0x8000 | 0x10000 | 0x80000 | 0x800000  # Unicode, target, NTLM, always sign, domain, extended, info


def md4(data):
    """RFC 1320: OpenSSL 3 has it only in its legacy provider."""
    def turn(value, bits):
        value &= 0xffffffff
        return (value << bits | value >> (32 - bits)) & 0xffffffff

    size = struct.pack("<Q", len(data) * 8)
    data += b"\x80" + bytes((55 - len(data)) % 64) + size
    state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]
    rounds = ((lambda b, c, d: b & c | ~b & d, 0, (3, 7, 11, 19), range(16)),
              (lambda b, c, d: b & c | b & d | c & d, 0x5a827999, (3, 5, 9, 13),
               (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)),
              (lambda b, c, d: b ^ c ^ d, 0x6ed9eba1, (3, 9, 11, 15),
               (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)))
    for at in range(0, len(data), 64):
        words = struct.unpack("<16I", data[at:at + 64])
        a, b, c, d = state
        for mix, add, bits, order in rounds:
            for i, k in enumerate(order):
                a, b, c, d = d, turn(a + mix(b, c, d) + words[k] + add, bits[i % 4]), b, c
        state = [(x + y) & 0xffffffff for x, y in zip(state, (a, b, c, d))]
    return struct.pack("<4I", *state)


def field(message, at):
    length, _, offset = struct.unpack_from("<HHI", message, at)
    return message[offset:offset + length]


def challenge_message(challenge):
    target = "LAB".encode("utf-16le")
    info = struct.pack("<HH", 2, len(target)) + target
    info += struct.pack("<HHQ", 7, 8, int((time.time() + 11644473600) * 10_000_000)) + bytes(4)
    head = 56
    return (b"NTLMSSP\0" + struct.pack("<IHHIIQ8x", 2, len(target), len(target), head, FLAGS,
                                       struct.unpack("<Q", challenge)[0])
            + struct.pack("<HHI", len(info), len(info), head + len(target)) + bytes(8) + target + info)


def fits(message, challenge, user, password):
    answer, domain, name = field(message, 20), field(message, 28), field(message, 36).decode("utf-16le")
    key = hmac.digest(md4(password.encode("utf-16le")), user.upper().encode("utf-16le") + domain, "md5")
    proof = hmac.digest(key, challenge + answer[16:], "md5")
    return name == user and len(answer) > 24 and hmac.compare_digest(proof, answer[:16])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        user, password = file.read().split(":", 1)
    challenge = b""
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "YR":
            challenge = os.urandom(8)
            reply = "TT " + base64.b64encode(challenge_message(challenge)).decode()
        else:
            message = base64.b64decode(rest[0])
            known = challenge and fits(message, challenge, user, password)
            reply = f"AF {user}" if known else f"NA {field(message, 36).decode('utf-16le')} is not known"
            challenge = b""
        print(reply, flush=True)


if __name__ == "__main__":
    main()
