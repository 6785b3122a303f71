"""TAP and TUN interfaces: this stack's wire to the Linux kernel, and through it to the world.

The kernel sees a network interface of its own, ``tap0`` say; what it sends there is read here, and what is
written here it receives. A TAP carries Ethernet frames, a TUN bare IP packets.

Frames cost a system call each, so their number sets the speed. Where the kernel grants it, each frame is preceded by a
``virtio_net_hdr`` (virtio 1.2, 5.1.6), in which both sides say what they have left undone: a checksum to be completed,
a TCP packet of up to 64 KB to be cut into segments. Between the two no wire asks for it, so mostly it is never done.
Measured: a write of 1500 bytes 2.5 µs, of 65,000 bytes 5 µs; a read 1.2 and 7.7 µs, a read of nothing 1.2 µs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
import sys
from collections import Counter
from functools import lru_cache
from io import FileIO
from typing import TYPE_CHECKING, Final

import construct
import pytun

from .ethernet import local_address
from .link import EVERY_OFFLOAD, Offloads
from .packet import PARTIAL, VERIFIED, Packet
from .wireformat import fixed_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .packet import Buffer

# linux/if_tun.h
TUNSETOFFLOAD: Final = 0x400454D0
TUNSETVNETHDRSZ: Final = 0x400454D8
TUN_F_CSUM: Final = 0x01
TUN_F_TSO4: Final = 0x02
TUN_F_TSO6: Final = 0x04
TUN_F_TSO_ECN: Final = 0x08

# linux/virtio_net.h
NEEDS_CSUM: Final = 1
DATA_VALID: Final = 2
GSO_TCPV4: Final = 1
GSO_TCPV6: Final = 4
GSO_ECN: Final = 0x80

OffloadHeader: Final = construct.Struct(
    "flags" / construct.Int8un,
    "gso_type" / construct.Int8un,
    "hdr_len" / construct.Int16un,  # of all headers, where gso_type is not 0: a hint
    "gso_size" / construct.Int16un,
    "csum_start" / construct.Int16un,
    "csum_offset" / construct.Int16un,
)
OFFLOAD_HEADER: Final = fixed_part(OffloadHeader)
_SIZE: Final = OFFLOAD_HEADER.size
_read_header: Final = OFFLOAD_HEADER.unpack_from
_NOTHING_LEFT_UNDONE: Final = bytes(_SIZE)

#: Enough for any frame: a 64 KB packet behind a tagged Ethernet header and an offload header.
_READ_SIZE: Final = 65536 + 18 + _SIZE
#: The most buffers that one writev takes (UIO_MAXIOV).
_MOST_BUFFERS: Final = 1024
_TCP_HEADER_SIZE: Final = 20
#: Where TCP's flags are in its header, and the one that is the first segment's alone (RFC 3168 §6.1.2).
_TCP_FLAGS: Final = 13
_CWR: Final = 0x80

#: Why a frame could not be sent, in the words of ``counters``; any other error is not the wire's.
_DROPS: Final = {
    errno.EAGAIN: "queue_full",
    errno.ENOBUFS: "queue_full",
    errno.EIO: "link_down",
    errno.EBADF: "link_down",
    errno.EBADFD: "link_down",
    errno.EINVAL: "refused",
}


class _Tunnel:
    """What TAP and TUN have in common."""

    __slots__ = ("_descriptor", "_device", "_offloading", "_reader", "counters", "mtu", "name", "offloads")

    def __init__(
        self, kind: int, name: str, mtu: int, host_address: str | None, offload: bool, segmentation: bool
    ) -> None:
        host = ipaddress.IPv4Interface(host_address) if host_address else None
        if len(os.fsencode(name)) > 15:
            raise ValueError(f"interface name {name!r} is longer than 15 bytes")
        self._device, self.offloads = _open(kind, name, offload, segmentation)
        self._offloading = self.offloads is not Offloads.NONE
        self._descriptor: int = self._device.fileno()
        self._reader = FileIO(self._descriptor, closefd=False)  # says None for nothing, where os.read raises
        self.name: str = self._device.name
        self.mtu = mtu
        #: Frames that could not be sent, by reason.
        self.counters: Counter[str] = Counter()
        try:
            os.set_blocking(self._descriptor, False)
            _configure(self._device, mtu, host)
        except BaseException:
            self.close()
            raise

    def send_packet(self, packet: Packet) -> None:
        """Hand a frame to the kernel, which receives it on its interface; what it does not take is counted."""
        buffers = packet.buffers
        if self._offloading:
            header = self._offload_header(packet) if packet.checksum == PARTIAL else _NOTHING_LEFT_UNDONE
            buffers = [header, *buffers]
        try:
            os.writev(self._descriptor, buffers)
        except OSError as error:
            self._not_sent(error, buffers)

    def _offload_header(self, packet: Packet) -> bytes:
        """What the kernel is to complete: the checksum, and the segments."""
        start, segment_size = packet.checksum_start, packet.segment_size
        if not segment_size:
            return _checksum_header(start, packet.checksum_offset)
        kind = GSO_TCPV6 if self._carries_ipv6(packet.buffers[0]) else GSO_TCPV4
        if _tcp_flags(packet.buffers, start) & _CWR:
            kind |= GSO_ECN
        return OFFLOAD_HEADER.pack(
            NEEDS_CSUM, kind, start + _TCP_HEADER_SIZE, segment_size, start, packet.checksum_offset
        )

    def _carries_ipv6(self, start: Buffer) -> bool:
        raise NotImplementedError

    def _not_sent(self, error: OSError, buffers: list[Buffer]) -> None:
        if error.errno == errno.EINVAL and len(buffers) > _MOST_BUFFERS:
            try:
                os.write(self._descriptor, b"".join(buffers))
                return
            except OSError as second:
                error = second
        reason = _DROPS.get(error.errno or 0)
        if reason is None:
            raise error
        self.counters[reason] += 1

    def receive_packet(self) -> Packet | None:
        """The next frame that the kernel has sent on its interface, or None. Raises OSError (ENETDOWN) when the
        interface was deleted, or closed here.
        """
        try:
            data = self._reader.read(_READ_SIZE)
        except (OSError, ValueError):  # the latter: closed here
            raise OSError(errno.ENETDOWN, f"the interface {self.name} is gone") from None
        if data is None:
            return None
        if not self._offloading:
            return Packet([data])
        packet = Packet([data[_SIZE:]])
        flags, kind, _, segment_size, start, offset = _read_header(data)
        if flags & NEEDS_CSUM:
            packet.checksum = PARTIAL
            packet.checksum_start = start
            packet.checksum_offset = offset
        elif flags & DATA_VALID:
            packet.checksum = VERIFIED
        if kind:
            packet.segment_size = segment_size
        return packet

    def fileno(self) -> int:
        """The descriptor, readable when a frame has arrived."""
        return self._descriptor

    def close(self) -> None:
        """Give the interface back; the kernel deletes it, unless it was made to persist."""
        self._descriptor = -1
        self._reader.close()
        self._device.close()


class Tap(_Tunnel):
    """An Ethernet link to the kernel, over a TAP interface.

    ``name`` is the interface's on the kernel's side; empty, the kernel chooses (``tap0`` …). ``address`` is this
    stack's own link address on the wire between the two (random and locally administered unless given).
    ``host_address``, as 10.0.0.1/24, is given to the kernel's side. ``mtu`` counts bytes without the Ethernet header.
    ``offload=False`` asks for plain frames. ``segmentation=False`` asks for TCP segments one by one, where each is to
    have a fate of its own.

    Raises PermissionError (EPERM, EACCES) saying what it takes; OSError: EBUSY the name is taken, ENOENT or ENODEV this
    machine has no TUN/TAP driver, EINVAL an impossible name or MTU; ValueError for a malformed address.
    """

    __slots__ = ("address",)

    def __init__(
        self,
        name: str = "",
        *,
        mtu: int = 1500,
        address: bytes | None = None,
        host_address: str | None = None,
        offload: bool = True,
        segmentation: bool = True,
    ) -> None:
        super().__init__(pytun.IFF_TAP, name, mtu, host_address, offload, segmentation)
        self.address: bytes = address or local_address(int.from_bytes(os.urandom(5)))

    def _carries_ipv6(self, start: Buffer) -> bool:
        return start[12] == 0x86  # of the EtherType 0x86DD


class Tun(_Tunnel):
    """A point-to-point link of bare IP packets to the kernel, over a TUN interface; parameters and errors as `Tap`."""

    __slots__ = ()

    address: Final = None

    def __init__(
        self,
        name: str = "",
        *,
        mtu: int = 1500,
        host_address: str | None = None,
        offload: bool = True,
        segmentation: bool = True,
    ) -> None:
        super().__init__(pytun.IFF_TUN, name, mtu, host_address, offload, segmentation)

    def _carries_ipv6(self, start: Buffer) -> bool:
        return start[0] >> 4 == 6


@lru_cache(maxsize=256)
def _checksum_header(start: int, offset: int) -> bytes:
    """The offload header of one segment whose checksum begins at ``start``: the same few again and again."""
    return OFFLOAD_HEADER.pack(NEEDS_CSUM, 0, 0, 0, start, offset)


def _tcp_flags(buffers: list[Buffer], start: int) -> int:
    """The flags of a segment whose header begins at octet ``start``."""
    if len(buffers[0]) == start:
        return buffers[1][_TCP_FLAGS]  # as the floors above leave it: the headers below TCP's are one buffer
    position = start + _TCP_FLAGS
    for buffer in buffers:
        size = len(buffer)
        if position < size:
            return buffer[position]
        position -= size
    return 0


def _open(kind: int, name: str, offload: bool, segmentation: bool) -> tuple[pytun.TunTapDevice, Offloads]:
    """The device, and the offloads that the kernel grants with it."""
    flags = kind | pytun.IFF_NO_PI
    try:
        device = _open_offloading(name, flags, segmentation) if offload else None
        if device is not None:
            return device, EVERY_OFFLOAD if segmentation else Offloads.CHECKSUM
        return pytun.TunTapDevice(name=name, flags=flags), Offloads.NONE
    except pytun.Error as error:
        raise _explained(error, name) from None


def _open_offloading(name: str, flags: int, segmentation: bool) -> pytun.TunTapDevice | None:
    """The device with an offload header on each frame, or None where the kernel grants no offloads."""
    try:
        device = pytun.TunTapDevice(name=name, flags=flags | pytun.IFF_VNET_HDR)
    except pytun.Error as error:
        if error.errno == errno.EINVAL:
            return None
        raise
    try:
        fcntl.ioctl(device.fileno(), TUNSETVNETHDRSZ, _SIZE.to_bytes(4, sys.byteorder))
        offloads = TUN_F_CSUM | (TUN_F_TSO4 | TUN_F_TSO6 if segmentation else 0)
        try:
            _set_offloads(device, offloads | (TUN_F_TSO_ECN if segmentation else 0))
        except OSError:
            _set_offloads(device, offloads)
    except OSError:
        device.close()
        return None
    return device


def _set_offloads(device: pytun.TunTapDevice, offloads: int) -> None:
    fcntl.ioctl(device.fileno(), TUNSETOFFLOAD, offloads)


def _configure(device: pytun.TunTapDevice, mtu: int, host: ipaddress.IPv4Interface | None) -> None:
    """Set up the kernel's side, as far as it is not so already."""
    with _refusal_of(f"MTU {mtu}"):
        if device.mtu != mtu:
            device.mtu = mtu
    if host is not None:
        with _refusal_of(f"address {host}"):
            device.addr = str(host.ip)
            device.netmask = str(host.netmask)
    # The owner of a persistent interface may use it, but only an administrator may bring it up.
    with contextlib.suppress(PermissionError), _refusal_of("bringing the interface up"):
        device.up()


@contextlib.contextmanager
def _refusal_of(what: str) -> Iterator[None]:
    """Turn pytun's errors into what the kernel means by them (OSError picks its own subclass by errno)."""
    try:
        yield
    except pytun.Error as error:
        raise OSError(error.errno, f"{what}: {os.strerror(error.errno or 0)}") from None


def _explained(error: OSError, name: str) -> OSError:
    """The error as people can act on it, with the kernel's errno."""
    code = error.errno or errno.EINVAL
    if code in (errno.EPERM, errno.EACCES):
        return OSError(
            code, "no permission for /dev/net/tun: be root, have CAP_NET_ADMIN, or start under `unshare -rn`"
        )
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return OSError(code, "this machine has no TUN/TAP driver (/dev/net/tun; `modprobe tun` may load it)")
    if code == errno.EBUSY:
        return OSError(code, f"the interface {name} is in use already")
    if code == errno.EINVAL and name in (taken for _, taken in socket.if_nameindex()):
        return OSError(errno.EBUSY, f"the interface {name} exists already, as something else")
    if code == errno.EINVAL:
        return OSError(code, f"{name!r} cannot be the name of an interface")
    return OSError(code, f"TUN/TAP interface {name}: {os.strerror(code)}")
