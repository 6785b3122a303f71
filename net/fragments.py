"""Fragments of IPv4 datagrams: cutting them (RFC 791 §3.2), and putting them together again within bounds (RFC 815).

A fragment that lies wholly within what is there already is a duplicate and ignored. One that overlaps in part no
honest host sends: the whole datagram is dropped, as RFC 5722 has it for IPv6 and Linux does for both.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from ..link.checksum import ones_complement_sum
from ..link.packet import Packet
from .ipv4_header import HEADER_SIZE, IPV4, MAX_SIZE, MORE_FRAGMENTS, OFFSET_MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..link.packet import Buffer
    from ..link.scheduler import Timer
    from .internet import Internet

#: What a waiting fragment costs besides its bytes, roughly.
_OVERHEAD: Final = 400
#: The bit of an option that is repeated in every fragment (RFC 791 §3.1).
_COPIED: Final = 0x80

REASSEMBLY_TIME_EXCEEDED: Final = 1

#: The ECN field, and two of its values as bits: not ECN-capable, congestion experienced (RFC 3168 §5).
_ECN: Final = 0b11
_NOT_CAPABLE: Final = 1 << 0b00
_MARKED: Final = 1 << 0b11


def fragments(header: Buffer, payload: list[Buffer], mtu: int) -> Iterator[Packet]:
    """The fragments of at most ``mtu`` bytes in which a datagram travels.

    Of ``header`` length, checksum and fragment field are set anew; what the latter says now is where ``payload``
    belongs in a larger datagram, if this is a fragment already.
    """
    data = memoryview(payload[0] if len(payload) == 1 else b"".join(payload))
    word = int.from_bytes(header[6:8])
    place = (word & OFFSET_MASK) * 8
    start = 0
    while start < len(data):
        end = min(start + (mtu - len(header) & ~7), len(data))
        if len(data) - start <= mtu - len(header):
            end = len(data)
        more = MORE_FRAGMENTS if end < len(data) else word & MORE_FRAGMENTS
        yield Packet([_fragment_header(header, end - start, more | (place + start) // 8), data[start:end]])
        if not start:
            header = bytes(header[:HEADER_SIZE]) + _copied_options(bytes(header[HEADER_SIZE:]))
        start = end


def _fragment_header(header: Buffer, size: int, fragment: int) -> bytes:
    """``header`` for a fragment of ``size`` bytes."""
    made = bytearray(header)
    made[0] = 0x40 | len(made) // 4
    made[2:4] = (len(made) + size).to_bytes(2)
    made[6:8] = fragment.to_bytes(2)
    made[10:12] = bytes(2)
    made[10:12] = (ones_complement_sum(made) ^ 0xFFFF).to_bytes(2)
    return bytes(made)


def _copied_options(options: bytes) -> bytes:
    """The options that fragments after the first carry too; they have been checked on their way in."""
    copied = b""
    while options and options[0] != 0:
        length = 1 if options[0] == 1 else options[1]
        if options[0] & _COPIED:
            copied += options[:length]
        options = options[length:]
    return copied + bytes(-len(copied) % 4)


class _Datagram:
    """A datagram of which some fragments are there."""

    __slots__ = ("codepoints", "deadline", "first", "memory", "pieces", "received", "starts", "total")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        #: Where the pieces start, in order, and the pieces.
        self.starts: list[int] = []
        self.pieces: list[memoryview] = []
        self.received = 0
        #: The size of the whole payload, once its last fragment is there.
        self.total: int | None = None
        #: The fragment with the header that counts.
        self.first: Packet | None = None
        self.memory = 0
        #: Which values the ECN fields of the pieces had, one bit for each.
        self.codepoints = 0

    def add(self, start: int, piece: memoryview, more: bool) -> str | None:
        """Take a piece. Returns what is wrong with it, if anything: "duplicate", or something worse."""
        end = start + len(piece)
        index = bisect_right(self.starts, start)
        before = self._end(index - 1) if index else 0
        after = self.starts[index] if index < len(self.starts) else end
        if index and end <= before:
            return "duplicate"
        if before > start or after < end:
            return "overlap"
        last = self._end(-1) if self.starts else 0
        if (not more and (last > end or self.total is not None)) or (self.total is not None and end > self.total):
            return "inconsistent"
        if not more:
            self.total = end
        self.starts.insert(index, start)
        self.pieces.insert(index, piece)
        self.received += len(piece)
        return None

    def _end(self, index: int) -> int:
        return self.starts[index] + len(self.pieces[index])


class Reassembly:
    """Datagrams of one host that wait for fragments."""

    def __init__(self, internet: Internet) -> None:
        self._internet = internet
        #: In the order in which they began, which is the order in which they expire.
        self._datagrams: dict[bytes, _Datagram] = {}
        self._timer: Timer | None = None
        self.memory = 0

    def __len__(self) -> int:
        return len(self._datagrams)

    def add(self, packet: Packet) -> Packet | None:
        """Take a received fragment. Returns the whole datagram if that was the last one missing."""
        counters = self._internet.counters
        frame = packet.buffers[0]
        network = packet.network
        word = int.from_bytes(frame[network + 6 : network + 8])
        start = (word & OFFSET_MASK) * 8
        more = bool(word & MORE_FRAGMENTS)
        size = len(packet)
        if not size or (more and size & 7) or start + size > MAX_SIZE - HEADER_SIZE:
            counters["ip.bad_fragment"] += 1
            return None
        key = (
            bytes(frame[network + 12 : network + 20])
            + frame[network + 4 : network + 6]
            + frame[network + 9 : network + 10]
        )
        datagram = self._datagrams.get(key) or self._begin(key)
        fault = datagram.add(start, packet.view(), more)
        if fault is not None:
            counters[f"ip.fragment_{fault}"] += 1
            if fault != "duplicate":
                self._remove(key)
            return None
        self._charge(datagram, len(frame) + _OVERHEAD)
        datagram.codepoints |= 1 << (frame[network + 1] & _ECN)
        if start == 0:
            datagram.first = packet
        if datagram.received != datagram.total:
            return None
        if key in self._datagrams:
            self._remove(key)
        if datagram.codepoints & _NOT_CAPABLE and datagram.codepoints != _NOT_CAPABLE:
            counters["ip.fragment_ecn"] += 1  # RFC 3168 §5.3: a mark on what cannot have one may say anything
            return None
        counters["ip.reassembled"] += 1
        return _whole(datagram)

    def _begin(self, key: bytes) -> _Datagram:
        internet = self._internet
        deadline = internet.scheduler.now + internet.settings.reassembly_timeout
        datagram = self._datagrams[key] = _Datagram(deadline)
        if self._timer is None:
            self._timer = internet.scheduler.call_at(deadline, self._expire)
        return datagram

    def _charge(self, datagram: _Datagram, memory: int) -> None:
        """Account for a fragment; the datagrams that have waited longest make room."""
        datagram.memory += memory
        self.memory += memory
        while self.memory > self._internet.settings.reassembly_memory and self._datagrams:
            self._internet.counters["ip.reassembly_evicted"] += 1
            self._remove(next(iter(self._datagrams)))

    def _remove(self, key: bytes) -> None:
        self.memory -= self._datagrams.pop(key).memory
        if not self._datagrams and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        """Give up what has waited too long, and say so if the first fragment is there (RFC 792, RFC 1122 §3.3.2)."""
        internet = self._internet
        self._timer = None
        expired = [key for key, datagram in self._datagrams.items() if datagram.deadline <= internet.scheduler.now]
        for key in expired:
            first = self._datagrams[key].first
            self._remove(key)
            internet.counters["ip.reassembly_timeout"] += 1
            if first is not None:
                internet.icmp.time_exceeded(first, REASSEMBLY_TIME_EXCEEDED)
        if self._datagrams:
            self._timer = internet.scheduler.call_at(next(iter(self._datagrams.values())).deadline, self._expire)


def _whole(datagram: _Datagram) -> Packet:
    """The datagram as if it had come in one packet, link-layer header and all."""
    first = datagram.first
    assert first is not None
    frame = bytearray(first.buffers[0][: first.offset])
    if datagram.codepoints & _MARKED:
        frame[first.network + 1] |= _ECN  # RFC 3168 §5.3: no mark gets lost
    size = first.offset - first.network + datagram.received
    fields = list(IPV4.unpack_from(frame, first.network))
    fields[2], fields[4], fields[7] = min(size, MAX_SIZE), 0, 0
    IPV4.pack_into(frame, first.network, *fields)
    fields[7] = ones_complement_sum(memoryview(frame)[first.network : first.offset]) ^ 0xFFFF
    IPV4.pack_into(frame, first.network, *fields)
    packet = Packet([b"".join([frame, *datagram.pieces])])
    packet.offset = first.offset
    packet.network = first.network
    packet.source = first.source
    packet.destination = first.destination
    packet.hop_limit = first.hop_limit
    packet.interface = first.interface
    return packet
