"""TCP_INFO: Linux's ``struct tcp_info`` (include/uapi/linux/tcp.h), as far as this host knows what it asks; and
TCP_CC_INFO, what a congestion controller tells of itself."""

from __future__ import annotations

from math import inf
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from ...transport.tcp import controllers, early, ecn, pacing, window
from ...transport.tcp.bbr import Bbr
from ...transport.tcp.flight import segments
from ...transport.tcp.rtt import FALL_BACK
from ...transport.tcp.state import OPENING, State

if TYPE_CHECKING:
    from ...transport.tcp.connection import Connection
    from ...transport.tcp.scoreboard import Scoreboard

#: The fields in order, by their size: those of one octet (the last two hold bit fields), of four, of eight.
_FIELDS: Final = (
    ("B", "state ca_state retransmits probes backoff options window_scales flags"),
    ("I", "rto ato snd_mss rcv_mss"),
    ("I", "unacked sacked lost retrans fackets"),
    ("I", "last_data_sent last_ack_sent last_data_recv last_ack_recv"),
    ("I", "pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans"),
    ("Q", "pacing_rate max_pacing_rate bytes_acked bytes_received"),
    ("I", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
    ("Q", "delivery_rate busy_time rwnd_limited sndbuf_limited"),
    ("I", "delivered delivered_ce"),
    ("Q", "bytes_sent bytes_retrans"),
    ("I", "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash"),
    ("H", "total_rto total_rto_recoveries"),
    ("I", "total_rto_time"),
)
_CODES: Final = {name: code for code, names in _FIELDS for name in names.split()}
_INFO: Final = Struct("=" + "".join(_CODES.values()))
_BBR_INFO: Final = Struct("=QIII")
_BBR_UNKNOWN: Final = (1 << 32) - 1
#: The largest value of each field.
_LIMITS: Final = {name: (1 << 8 * Struct("=" + code).size) - 1 for name, code in _CODES.items()}

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
_OPTION_SACK: Final = 2
_OPTION_WINDOW_SCALE: Final = 4
_OPTION_ECN: Final = 8
_OPTION_ECN_SEEN: Final = 16
_OPTION_SYN_DATA: Final = 32
#: Our SYN had data, which were taken.
_SYN_DATA: Final = early.SENT | early.TAKEN
_OPTION_FAST_OPEN_CHILD: Final = 128
_CA_OPEN, _CA_DISORDER, _CA_CWR, _CA_RECOVERY, _CA_LOSS = range(5)
_INFINITE_SSTHRESH: Final = 0x7FFFFFFF
_NO_LIMIT: Final = (1 << 64) - 1
#: What a peer takes that does not say, in bytes (RFC 9293 §3.7.1, MUST-15); and the least that Linux takes one to send.
_DEFAULT_MSS: Final = 536
_LEAST_MSS: Final = 88
#: Fields that say how long ago something was.
_SINCE: Final = ("last_data_sent", "last_data_recv", "last_ack_recv")
#: The round trips in a second of a connection that has not measured any.
_UNMEASURED: Final = 8_000_000


def read_tcp_info(value: bytes) -> dict[str, int]:
    """The fields of a structure by name, without their prefix; bit fields are still together. An older kernel's lacks
    some at the end, a newer one's has more."""
    return dict(zip(_CODES, _INFO.unpack(value[: _INFO.size].ljust(_INFO.size, b"\0")), strict=True))


def _pack(values: dict[str, int]) -> bytes:
    return _INFO.pack(*(min(max(values.get(name, 0), 0), limit) for name, limit in _LIMITS.items()))


#: The structure for a connection of which nothing is left.
CLOSED_INFO: Final = _pack({"state": STATES[State.CLOSED]})


def tcp_info(socket: Any) -> bytes:
    """The structure for a stream socket; what is unknown is zero. Times are in milliseconds where they say how long
    ago something was, else in microseconds; rates in bytes/s. The delivery rate is measured from the first call on."""
    connection: Connection | None = socket.connection
    if connection is None:
        return _pack(_listener(socket) if socket.listening else _fresh(socket))
    controllers.measure_rate(connection)
    values = _states(connection) | _times(connection) | _sizes(connection) | _counts(connection)
    if connection.snd_una == connection.iss and not connection.rcv_nxt:
        values |= _unanswered(connection)
    elif connection.early:
        values |= {"rto": _microseconds(FALL_BACK), "rttvar": _microseconds(FALL_BACK / 4)}
    return _pack(values)


def _listener(socket: Any) -> dict[str, int]:
    """The kernel reuses two fields for the accept queue."""
    queue = {"state": STATES[State.LISTEN], "unacked": socket.listener.waiting, "sacked": socket.backlog}
    return _unused(socket) | queue


def _fresh(socket: Any) -> dict[str, int]:
    """Of a socket without a connection: what one would begin with. Nothing was ever sent or heard."""
    tcp = socket.calls.host.tcp
    return _unused(socket) | {
        "state": STATES[State.CLOSED],
        "flags": 1,
        "rto": _microseconds(tcp.settings.initial_rto),
        "rttvar": _microseconds(tcp.settings.initial_rto / 4),
        "min_rtt": _LIMITS["min_rtt"],
        "snd_mss": _DEFAULT_MSS,
        "snd_ssthresh": _INFINITE_SSTHRESH,
        **dict.fromkeys(_SINCE, _milliseconds(tcp.scheduler.now)),
    }


def _unanswered(c: Connection) -> dict[str, int]:
    """Of a connection whose SYN got no answer but perhaps a RST. A SYN that was sent again counts as lost."""
    data = c.snd_max > c.iss + 1  # Fast Open
    values = {
        "unacked": 0 if c.state is State.CLOSED else int(c.snd_max > c.iss) + data,
        "delivered": 0,
        "options": 0,
        "window_scales": 0,
        "advmss": c.announced_mss,
        "snd_cwnd": c.tcp.settings.initial_window,
        "rcv_mss": _LEAST_MSS,
        "rcv_space": 0,
        **dict.fromkeys(_SINCE, _milliseconds(c.tcp.scheduler.now)),
    }
    if c.retries:
        half = c.tcp.settings.initial_window * 7 // 10
        values |= {"ca_state": _CA_LOSS, "lost": 1, "retrans": 1, "snd_cwnd": 1, "snd_ssthresh": half}
    return values


def _unused(socket: Any) -> dict[str, int]:
    limit = _rate(socket.options.max_pacing_rate)
    settings = socket.calls.host.tcp.settings
    return {
        "snd_cwnd": settings.initial_window,
        "reordering": settings.reordering,
        "pacing_rate": limit,
        "max_pacing_rate": limit,
    }


def congestion_info(socket: Any) -> bytes:
    """What the connection's controller tells: of BBR ``struct tcp_bbr_info`` (the bandwidth in bytes/s, the shortest
    round trip in microseconds, and the gains in 256ths); of others nothing."""
    connection: Connection | None = socket.connection
    control = connection.congestion if connection is not None else None
    if not isinstance(control, Bbr):
        return b""
    shortest = _BBR_UNKNOWN if control.min_rtt == inf else _microseconds(control.min_rtt)
    gains = (int(gain * 256) for gain in (control.pacing_gain, control.cwnd_gain))
    return _BBR_INFO.pack(int(control.bandwidth), shortest, *gains)


def _states(c: Connection) -> dict[str, int]:
    return {
        # TIME-WAIT is not the socket's any more.
        "state": STATES[State.CLOSED if c.state is State.TIME_WAIT else c.state],
        "ca_state": _congestion_state(c),
        "retransmits": c.retries,
        "probes": c.persist_probes + _keepalive_probes(c),
        "backoff": c.state is not State.CLOSED and c.rtt.backoff,
        "options": c.state is not State.SYN_SENT and _options(c),
        "window_scales": c.state is not State.SYN_SENT and c.snd_shift | c.rcv_shift << 4,
        "flags": int(c.rate is None or c.rate.noted_app_limited) | c.fast_open >> early.FAILURE_SHIFT << 1,
    }


def _keepalive_probes(c: Connection) -> int:
    """How many are unanswered."""
    asked_at = c.keepalive_at - c.options.keepalive_interval
    return c.keepalive_probes if c.heard_at < asked_at else 0


def _options(c: Connection) -> int:
    found = _OPTION_TIMESTAMPS * c.timestamps | _OPTION_SACK * c.sack | _OPTION_WINDOW_SCALE * c.rcv_scaling
    found |= _OPTION_SYN_DATA * bool(c.fast_open & early.TAKEN)
    found |= _OPTION_FAST_OPEN_CHILD * bool(c.fast_open & early.CHILD)
    return found | _OPTION_ECN * bool(c.ecn) | _OPTION_ECN_SEEN * bool(c.ecn & ecn.SEEN)


def _congestion_state(c: Connection) -> int:
    board = c.board
    if board is not None and board.after_timeout:
        return _CA_LOSS
    if c.recovering:
        return _CA_RECOVERY
    if board is not None and board.reducing >= 0:
        return _CA_CWR
    if c.retransmissions and c.snd_una == c.iss + 1 and not (c.sack or c.counts.passive):
        return _CA_LOSS  # the SYN was lost; without SACK more has to arrive to end that
    return _CA_DISORDER if board is not None and board.outside else _CA_OPEN


def _times(c: Connection) -> dict[str, int]:
    now, rtt, counts = c.tcp.scheduler.now, c.rtt, c.counts
    heard = _milliseconds(now - c.heard_at)
    return {
        "rto": _microseconds(rtt.rto),
        "ato": _microseconds(min(c.ato, c.options.timing.max_delay) if c.options.timing is not None else c.ato),
        "last_data_sent": _milliseconds(now - (counts.data_sent_at or c.sent_at)),
        "last_data_recv": _milliseconds(now - c.data_at) if c.data_at > -inf else heard,
        "last_ack_recv": heard,
        "rtt": _microseconds(rtt.srtt),
        "rttvar": _microseconds(rtt.rttvar),
        "min_rtt": _microseconds(rtt.shortest) if rtt.srtt else _LIMITS["min_rtt"],
        "busy_time": _microseconds(counts.busy_until(now)),
        "rwnd_limited": _microseconds(counts.held_until(now)),
        "sndbuf_limited": _microseconds(counts.short_until(now)),
        "total_rto_time": _milliseconds(counts.timed_out_until(now)),
    }


def _sizes(c: Connection) -> dict[str, int]:
    cwnd, ssthresh, mss = c.congestion.cwnd, c.congestion.ssthresh, c.mss
    return {
        "snd_mss": mss + c.option_room,
        "rcv_mss": c.rcv_mss,
        "rcv_rtt": _microseconds(c.right_sizing.rtt) if c.right_sizing is not None else 0,
        "pmtu": c.path.mtu,
        "advmss": c.announced_mss if c.state is State.SYN_SENT else c.advertised_mss,
        "snd_ssthresh": ssthresh // mss if ssthresh < 1 << 30 else _INFINITE_SSTHRESH,
        "snd_cwnd": max(cwnd // mss, 1) if c.state not in OPENING or c.retries else c.tcp.settings.initial_window,
        "rcv_ssthresh": c.rcv_ssthresh,
        "rcv_space": c.right_sizing.space if c.right_sizing is not None else window.initial_space(c),
        "snd_wnd": c.snd_wnd,
        "rcv_wnd": c.rcv_adv - c.rcv_acked,
        "pacing_rate": _rate(_pace(c)),
        "max_pacing_rate": _rate(c.options.max_pacing_rate),
        "delivery_rate": _rate(c.rate.noted) if c.rate is not None else 0,
        "notsent_bytes": c.unsent + (c.fin_queued and c.snd_nxt <= c.buffer.end),
    }


def _pace(c: Connection) -> float:
    """In bytes/s. As on Linux only acknowledgments change it; and before a round trip was measured it counts as an
    eightieth of a millisecond."""
    if c.rate is not None and c.rate.pace < inf:
        return min(c.rate.pace, c.options.max_pacing_rate)
    pace = pacing.rate(c)
    if pace == inf and c.state not in OPENING and c.snd_una > c.iss:
        window = c.congestion.cwnd if c.counts.passive else c.mss
        return window * _UNMEASURED * c.tcp.settings.pacing_slow_start
    return pace


def _counts(c: Connection) -> dict[str, int]:
    counts, board = c.counts, c.board
    sent = max(min(c.snd_max, c.buffer.end) - c.iss - 1, 0)
    answered = counts.passive and c.snd_una == c.iss  # a SYN and ACK is the listener's
    unacknowledged = segments(c, c.snd_una + answered, c.snd_max)
    sacked = _sacked(c, board) if board is not None else 0
    delivered = counts.data_segments_out - counts.data_segments_resent + counts.controls - unacknowledged + sacked
    delivered -= answered + (c.fast_open & _SYN_DATA == _SYN_DATA)  # as on Linux a SYN and its data are one
    return {
        "unacked": unacknowledged if c.state is not State.CLOSED else 0,
        "sacked": sacked,
        "lost": _lost(c, board) if board is not None else 0,
        "retrans": _resent(c, board) if board is not None and not board.tail_end else 0,
        "reordering": c.tcp.settings.reordering if c.rack is None else c.rack.reordering,
        "total_retrans": c.retransmissions,
        "bytes_acked": c.snd_una - c.iss - counts.passive,  # with the SYN of a connect and a FIN, as on Linux
        "bytes_received": c.rcv_nxt - c.irs - 1,  # with the peer's FIN, as on Linux
        "segs_out": counts.segments_out,
        "segs_in": counts.segments_in,
        "data_segs_out": counts.data_segments_out,
        "rcv_ooopack": counts.early_segments,
        "data_segs_in": counts.data_segments_in,
        "delivered": delivered + counts.told_again,  # as on Linux, all that was ever told
        "delivered_ce": counts.delivered_marked,
        "bytes_sent": sent + counts.bytes_resent,
        "bytes_retrans": counts.bytes_resent,
        "dsack_dups": counts.reported_twice,
        "reord_seen": 0 if c.rack is None else c.rack.reordered,
        "total_rto": counts.time_outs,
        "total_rto_recoveries": counts.time_out_recoveries,
        "rehash": counts.rehashes,
    }


def _sacked(c: Connection, board: Scoreboard) -> int:
    early = sum(segments(c, start, end) for start, end in board.sacked)
    return early + _segments(board.departed, c.mss)


def _lost(c: Connection, board: Scoreboard) -> int:
    again = 0 if board.tail_end else _resent(c, board) - _segments(board.resent.pardoned, c.mss)
    return sum(segments(c, start, end) for start, end in board.lost) + again


def _resent(c: Connection, board: Scoreboard) -> int:
    return sum(segments(c, part.start, part.end) for part in board.resent.sent_since(-inf))


def _segments(size: int, mss: int) -> int:
    return -(-size // mss)


def _rate(rate: float) -> int:
    return _NO_LIMIT if rate == inf else int(rate)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1e3)
