"""Stream sockets: the calls of TCP (tcp(7)).

A socket is fresh, then a listener or one end of a connection; a connection that failed to open leaves it fresh again.
What the kernel calls the socket's state (SS_UNCONNECTED, SS_CONNECTING …) is the ``_Phase``: it changes by calls only,
whatever the network does meanwhile.
"""

from __future__ import annotations

import errno
from enum import Enum
from typing import TYPE_CHECKING, Final

from ...net.address import ANY4
from ...transport.errors import error
from ...transport.tcp import send_memory
from ...transport.tcp.early import SENT
from ...transport.tcp.fast_open import CLIENT, EVERY_LISTENER, SERVER
from ...transport.tcp.settings import TcpOptions
from ...transport.tcp.state import OPENING, State
from ...transport.tcp.window import NOTHING
from . import numbers as n
from . import reading, report_options
from .base import Socket, is_multicast
from .messages import failure_report
from .options import STREAM
from .reports import Reports, report_on

if TYPE_CHECKING:
    from collections import deque

    from ...link.packet import Buffer
    from ...net.address import Address
    from ...net.failure import Failure
    from ...transport.tcp.connection import Connection
    from ...transport.tcp.listener import Listener
    from ..host import Host
    from .table import Calls

#: The connection is gone (for the user, also while its addresses rest in TIME-WAIT).
_OVER: Final = frozenset({State.CLOSED, State.TIME_WAIT})
#: Cutting the connection leaves an error: its peer is told by RST, or would be.
_CUT: Final = frozenset(
    {
        State.SYN_SENT,
        State.SYN_RECEIVED,
        State.ESTABLISHED,
        State.CLOSE_WAIT,
        State.FIN_WAIT_1,
        State.FIN_WAIT_2,
    }
)
_RD, _WR, _BOTH = 1, 2, 3
#: The MSS that getsockopt reports before there is a connection, in bytes.
_DEFAULT_MSS: Final = 536


class _Phase(Enum):
    UNCONNECTED = 0
    CONNECTING = 1
    CONNECTED = 2
    DISCONNECTING = 3


class StreamSocket(Socket):
    """A TCP socket. For gates that carry its bytes without copying there are ``received`` and ``consume``, ``room`` and
    ``write``, and ``at_end``, as a `Connection` has them."""

    __slots__ = ("_bound", "_connection", "_error_taken", "_keeps_port", "_left_error", "_listener", "_name", "_over",
                 "_phase", "_reports", "backlog", "connected", "options", "reuseport", "urgent_read")  # fmt: skip

    type = n.SOCK_STREAM
    protocol = n.IPPROTO_TCP
    option_table = STREAM

    def __init__(self, calls: Calls, options: TcpOptions | None = None) -> None:
        super().__init__(calls)
        self.options = options or _options(calls.host)
        self.reuseport = False
        self.backlog = 0
        #: Whether the connection was once established (it may have ended since).
        self.connected = False
        self._bound: tuple[Address, int] = (ANY4, 0)  # by bind, or by listen
        self._name = self._bound  # the same, or the connection's local end
        self._keeps_port = False  # bind asked for this very port
        self._listener: Listener | None = None
        self._connection: Connection | None = None
        self._phase = _Phase.UNCONNECTED
        self._error_taken = False
        self._left_error = 0  # of a connection that the program has cut
        self._over = False  # the connection has ended
        self._reports: Reports | None = None
        #: The mark whose urgent byte was read by MSG_OOB.
        self.urgent_read = -1

    # names

    def bind(self, address: tuple[Address, int]) -> None:
        self._check_local(address[0])
        in_use = self._connection is not None and self._connection.state not in _OVER
        if self._bound[1] or in_use or self._listener is not None:
            raise error(errno.EINVAL)
        if not address[1] and self.values.get((n.IPPROTO_IP, n.IP_BIND_ADDRESS_NO_PORT)):
            self._bound = self._name = address  # connect chooses the port
        else:
            self._bind(*address)
        self._keeps_port = bool(address[1])

    def getsockname(self) -> tuple[Address, int]:
        return self._name

    def getpeername(self) -> tuple[Address, int]:
        connection = self._connection
        if connection is None or connection.state is State.SYN_SENT or connection.state in _OVER:
            raise error(errno.ENOTCONN)
        return connection.remote

    @property
    def remote(self) -> tuple[Address, int] | None:
        """The other end's address, even of a connection that has ended; None if there never was one."""
        return self._connection.remote if self._connection is not None else None

    @property
    def connection(self) -> Connection | None:
        """What is behind the socket, for tools that show it."""
        return self._connection

    @property
    def listener(self) -> Listener | None:
        return self._listener

    @property
    def most_low_water(self) -> int:
        return (self.options.receive_buffer or self.calls.host.tcp.settings.max_receive_buffer) // 2

    # opening

    @property
    def listening(self) -> bool:
        return self._listener is not None

    @property
    def connecting(self) -> bool:
        """Whether a handshake of ``connect`` is under way, and nothing can be sent before it is over."""
        connection = self._connection
        return connection is not None and connection.state in OPENING and not connection.early

    @property
    def outcome_due(self) -> bool:
        """Whether a connect has begun whose outcome was not asked for yet (data that open a connection do not ask)."""
        connection = self._connection
        opened_by_data = connection is not None and (connection.early or connection.fast_open & SENT)
        return self._phase is _Phase.CONNECTING and not opened_by_data

    def listen(self, backlog: int) -> None:
        """Take connections, ``backlog`` of which may wait to be accepted; on a listener, change the backlog.

        Binds to an ephemeral port if need be. Raises OSError EINVAL when connected, EADDRINUSE when another socket
        listens on the port.
        """
        if self._phase is not _Phase.UNCONNECTED or self._connection is not None:
            raise error(errno.EINVAL)
        limit = self.calls.settings.max_backlog
        self.backlog = backlog = min(backlog, limit) if backlog >= 0 else limit
        if self._listener is not None:
            self._listener.backlog = backlog
            return
        if not self._bound[1]:
            self._bind(self._bound[0], 0)
        mode = self.calls.host.tcp.settings.fast_open
        if mode & SERVER and mode & EVERY_LISTENER and not self.options.fast_open:
            self.options.fast_open = backlog
        self._listener = self.calls.host.tcp.listen(self._bound, backlog, self.options)
        self._listener.observer = self._on_change
        self._shut = 0

    @property
    def acceptable(self) -> bool:
        """Whether ``accept`` would find a connection."""
        return self._listener is not None and self._listener.waiting > 0

    def accept(self) -> StreamSocket:
        """The next connection. Raises OSError EINVAL unless listening, EAGAIN when none waits, ENFILE (it stays)."""
        if self._listener is None:
            raise error(errno.EINVAL)
        if not self.acceptable:
            raise error(errno.EAGAIN)
        self.calls.check_limit()
        connection = self._listener.accept()
        assert connection is not None
        socket = StreamSocket(self.calls, connection.options)
        socket._inherit(self, connection)
        return socket

    def connect(self, address: tuple[Address, int] | None) -> None:
        """Begin to open a connection, or ask how that went; None dissolves the connection.

        Raises OSError EINPROGRESS when it has begun; EALREADY while it is under way; the errno of its failure, once
        (ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH …); EISCONN when connected or listening; ENETUNREACH; EADDRNOTAVAIL when
        the addresses and ports are in use or no port is left. With TCP_FASTOPEN_CONNECT and a cookie for the server
        there is no error: the first data open the connection.
        """
        self._connect(address, early=False)

    def _connect(self, address: tuple[Address, int] | None, *, early: bool) -> None:
        if address is None:
            self._disconnect()
            return
        target = self._target(address)
        if self._phase is _Phase.CONNECTED or self._listener is not None:
            raise error(errno.EISCONN)
        if self._phase is _Phase.CONNECTING:
            self._ask_for_outcome()
            return
        if self._phase is _Phase.DISCONNECTING:
            raise error(errno.EINVAL)
        if is_multicast(target[0]) or self.calls.host.internet.is_broadcast(target[0]):
            raise error(errno.ENETUNREACH)
        bound = self._bound if any(self._bound[0]) or self._bound[1] else None
        self._connection = self.calls.host.tcp.connect(bound, target, self.options, early=early)
        self._connection.observer = self._on_change
        self._name = self._connection.local
        self._left_error = 0
        self._phase = _Phase.CONNECTING
        if not self._connection.early:
            raise error(errno.EINPROGRESS)

    @property
    def opens_by_sending(self) -> bool:
        """Whether a connect waits for the first data."""
        connection = self._connection
        return connection is not None and connection.early and connection.state is State.SYN_SENT

    def _ask_for_outcome(self) -> None:
        if self.opens_by_sending:
            raise error(errno.EISCONN)
        if self.connecting:
            raise error(errno.EALREADY)
        if self._connection is not None and self._connection.state not in _OVER:
            self._phase = _Phase.CONNECTED
            return
        number = self.take_error() or errno.ECONNABORTED
        self._forget()
        raise error(number)

    # closing

    def shutdown(self, how: int) -> None:
        """End one direction or both; on a listener or an unfinished connection SHUT_RD makes the socket fresh again."""
        if how not in (n.SHUT_RD, n.SHUT_WR, n.SHUT_RDWR):
            raise error(errno.EINVAL)
        how += 1
        self.wake()
        connection = self._connection
        if connection is not None and self._phase is _Phase.CONNECTING:
            opened = connection.state not in OPENING and connection.state not in _OVER
            self._phase = _Phase.CONNECTED if opened else _Phase.DISCONNECTING
        if self._listener is not None:
            if how & _RD:
                self._forget()
            else:
                self._shut |= how
        elif connection is not None and connection.state is State.SYN_SENT:
            self._forget()
            self._left_error = errno.ECONNRESET
        else:
            self._shut |= how
            if connection is None or connection.state in _OVER:
                raise error(errno.ENOTCONN)
            if how & _RD:
                connection.shutdown_receive()
            if how & _WR:
                connection.shutdown()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.observer = None
            self._forget(abort=self.linger == 0)
            self.calls.sockets.discard(self)
            self.calls.host.tcp.ports.release(self)

    def abort(self) -> None:
        """Close, and end the connection with a RST whatever there is still to send."""
        self.linger = 0
        self.close()

    # data

    @property
    def received(self) -> deque[memoryview]:
        """In-order data that wait, as views; `consume` takes them off."""
        return self._connection.received if self._connection is not None else NOTHING

    @property
    def readable(self) -> int:
        """How many bytes wait."""
        return self._connection.readable if self._connection is not None else 0

    def consume(self, size: int) -> None:
        """Take ``size`` bytes off ``received``, which makes room in the receive window."""
        if self._connection is not None:
            self._connection.consume(size)

    @property
    def at_end(self) -> bool:
        """Whether the peer sends nothing after ``received``."""
        return self._connection is not None and self._connection.at_end

    @property
    def error(self) -> int:
        """The errno of what ended the connection, until it is taken; 0 for none."""
        if self._connection is None or self._error_taken:
            return self._left_error
        return self._connection.error

    @property
    def room(self) -> int:
        """How many bytes ``write`` would take now."""
        return self._connection.room if self._connection is not None else 0

    def write(self, data: Buffer, flags: int = 0, *, whole: bool = True) -> None:
        """Send all of ``data``, uncopied: they must not be changed any more. ``flags`` are as in `send`; unless
        ``whole``, there was no room for what follows, and they are for its end."""
        connection = self._connection
        if connection is None:
            return
        if not flags:
            connection.write(data)
        elif flags & n.MSG_OOB:
            connection.write_urgent(data)
        else:
            more, record = bool(flags & n.MSG_MORE), bool(flags & n.MSG_EOR)
            connection.write(data, more=more and whole, record=record and whole)
        if not whole:
            connection.push()

    def wait_for_room(self) -> None:
        """Somebody waits until he can send: an acknowledgment that ends the handshake may go with his data."""
        if self._connection is not None:
            self._connection.room_wanted = self._connection.grows = True

    @property
    def unacknowledged(self) -> int:
        """How many bytes were written and not acknowledged by the peer yet."""
        return self._connection.unacknowledged if self._connection is not None else 0

    @property
    def write_ended(self) -> bool:
        """Whether nothing can be written any more."""
        return bool(self._shut & _WR) or (self._connection is not None and self._connection.state in _OVER)

    @property
    def lingering(self) -> bool:
        """Whether close should wait until everything is acknowledged (SO_LINGER)."""
        return bool(self.linger)

    def send(
        self,
        data: Buffer,
        flags: int = 0,
        address: tuple[Address, int] | None = None,
        *,
        stamped: int | None = None,
    ) -> int:
        """Send as much of ``data`` as there is room for, and return how much, in bytes.

        With MSG_FASTOPEN it connects to ``address``, in one go where the server has given us a cookie (RFC 7413); where
        it has not, it raises what connect raises. With MSG_OOB the last byte is urgent (RFC 6093); with MSG_MORE a
        small segment waits for the next call's data; with MSG_EOR no segment goes on after the last byte. With
        MSG_ZEROCOPY and SO_ZEROCOPY the error queue says when they have arrived; ``stamped`` takes the place of
        SO_TIMESTAMPING's bits.
        Raises OSError EAGAIN without room or while connecting, EPIPE when not connected or shut down, what ended the
        connection (ECONNRESET, ETIMEDOUT …), once, EOPNOTSUPP for MSG_FASTOPEN where it is off.
        """
        if flags & n.MSG_FASTOPEN or (self._phase is _Phase.CONNECTING and self.opens_by_sending):
            self._open_by_sending(data, address)
        if self.connecting and not self._shut & _WR:
            raise error(errno.EAGAIN)
        connection = self._connection
        if connection is None or self.error or self.write_ended:
            raise error(self.take_error() or errno.EPIPE)
        size = len(data)
        if not send_memory.takes(connection, size):
            size = min(size, connection.room)
        connection.grows = size < len(data)
        if data and not size:
            raise error(errno.EAGAIN)
        self.write(bytes(memoryview(data)[:size]), flags, whole=size == len(data))
        if size and self.values:
            report_on(self, connection, flags, stamped)
        return size

    def _open_by_sending(self, data: Buffer, address: tuple[Address, int] | None) -> None:
        """See to a connection, as MSG_FASTOPEN does."""
        if not self.calls.host.tcp.settings.fast_open & CLIENT:
            raise error(errno.EOPNOTSUPP)
        if self._phase is _Phase.CONNECTED or self._listener is not None:
            raise error(errno.EISCONN)
        if self._phase is _Phase.UNCONNECTED:
            if address is None:
                raise error(errno.EINVAL)
            self._connect(address, early=True)
        elif not self.opens_by_sending:
            self._ask_for_outcome()
        if self._connection is not None and self.opens_by_sending and not data:
            self._connection.mark()  # the SYN goes without any
            raise error(errno.EINPROGRESS)

    def count_stamps(self, *, from_end: bool) -> None:
        report_options.count_stream_stamps(self, from_end=from_end)

    @property
    def reports(self) -> Reports:
        """What is told about data that were sent."""
        if self._reports is None:
            self._reports = Reports(self)
        return self._reports

    receive = reading.receive
    receive_message = reading.receive_message
    ioctl = reading.ioctl

    @property
    def inline(self) -> bool:
        """SO_OOBINLINE: the urgent byte is a byte like any other."""
        return bool(self.values) and bool(self.values.get((n.SOL_SOCKET, n.SO_OOBINLINE)))

    @property
    def shut_for_reading(self) -> bool:
        return bool(self._shut & _RD)

    # state

    def readiness(self) -> int:
        """As Linux's tcp_poll computes it, which takes whoever asks while there is no room to wait for it."""
        if self._listener is not None:
            return n.POLLIN if self.acceptable else 0
        connection = self._connection
        over = connection is None or connection.state in _OVER
        shut = self._shut
        if connection is not None:
            shut |= (_BOTH if over else 0) | (_RD if connection.at_end else 0)
        bits = n.POLLHUP if over or shut == _BOTH else 0
        if shut & _RD:
            bits |= n.POLLIN | n.POLLRDHUP
        if connection is not None and not self.connecting:
            wanted = self.receive_low_water
            if urgent := connection.urgent:
                if self.urgent_read != connection.rcv_up and (urgent <= connection.readable or shut & _RD):
                    bits |= n.POLLPRI
                wanted += urgent == 1 and not self.inline
            if connection.readable >= wanted:
                bits |= n.POLLIN
            if not shut & _WR:
                if connection.writable:
                    bits |= n.POLLOUT
                else:
                    connection.room_wanted = connection.grows = True
        if over or shut & _WR:
            bits |= n.POLLOUT
        return bits | (n.POLLERR if self.error or self.error_queue else 0)

    @property
    def failed(self) -> bool:
        return bool(self.error)

    def take_error(self) -> int:
        number = self.error
        self._left_error = 0
        connection = self._connection
        if number and connection is not None:
            if connection.state in _OVER:
                self._error_taken = True
            else:
                connection.error = 0  # it goes on
        return number

    def report_error(self) -> int:
        number, connection = self.take_error(), self._connection
        if not number and connection is not None:  # what did not end the connection (RFC 9293 §3.9.2.2, SHOULD-25)
            number, connection.soft_error = connection.soft_error, 0
        return number

    def mtu(self) -> int:
        if self._connection is None:
            raise error(errno.ENOTCONN)
        return self._connection.path.mtu

    def segment_size(self) -> int:
        """TCP_MAXSEG: the MSS in use, in bytes; before there is a connection what was asked for, or the default."""
        if self._connection is None:
            return self.options.maxseg or _DEFAULT_MSS
        return self._connection.mss

    # inside

    def _bind(self, address: Address, port: int) -> None:
        options, bind = self.options, self.calls.host.tcp.ports.bind
        port = bind(address, port, self, reuse=options.reuse, reuseport=self.reuseport, among=options.local_ports)
        self._bound = self._name = address, port

    def _drop_port(self) -> None:
        """What was connected or listened gives back a port that nobody asked for."""
        if self._bound[1] and not self._keeps_port:
            self.calls.host.tcp.ports.release(self)
            self._bound = self._bound[0], 0

    def _disconnect(self) -> None:
        """connect to AF_UNSPEC: the connection is aborted, the socket fresh; a port that bind chose stays."""
        cut = self._connection is not None and self._connection.state in _CUT
        left = errno.ECONNRESET if cut else self.error
        self._forget(abort=True)
        self._left_error = left

    def _forget(self, *, abort: bool = False) -> None:
        """Be fresh again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.observer = None
            if abort:
                connection.abort()
            else:
                connection.close()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.observer = None
            listener.close()
        self._phase = _Phase.UNCONNECTED
        self._drop_port()
        self._name = self._bound[0], self._name[1]  # as on Linux the port that it had is shown on
        self._shut = 0
        self.connected = self._error_taken = self._over = False
        if self._reports is not None:
            self._reports.return_all()
            self._reports = None

    def _inherit(self, parent: StreamSocket, connection: Connection) -> None:
        """Be an accepted connection."""
        self.reuseport = parent.reuseport
        self.linger = parent.linger
        self.receive_low_water = parent.receive_low_water
        self.values = dict(parent.values)
        self.values.pop((n.SOL_SOCKET, n.SO_PRIORITY), None)  # as on Linux
        self.options.defer_accept = 0
        if self.options.failed is not None:
            self.options.failed = self._on_failure
        self._connection = connection
        connection.observer = self._on_change
        self._name = connection.local
        self._phase = _Phase.CONNECTED
        self.connected = True

    def _option_changed(self) -> None:
        self.options.failed = self._on_failure if self.values.get((n.IPPROTO_IP, n.IP_RECVERR)) else None
        ports = self.calls.host.tcp.ports
        if ports.port_of(self):
            ports.amend(self, reuse=self.options.reuse, reuseport=self.reuseport)
        if self._connection is not None:
            self._connection.options_changed()

    def _on_failure(self, failure: Failure) -> None:
        """An ICMP error, and IP_RECVERR is set."""
        self.report(failure_report(failure, failure.quote))

    def _on_change(self) -> None:
        connection = self._connection
        if connection is not None:
            if not self.connected:
                self.connected = connection.state not in OPENING and not connection.error
            if connection.state in _OVER and not self._over:
                self._over = True
                self._drop_port()
                if self._reports is not None:
                    self._reports.return_all()
        if self.observer is not None:
            self.observer()


def _options(host: Host) -> TcpOptions:
    """What a new socket starts with."""
    settings = host.tcp.settings
    return TcpOptions(
        keepalive_idle=settings.keepalive_idle,
        keepalive_interval=settings.keepalive_interval,
        keepalive_count=settings.keepalive_count,
        hop_limit=host.internet.settings.hop_limit,
        dont_fragment=not settings.no_path_mtu_discovery,
    )
