"""Options that few programs set (socket(7), ip(7), tcp(7)), as data: most are kept and change nothing here."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Any, Final

from ...transport.errors import error
from ...transport.tcp import output
from ...transport.tcp.fast_open import CLIENT, KEY_SIZE
from . import numbers as n
from .option import INT_MAX, Option, Options, stored

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_NAME: Final = 16
_BPF_EXTENSIONS: Final = 64
#: A name, of at least one byte.
_ANY_SIZE: Final = 1
_COOKIE_SIZE: Final = 8
_LAUNCH_TIME_SIZE: Final = 8
_LAUNCH_TIME_FLAGS: Final = 3
#: Of struct tcp_md5sig.
_MD5_SIZE: Final = 216
#: SO_TXREHASH: whatever net.core.txrehash says.
_DEFAULT_REHASH: Final = 255


def _refused(number: int) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise error(number)

    return refuse


def _constant(value: int | bytes) -> Callable[[Any], int | bytes]:
    return lambda _: value


def _switches(level: int, *names: int) -> Options:
    options: Options = {}
    for name in names:
        options |= stored(level, name, switch=True)
    return options


def _ignored(_: Any, __: Any) -> None:
    """Taken, and nothing more."""


# -- sockets


def _set_device(socket: Any, value: bytes) -> None:
    name = value.split(b"\0")[0].decode("latin-1")[: _LONGEST_NAME - 1]
    if name and name not in {interface.name for interface in socket.calls.host.interfaces}:
        raise error(errno.ENODEV)
    socket.values[n.SOL_SOCKET, n.SO_BINDTODEVICE] = name.encode() + b"\0" if name else b""


def _set_rehash(socket: Any, value: int) -> None:
    if value not in (-1, 0, 1, _DEFAULT_REHASH):
        raise error(errno.EINVAL)
    socket.values[n.SOL_SOCKET, n.SO_TXREHASH] = 1 if value in (-1, _DEFAULT_REHASH) else value


def _get_cookie(socket: Any, size: int) -> bytes:
    if size < _COOKIE_SIZE:
        raise error(errno.EINVAL)
    return id(socket).to_bytes(_COOKIE_SIZE, sys.byteorder)


def _get_launch_time(socket: Any) -> bytes:
    value: bytes = socket.values.get((n.SOL_SOCKET, n.SO_TXTIME), bytes(_LAUNCH_TIME_SIZE))
    return value


def _set_launch_time(socket: Any, value: bytes) -> None:
    """A clock, and flags (struct sock_txtime). Kept: no card here waits for a time."""
    if len(value) != _LAUNCH_TIME_SIZE or int.from_bytes(value[4:], sys.byteorder) & ~_LAUNCH_TIME_FLAGS:
        raise error(errno.EINVAL)
    socket.values[n.SOL_SOCKET, n.SO_TXTIME] = value


_REFUSED: Final = Option(_refused(errno.EOPNOTSUPP), _refused(errno.EOPNOTSUPP))

COMMON: Final[Options] = {
    **_switches(n.SOL_SOCKET, n.SO_DEBUG, n.SO_NO_CHECK, n.SO_WIFI_STATUS, n.SO_NOFCS, n.SO_LOCK_FILTER),
    **_switches(n.SOL_SOCKET, n.SO_PREFER_BUSY_POLL, n.SO_RCVMARK),
    **stored(n.SOL_SOCKET, n.SO_MARK),
    **stored(n.SOL_SOCKET, n.SO_BUSY_POLL, 0, 0),
    **stored(n.SOL_SOCKET, n.SO_BUF_LOCK, 0, 0, 3),
    **stored(n.SOL_SOCKET, n.SO_INCOMING_CPU, -1),
    (n.SOL_SOCKET, n.SO_TXTIME): Option(_get_launch_time, _set_launch_time, size=_ANY_SIZE),
    (n.SOL_SOCKET, n.SO_BUSY_POLL_BUDGET): Option(_refused(errno.ENOPROTOOPT), _ignored, 0, 65535),
    (n.SOL_SOCKET, n.SO_INCOMING_NAPI_ID): Option(_constant(0)),
    (n.SOL_SOCKET, n.SO_COOKIE): Option(_get_cookie, sized=True),
    (n.SOL_SOCKET, n.SO_RESERVE_MEM): Option(_constant(0), _refused(errno.EOPNOTSUPP), 0),
    (n.SOL_SOCKET, n.SO_BSDCOMPAT): Option(_constant(0), _ignored),
    (n.SOL_SOCKET, n.SO_BPF_EXTENSIONS): Option(_constant(_BPF_EXTENSIONS)),
    (n.SOL_SOCKET, n.SO_PASSCRED): _REFUSED,
    (n.SOL_SOCKET, n.SO_PASSSEC): _REFUSED,
    (n.SOL_SOCKET, n.SO_PASSPIDFD): _REFUSED,
    (n.SOL_SOCKET, n.SO_BINDTODEVICE): Option(
        lambda socket: socket.values.get((n.SOL_SOCKET, n.SO_BINDTODEVICE), b""), _set_device, size=_ANY_SIZE
    ),
    **_switches(n.IPPROTO_IP, n.IP_RECVOPTS, n.IP_RETOPTS, n.IP_PASSSEC, n.IP_RECVORIGDSTADDR, n.IP_CHECKSUM),
    **_switches(n.IPPROTO_IP, n.IP_FREEBIND, n.IP_TRANSPARENT, n.IP_BIND_ADDRESS_NO_PORT),
    **stored(n.IPPROTO_IP, n.IP_MINTTL, 0, 0, 255),
    **stored(n.IPPROTO_IP, n.IP_RECVERR_RFC4884, 0, 0, 1),
    (n.IPPROTO_IP, n.IP_HDRINCL): Option(_constant(0)),
}

# -- TCP


def _fresh(socket: Any) -> bool:
    return socket.connection is None and not socket.listening


def _set_fast_open(socket: Any, value: int) -> None:
    if value < 0 or socket.connection is not None:
        raise error(errno.EINVAL)
    socket.options.fast_open = min(value, socket.calls.settings.max_backlog)


def _set_fast_open_connect(socket: Any, value: int) -> None:
    if not socket.calls.host.tcp.settings.fast_open & CLIENT:
        raise error(errno.EOPNOTSUPP)
    if not _fresh(socket):
        raise error(errno.EINVAL)
    socket.options.fast_open_connect = bool(value)


def _get_fast_open_key(socket: Any) -> bytes:
    return b"".join(socket.options.fast_open_keys or socket.calls.host.tcp.fast_open.keys)


def _set_fast_open_key(socket: Any, value: bytes) -> None:
    if len(value) not in (KEY_SIZE, 2 * KEY_SIZE):
        raise error(errno.EINVAL)
    socket.options.fast_open_keys = tuple(value[at : at + KEY_SIZE] for at in range(0, len(value), KEY_SIZE))


def _set_no_cookie(socket: Any, value: int) -> None:
    if socket.connection is not None:
        raise error(errno.EINVAL)
    socket.options.fast_open_no_cookie = bool(value)


def _get_saved_syn(socket: Any, size: int) -> bytes:
    """Once: reading it lets go of it. Raises OSError EINVAL where there is no room for it."""
    saved: bytes = socket.options.saved_syn
    if len(saved) > size:
        raise error(errno.EINVAL)
    if socket.connection is not None:
        socket.options.saved_syn = b""
    return saved


def _get_clock(socket: Any) -> bytes:
    """What a segment's timestamp would be now, in milliseconds."""
    connection = socket.connection
    clock = output.timestamp(connection) if connection is not None else int(socket.calls.host.scheduler.now * 1000)
    return (clock & 0xFFFFFFFF).to_bytes(4, sys.byteorder)


def _set_repair(_: Any, value: int) -> None:
    if value == 1:
        raise error(errno.EPERM)


def _set_queue_seq(socket: Any, _: int) -> None:
    raise error(errno.EINVAL if socket.connection is None and not socket.listening else errno.EPERM)


_NOT_REPAIRING: Final = Option(_refused(errno.EINVAL), _refused(errno.EPERM))

STREAM: Final[Options] = {
    (n.SOL_SOCKET, n.SO_TXREHASH): Option(
        lambda socket: socket.values.get((n.SOL_SOCKET, n.SO_TXREHASH), 1), _set_rehash
    ),
    (n.IPPROTO_TCP, n.TCP_FASTOPEN): Option(lambda socket: socket.options.fast_open, _set_fast_open),
    (n.IPPROTO_TCP, n.TCP_FASTOPEN_CONNECT): Option(
        lambda socket: int(socket.options.fast_open_connect), _set_fast_open_connect, 0, 1
    ),
    (n.IPPROTO_TCP, n.TCP_FASTOPEN_KEY): Option(_get_fast_open_key, _set_fast_open_key, size=KEY_SIZE),
    (n.IPPROTO_TCP, n.TCP_FASTOPEN_NO_COOKIE): Option(
        lambda socket: int(socket.options.fast_open_no_cookie), _set_no_cookie, 0, 1
    ),
    (n.IPPROTO_TCP, n.TCP_SAVE_SYN): Option(
        lambda socket: socket.options.save_syn, lambda socket, value: setattr(socket.options, "save_syn", value), 0, 2
    ),
    (n.IPPROTO_TCP, n.TCP_SAVED_SYN): Option(_get_saved_syn, sized=True),
    (n.IPPROTO_TCP, n.TCP_TIMESTAMP): Option(_get_clock, _refused(errno.EPERM)),
    # Nobody takes a connection of this stack apart and puts it together elsewhere, whatever his rights.
    (n.IPPROTO_TCP, n.TCP_REPAIR): Option(_constant(0), _set_repair, -1, 1),
    (n.IPPROTO_TCP, n.TCP_REPAIR_QUEUE): _NOT_REPAIRING,
    (n.IPPROTO_TCP, n.TCP_QUEUE_SEQ): Option(_refused(errno.EINVAL), _set_queue_seq),
    (n.IPPROTO_TCP, n.TCP_REPAIR_OPTIONS): Option(_refused(errno.ENOPROTOOPT), _refused(errno.EINVAL)),
    (n.IPPROTO_TCP, n.TCP_REPAIR_WINDOW): _NOT_REPAIRING,
    (n.IPPROTO_TCP, n.TCP_MD5SIG): Option(_refused(errno.ENOPROTOOPT), _refused(errno.ENOPROTOOPT), size=_MD5_SIZE),
    (n.IPPROTO_TCP, n.TCP_ULP): Option(_constant(b""), _refused(errno.ENOENT), size=_ANY_SIZE),
    (n.IPPROTO_TCP, n.TCP_IS_MPTCP): Option(_constant(0)),
    **stored(n.IPPROTO_TCP, n.TCP_TX_DELAY, 0, 0, INT_MAX),
}
