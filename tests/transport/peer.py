"""A scripted peer: one host's TCP whose other end is the test, segment by segment, on a clock that the test owns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from netower.link import VERIFIED, Offloads, Packet, Scheduler
from netower.net.address import parse
from netower.transport.ports import PortRegistry
from netower.transport.tcp import options as wire_options
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.header import ACK, FIN, HEADER, RST, SYN, flag_names
from netower.transport.tcp.listener import Listener
from netower.transport.tcp.protocol import Tcp
from netower.transport.tcp.settings import TcpOptions, TcpSettings

OURS = parse("10.0.0.1")
THEIRS = parse("10.0.0.2")
MASK = 0xFFFFFFFF


class FakePath:
    """A path whose packets end up in a list."""

    def __init__(self, internet: FakeInternet, source: bytes, destination: bytes) -> None:
        self.internet = internet
        self.source = source
        self.destination = destination
        self.mtu = internet.mtu
        self.offloads = internet.offloads
        self.valid = True
        self.broadcast = destination[-1] == 255
        self.confirmed = 0

    def send(
        self, packet: Packet, protocol: int, *, hop_limit: int = 64, traffic_class: int = 0, dont_fragment: bool = True
    ) -> None:
        assert protocol == 6
        if packet.end > self.mtu and not packet.segment_size:
            raise OSError(90, "too long")
        self.internet.transmit(packet, self)

    def confirm(self) -> None:
        self.confirmed += 1


class FakeInternet:
    """What TCP needs of the net floor."""

    def __init__(self, scheduler: Scheduler, random: Random, address: bytes = OURS) -> None:
        self.scheduler = scheduler
        self.random = random
        self.address = address
        self.counters: Counter[str] = Counter()
        self.mtu = 1500
        self.offloads = Offloads.NONE
        self.sent: list[tuple[Packet, FakePath]] = []
        self.unreachable = 0

    def path(self, destination: bytes, source: bytes | None = None) -> FakePath:
        if self.unreachable:
            raise OSError(self.unreachable, "no way")
        return FakePath(self, source or self.address, destination)

    def is_broadcast(self, address: bytes) -> bool:
        return address[-1] == 255

    def transmit(self, packet: Packet, path: FakePath) -> None:
        self.sent.append((packet, path))


def make_tcp(
    scheduler: Scheduler, random: Random, settings: TcpSettings | None = None, address: bytes = OURS
) -> tuple[Tcp, Any]:
    """A host's TCP on a fake net floor, and that floor."""
    internet: Any = FakeInternet(scheduler, random, address)
    return Tcp(internet, PortRegistry(random), settings), internet


def arriving(data: bytes, source: bytes = THEIRS, destination: bytes = OURS, segment_size: int = 0) -> Packet:
    """A received packet whose TCP segment is ``data``."""
    packet = Packet([bytes(20) + data], checksum=VERIFIED, segment_size=segment_size)
    packet.network, packet.offset = 0, 20
    packet.source, packet.destination = source, destination
    return packet


@dataclass
class Seen:
    """A segment that the host sent; numbers as on the wire."""

    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int
    window: int
    options: wire_options.Options
    payload: bytes
    segment_size: int

    @classmethod
    def read(cls, packet: Packet) -> Seen:
        data = packet.tobytes()
        source, destination, seq, ack, word, window, _, _ = HEADER.unpack_from(data)
        start = word >> 12 << 2
        options = wire_options.parse(data, 20, start)
        return cls(
            source, destination, seq, ack, word & 0xFF, window, options, data[start:], packet.segment_size
        )  # fmt: skip

    @property
    def end(self) -> int:
        """The sequence number after this segment."""
        return (self.seq + len(self.payload) + (self.flags & FIN) + bool(self.flags & SYN)) & MASK

    def __repr__(self) -> str:
        return f"<{flag_names(self.flags)} seq {self.seq} ack {self.ack} win {self.window} len {len(self.payload)}>"


@dataclass(eq=False)
class Peer:
    """The test's end. ``seq`` is what it sends next, ``ack`` what it has from the host; both wrap as on the wire.

    Without ``timestamps``, ``sack`` and ``shift`` the peer's SYN has just an MSS.
    """

    settings: TcpSettings = field(default_factory=TcpSettings)
    timestamps: bool = False
    sack: bool = False
    shift: int | None = None
    mss: int = 1460
    seq: int = 1000
    ack: int = 0
    port: int = 4000
    our_port: int = 80
    window: int = 65535

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(1000.0)
        self.tcp, self.internet = make_tcp(self.scheduler, Random(1), self.settings)
        self.echo = 0

    # time

    def advance(self, seconds: float) -> None:
        """Let time pass, timers fire and batches end."""
        until = self.scheduler.now + seconds
        self.scheduler.flush()
        while (when := self.scheduler.next_event()) is not None and when <= until:
            self.scheduler.advance(when)
            self.scheduler.flush()
        self.scheduler.advance(until)
        self.scheduler.flush()

    # segments

    def raw(self, flags: int, payload: bytes = b"", *, seq: int | None = None, ack: int | None = None,
            window: int | None = None, options: bytes | None = None) -> bytes:  # fmt: skip
        if options is None:
            options = b""
            if self.timestamps:
                options = wire_options.ALIGNED.pack(wire_options.TIMESTAMPS_ALIGNED, self.stamp(), self.echo)
        header = HEADER.pack(
            self.port,
            self.our_port,
            (self.seq if seq is None else seq) & MASK,
            ((self.ack if ack is None else ack) & MASK) if flags & ACK else 0,
            20 + len(options) << 10 | flags,
            self.window if window is None else window,
            0,
            0,
        )
        return header + options + payload

    def stamp(self) -> int:
        return int(self.scheduler.now * 1000) & MASK

    def send(
        self, flags: int, payload: bytes = b"", *, segment_size: int = 0, flush: bool = True, **fields: Any
    ) -> None:
        """Send one segment; ``seq`` moves over it unless the field was given."""
        self.tcp.receive(arriving(self.raw(flags, payload, **fields), segment_size=segment_size))
        if "seq" not in fields:
            self.seq = (self.seq + len(payload) + (flags & FIN) + bool(flags & SYN)) & MASK
        if flush:
            self.scheduler.flush()

    def data(self, payload: bytes, **fields: Any) -> None:
        self.send(ACK, payload, **fields)

    def syn_options(self) -> bytes:
        stamps = (self.stamp(), self.echo) if self.timestamps else None
        return wire_options.build_syn(self.mss, self.shift, stamps, sack=self.sack)

    def seen(self) -> list[Seen]:
        """What the host has sent since; ``ack`` follows, as far as it is in order."""
        self.scheduler.flush()
        segments = [Seen.read(packet) for packet, _ in self.internet.sent]
        self.internet.sent.clear()
        for segment in segments:
            if segment.seq == self.ack or segment.flags & SYN:
                self.ack = segment.end
            if segment.options.timestamp is not None:
                self.echo = segment.options.timestamp
        return segments

    def one(self) -> Seen:
        """The only segment that the host has sent since."""
        segments = self.seen()
        assert len(segments) == 1, segments
        return segments[0]

    def none(self) -> None:
        """The host has sent nothing."""
        segments = self.seen()
        assert not segments, segments

    # handshakes

    def listen(self, backlog: int = 5, options: TcpOptions | None = None) -> Listener:
        self.tcp.ports.bind(bytes(4), self.our_port, self, reuse=True)
        return self.tcp.listen((bytes(4), self.our_port), backlog, options)

    def open(self, options: TcpOptions | None = None) -> Connection:
        """An established connection that this peer opened."""
        listener = self.listen(options=options)
        self.send(SYN, options=self.syn_options())
        answer = self.one()
        assert answer.flags == SYN | ACK
        self.ack = answer.end
        self.send(ACK)
        connection = listener.accept()
        assert connection is not None
        self.none()
        return connection

    def connect(self, options: TcpOptions | None = None) -> Connection:
        """An established connection that the host opened."""
        self.port = 80
        connection = self.start_connect(options)
        self.send(SYN | ACK, options=self.syn_options())
        assert self.one().flags == ACK
        return connection

    def start_connect(self, options: TcpOptions | None = None) -> Connection:
        """A connection in SYN-SENT."""
        connection = self.tcp.connect(None, (THEIRS, self.port), options or TcpOptions())
        syn = self.one()
        assert syn.flags == SYN
        self.ack, self.our_port = syn.end, syn.source_port
        return connection

    def reset(self) -> Seen:
        """The RST that the host has sent, and nothing else."""
        segment = self.one()
        assert segment.flags & RST, segment
        return segment
