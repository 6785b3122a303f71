"""The sockets of one host."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...transport.errors import error
from . import numbers as n
from .datagram import DatagramSocket
from .stream import StreamSocket

if TYPE_CHECKING:
    from ..host import Host
    from .base import Socket


@dataclass
class CallSettings:
    """Limits of a host's sockets; in brackets the sysctl that a value is like."""

    #: Sockets at once (fs.file-max).
    max_sockets: int = 65536
    #: The longest backlog of a listener (net.core.somaxconn).
    max_backlog: int = 4096
    #: The most that SO_RCVBUF and SO_SNDBUF can ask for, in bytes, before doubling (net.core.rmem_max, wmem_max).
    max_receive_buffer: int = 4 << 20
    max_send_buffer: int = 4 << 20
    #: Sockets may be bound to addresses that are not the host's (net.ipv4.ip_nonlocal_bind).
    nonlocal_bind: bool = False


class Calls:
    """The socket table of ``host``: where sockets are made, and all that are open."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.settings = host.settings.calls
        self.sockets: set[Socket] = set()
        #: What is added to the host's clock to get seconds since 1970, for time stamps.
        self.epoch = 0.0

    def socket(self, family: int, type: int, protocol: int = 0) -> Socket:
        """socket(2); flags in ``type`` are the caller's to mind.

        Raises OSError EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT for what this host does not have, EINVAL for what
        no host has, ENFILE when it has too many sockets.
        """
        if family != n.AF_INET:
            raise error(errno.EAFNOSUPPORT)
        kind = type & n.SOCK_TYPE_MASK
        if not 0 <= kind <= n.SOCK_PACKET or protocol < 0 or protocol >= n.IPPROTO_MAX:
            raise error(errno.EINVAL)
        if kind not in (n.SOCK_STREAM, n.SOCK_DGRAM, n.SOCK_RAW):
            raise error(errno.ESOCKTNOSUPPORT)
        if (kind, protocol) not in _PROTOCOLS:
            raise error(errno.EPROTONOSUPPORT)
        self.check_limit()
        return StreamSocket(self) if kind == n.SOCK_STREAM else DatagramSocket(self)

    def wall_clock(self, when: float | None = None) -> float:
        """A moment of the host's clock (now, unless given) in seconds since 1970."""
        return self.epoch + (self.host.scheduler.now if when is None else when)

    def check_limit(self) -> None:
        """Whether there may be one more socket. Raises OSError ENFILE."""
        if len(self.sockets) >= self.settings.max_sockets:
            raise error(errno.ENFILE)


_PROTOCOLS = {
    (n.SOCK_STREAM, 0),
    (n.SOCK_STREAM, n.IPPROTO_TCP),
    (n.SOCK_DGRAM, 0),
    (n.SOCK_DGRAM, n.IPPROTO_UDP),
}
