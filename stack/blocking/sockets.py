"""The ``socket`` module as programs on simulated hosts find it: its class, and who is called what."""

from __future__ import annotations

import contextlib
import errno
import socket as kernel
from typing import TYPE_CHECKING, Any, Final

from ...net.address import text
from ..calls import numbers as n
from ..direct import HostSocket
from ..names import socket_address
from ..program import stream
from .clock import GLANCE
from .fiber import current, fallback, here
from .readiness import Readiness, wait_until
from .refused import refusing
from .swaps import swapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..calls import Socket
    from ..host import Host
    from ..names import Names
    from .program import Program

_INTERNET: Final = (-1, kernel.AF_INET, kernel.AF_INET6)


class ProgramCarrier:
    """How sockets of ``program`` wait: its fibers do, while the network goes on."""

    def __init__(self, program: Program, names: Names) -> None:
        self.program = program
        self.names = names

    @property
    def host(self) -> Host:
        """The stack that runs on the node now. Raises OSError EHOSTDOWN after a crash."""
        return self.program.node.host

    def poke(self) -> None:
        """Nothing to see to: the network goes on when the fiber waits."""

    def wait(self, socket: Socket, events: int, timeout: float | None) -> bool:
        """Have the fiber that runs wait. Raises RuntimeError if none does."""
        return wait_until(here(), lambda: socket.closed or socket.unblocks(events), [socket], timeout)


class ProgramSocket(HostSocket):
    """What ``socket.socket(...)`` makes in a program. Closed with the program, or when nobody has it any more."""

    __slots__ = ()

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None,
        *, calls: Socket | None = None,
    ) -> None:  # fmt: skip
        family = kernel.AF_INET if family == -1 else family
        program = here().program
        super().__init__(program.carrier, family, kernel.SOCK_STREAM if type == -1 else type, proto, calls=calls)
        program.sockets[self.fileno()] = self

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never made
            self._real_close()

    def accept(self) -> tuple[ProgramSocket, Any]:
        """Also EAGAIN and TimeoutError, as the standard method."""
        child = self._wait_for(self.calls.accept, n.READABLE)
        return ProgramSocket(calls=child), socket_address(*child.remote)

    def shutdown(self, how: int, /) -> None:
        """Who waits for data in another thread is told."""
        try:
            super().shutdown(how)
        finally:
            self._tell(self.calls.observer)

    def _real_close(self, *args: Any) -> None:
        observer = self.calls.observer
        super()._real_close(*args)
        self._tell(observer)

    def _block(self, events: int, flags: int) -> None:
        if self._timeout == 0 or flags & kernel.MSG_DONTWAIT:
            fiber = current()
            if fiber is not None and not fiber.program.ending:
                fiber.wait(GLANCE)
        super()._block(events, flags)

    def _tell(self, observer: object) -> None:
        if isinstance(observer, Readiness):
            observer()


def _new(
    cls: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None, **_: Any
) -> Any:  # fmt: skip
    """``socket.socket.__new__`` in programs."""
    if current() is None or issubclass(cls, HostSocket):
        return _kernel_new(cls)
    if cls is not kernel.socket:
        _refuse_class(cls)
    _check(family, fileno)
    return _kernel_new(ProgramSocket)


def _new_of_stack(cls: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> Any:
    """``netower.stack.socket.socket.__new__`` in programs."""
    if current() is None:
        return _stack_new(cls, family, type, proto, fileno)
    _check(family, fileno)
    return ProgramSocket(family, type, proto)


def _check(family: int, fileno: int | None) -> None:
    if fileno is not None or family not in _INTERNET:
        what = "a socket of the kernel" if fileno is None else "a descriptor"
        raise refusing(what, "it would become ready in real time", errno.EAFNOSUPPORT)


def _refuse_class(cls: type) -> None:
    why = "its class needs a descriptor of the kernel, and a simulated socket has none"
    raise refusing(f"a {cls.__module__}.{cls.__qualname__}", why, errno.EOPNOTSUPP)


_kernel_new: Final = kernel.socket.__new__
_stack_new: Final = stream.socket.__new__


def _getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[tuple[Any, ...]]:
    found = here().program.carrier.names.getaddrinfo(host, port, int(family), int(type), int(proto), int(flags))
    return [(kernel.AddressFamily(entry[0]), kernel.SocketKind(entry[1]), *entry[2:]) for entry in found]


def _getnameinfo(address: Any, flags: int, /) -> tuple[str, str]:
    return here().program.carrier.names.getnameinfo(address, flags)


def _gethostbyname(name: Any, /) -> str:
    return text(here().program.carrier.names.addresses(name, passive=not name)[0])


def _gethostbyname_ex(name: Any, /) -> tuple[str, list[str], list[str]]:
    return str(name), [], [text(address) for address in here().program.carrier.names.addresses(name)]


def _gethostbyaddr(address: Any, /) -> tuple[str, list[str], list[str]]:
    program = here().program
    number = text(program.carrier.names.addresses(address)[0])
    name = "localhost" if number.startswith("127.") else program.network.name_of(number)
    if name is None:
        raise kernel.herror(1, f"no host of the network has the address {number}")
    return name, [], [number]


def _gethostname() -> str:
    return here().program.node.name


def install() -> None:
    swapped.method(kernel.socket, "__new__", _new)
    swapped.method(stream.socket, "__new__", _new_of_stack)
    swapped.value(kernel, "has_ipv6", False)
    names: dict[str, Callable[..., Any]] = {
        "getaddrinfo": _getaddrinfo,
        "getnameinfo": _getnameinfo,
        "gethostbyname": _gethostbyname,
        "gethostbyname_ex": _gethostbyname_ex,
        "gethostbyaddr": _gethostbyaddr,
        "gethostname": _gethostname,
    }
    for name, inside in names.items():
        outside = getattr(kernel, name)
        swapped.name(outside, fallback(outside)(inside))
