"""A link over a datagram socket of the kernel's: each packet is one datagram."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import Counter
from typing import TYPE_CHECKING, Final

from .link import Offloads
from .packet import Packet

if TYPE_CHECKING:
    from .packet import Buffer

#: The largest datagram there is, with its headers.
_READ_SIZE: Final = 65536
#: What the socket is asked to hold, in bytes; the kernel grants as much as net.core.rmem_max says.
_BUFFER: Final = 4 << 20
#: The peer is not there (yet), or is not there any more: the packet is lost, as on any wire.
_LOSSES: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EPERM, errno.EMSGSIZE,
                            errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOTCONN, errno.ECONNRESET})  # fmt: skip


class DatagramLink:
    """A point-to-point link of bare IP packets through ``socket``, a connected datagram socket (UDP, or AF_UNIX), which
    the link takes over and sets non-blocking::

        tunnel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tunnel.bind(("127.0.0.1", 4000))
        tunnel.connect(("127.0.0.1", 4001))
        host.attach(DatagramLink(tunnel, mtu=16000), "10.0.0.1/24")

    With ``address`` (six bytes) it carries Ethernet II frames. ``mtu`` is in bytes; UDP itself takes 28 bytes more of
    the path it runs over. Packets that the kernel does not take are dropped, and counted by the name of the errno.
    """

    __slots__ = ("_socket", "address", "counters", "mtu")

    offloads = Offloads.NONE

    def __init__(self, socket: socket.socket, *, mtu: int = 1472, address: bytes | None = None) -> None:
        self.mtu = mtu
        self.address = address
        #: Dropped packets, by reason.
        self.counters: Counter[str] = Counter()
        self._socket = socket
        socket.setblocking(False)
        _enlarge(socket)

    def send_packet(self, packet: Packet) -> None:
        """Send a packet as one datagram."""
        buffers: list[Buffer] = packet.buffers
        try:
            self._socket.sendmsg(buffers)
        except OSError as error:
            self._count(error)

    def receive_packet(self) -> Packet | None:
        """The next packet that has arrived, or None. Raises OSError (ENETDOWN) once closed."""
        while True:
            try:
                return Packet([self._socket.recv(_READ_SIZE)])
            except BlockingIOError:
                return None
            except OSError as error:
                self._count(error)

    def _count(self, error: OSError) -> None:
        number = error.errno or 0
        if number not in _LOSSES:
            raise OSError(errno.ENETDOWN, f"the tunnel is gone: {error.strerror}") from None
        self.counters[errno.errorcode[number].lower()] += 1

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _enlarge(tunnel: socket.socket) -> None:
    for option in socket.SO_RCVBUF, socket.SO_SNDBUF:
        with contextlib.suppress(OSError):
            tunnel.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
