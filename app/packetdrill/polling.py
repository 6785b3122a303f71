"""Calls that ask what is ready: poll and epoll."""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING, Final

from ...transport.errors import error
from .constants import CONSTANTS
from .epoll import EDGE, EXCLUSIVE, WAKE_UP, Epoll, Interest, readiness
from .errors import Unsupported
from .opened import File
from .syntax import Anything, Array, Number, Struct
from .values import check, check_number, is_null, number, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from .process import Process, Result
    from .program import Waiting
    from .syntax import Expression

#: Reported also when nobody asked for them.
_ALWAYS: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL
_DATA: Final = ("fd", "ptr", "u32", "u64")
_UNTOUCHED: Final = 0xFFFFFFFF
_ADD, _DELETE = CONSTANTS["EPOLL_CTL_ADD"], CONSTANTS["EPOLL_CTL_DEL"]
_MODIFY: Final = CONSTANTS["EPOLL_CTL_MOD"]
#: What may be asked for beside it.
_WITH_EXCLUSIVE: Final = (
    EXCLUSIVE | EDGE | select.EPOLLIN | select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP | WAKE_UP
)


def _limit(process: Process, milliseconds: Expression) -> float | None:
    timeout = number(milliseconds)
    return None if timeout < 0 else process.now + timeout / 1000


def _poll(process: Process, entries: Expression, count: Expression, timeout: Expression) -> Waiting:
    asked = structs(entries)
    limit = _limit(process, timeout)
    while True:
        found = [_returned(process, struct) for struct in asked]
        if any(found) or (limit is not None and process.now >= limit):
            break
        yield limit
    for struct, events in zip(asked, found, strict=True):
        expected = struct.get("revents")
        if expected is not None:
            check_number("revents", expected, events)
    return sum(map(bool, found))


def _returned(process: Process, struct: Struct) -> int:
    fd = number(struct.get("fd") or Number(-1))
    if fd < 0:
        return 0
    opened = process.table.get(fd)
    if opened is None:
        return select.POLLNVAL
    events = struct.get("events")
    return readiness(opened) & ((0 if events is None else number(events)) | _ALWAYS)


def structs(expression: Expression) -> list[Struct]:
    if isinstance(expression, Anything) or is_null(expression):
        return []
    items = expression.items if isinstance(expression, Array) else (expression,)
    found = [item for item in items if isinstance(item, Struct)]
    if len(found) != len(items):
        raise Unsupported(f"structures written as {show(expression)}")
    return found


def _epoll_create(process: Process, size: Expression) -> Result:
    if number(size) <= 0:
        raise error(errno.EINVAL)
    return Epoll()


def _epoll_create1(process: Process, flags: Expression) -> Result:
    if number(flags) & ~select.EPOLL_CLOEXEC:
        raise error(errno.EINVAL)
    return Epoll()


def _epoll_ctl(process: Process, epoll: Expression, operation: Expression, fd: Expression, event: Expression) -> Result:
    instance = process.epoll(epoll)
    opened = process.opened(fd)
    interests, key, what = instance.interests, (number(fd), opened), number(operation)
    if opened is instance:
        raise error(errno.EINVAL)
    if isinstance(opened, File):
        raise error(errno.EPERM)
    if what == _DELETE:
        if interests.pop(key, None) is None:
            raise error(errno.ENOENT)
        return 0
    (struct,) = structs(event) or (Struct(()),)
    events = number(struct.get("events") or Number(0)) & _UNTOUCHED | select.EPOLLERR | select.EPOLLHUP
    if events & EXCLUSIVE and (what == _MODIFY or events & ~_WITH_EXCLUSIVE):
        raise error(errno.EINVAL)
    if what not in (_ADD, _MODIFY):
        raise error(errno.EINVAL)
    if (what == _ADD) == (key in interests):
        raise error(errno.EEXIST if key in interests else errno.ENOENT)
    if what == _MODIFY and interests[key].events & EXCLUSIVE:
        raise error(errno.EINVAL)
    if isinstance(opened, Epoll) and opened.watches(instance):
        raise error(errno.ELOOP)
    interests[key] = Interest(opened, events, event_data(struct))
    return 0


def event_data(struct: Struct) -> int:
    """The number that stands in a struct epoll_event for the one who asks."""
    given = (struct.get(name) for name in _DATA)
    return next((number(value) for value in given if value is not None), 0)


def _epoll_wait(
    process: Process, epoll: Expression, events: Expression, most: Expression, timeout: Expression
) -> Waiting:
    instance = process.epoll(epoll)
    if number(most) <= 0:
        raise error(errno.EINVAL)
    limit = _limit(process, timeout)
    while True:
        found = instance.take(number(most))
        if found or (limit is not None and process.now >= limit):
            break
        yield limit
    expected = expected_events(events)
    if found and expected:
        check("events", show_events(expected[: len(found)]), show_events(found[: len(expected)]))
    return len(found)


def expected_events(events: Expression) -> list[tuple[int, int]]:
    """What the script says that epoll_wait gives; empty if it does not say."""
    return [
        (number(struct.get("events") or Number(0)) & _UNTOUCHED, event_data(struct))
        for struct in (structs(events) if isinstance(events, Struct | Array) else ())
    ]


def show_events(events: list[tuple[int, int]]) -> str:
    return ", ".join(f"{{events={bits:#x}, data={data}}}" for bits, data in events)


CALLS: Final[dict[str, Callable[..., Result | Waiting]]] = {
    "poll": _poll,
    "epoll_create": _epoll_create,
    "epoll_create1": _epoll_create1,
    "epoll_ctl": _epoll_ctl,
    "epoll_wait": _epoll_wait,
}
