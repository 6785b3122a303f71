"""UDP (RFC 768, RFC 1122 §4.1): datagrams between ports.

A datagram that arrives goes to the endpoint that is connected to its sender, else to the one bound to its destination,
else to the one bound to the wildcard: one dict, three kinds of key, at most three lookups. A broadcast goes to
everyone it fits.
"""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from construct import Int16ub
from construct import Struct as Declaration

from ..link.packet import PARTIAL, Buffer, Packet
from ..link.wireformat import fixed_part
from ..net.address import ANY4, Address
from ..net.checksum import pseudo_header_sum, verify_transport
from ..net.failure import Failure
from ..net.icmp import PORT_UNREACHABLE
from ..net.protocols import UDP
from .errors import error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..net.internet import Internet
    from ..net.path import Path
    from .ports import PortRegistry

HEADER: Final = Declaration(
    "source" / Int16ub,
    "destination" / Int16ub,
    "length" / Int16ub,  # header and payload, in bytes
    "checksum" / Int16ub,  # 0: the sender computed none
)
_HEADER: Final = fixed_part(HEADER)
_HEADER_SIZE: Final = _HEADER.size
_CHECKSUM_OFFSET: Final = 6
_IP_HEADER: Final = {4: 20, 16: 40}  # size by the length of an address
#: The payload that fits in an IPv4 packet, in bytes.
MAX_PAYLOAD: Final = 65535 - 20 - _HEADER_SIZE
#: What a waiting datagram costs of the receive buffer besides its payload, in bytes (so that empty ones cost, too).
OVERHEAD: Final = 512

# How an endpoint treats datagrams that exceed the path's MTU: the numbers of Linux's IP_MTU_DISCOVER. Other numbers are
# as FRAGMENT.
FRAGMENT: Final = 0  # never set DF
WANT: Final = 1  # set DF on what fits, fragment what does not
REFUSE: Final = 2  # always set DF; EMSGSIZE for what does not fit
PROBE: Final = 3  # the same, here


@dataclass(frozen=True)
class UdpSettings:
    """``receive_buffer``: bytes that may wait in an endpoint (payload and OVERHEAD of each) before datagrams are
    dropped; Linux's net.core.rmem_default."""

    receive_buffer: int = 212992


class Udp:
    """The UDP of one host: a transport that IP delivers to."""

    def __init__(self, internet: Internet, ports: PortRegistry, settings: UdpSettings | None = None) -> None:
        self.internet = internet
        self.ports = ports
        self.settings = settings or UdpSettings()
        self.endpoints: set[UdpEndpoint] = set()
        # Keys are as in an arriving packet: source + destination + both ports for connected endpoints, destination +
        # port for bound ones (the wildcard is an address of zeros). The last of a list bound last.
        self._table: dict[bytes, list[UdpEndpoint]] = {}

    def open(self) -> UdpEndpoint:
        """A new endpoint, without any address."""
        endpoint = UdpEndpoint(self)
        self.endpoints.add(endpoint)
        return endpoint

    def receive(self, packet: Packet) -> None:
        """Deliver an arrived datagram; a broken one is dropped and counted, one nobody waits for answered with ICMP
        port unreachable (RFC 1122 §4.1.3.1)."""
        data = packet.buffers[0]
        offset = packet.offset
        if packet.end - offset < _HEADER_SIZE:
            self._drop("short")
            return
        port, _, length, checksum = _HEADER.unpack_from(data, offset)
        if length < _HEADER_SIZE or offset + length > packet.end:
            self._drop("bad_length")
            return
        packet.end = offset + length
        if checksum and not packet.checksum and not verify_transport(packet, UDP):
            self._drop("bad_checksum")
            return
        ports = data[offset : offset + 4]
        table = self._table
        found = (
            table.get(packet.source + packet.destination + ports)
            or table.get(packet.destination + ports[2:])
            or table.get(bytes(len(packet.destination)) + ports[2:])
        )
        if found is None:
            self._refuse(packet)
        elif len(found) == 1 and not found[0].on_broadcast:
            found[0]._deliver(packet, port)
        else:
            self._deliver_among(found, packet, port, ports)

    def receive_failure(self, failure: Failure) -> None:
        """An ICMP error about a datagram of ours: for a connected endpoint, or one that wants all errors, it becomes
        the error of its next call (RFC 1122 §4.1.3.3)."""
        for endpoint in self._senders(failure.source, failure.destination, failure.quote):
            if endpoint.all_errors or (endpoint.remote and (failure.hard or endpoint._too_big(failure.errno))):
                if endpoint.all_errors and endpoint.failed is not None:
                    endpoint.failed(failure)
                endpoint._fail(failure.errno)

    def vouches(self, source: Address, destination: Address, quote: bytes) -> bool:
        """Whether somebody here may have sent the datagram that an ICMP error quotes."""
        return bool(self._senders(source, destination, quote))

    def _senders(self, source: Address, destination: Address, quote: bytes) -> Sequence[UdpEndpoint]:
        ports = quote[2:4] + quote[:2]
        keys = (destination + source + ports, source + ports[2:], bytes(len(source)) + ports[2:])
        return next(filter(None, map(self._table.get, keys)), ())

    def _deliver_among(self, found: list[UdpEndpoint], packet: Packet, port: int, ports: Buffer) -> None:
        """Several endpoints may have it: all of them a broadcast, one of them anything else."""
        destination = packet.destination
        if self.internet.is_broadcast(destination):
            for address in destination, bytes(len(destination)):
                for endpoint in self._table.get(address + ports[2:], ()):
                    endpoint._deliver(packet, port)
        elif found[-1].reuseport:
            found[crc32(packet.source + ports) % len(found)]._deliver(packet, port)
        else:
            found[-1]._deliver(packet, port)

    def _refuse(self, packet: Packet) -> None:
        self._drop("no_port")
        if not self.internet.is_broadcast(packet.destination):
            self.internet.reply_unreachable(packet, PORT_UNREACHABLE)

    def _drop(self, reason: str) -> None:
        self.internet.counters["udp." + reason] += 1


class Detailed(tuple[memoryview, tuple[Address, int]]):
    """A datagram that arrived, with what its packet said besides: who was addressed, and when it came."""

    destination: Address
    hop_limit: int
    traffic_class: int
    interface: Any
    when: float
    #: How many had been dropped before, for want of room.
    dropped: int


class UdpEndpoint:
    """One end of UDP conversations: what stands behind a datagram socket.

    ``received`` holds (payload, (address, port)) of the datagrams that wait; a payload is a view of the frame.
    Each is a `Detailed` where ``detailed`` asks for that.
    ``error`` is the errno that an ICMP error left for the next call, 0 for none; ``failed`` is told of each, where
    ``all_errors`` asks for all of them.
    ``observer`` is called, once per batch of packets, when there is something to read or an error.
    """

    __slots__ = (
        "_bound",
        "_called",
        "_key",
        "_notified",
        "_path",
        "_pseudo_sum",
        "_queued",
        "_target",
        "_udp",
        "all_errors",
        "broadcast",
        "detailed",
        "discover",
        "dropped",
        "error",
        "failed",
        "hop_limit",
        "local",
        "local_ports",
        "observer",
        "on_broadcast",
        "receive_buffer",
        "received",
        "remote",
        "reuse",
        "reuseport",
        "traffic_class",
    )

    def __init__(self, udp: Udp) -> None:
        self._udp = udp
        self.local: tuple[Address, int] = (ANY4, 0)
        self.remote: tuple[Address, int] | None = None
        self.observer: Callable[[], None] | None = None
        self.received: deque[tuple[memoryview, tuple[Address, int]]] = deque()
        self.error = 0
        self.dropped = 0
        self.reuse = False
        self.reuseport = False
        #: The first and the last port that may be chosen for it; 0: the host's.
        self.local_ports = (0, 0)
        self.broadcast = False
        self.all_errors = False
        self.failed: Callable[[Failure], object] | None = None
        self.detailed = False
        self.on_broadcast = False
        self.discover = WANT
        self.hop_limit = udp.internet.settings.hop_limit
        self.traffic_class = 0
        self.receive_buffer = udp.settings.receive_buffer
        self._bound: Address | None = None  # the address that bind asked for, if it can be a source
        self._called = False  # bind asked for this port
        self._key = b""
        self._notified = False
        #: Where the last datagram went, which needs no second look: a known address and port, and the path there.
        self._target: tuple[Address, int] | None = None
        self._path: Path | None = None
        self._pseudo_sum = 0
        self._queued = 0

    @property
    def queued(self) -> int:
        """Bytes of the receive buffer in use."""
        return self._queued

    def bind(self, address: Address, port: int) -> None:
        """Take a local address and port (0: an ephemeral one). Raises OSError EADDRINUSE; EINVAL when bound already."""
        if self.local[1]:
            raise error(errno.EINVAL)
        port = self._claim(address, port)
        self._called = True
        self.on_broadcast = self._udp.internet.is_broadcast(address)
        self._bound = address if any(address) and not self.on_broadcast else None
        self._settle((address, port), None)

    def connect(self, address: Address, port: int) -> None:
        """Talk to one remote end only, and hear its ICMP errors; binds to an ephemeral port if need be.

        Raises OSError ENETUNREACH without a route, EACCES for a broadcast address without ``broadcast``, EAGAIN without
        a free port.
        """
        self._autobind(address)
        path = self._route(address)
        local = self._bound or path.source
        self._settle((local, self.local[1]), (address, port))
        self._take(path, (address, port))

    def disconnect(self) -> None:
        """Undo ``connect``, and give back an address and port that were not asked for by ``bind``."""
        port = self.local[1] if self._called else 0
        if not port:
            self._udp.ports.release(self)
        self._settle((self._bound or bytes(len(self.local[0])), port), None)

    def send(self, buffers: Sequence[Buffer], destination: tuple[Address, int] | None = None) -> int:
        """Send one datagram, uncopied, and return its payload's size; binds to an ephemeral port if need be.

        ``destination`` may be left out when connected. Raises OSError EDESTADDRREQ; EINVAL for port 0; EMSGSIZE for
        more than MAX_PAYLOAD bytes, or more than the path's MTU where fragmenting is refused; ENETUNREACH; EACCES for
        a broadcast without ``broadcast``; EAGAIN without a free port; the waiting error, if there is one.
        """
        target, path = destination or self.remote, self._path
        if path is None or target is None or target != self._target or not path.valid:
            target = self._destination(destination)
            path = self._prepare(target)
        size = sum(map(len, buffers)) + _HEADER_SIZE
        if size > MAX_PAYLOAD + _HEADER_SIZE:
            raise error(errno.EMSGSIZE)
        address, port = target
        fits = size + _IP_HEADER[len(address)] <= path.mtu
        refused = self.discover in (REFUSE, PROBE)
        if refused and not fits:
            self._tell_too_large(path, target)
            raise error(errno.EMSGSIZE)
        if self.error:
            raise error(self.take_error())
        checksum = self._pseudo_sum + size
        checksum = (checksum & 0xFFFF) + (checksum >> 16)
        packet = Packet([bytearray(_HEADER.pack(self.local[1], port, size, checksum)), *buffers], checksum=PARTIAL)
        packet.checksum_offset = _CHECKSUM_OFFSET
        path.send(
            packet,
            UDP,
            hop_limit=self.hop_limit,
            traffic_class=self.traffic_class,
            dont_fragment=fits if self.discover == WANT else refused,
        )
        return size - _HEADER_SIZE

    def prepare(self, destination: tuple[Address, int] | None) -> None:
        """Do everything for sending to this destination but send; raises what `send` would, except a waiting error."""
        self._prepare(self._destination(destination))

    def reuse_changed(self) -> None:
        """``reuse`` or ``reuseport`` were set; they count for others who bind from now on."""
        if self.local[1]:
            self._udp.ports.amend(self, reuse=self.reuse, reuseport=self.reuseport)

    def receive(self) -> tuple[memoryview, tuple[Address, int]] | None:
        """The next datagram's payload and sender; None when none waits."""
        if not self.received:
            return None
        datagram = self.received.popleft()
        self._queued -= len(datagram[0]) + OVERHEAD
        return datagram

    def take_error(self) -> int:
        """The errno that waits, which is thereby cleared; 0 for none."""
        number, self.error = self.error, 0
        return number

    def mtu(self) -> int:
        """The MTU of the path to the remote end, in bytes. Raises OSError ENOTCONN when not connected."""
        if self.remote is None:
            raise error(errno.ENOTCONN)
        return self._route(self.remote[0]).mtu

    def mtu_to(self, destination: tuple[Address, int] | None) -> int:
        """The MTU of the path to there, in bytes. Raises what `prepare` does."""
        return self._prepare(self._destination(destination)).mtu

    def close(self) -> None:
        """Give back the port, forget what waits."""
        self._unlist()
        self._udp.ports.release(self)
        self._udp.endpoints.discard(self)
        self.observer = None
        self.received.clear()

    def _destination(self, destination: tuple[Address, int] | None) -> tuple[Address, int]:
        if not self.local[1]:
            self._autobind(destination[0] if destination else self.local[0])
        if destination is None:
            if self.remote is None:
                raise error(errno.EDESTADDRREQ)
            return self.remote
        if destination[1] == 0:
            raise error(errno.EINVAL)
        return destination

    def _route(self, address: Address) -> Path:
        path = self._udp.internet.path(address, self.local[0] if self.remote else self._bound)
        if path.broadcast and not self.broadcast:
            raise error(errno.EACCES)
        return path

    def _prepare(self, target: tuple[Address, int]) -> Path:
        """Where the next datagram goes, and on which path."""
        path = self._path
        if path is None or path.destination != target[0] or not path.valid:
            path = self._route(target[0])
        self._take(path, target)
        return path

    def _take(self, path: Path, target: tuple[Address, int]) -> None:
        self._path, self._target = path, target
        self._pseudo_sum = pseudo_header_sum(path.source, path.destination, UDP, 0)

    def _autobind(self, address: Address) -> None:
        """Linux does this first of all, so that a call that fails may leave the endpoint bound."""
        if self.local[1]:
            return
        anywhere = bytes(len(address))
        try:
            port = self._claim(anywhere, 0)
        except OSError:
            raise error(errno.EAGAIN) from None
        self._settle((anywhere, port), None)

    def _claim(self, address: Address, port: int) -> int:
        bind = self._udp.ports.bind
        return bind(address, port, self, reuse=self.reuse, reuseport=self.reuseport, among=self.local_ports)

    def _settle(self, local: tuple[Address, int], remote: tuple[Address, int] | None) -> None:
        """Be found under these addresses from now on."""
        self._unlist()
        self._target = self._path = None
        self.local, self.remote = local, remote
        address, port = local
        if not port:
            return
        self._udp.ports.amend(self, address=address)
        if remote:
            key = remote[0] + address + remote[1].to_bytes(2) + port.to_bytes(2)
        else:
            key = address + port.to_bytes(2)
        self._key = key
        self._udp._table.setdefault(key, []).append(self)

    def _unlist(self) -> None:
        table, key = self._udp._table, self._key
        if key:
            table[key].remove(self)
            if not table[key]:
                del table[key]
            self._key = b""

    def _deliver(self, packet: Packet, port: int) -> None:
        if self._queued > self.receive_buffer:
            self.dropped += 1
            self._udp._drop("receive_buffer_full")
            return
        payload = memoryview(packet.buffers[0])[packet.offset + _HEADER_SIZE : packet.end]
        datagram = payload, (packet.source, port)
        self.received.append(self._detail(datagram, packet) if self.detailed else datagram)
        self._queued += len(payload) + OVERHEAD
        self._notify()

    def _detail(self, datagram: tuple[memoryview, tuple[Address, int]], packet: Packet) -> Detailed:
        detailed = Detailed(datagram)
        detailed.destination = packet.destination
        detailed.hop_limit = packet.hop_limit
        detailed.traffic_class = packet.buffers[0][packet.network + 1]
        detailed.interface = packet.interface
        detailed.dropped = self.dropped
        detailed.when = self._udp.internet.scheduler.now
        return detailed

    def _too_big(self, number: int) -> bool:
        return number == errno.EMSGSIZE and self.discover != FRAGMENT

    def _tell_too_large(self, path: Path, target: tuple[Address, int]) -> None:
        """A datagram would have to be fragmented: to whom wants all errors that is one of them."""
        if self.all_errors and self.failed is not None:
            header = _HEADER.pack(self.local[1], target[1], 0, 0)
            self.failed(Failure(errno.EMSGSIZE, False, path.source, target[0], header, path.mtu))

    def _fail(self, number: int) -> None:
        self.error = number
        self._notify()

    def _notify(self) -> None:
        if self.observer is not None and not self._notified:
            self._notified = True
            self._udp.internet.scheduler.call_soon(self._call_observer)

    def _call_observer(self) -> None:
        self._notified = False
        if self.observer is not None:
            self.observer()
