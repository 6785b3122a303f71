"""The end of a host that lives in a program: what its closed connections still have to deliver, and then the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..transport.tcp.state import State

if TYPE_CHECKING:
    from .host import Host

#: Connections in these states have delivered what was written, and their peer knows that they end.
_DELIVERED: Final = frozenset({State.FIN_WAIT_2, State.TIME_WAIT, State.CLOSED, State.LISTEN})


def undelivered(host: Host) -> bool:
    """Whether a connection that its program has closed still has something to tell its peer."""
    return any(
        getattr(item, "orphan", False)
        and item.state not in _DELIVERED
        # In CLOSING both have ended, and whether the peer knows it of us is all that is open.
        and not (item.state is State.CLOSING and not getattr(item, "unacknowledged", 0))
        for item in host.tcp.sockets()
    )


def close_all(host: Host) -> None:
    """Close every socket that programs left open; connections are reset."""
    for socket in list(host.calls.sockets):
        socket.linger = 0
        socket.close()
