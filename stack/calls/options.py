"""Socket options as data: for each (level, option) how its value is read and set, and what it may be.

Level and option are Linux's numbers, values the C structures that setsockopt(2) takes, in the machine's byte order;
most are an int. What Linux has and this table has not is ENOPROTOOPT.
"""

from __future__ import annotations

import errno
import sys
from dataclasses import replace
from math import inf
from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from ...transport.errors import error
from ...transport.tcp import timers, window
from ...transport.tcp.controllers import CONTROLLERS
from ...transport.tcp.ecn import CAPABLE
from ...transport.tcp.settings import Timing
from . import corked, more_options, report_options
from . import numbers as n
from .info import congestion_info, tcp_info
from .option import INT_MAX, Option, Options, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INT: Final = Struct("=i")
_UINT: Final = Struct("=I")
_ULONG: Final = Struct("=Q")
_LINGER: Final = Struct("=ii")  # l_onoff, l_linger (seconds)
_TIMEVAL: Final = Struct("=qq")
_MEMORY: Final = Struct("=9I")
_TIMEVAL_SIZE: Final = _TIMEVAL.size
#: Linux's SOCK_MIN_RCVBUF and SOCK_MIN_SNDBUF, in bytes, as getsockopt reports them: doubled.
_MIN_RECEIVE_BUFFER: Final = 2304
_MIN_SEND_BUFFER: Final = 4608
#: net.core.wmem_default, in bytes: nothing waits in a datagram socket to be sent.
_DATAGRAM_SEND_BUFFER: Final = 212992
#: The shortest that timers may be told to wait, in microseconds: Linux's two ticks of a millisecond.
_LEAST_WAIT: Final = 2000
#: What Linux makes of the two bits of the traffic class that once asked for little delay and for much throughput.
_PRIORITIES: Final = (0, 2, 6, 4)
_NO_LIMIT: Final = (1 << 64) - 1
_NO_LIMIT_32: Final = (1 << 32) - 1


def get_option(options: Mapping[tuple[int, int], Option], socket: Any, level: int, name: int, size: int) -> bytes:
    """The value, cut to ``size`` bytes.

    Raises OSError ENOPROTOOPT, EOPNOTSUPP for a level that the socket does not have, EINVAL for a negative size, and
    what the option has.
    """
    option = options.get((level, name))
    if size < 0:
        raise error(errno.EINVAL)
    if option is None:
        known = level in (n.SOL_SOCKET, n.IPPROTO_IP, socket.protocol)
        raise error(errno.ENOPROTOOPT if known else errno.EOPNOTSUPP)
    value = option.get(socket, size) if option.sized else option.get(socket)
    if option.long and isinstance(value, int):
        whole = _ULONG.pack(value) if size >= _ULONG.size else _UINT.pack(min(value, _NO_LIMIT_32))
        return whole[:size]
    if isinstance(value, bytes):
        return value[:size]
    if level == n.IPPROTO_IP and 0 < size < _INT.size and 0 <= value <= 255:
        return bytes([value])  # ip(7): such options may be read as one byte
    return _INT.pack(value)[:size]


def set_option(options: Mapping[tuple[int, int], Option], socket: Any, level: int, name: int, value: bytes) -> None:
    """Raises OSError ENOPROTOOPT for an option that is unknown or read-only, EINVAL for a value that is too short or
    out of range, and what else the option has."""
    option = options.get((level, name))
    least = option.size if option and option.size else _INT.size if level in (n.SOL_SOCKET, socket.protocol) else 0
    if len(value) < least:
        raise error(errno.EINVAL)
    if option is None or option.set is None:
        raise error(errno.ENOPROTOOPT)
    if option.size:
        option.set(socket, value)
        return
    if len(value) >= _INT.size:
        number = _INT.unpack_from(value)[0]
    elif level == n.IPPROTO_IP:
        number = value[0] if value else 0
    else:
        raise error(errno.EINVAL)
    if not option.least <= number <= option.most:
        raise error(errno.EINVAL)
    option.set(socket, number)


# kinds of options


def _writer(path: str, convert: Callable[[int], object]) -> Callable[[Any, int], None]:
    owner, _, name = path.rpartition(".")
    if not owner:
        return lambda socket, value: setattr(socket, name, convert(value))
    find = attrgetter(owner)
    return lambda socket, value: setattr(find(socket), name, convert(value))


def _flag(path: str) -> Option:
    """A switch, in an attribute."""
    read = attrgetter(path)
    return Option(lambda socket: int(read(socket)), _writer(path, bool))


def _number(path: str, least: int, most: int, *, per: int = 0) -> Option:
    """A number in an attribute; with ``per`` the attribute is in seconds, and this many of the option's units are
    one."""
    read = attrgetter(path)
    if per:
        return Option(lambda socket: round(read(socket) * per), _writer(path, lambda value: value / per), least, most)
    return Option(read, _writer(path, int), least, most)


def _time_out(name: int, new: int) -> Options:
    """SO_RCVTIMEO and SO_SNDTIMEO, by their old and new numbers: who blocks is the program; the calls here never do."""
    key = n.SOL_SOCKET, name

    def write(socket: Any, value: bytes) -> None:
        if not 0 <= _TIMEVAL.unpack_from(value)[1] < 1_000_000:
            raise error(errno.EDOM)
        socket.values[key] = value[:_TIMEVAL_SIZE]

    def read(socket: Any) -> bytes:
        value: bytes = socket.values.get(key, bytes(_TIMEVAL_SIZE))
        return value if _TIMEVAL.unpack(value)[0] >= 0 else bytes(_TIMEVAL_SIZE)  # as Linux shows "not at all"

    option = Option(read, write, size=_TIMEVAL_SIZE)
    return {key: option, (n.SOL_SOCKET, new): option}


# options that take more than an attribute


def _get_linger(socket: Any) -> bytes:
    linger: int | None = socket.linger
    return _LINGER.pack(linger is not None, socket.values.get((n.SOL_SOCKET, n.SO_LINGER), 0))


def _set_linger(socket: Any, value: bytes) -> None:
    on, seconds = _LINGER.unpack_from(value)
    socket.linger = seconds if on else None
    if on:
        socket.values[n.SOL_SOCKET, n.SO_LINGER] = seconds


def _set_receive_low_water(socket: Any, value: int) -> None:
    socket.receive_low_water = least = min(INT_MAX if value < 0 else value or 1, socket.most_low_water)
    if socket.type == n.SOCK_STREAM and socket.connection is not None:
        socket.connection.make_room(least)


def _set_datagram_buffer(socket: Any, value: int) -> None:
    limit = socket.calls.settings.max_receive_buffer
    socket.endpoint.receive_buffer = max(2 * min(value & 0xFFFFFFFF, limit), _MIN_RECEIVE_BUFFER)


def _get_receive_buffer(socket: Any) -> int:
    if socket.connection is not None:
        return int(socket.connection.rcv_buffer)
    return int(socket.options.receive_buffer or socket.calls.host.tcp.settings.receive_buffer)


def _set_receive_buffer(socket: Any, value: int) -> None:
    _force_receive_buffer(socket, min(value & 0xFFFFFFFF, socket.calls.settings.max_receive_buffer))


def _force_receive_buffer(socket: Any, value: int) -> None:
    socket.options.receive_buffer = max(2 * min(value, INT_MAX // 2), _MIN_RECEIVE_BUFFER)


def _get_send_buffer(socket: Any) -> int:
    if socket.connection is not None:
        return int(socket.connection.snd_limit)
    return int(socket.options.send_buffer or socket.calls.host.tcp.settings.send_buffer)


def _set_send_buffer(socket: Any, value: int) -> None:
    _force_send_buffer(socket, min(value & 0xFFFFFFFF, socket.calls.settings.max_send_buffer))


def _force_send_buffer(socket: Any, value: int) -> None:
    socket.options.send_buffer = max(2 * min(value, INT_MAX // 2), _MIN_SEND_BUFFER)


def _not_readable(_: Any) -> int:
    raise error(errno.ENOPROTOOPT)


def _set_datagram_send_buffer(socket: Any, value: int) -> None:
    limit = socket.calls.settings.max_send_buffer
    socket.values[n.SOL_SOCKET, n.SO_SNDBUF] = max(2 * min(value & 0xFFFFFFFF, limit), _MIN_SEND_BUFFER)


def _set_hop_limit(path: str) -> Callable[[Any, int], None]:
    write = _writer(path, int)

    def check(socket: Any, value: int) -> None:
        if value == 0:
            raise error(errno.EINVAL)
        write(socket, socket.calls.host.internet.settings.hop_limit if value == -1 else value)

    return check


def _get_discover(socket: Any) -> int:
    default = n.IP_PMTUDISC_WANT if socket.options.dont_fragment else n.IP_PMTUDISC_DONT
    return int(socket.values.get((n.IPPROTO_IP, n.IP_MTU_DISCOVER), default))


def _set_discover(socket: Any, value: int) -> None:
    socket.values[n.IPPROTO_IP, n.IP_MTU_DISCOVER] = value
    socket.options.dont_fragment = value in (n.IP_PMTUDISC_WANT, n.IP_PMTUDISC_DO, n.IP_PMTUDISC_PROBE)


def _set_max_segment(socket: Any, value: int) -> None:
    if value and value < 88:  # Linux's TCP_MIN_MSS
        raise error(errno.EINVAL)
    if socket.connection is None:  # as on Linux it is for the SYN
        socket.options.maxseg = value


def _set_keepalive_idle(socket: Any, value: int) -> None:
    socket.options.keepalive_idle = value
    if socket.connection is not None:
        timers.keepalive_idle_changed(socket.connection)


def _get_timing(socket: Any) -> Timing:
    limits = socket.calls.host.tcp.settings
    return socket.options.timing or Timing(limits.min_rto, limits.max_rto)


def _timing(name: str, least: int, most: int, per: int) -> Option:
    """A field of `Timing`, so many of whose units are a second; 0: a switch."""

    def write(socket: Any, value: int) -> None:
        changed: dict[str, Any] = {name: value / per if per else bool(value)}
        socket.options.timing = replace(_get_timing(socket), **changed)

    return Option(lambda socket: round(getattr(_get_timing(socket), name) * (per or 1)), write, least, most)


def _set_congestion(socket: Any, value: bytes) -> None:
    name = value.split(b"\0")[0].decode("latin-1")
    if name not in CONTROLLERS:
        raise error(errno.ENOENT)
    socket.options.congestion = name


def _get_traffic_class(socket: Any) -> int:
    """The two ECN bits are TCP's own, and what they were in the last segment."""
    connection = socket.connection
    value: int = socket.options.traffic_class
    return value | connection.ecn & CAPABLE if connection is not None else value


def _set_traffic_class(path: str, mask: int) -> Callable[[Any, int], None]:
    """As on Linux it changes SO_PRIORITY, too."""
    write, read = _writer(path, int), attrgetter(path)

    def change(socket: Any, value: int) -> None:
        if read(socket) != value & mask:
            write(socket, value & mask)
            socket.values[n.SOL_SOCKET, n.SO_PRIORITY] = _PRIORITIES[value >> 3 & 3]

    return change


def _get_congestion(socket: Any) -> bytes:
    name: str = socket.options.congestion or socket.calls.host.tcp.settings.congestion
    return name.encode().ljust(16, b"\0")


def _set_max_pacing_rate(socket: Any, value: bytes) -> None:
    """An unsigned int or, as Linux takes it, an unsigned long; all ones: no limit."""
    kind, most = (_ULONG, _NO_LIMIT) if len(value) >= _ULONG.size else (_UINT, _NO_LIMIT_32)
    (number,) = kind.unpack_from(value)
    socket.options.max_pacing_rate = inf if number == most else number


def _get_max_pacing_rate(socket: Any) -> int:
    rate = socket.options.max_pacing_rate
    return _NO_LIMIT if rate == inf else int(rate)


def _set_fin_timeout(socket: Any, value: int) -> None:
    # As Linux keeps it: negative means "not at all", zero the host's setting, and two minutes are the most.
    socket.options.fin_timeout = None if value == 0 else min(max(value, 0), 120)


def _get_fin_timeout(socket: Any) -> int:
    own = socket.options.fin_timeout
    return int(socket.calls.host.tcp.settings.fin_timeout if own is None else own or -1)


def _get_syn_retries(socket: Any) -> int:
    return int(socket.options.syn_retries or socket.calls.host.tcp.settings.syn_retries)


def _set_nodelay(socket: Any, value: int) -> None:
    socket.options.nodelay = bool(value)
    if value and socket.connection is not None:
        socket.connection.push()  # also what is corked, as on Linux


def _set_cork(socket: Any, value: int) -> None:
    socket.options.cork = bool(value)
    if not value and socket.connection is not None:
        socket.connection.push(small=socket.options.nodelay)


def _set_quick_ack(socket: Any, value: int) -> None:
    socket.options.quick_ack = bool(value)
    if socket.connection is not None:
        socket.connection.acknowledge_quickly(bool(value), lasting=bool(value & 1))


def _get_quick_ack(socket: Any) -> int:
    quickly: bool = socket.options.quick_ack if socket.connection is None else socket.connection.acknowledges_quickly
    return int(quickly)


def _set_window_clamp(socket: Any, value: int) -> None:
    if not value and (socket.connection is not None or socket.listening):
        raise error(errno.EINVAL)
    socket.options.window_clamp = max(value, _MIN_RECEIVE_BUFFER // 2) if value else 0
    if value and socket.connection is not None:
        socket.connection.clamp_window(value)


def _get_window_clamp(socket: Any) -> int:
    return int(socket.options.window_clamp if socket.connection is None else socket.connection.rcv_clamp)


def _handshake_time_outs(socket: Any, retries: int) -> list[float]:
    """When a SYN and ACK that nobody answers is sent again, as Linux counts TCP_DEFER_ACCEPT: in seconds."""
    settings = socket.calls.host.tcp.settings
    times, wait = [0.0], settings.initial_rto
    for _ in range(retries):
        times.append(times[-1] + wait)
        wait = min(wait * 2, settings.max_rto)
    return times


def _set_defer_accept(socket: Any, value: int) -> None:
    times = _handshake_time_outs(socket, 255)
    socket.options.defer_accept = next((number for number, time in enumerate(times) if time >= value), 255)


def _get_defer_accept(socket: Any) -> int:
    return int(_handshake_time_outs(socket, socket.options.defer_accept)[-1])


def _port_range(path: str) -> Option:
    """IP_LOCAL_PORT_RANGE: the last port in the upper half, the first one in the lower; 0: the host's."""
    read, write = attrgetter(path), _writer(path, lambda value: (value & 0xFFFF, value >> 16))

    def change(socket: Any, value: bytes) -> None:
        if len(value) != _UINT.size:
            raise error(errno.EINVAL)
        (number,) = _UINT.unpack(value)
        if 0 < number >> 16 < number & 0xFFFF:
            raise error(errno.EINVAL)
        write(socket, number)

    return Option(lambda socket: _UINT.pack(read(socket)[1] << 16 | read(socket)[0]), change, size=1)


def _stream_memory(socket: Any) -> bytes:
    """What SO_MEMINFO tells: what received data cost, the buffers' sizes, and what waits to be acknowledged."""
    connection = socket.connection
    received = window.used(connection) if connection is not None else 0
    return _MEMORY.pack(
        received, _get_receive_buffer(socket), 0, _get_send_buffer(socket), 0, socket.unacknowledged,
        0, 0, 0,
    )  # fmt: skip


def _datagram_memory(socket: Any) -> bytes:
    endpoint = socket.endpoint
    send_buffer = socket.integer_option(n.SOL_SOCKET, n.SO_SNDBUF, _DATAGRAM_SEND_BUFFER)
    return _MEMORY.pack(endpoint.queued, endpoint.receive_buffer, 0, send_buffer, 0, 0, 0, 0, endpoint.dropped)


_COMMON: Final[Options] = {
    **report_options.COMMON,
    **more_options.COMMON,
    (n.SOL_SOCKET, n.SO_TYPE): Option(attrgetter("type")),
    (n.SOL_SOCKET, n.SO_DOMAIN): Option(attrgetter("family")),
    (n.SOL_SOCKET, n.SO_PROTOCOL): Option(attrgetter("protocol")),
    (n.SOL_SOCKET, n.SO_ERROR): Option(lambda socket: socket.report_error()),
    (n.SOL_SOCKET, n.SO_ACCEPTCONN): Option(lambda socket: int(socket.listening)),
    (n.SOL_SOCKET, n.SO_LINGER): Option(_get_linger, _set_linger, size=_LINGER.size),
    (n.SOL_SOCKET, n.SO_RCVLOWAT): Option(attrgetter("receive_low_water"), _set_receive_low_water),
    (n.SOL_SOCKET, n.SO_SNDLOWAT): Option(lambda socket: 1),
    **stored(n.SOL_SOCKET, n.SO_OOBINLINE, switch=True),
    **stored(n.SOL_SOCKET, n.SO_DONTROUTE, switch=True),
    **stored(n.SOL_SOCKET, n.SO_PRIORITY),
    **_time_out(n.SO_RCVTIMEO, n.SO_RCVTIMEO_NEW),
    **_time_out(n.SO_SNDTIMEO, n.SO_SNDTIMEO_NEW),
    (n.IPPROTO_IP, n.IP_MTU): Option(lambda socket: socket.mtu()),
}

STREAM: Final[Options] = {
    **_COMMON,
    **report_options.STREAM,
    **more_options.STREAM,
    (n.SOL_SOCKET, n.SO_MEMINFO): Option(_stream_memory),
    (n.IPPROTO_IP, n.IP_LOCAL_PORT_RANGE): _port_range("options.local_ports"),
    (n.SOL_SOCKET, n.SO_REUSEADDR): _flag("options.reuse"),
    (n.SOL_SOCKET, n.SO_REUSEPORT): _flag("reuseport"),
    (n.SOL_SOCKET, n.SO_KEEPALIVE): _flag("options.keepalive"),
    **stored(n.SOL_SOCKET, n.SO_BROADCAST, switch=True),
    (n.SOL_SOCKET, n.SO_RCVBUF): Option(_get_receive_buffer, _set_receive_buffer),
    (n.SOL_SOCKET, n.SO_SNDBUF): Option(_get_send_buffer, _set_send_buffer),
    (n.SOL_SOCKET, n.SO_RCVBUFFORCE): Option(_not_readable, _force_receive_buffer),
    (n.SOL_SOCKET, n.SO_SNDBUFFORCE): Option(_not_readable, _force_send_buffer),
    (n.SOL_SOCKET, n.SO_MAX_PACING_RATE): Option(_get_max_pacing_rate, _set_max_pacing_rate, size=_INT.size, long=True),
    (n.IPPROTO_TCP, n.TCP_NODELAY): Option(lambda socket: int(socket.options.nodelay), _set_nodelay),
    (n.IPPROTO_TCP, n.TCP_CORK): Option(lambda socket: int(socket.options.cork), _set_cork),
    (n.IPPROTO_TCP, n.TCP_MAXSEG): Option(lambda socket: socket.segment_size(), _set_max_segment, 0, 32767),
    (n.IPPROTO_TCP, n.TCP_KEEPIDLE): Option(
        lambda socket: round(socket.options.keepalive_idle), _set_keepalive_idle, 1, 32767
    ),
    (n.IPPROTO_TCP, n.TCP_KEEPINTVL): _number("options.keepalive_interval", 1, 32767, per=1),
    (n.IPPROTO_TCP, n.TCP_KEEPCNT): _number("options.keepalive_count", 1, 127),
    (n.IPPROTO_TCP, n.TCP_SYNCNT): Option(_get_syn_retries, _writer("options.syn_retries", int), 1, 127),
    (n.IPPROTO_TCP, n.TCP_LINGER2): Option(_get_fin_timeout, _set_fin_timeout),
    (n.IPPROTO_TCP, n.TCP_RTO_MAX_MS): _timing("max_rto", 1000, 120_000, 1000),
    (n.IPPROTO_TCP, n.TCP_RTO_MIN_US): _timing("min_rto", _LEAST_WAIT, 200_000, 1_000_000),
    (n.IPPROTO_TCP, n.TCP_DELACK_MAX_US): _timing("max_delay", _LEAST_WAIT, 200_000, 1_000_000),
    (n.IPPROTO_TCP, n.TCP_THIN_LINEAR_TIMEOUTS): _timing("thin_linear_time_outs", 0, 1, 0),
    (n.IPPROTO_TCP, n.TCP_THIN_DUPACK): Option(lambda socket: 0, lambda socket, value: None, 0, 1),
    (n.IPPROTO_TCP, n.TCP_USER_TIMEOUT): _number("options.user_timeout", 0, INT_MAX, per=1000),
    (n.IPPROTO_TCP, n.TCP_CONGESTION): Option(_get_congestion, _set_congestion, size=1),
    (n.IPPROTO_TCP, n.TCP_INFO): Option(tcp_info),
    (n.IPPROTO_TCP, n.TCP_CC_INFO): Option(congestion_info),
    (n.IPPROTO_TCP, n.TCP_DEFER_ACCEPT): Option(_get_defer_accept, _set_defer_accept),
    (n.IPPROTO_TCP, n.TCP_WINDOW_CLAMP): Option(_get_window_clamp, _set_window_clamp),
    (n.IPPROTO_TCP, n.TCP_QUICKACK): Option(_get_quick_ack, _set_quick_ack),
    # Unsigned in Linux: a negative number is a very large one, and means that nothing counts.
    (n.IPPROTO_TCP, n.TCP_NOTSENT_LOWAT): Option(
        lambda socket: socket.options.notsent_low_water.to_bytes(_INT.size, sys.byteorder),
        _writer("options.notsent_low_water", lambda value: value & 0xFFFFFFFF),
    ),
    (n.IPPROTO_IP, n.IP_TTL): Option(attrgetter("options.hop_limit"), _set_hop_limit("options.hop_limit"), -1, 255),
    (n.IPPROTO_IP, n.IP_TOS): Option(_get_traffic_class, _set_traffic_class("options.traffic_class", 0xFC)),
    (n.IPPROTO_IP, n.IP_MTU_DISCOVER): Option(_get_discover, _set_discover, 0, 5),
    (n.IPPROTO_IP, n.IP_MINTTL): _number("options.least_hop_limit", 0, 255),
    **stored(n.IPPROTO_IP, n.IP_RECVERR, switch=True),
}

DATAGRAM: Final[Options] = {
    **_COMMON,
    **corked.OPTIONS,
    (n.SOL_SOCKET, n.SO_MEMINFO): Option(_datagram_memory),
    (n.IPPROTO_IP, n.IP_LOCAL_PORT_RANGE): _port_range("endpoint.local_ports"),
    (n.SOL_SOCKET, n.SO_REUSEADDR): _flag("endpoint.reuse"),
    (n.SOL_SOCKET, n.SO_REUSEPORT): _flag("endpoint.reuseport"),
    **stored(n.SOL_SOCKET, n.SO_KEEPALIVE, switch=True),
    (n.SOL_SOCKET, n.SO_BROADCAST): _flag("endpoint.broadcast"),
    (n.SOL_SOCKET, n.SO_RCVBUF): Option(attrgetter("endpoint.receive_buffer"), _set_datagram_buffer),
    (n.SOL_SOCKET, n.SO_SNDBUF): Option(
        lambda socket: socket.values.get((n.SOL_SOCKET, n.SO_SNDBUF), _DATAGRAM_SEND_BUFFER),
        _set_datagram_send_buffer,
    ),
    (n.IPPROTO_IP, n.IP_TTL): Option(attrgetter("endpoint.hop_limit"), _set_hop_limit("endpoint.hop_limit"), -1, 255),
    (n.IPPROTO_IP, n.IP_TOS): Option(
        attrgetter("endpoint.traffic_class"), _set_traffic_class("endpoint.traffic_class", 0xFF)
    ),
    (n.IPPROTO_IP, n.IP_MTU_DISCOVER): _number("endpoint.discover", 0, 5),
    (n.IPPROTO_IP, n.IP_RECVERR): _flag("endpoint.all_errors"),
}
