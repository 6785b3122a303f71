"""The standard library's ``socket`` module, with the sockets of a netower stack.

Same names, constants, exceptions and behaviour: ``import netower.stack.socket as socket``. AF_INET stream and datagram
sockets are the stack's: the one that NETOWER_PATH names, or one of this process' own with just a loopback
interface. Whatever is not AF_INET goes to the kernel's own module unchanged.
"""

from __future__ import annotations

import socket as _kernel
import types as _types
from typing import TYPE_CHECKING, Any

# All that the standard module has, private names too: its users reach for some of them.
globals().update({name: value for name, value in vars(_kernel).items() if not name.startswith("__")})

from .program.stream import socket  # noqa: E402

SocketType = socket

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


#: The stack has no IPv6 yet; a program that asks for "any family" gets addresses that it can reach.
has_ipv6 = False

__all__ = [*_kernel.__all__, "install"]


def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
    """As the standard function; where any family will do, only IPv4 addresses (as on a host without IPv6)."""
    found = _kernel.getaddrinfo(host, port, family, type, proto, flags)
    if family == _kernel.AF_UNSPEC:
        return [entry for entry in found if entry[0] == _kernel.AF_INET] or found
    return found


def fromfd(fd: int, family: int, type: int, proto: int = 0) -> socket:
    """A socket object from a duplicate of a descriptor."""
    return socket(family, type, proto, fileno=_kernel.dup(fd))


def socketpair(family: int | None = None, type: int = _kernel.SOCK_STREAM, proto: int = 0) -> tuple[socket, socket]:
    """A pair of the kernel's own sockets, as objects of this module's class."""
    pair = _kernel.socketpair(family, type, proto) if family is not None else _kernel.socketpair(type=type, proto=proto)
    first, second = (socket(end.family, end.type, end.proto, fileno=end.detach()) for end in pair)
    return first, second


def _rebound(function: Any) -> Any:
    """A function of the standard module whose globals are this module's: it makes our sockets."""
    ours = _types.FunctionType(
        function.__code__, globals(), function.__name__, function.__defaults__, function.__closure__
    )
    ours.__kwdefaults__ = function.__kwdefaults__
    ours.__doc__ = function.__doc__
    return ours


create_connection = _rebound(_kernel.create_connection)
create_server = _rebound(_kernel.create_server)
has_dualstack_ipv6 = _rebound(_kernel.has_dualstack_ipv6)
recv_fds = _rebound(_kernel.recv_fds)
send_fds = _rebound(_kernel.send_fds)


def install() -> None:
    """Replace the standard ``socket`` module in this process, in modules that were imported before too."""
    from .program.install import replace

    replace(_kernel, globals())
