"""Headers of the net floor: both readings of each declaration agree, and scapy agrees with both."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from netower.net.arp import ARP, ArpPacket
from netower.net.icmp import ICMP, IcmpHeader
from netower.net.ipv4_header import IPV4, Ipv4Header
from scapy.layers.inet import ICMP as ScapyIcmp
from scapy.layers.inet import IP
from scapy.layers.l2 import ARP as ScapyArp

ADDRESS = st.binary(min_size=4, max_size=4)
HARDWARE = st.binary(min_size=6, max_size=6)


@given(st.binary(min_size=19, max_size=19), st.integers(5, 15), st.binary(min_size=40, max_size=40))
@settings(deadline=None)
def test_ipv4_readings_agree(rest: bytes, ihl: int, options: bytes) -> None:
    data = bytes([0x40 | ihl]) + rest + options[: ihl * 4 - 20]
    clear = Ipv4Header.parse(data)
    first, traffic_class, length, ident, fragment, hops, protocol, checksum, source, destination = IPV4.unpack_from(
        data
    )
    assert (clear.version_ihl.version, clear.version_ihl.ihl) == (first >> 4, first & 15)
    flags = clear.fragment
    assert fragment == (flags.reserved << 15 | flags.dont_fragment << 14 | flags.more_fragments << 13 | flags.offset)
    assert (clear.traffic_class, clear.total_length, clear.identification) == (traffic_class, length, ident)
    assert (clear.hop_limit, clear.protocol, clear.checksum) == (hops, protocol, checksum)
    assert (clear.source, clear.destination, clear.options) == (source, destination, data[20:])
    assert Ipv4Header.build(clear) == data
    assert IPV4.pack(*IPV4.unpack_from(data)) == data[:20]


@given(st.binary(min_size=20, max_size=20))
@settings(deadline=None)
def test_scapy_reads_the_same_ipv4_header(data: bytes) -> None:
    data = b"\x45" + data[1:]
    clear, theirs = Ipv4Header.parse(data), IP(data)
    assert (clear.total_length, clear.identification, clear.fragment.offset) == (theirs.len, theirs.id, theirs.frag)
    assert (clear.hop_limit, clear.protocol, clear.checksum) == (theirs.ttl, theirs.proto, theirs.chksum)
    assert ".".join(map(str, clear.source)) == theirs.src


@given(st.binary(min_size=8, max_size=8))
@settings(deadline=None)
def test_icmp_readings_agree(data: bytes) -> None:
    clear = IcmpHeader.parse(data)
    assert (clear.type, clear.code, clear.checksum, clear.first, clear.second) == ICMP.unpack(data)
    assert IcmpHeader.build(clear) == data
    echo = ScapyIcmp(b"\x08" + data[1:])
    assert (echo.code, echo.chksum, echo.id, echo.seq) == (clear.code, clear.checksum, clear.first, clear.second)


@given(st.integers(0, 65535), HARDWARE, ADDRESS, HARDWARE, ADDRESS)
@settings(deadline=None)
def test_arp_readings_agree(operation: int, sender: bytes, source: bytes, target: bytes, destination: bytes) -> None:
    data = ARP.pack(1, 0x0800, 6, 4, operation, sender, source, target, destination)
    clear = ArpPacket.parse(data)
    assert tuple(value for key, value in clear.items() if key != "_io") == ARP.unpack(data)
    assert ArpPacket.build(clear) == data
    theirs = ScapyArp(data)
    assert (theirs.op, theirs.hwsrc, theirs.hwdst) == (operation, sender.hex(":"), target.hex(":"))
    assert (theirs.psrc, theirs.pdst) == (".".join(map(str, source)), ".".join(map(str, destination)))
