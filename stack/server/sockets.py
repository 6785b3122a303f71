"""The sockets of a host as the kernel's ``ss`` would show them."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Any, Final

from ...net.address import Address, text
from ...transport.tcp import pacing
from ...transport.tcp.bbr import Bbr
from ...transport.tcp.ecn import SEEN
from ...transport.tcp.state import State
from ...transport.tcp.time_wait import TimeWait
from ..calls import DatagramSocket, StreamSocket
from ..control import ACCEPTED
from .gate import Gate, waiting_bytes
from .unread import unread_bytes

if TYPE_CHECKING:
    from ...transport.tcp.connection import Connection
    from ...transport.tcp.listener import Listener
    from .server import StackServer

#: The kernel's words where they are not the RFC's.
_STATES: Final = {State.ESTABLISHED: "ESTAB", State.SYN_RECEIVED: "SYN-RECV", State.CLOSED: "UNCONN"}
#: The byte that a stream's gate always leaves unread, although it has dealt with it.
PLEDGE: Final = 1
#: The largest that is a number, as far as tools are concerned: ssthresh before any loss.
_UNLIMITED: Final = 1 << 30


def sockets(server: StackServer) -> list[dict[str, Any]]:
    """Every socket, and every connection that nobody holds any more: listeners first, then connections."""
    unread = unread_bytes()
    gates = list(server.gates.values())
    by_listener = {gate.socket.listener: gate for gate in gates if isinstance(gate.socket, StreamSocket)}
    by_connection = {gate.socket.connection: gate for gate in gates if isinstance(gate.socket, StreamSocket)}
    tcp = server.host.tcp
    now = server.host.scheduler.now
    rows = [_datagrams(gate, gate.socket, unread) for gate in gates if isinstance(gate.socket, DatagramSocket)]
    rows += [_listener(one, by_listener.get(one), unread) for group in tcp.listeners.values() for one in group]
    for connection in tcp.connections.values():
        if isinstance(connection, TimeWait):
            rows.append(_resting(connection, now))
        else:
            rows.append(_connection(connection, by_connection.get(connection), unread, now))
    return rows


def _row(protocol: str, state: str, gate: Gate[Any] | None, **fields: Any) -> dict[str, Any]:
    row = {"protocol": protocol, "state": state, "recv_q": 0, "send_q": 0, "local": "", "remote": "*:*"}
    return {**row, "timer": "", "pid": gate.owner if gate else 0, "info": {}, **fields}


def _datagrams(gate: Gate[Any], socket: DatagramSocket, unread: dict[int, int]) -> dict[str, Any]:
    endpoint = socket.endpoint
    return _row(
        "udp",
        "ESTAB" if endpoint.remote else "UNCONN",
        gate,
        recv_q=endpoint.queued + unread.get(gate.inode, 0),
        send_q=waiting_bytes(gate.end),
        local=_endpoint(endpoint.local),
        remote=_endpoint(endpoint.remote),
        info={"dropped": endpoint.dropped} if endpoint.dropped else {},
    )


def _listener(listener: Listener, gate: Gate[Any] | None, unread: dict[int, int]) -> dict[str, Any]:
    """Recv-Q is how many connections wait to be accepted, Send-Q how many may."""
    untaken = unread.get(gate.inode, 0) // ACCEPTED.size if gate else 0
    return _row(
        "tcp",
        "LISTEN",
        gate,
        recv_q=listener.waiting + untaken,
        send_q=listener.backlog,
        local=_endpoint(listener.local),
    )


def _connection(connection: Connection, gate: Gate[Any] | None, unread: dict[int, int], now: float) -> dict[str, Any]:
    """Recv-Q is what the program has not read, Send-Q what the peer has not acknowledged."""
    return _row(
        "tcp",
        _STATES.get(connection.state, connection.state.value),
        gate,
        recv_q=connection.readable + (unread.get(gate.inode, 0) if gate else 0),
        send_q=connection.unacknowledged + (max(0, waiting_bytes(gate.end) - PLEDGE) if gate else 0),
        local=_endpoint(connection.local),
        remote=_endpoint(connection.remote),
        timer=_timer(connection, now),
        info=dict(_internals(connection)),
    )


def _resting(rest: TimeWait, now: float) -> dict[str, Any]:
    timer = f"timewait,{_duration(rest.expires - now)},0"
    return _row("tcp", "TIME-WAIT", None, local=_endpoint(rest.local), remote=_endpoint(rest.remote), timer=timer)


def _timer(connection: Connection, now: float) -> str:
    """The timer that is due first, in the words of ``ss -o``: its purpose, the time left, and the tries so far."""
    due, purpose, tries = min(
        (connection.retransmit_at, "on", connection.retries),
        (connection.persist_at, "persist", connection.persist_probes),
        (connection.keepalive_at, "keepalive", connection.keepalive_probes),
        (connection.give_up_at, "timewait", 0),
    )
    return f"{purpose},{_duration(due - now)},{tries}" if due < inf else ""


def _duration(seconds: float) -> str:
    """As ``ss`` writes it: 200ms, 59sec, 1min59sec."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1e3:.0f}ms"
    minutes, rest = divmod(int(seconds), 60)
    return (f"{minutes}min" if minutes else "") + (f"{rest}sec" if rest or not minutes else "")


def _internals(connection: Connection) -> Iterator[tuple[str, Any]]:
    """What ``ss -i`` shows; times in milliseconds, sizes in bytes, windows of congestion in segments."""
    congestion, rtt, mss = connection.congestion, connection.rtt, connection.mss
    yield congestion.name, True
    yield "ts", bool(connection.timestamps)
    yield "ecn", bool(connection.ecn)
    yield "ecnseen", bool(connection.ecn & SEEN)
    yield "wscale", f"{connection.snd_shift},{connection.rcv_shift}"
    yield "rto", round(rtt.rto * 1e3, 3)
    if rtt.srtt:
        yield "rtt", f"{rtt.srtt * 1e3:.3f}/{rtt.rttvar * 1e3:.3f}"
    yield "mss", mss
    yield "pmtu", connection.path.mtu
    yield "rcvmss", connection.rcv_mss
    yield "cwnd", int(congestion.cwnd) // mss
    if congestion.ssthresh < _UNLIMITED:
        yield "ssthresh", int(congestion.ssthresh) // mss
    yield "unacked", -(-(connection.snd_nxt - connection.snd_una) // mss)
    yield "retrans", f"{connection.retries}/{connection.retransmissions}"
    if connection.counts.delivered_marked:
        yield "delivered_ce", connection.counts.delivered_marked
    if isinstance(congestion, Bbr):
        gains = f"pacing_gain:{congestion.pacing_gain:.3g},cwnd_gain:{congestion.cwnd_gain:.3g}"
        yield "bbr", f"(bw:{_bits(congestion.bandwidth)},mrtt:{congestion.min_rtt * 1e3:.3g},{gains})"
    if (rate := pacing.rate(connection)) < inf:
        yield "pacing_rate", _bits(rate)
    if connection.rate is not None:
        yield "delivery_rate", _bits(connection.rate.noted)
        yield "app_limited", connection.rate.noted_app_limited
    yield "rcv_ssthresh", connection.rcv_ssthresh
    yield "snd_wnd", connection.snd_wnd


def _bits(rate: float) -> str:
    """A rate in bytes/s, as ``ss`` writes it: in bits."""
    return f"{rate * 8:.0f}bps"


def _endpoint(address: tuple[Address, int] | None) -> str:
    if address is None:
        return "*:*"
    host, port = address
    return f"{text(host) if any(host) else '0.0.0.0'}:{port or '*'}"
