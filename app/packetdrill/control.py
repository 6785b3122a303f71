"""Control messages of sendmsg and recvmsg as scripts write them: ``{cmsg_level=…, cmsg_type=…, cmsg_data=…}``."""

from __future__ import annotations

import sys
from struct import Struct as Layout
from typing import TYPE_CHECKING, Final

from ...stack.calls import numbers as n
from ...stack.calls.statistics import read_statistics
from .constants import CONSTANTS
from .errors import Mismatch, Unsupported
from .syntax import Anything, Array, Name, Struct
from .values import check, integer_bytes, is_null, number, show

if TYPE_CHECKING:
    from ...stack.calls.messages import Control
    from .syntax import Expression

#: struct timespec, and timeval, of 64 bits.
_TIME: Final = Layout("=qq")
_STAMPING_SIZE: Final = 3 * _TIME.size
_ERROR: Final = Layout("=IBBBxII")
_ERROR_FIELDS: Final = ("ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data")
#: struct sock_extended_err and the address of who reported it.
_ERROR_SIZE: Final = 32
#: Attributes that are times, in microseconds; and room for all.
_TIMES: Final = frozenset(f"TCP_NLA_{name}" for name in ("BUSY", "RWND_LIMITED", "SNDBUF_LIMITED", "MIN_RTT", "SRTT"))
_STATISTICS_SIZE: Final = 512
_STATISTICS: Final = (CONSTANTS["SOL_SOCKET"], CONSTANTS["SCM_TIMESTAMPING_OPT_STATS"])
#: Of messages whose data the script does not say.
_SIZES: Final = {
    (n.SOL_SOCKET, n.SCM_TIMESTAMPING): _STAMPING_SIZE,
    (n.SOL_SOCKET, n.SO_TIMESTAMP): _TIME.size,
    (n.SOL_SOCKET, n.SO_TIMESTAMPNS): _TIME.size,
    (n.IPPROTO_IP, n.IP_RECVERR): _ERROR_SIZE,
    (n.IPPROTO_IP, n.IP_PKTINFO): 12,
}
_SECONDS: Final = frozenset({"scm_sec", "sec", "tv_sec"})


def expected_control(message: Struct) -> list[Struct]:
    """The control messages in a struct msghdr."""
    written = message.get("msg_control")
    if written is None or isinstance(written, Anything) or is_null(written):
        return []
    items = written.items if isinstance(written, Array) else (written,)
    found = [item for item in items if isinstance(item, Struct) and item.get("cmsg_data") is not None]
    if len(found) != len(items):
        raise Unsupported(f"control messages written as {show(written)}")
    return found


def _key(message: Struct) -> tuple[int, int]:
    level, kind = message.get("cmsg_level"), message.get("cmsg_type")
    if level is None or kind is None:
        raise Unsupported(f"a control message written as {show(message)}")
    return number(level), number(kind)


def control_sizes(messages: list[Struct]) -> list[int]:
    """How many bytes of data the messages have that a call is to give."""
    sizes = []
    for message in messages:
        value = message.get("cmsg_data")
        if _key(message) == _STATISTICS:
            sizes.append(_STATISTICS_SIZE)
        elif isinstance(value, Anything):
            sizes.append(_SIZES.get(_key(message), 4))
        elif not isinstance(value, Struct):
            sizes.append(4)
        elif _is_error(value):
            sizes.append(_ERROR_SIZE)
        else:
            sizes.append(_STAMPING_SIZE if _key(message)[1] == n.SCM_TIMESTAMPING else _TIME.size)
    return sizes


def control_to_send(message: Struct) -> list[Control]:
    """The control messages that sendmsg is given: their data are integers."""
    given: list[Control] = []
    for item in expected_control(message):
        value = item.get("cmsg_data")
        if value is None or isinstance(value, Struct):
            raise Unsupported(f"sending a control message written as {show(item)}")
        given.append((*_key(item), integer_bytes(number(value))))
    return given


def check_control(expected: list[Struct], actual: list[Control], began: float, tolerance: float) -> None:
    """Compare the control messages that recvmsg gave. Times are since the script began, at ``began`` on the clock that
    they were taken from; they may be ``tolerance`` seconds off."""
    written = [_key(message) for message in expected]
    found = [(level, kind) for level, kind, _ in actual]
    check("control messages", [*map(_show_key, written)], [*map(_show_key, found)])
    for message, (_, _, data) in zip(expected, actual, strict=True):
        value = message.get("cmsg_data")
        assert value is not None
        if _key(message) == _STATISTICS:
            _check_statistics(value, data, tolerance)
        elif isinstance(value, Struct) and _is_error(value):
            _check_error(value, data)
        elif isinstance(value, Struct):
            _check_time(value, _key(message)[1], data, began, tolerance)
        elif not isinstance(value, Anything):
            check("cmsg_data", number(value), int.from_bytes(data[:4], sys.byteorder, signed=len(data) > 1))


def _show_key(key: tuple[int, int]) -> str:
    return f"level {key[0]} type {key[1]}"


def _is_error(value: Struct) -> bool:
    return any(name.startswith("ee_") for name, _ in value.fields)


def _check_error(value: Struct, data: bytes) -> None:
    actual = dict(zip(_ERROR_FIELDS, _ERROR.unpack_from(data), strict=True))
    for name, wanted in value.fields:
        if not isinstance(wanted, Anything):
            check(name, number(wanted), actual.get(name))


def _check_statistics(value: Expression, data: bytes, tolerance: float) -> None:
    """``{TCP_NLA_SND_CWND=10, …}``; a list of such; others than those named may be there."""
    if isinstance(value, Array):
        for item in value.items:
            _check_statistics(item, data, tolerance)
        return
    actual = dict(read_statistics(data))
    for name, wanted in value.fields if isinstance(value, Struct) else ():
        kind = number(Name(name))
        if kind not in actual:
            raise Mismatch(f"no {name}")
        off = abs(number(wanted) - actual[kind]) if not isinstance(wanted, Anything) else 0
        if off > (tolerance * 1e6 if name in _TIMES else 0):
            raise Mismatch(f"another {name}", show(wanted), str(actual[kind]))


def _check_time(value: Struct, kind: int, data: bytes, began: float, tolerance: float) -> None:
    seconds, rest = _TIME.unpack_from(data)
    part = 1e6 if kind == n.SO_TIMESTAMP else 1e9
    actual = seconds + rest / part - began
    wanted = 0.0
    for name, field in value.fields:
        if isinstance(field, Anything):
            return
        wanted += number(field) / (1 if name in _SECONDS else part)
    if abs(actual - wanted) > tolerance:
        raise Mismatch("another time stamp", f"{wanted:.6f} s", f"{actual:.6f} s")
