"""IPv4 packets on their way out: the header, and fragments where they are allowed."""

from __future__ import annotations

import errno
from array import array
from typing import TYPE_CHECKING, Final

from ..link.packet import PARTIAL, Packet
from . import offload
from .fragments import fragments
from .ipv4_header import DONT_FRAGMENT, HEADER_SIZE, IPV4, MAX_SIZE, PLAIN
from .path import Path

if TYPE_CHECKING:
    from random import Random

    from .address import Address
    from .interface import Interface

_BUCKETS: Final = 1024
#: How many headers a path remembers.
_HEADERS: Final = 16
#: The high byte of the header's first word, and the flag that the fast path sets.
_FIRST_WORD: Final = PLAIN << 8


class Identifications:
    """Identification numbers for datagrams that may be fragmented (RFC 6864): counters, each for a share of all
    destinations, so that nobody learns from his own how many go to others (RFC 7739 §5.3)."""

    __slots__ = ("_counters", "_factor")

    def __init__(self, random: Random) -> None:
        self._counters = array("H", random.randbytes(_BUCKETS * 2))
        self._factor = random.getrandbits(32) | 1

    def bucket(self, source: Address, destination: Address) -> int:
        """Where the counter of datagrams from ``source`` to ``destination`` is."""
        return (int.from_bytes(source + destination) * self._factor >> 24) % _BUCKETS

    def next(self, bucket: int) -> int:
        value = self._counters[bucket]
        self._counters[bucket] = (value + 1) & 0xFFFF
        return value


class Ipv4Path(Path):
    """A path on which packets get an IPv4 header.

    Headers without an identification of their own differ in little but the packet's size, and sizes repeat: the last
    few are remembered.
    """

    __slots__ = ("_address_sum", "_bucket", "_headers", "_identifications")

    def __init__(
        self,
        source: Address,
        destination: Address,
        interface: Interface,
        next_hop: Address,
        mtu: int,
        broadcast: bool,
        identifications: Identifications,
    ) -> None:
        super().__init__(source, destination, interface, next_hop, mtu, broadcast)
        self._identifications = identifications
        self._bucket = identifications.bucket(source, destination)
        self._address_sum = int.from_bytes(source + destination) % 0xFFFF
        self._headers: dict[tuple[int, int, int, int], bytes] = {}

    def send(
        self,
        packet: Packet,
        protocol: int,
        *,
        hop_limit: int = 64,
        traffic_class: int = 0,
        dont_fragment: bool = True,
    ) -> None:
        size = packet.end + HEADER_SIZE
        if size > self.mtu and not self._fits(packet, size):
            self._fragment(packet, protocol, hop_limit, traffic_class, dont_fragment)
            return
        if dont_fragment:  # RFC 6864 §4.1: what cannot be fragmented needs no identification of its own
            kind = size, protocol, hop_limit, traffic_class
            header = self._headers.get(kind) or self._remember(kind)
        else:
            header = self._header(size, protocol, hop_limit, traffic_class, self._identifications.next(self._bucket), 0)
        link_header = self._neighbor.header
        if link_header is None:
            packet.prepend(header)
            self._resolve(packet)
            return
        header = link_header + header
        size = len(header)
        packet.buffers.insert(0, header)
        packet.end += size
        packet.checksum_start += size
        self.interface.transmit(packet)

    def _header(
        self, size: int, protocol: int, hop_limit: int, traffic_class: int, identification: int, fragment: int
    ) -> bytes:
        words = _FIRST_WORD + traffic_class + size + identification + fragment + (hop_limit << 8) + protocol
        checksum = -(words + self._address_sum) % 0xFFFF
        header: bytes = IPV4.pack(
            PLAIN, traffic_class, size, identification, fragment,
            hop_limit, protocol, checksum, self.source, self.destination,
        )  # fmt: skip
        return header

    def _remember(self, kind: tuple[int, int, int, int]) -> bytes:
        headers = self._headers
        if len(headers) >= _HEADERS:
            headers.clear()
        header = headers[kind] = self._header(*kind, 0, DONT_FRAGMENT)
        return header

    def _fits(self, packet: Packet, size: int) -> bool:
        """Whether a packet above the MTU stands for segments that are below it."""
        segment = HEADER_SIZE + len(packet.buffers[0]) + packet.segment_size
        return packet.segment_size > 0 and size <= MAX_SIZE and segment <= self.mtu

    def _fragment(self, packet: Packet, protocol: int, hop_limit: int, traffic_class: int, dont_fragment: bool) -> None:
        """Send a packet in fragments (RFC 791 §3.2), or refuse."""
        size = packet.end + HEADER_SIZE
        if dont_fragment or packet.segment_size or size > MAX_SIZE:
            raise OSError(errno.EMSGSIZE, f"a packet of {size} bytes does not fit into {self.mtu}")
        if packet.checksum == PARTIAL:
            offload.complete(packet)
        identification = self._identifications.next(self._bucket)
        header: bytes = IPV4.pack(
            PLAIN, traffic_class, 0, identification, 0, hop_limit, protocol, 0, self.source, self.destination
        )
        for piece in fragments(header, packet.buffers, self.mtu):
            self._resolve(piece)


class Ipv4BroadcastPath(Ipv4Path):
    """A path to all hosts of a subnet, of which this host is one: what goes out comes in as well (as on Linux)."""

    __slots__ = ("_home",)

    def __init__(
        self, home: Ipv4Path, interface: Interface, next_hop: Address, mtu: int, identifications: Identifications
    ) -> None:
        super().__init__(home.source, home.destination, interface, next_hop, mtu, True, identifications)
        self._home = home

    def send(
        self,
        packet: Packet,
        protocol: int,
        *,
        hop_limit: int = 64,
        traffic_class: int = 0,
        dont_fragment: bool = True,
    ) -> None:
        copy = Packet(list(packet.buffers), checksum=packet.checksum)
        copy.checksum_start = packet.checksum_start
        copy.checksum_offset = packet.checksum_offset
        super().send(packet, protocol, hop_limit=hop_limit, traffic_class=traffic_class, dont_fragment=dont_fragment)
        self._home.send(copy, protocol, hop_limit=hop_limit, traffic_class=traffic_class)
