"""TCP_INFO: the head of Linux's ``struct tcp_info``, as far as this host knows what it asks."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from ...transport.tcp.state import State

if TYPE_CHECKING:
    from ...transport.tcp.connection import Connection

# Eight octets (state, ca_state, retransmits, probes, backoff, options, both window shifts, flags), then 24 words, to
# tcpi_total_retrans.
_INFO: Final = Struct("=8B24I")

#: The kernel's numbers of the states (include/net/tcp_states.h).
STATES: Final = {
    State.ESTABLISHED: 1,
    State.SYN_SENT: 2,
    State.SYN_RECEIVED: 3,
    State.FIN_WAIT_1: 4,
    State.FIN_WAIT_2: 5,
    State.TIME_WAIT: 6,
    State.CLOSED: 7,
    State.CLOSE_WAIT: 8,
    State.LAST_ACK: 9,
    State.LISTEN: 10,
    State.CLOSING: 11,
}
_OPTION_TIMESTAMPS: Final = 1
_OPTION_WINDOW_SCALE: Final = 4
_RECOVERY: Final = 3  # TCP_CA_Recovery


def tcp_info(socket: Any) -> bytes:
    """The structure for a stream socket; what is unknown is zero."""
    connection: Connection | None = socket.connection
    if connection is None:
        state = State.LISTEN if socket.listening else State.CLOSED
        return _INFO.pack(STATES[state], *bytes(31))
    return _INFO.pack(*_octets(connection), *_words(connection))


def _octets(connection: Connection) -> tuple[int, ...]:
    options = _OPTION_TIMESTAMPS * connection.timestamps | _OPTION_WINDOW_SCALE * bool(connection.snd_shift)
    return (
        STATES[connection.state],
        _RECOVERY * connection.recovering,
        min(connection.retries, 255),
        min(connection.persist_probes + connection.keepalive_probes, 255),
        min(connection.retries, 255),
        options,
        connection.snd_shift | connection.rcv_shift << 4,
        0,
    )


def _words(connection: Connection) -> tuple[int, ...]:
    now = connection.tcp.scheduler.now
    rtt = connection.rtt
    mss = connection.mss
    in_flight = -(-(connection.snd_nxt - connection.snd_una) // mss)
    sent, heard = _milliseconds(now - connection.sent_at), _milliseconds(now - connection.heard_at)
    return (
        _microseconds(rtt.rto),
        _microseconds(connection.tcp.settings.delayed_ack),
        mss,
        connection.rcv_mss,
        in_flight,
        *(0, 0, 0, 0),  # sacked, lost, retrans, fackets
        sent,
        sent,
        heard,
        heard,
        connection.path.mtu,
        connection.rcv_space,
        _microseconds(rtt.srtt),
        _microseconds(rtt.rttvar),
        min(int(connection.congestion.ssthresh) // mss, 0x7FFFFFFF),
        max(int(connection.congestion.cwnd) // mss, 1),
        connection.announced_mss,
        3,  # reordering: duplicate ACKs before a fast retransmit (RFC 5681)
        0,  # rcv_rtt
        connection.rcv_space,
        connection.retransmissions,
    )


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)


def _milliseconds(seconds: float) -> int:
    return min(max(round(seconds * 1e3), 0), 0xFFFFFFFF)
