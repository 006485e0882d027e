#!/usr/bin/env python3
"""aiortc reads what the video sender writes, and the sender reads aiortc's RTCP: aiortc.py STREAM-PROGRAM."""

import struct
import subprocess
import sys

# The folder of this file would hide the package of the same name.
sys.path.pop(0)
try:
    from aiortc.codecs.h264 import H264PayloadDescriptor
    from aiortc.codecs.vpx import VpxPayloadDescriptor
    from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
    from aiortc.rtp import (HeaderExtensionsMap, RtcpPacket, RtcpPsfbPacket, RtcpReceiverInfo, RtcpRrPacket,
                            RtcpRtpfbPacket, RtpPacket, pack_remb_fci)
except ImportError as e:
    print(f"skipped: {e}; install python3-aiortc")
    sys.exit(77)

FRAMES = 20
SSRC = 1234
EXTENSIONS = {
    2: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    4: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    9: "urn:ietf:params:rtp-hdrext:sdes:mid",
}


def records(data):
    while data[:1] in (b"f", b"p", b"c"):
        length = struct.unpack(">I", data[1:5])[0]
        yield chr(data[0]), data[5:5 + length]
        data = data[5 + length:]
    yield "text", data


def feedback(last_seq):
    """One compound of each kind, as aiortc writes them. PSFB 1: PLI, 15: REMB; RTPFB 1: NACK."""
    info = RtcpReceiverInfo(ssrc=SSRC, fraction_lost=0, packets_lost=0, highest_sequence=last_seq, jitter=5,
                            lsr=0x00010000, dlsr=0x4000)
    yield bytes(RtcpRrPacket(ssrc=7, reports=[info]))
    yield bytes(RtcpPsfbPacket(fmt=1, ssrc=7, media_ssrc=SSRC))
    yield bytes(RtcpRtpfbPacket(fmt=1, ssrc=7, media_ssrc=SSRC, lost=[last_seq - 20, last_seq - 18, last_seq]))
    yield bytes(RtcpPsfbPacket(fmt=15, ssrc=7, media_ssrc=0, fci=pack_remb_fci(1500000, [SSRC])))


def last_seq(out):
    return [RtpPacket.parse(b).sequence_number for kind, b in records(out) if kind == "p"][-1]


def check(program, codec, descriptor):
    command = [program, codec, str(FRAMES)]
    # the sender is the same from run to run: the first tells which packets to ask for
    seq = last_seq(subprocess.run(command, input=b"", capture_output=True, check=True).stdout)
    sent = b"".join(b"c" + struct.pack(">I", len(b)) + b for b in feedback(seq))
    out = subprocess.run(command, input=sent, capture_output=True, check=True).stdout
    ids = HeaderExtensionsMap()
    ids.configure(RTCRtpParameters(headerExtensions=[
        RTCRtpHeaderExtensionParameters(id=i, uri=u) for i, u in EXTENSIONS.items()]))
    want, got, numbers, markers, reports = b"", b"", [], 0, 0
    for kind, data in records(out):
        if kind == "f":
            want += data
        elif kind == "p":
            packet = RtpPacket.parse(data, ids)
            if numbers and packet.extensions.transport_sequence_number <= numbers[-1]:
                continue  # sent again, bit for bit
            assert packet.extensions.mid == "0" and packet.ssrc == SSRC and packet.payload_type == 102
            numbers.append(packet.extensions.transport_sequence_number)
            markers += packet.marker
            got += descriptor.parse(packet.payload)[1]
        elif kind == "c":
            report, names = RtcpPacket.parse(data)
            assert report.ssrc == SSRC and names.chunks[0].items == [(1, b"tester")]
            assert abs(report.sender_info.packet_count - len(numbers)) <= 1
            reports += 1
        else:
            line = data.decode().split()
    assert want == got, "aiortc puts the frames together differently"
    assert numbers == list(range(len(numbers))) and markers == FRAMES and reports >= 1
    told = dict(zip(line[::2], map(int, line[1::2])))
    # now is 1 + FRAMES · 0.05 s: the report of 1 s, held for 0.25 s, is the rest of that time old
    rtt = FRAMES * 50000 - 250000
    assert abs(told.pop("rtt") - rtt) < 50, told
    assert told == {"keyframes": 1, "nacked": 3, "missed": 0, "malformed": 0, "rate": 1500000}, told


for name, kind in (("h264", H264PayloadDescriptor), ("vp8", VpxPayloadDescriptor)):
    check(sys.argv[1], name, kind)
    print(f"{name}: aiortc and the video sender understand each other")
