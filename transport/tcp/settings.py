"""What can be set: of a host's TCP, and of one connection. The defaults are Linux's."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...net.failure import Failure


@dataclass(slots=True)
class TcpSettings:
    """The knobs of a host's TCP. Times are in seconds, sizes in bytes; in brackets the sysctl that a value is like."""

    #: How long TIME-WAIT lasts (TCP_TIMEWAIT_LEN; some systems: 90).
    time_wait: float = 60.0
    #: How many ended connections TIME-WAIT remembers; the oldest make room (tcp_max_tw_buckets).
    max_time_wait: int = 65536
    #: A connect may reuse an address pair in TIME-WAIT after some time, if timestamps tell the two apart (tcp_tw_reuse,
    #: tcp_tw_reuse_delay).
    time_wait_reuse: bool = True
    time_wait_reuse_delay: float = 1.0
    #: FIN-WAIT-2 of a connection that its user has closed (tcp_fin_timeout).
    fin_timeout: float = 60.0
    #: Retransmissions before ETIMEDOUT (tcp_syn_retries, tcp_synack_retries, tcp_retries2).
    syn_retries: int = 6
    synack_retries: int = 5
    retries: int = 15
    #: The same for a connection that its user has closed (tcp_orphan_retries, whose 0 means 8).
    orphan_retries: int = 8
    #: RFC 6298 §2.1; the bounds as TCP_RTO_MIN and TCP_RTO_MAX.
    initial_rto: float = 1.0
    min_rto: float = 0.2
    max_rto: float = 120.0
    #: How many segments of a new connection are acknowledged at once, for the sake of the peer's slow start
    #: (TCP_MAX_QUICKACKS).
    quick_acks: int = 16
    #: So many answers that come soon make a conversation, in which ACKs wait for answers (tcp_pingpong_thresh).
    answers_in_conversation: int = 1
    #: After a gap in the data was filled, the next segments too are acknowledged at once, which Linux does not do.
    quick_after_gap: bool = True
    #: The most ACKs that tell early data by SACK that may wait to be one, and for how long (tcp_comp_sack_nr,
    #: tcp_comp_sack_delay_ns).
    compressed_acks: int = 44
    compression_delay: float = 0.001
    #: Segments (RFC 6928).
    initial_window: int = 10
    #: The most that is offered as receive window at first, in segments; 0: what there is room for (a route's initrwnd).
    initial_receive_window: int = 0
    #: The most that the MSS option of our SYN says; 0: what the path takes (a route's advmss).
    advertised_mss: int = 0
    #: Every data segment is acknowledged at once (a route's quickack).
    quick_ack: bool = False
    #: The memory for receiving, of which about half is data: a connection begins with the first, which grows up to the
    #: second (tcp_rmem).
    receive_buffer: int = 131072
    max_receive_buffer: int = 6 << 20
    #: The most that users may ask for (net.core.rmem_max), which counts here for the scale of the window.
    user_receive_buffer: int = 4 << 20
    #: Let it grow (tcp_moderate_rcvbuf).
    moderate_receive_buffer: bool = True
    #: The memory for what a connection takes from its user before it is acknowledged: it begins with the first, which
    #: grows up to the second (tcp_wmem, whose first is 16384).
    send_buffer: int = 256 << 10
    max_send_buffer: int = 4 << 20
    #: The least that segments are made for, options included, whatever the peer announces (tcp_min_snd_mss).
    min_mss: int = 48
    window_scaling: bool = True
    #: 1: each connection's clock begins elsewhere (RFC 7323 §5.4), 2: all tell the host's; 0: off (tcp_timestamps).
    timestamps: int = 1
    #: What keep-alive begins with, unless the socket's options say otherwise (tcp_keepalive_time, _intvl, _probes).
    keepalive_idle: float = 7200.0
    keepalive_interval: float = 75.0
    keepalive_count: int = 9
    #: The most unsent bytes that a connection takes, where its socket does not say; 0: no limit (tcp_notsent_lowat).
    notsent_low_water: int = 0
    #: An RST does not end TIME-WAIT early (RFC 1337 §3; tcp_rfc1337).
    time_wait_ignores_rst: bool = False
    #: The urgent pointer is to the last urgent octet rather than to the one after it (tcp_stdurg).
    urgent_octet: bool = False
    #: Where the accept queue is full, the last ACK of a handshake is answered by RST (tcp_abort_on_overflow).
    abort_on_overflow: bool = False
    #: Connections of listeners answer with the type of service that the SYN had (tcp_reflect_tos).
    reflect_tos: bool = False
    #: A soft ICMP error ends an attempt to connect, and a handshake of a listener, as on Linux (RFC 5461 §2.2).
    soft_errors_end_handshakes: bool = False
    #: A window without a scale is one that a peer may take for a signed number (tcp_workaround_signed_windows).
    signed_windows: bool = False
    #: The receive window may shrink when memory turns out to hold less (tcp_shrink_window).
    shrink_window: bool = False
    #: New sockets let routers fragment what they send; 0: they learn the path's MTU (ip_no_pmtu_disc).
    no_path_mtu_discovery: int = 0
    #: Whether the congestion window shrinks while it is not used (tcp_slow_start_after_idle).
    slow_start_after_idle: bool = True
    #: How large packets are that the link segments: at least so many segments (tcp_min_tso_segs), more where the round
    #: trip is not much longer than 2 to the power of this in microseconds (tcp_tso_rtt_log); one that could be larger
    #: soon goes out at once if it has this part of the window, 0: or four segments (tcp_tso_win_divisor).
    min_tso_segments: int = 2
    tso_rtt_log: int = 9
    tso_window_divisor: int = 3
    #: How many SYNs are sent again after the same time, before the time doubles (tcp_syn_linear_timeouts).
    syn_linear_timeouts: int = 4
    #: The congestion controller, by its name in `controllers` (tcp_congestion_control).
    congestion: str = "cubic"
    #: Where a window is paced that does not say how fast: the part of it that leaves in a round trip, in slow start and
    #: after (tcp_pacing_ss_ratio, tcp_pacing_ca_ratio).
    pacing_slow_start: float = 2.0
    pacing_avoidance: float = 1.2
    #: Connections measure their delivery rate from the start, although their controller does not ask for it.
    measure_rates: bool = False
    #: Selective acknowledgment (tcp_sack).
    sack: bool = True
    #: Reporting what came twice (RFC 2883; tcp_dsack).
    dsack: bool = True
    #: How RACK (RFC 8985) judges, bits (tcp_recovery): 1 it is on, which it always is; 2 its window stays when DSACKs
    #: say that it was too short; 4 it waits though many segments arrived behind a hole.
    recovery: int = 1
    #: How many segments may overtake one before it counts as lost: at first, and at most (tcp_reordering,
    #: tcp_max_reordering).
    reordering: int = 3
    max_reordering: int = 300
    #: Tail loss probes (RFC 8985 §7; tcp_early_retrans, where 3 and 4 mean yes).
    early_retrans: int = 3
    #: Looking whether a time-out was spurious (RFC 5682; tcp_frto).
    frto: int = 2
    #: Time-outs of streams with few segments on the way do not become longer (tcp_thin_linear_timeouts).
    thin_linear_time_outs: bool = False
    #: Without SYN cookies, connections in SYN-RECEIVED for one listener, less a quarter (tcp_max_syn_backlog); a
    #: listener's backlog bounds them too.
    max_syn_backlog: int = 1024
    #: Look for black holes, which swallow long packets and say nothing (RFC 4821; tcp_mtu_probing 1): after so many
    #: time-outs of one segment (tcp_retries1) segments shrink to tcp_base_mss, then by half, to tcp_mtu_probe_floor.
    #: From there, or always (2), larger ones are tried, until less than tcp_probe_threshold bytes are in doubt, and
    #: again after tcp_probe_interval.
    mtu_probing: int = 0
    mtu_probe_threshold: int = 8
    mtu_probe_interval: float = 600.0
    mtu_probe_retries: int = 3
    base_mss: int = 1024
    mtu_probe_floor: int = 48
    #: What to do when the queue of handshakes is full: 0 drop SYNs, 1 go on without memory (RFC 4987), 2 always do so
    #: (tcp_syncookies).
    syn_cookies: int = 1
    #: Fast Open (RFC 7413), bits: 1 as a client, 2 as a server, 4 send data without a cookie, 0x200 take them without
    #: one, 0x400 on every listener (tcp_fastopen).
    fast_open: int = 1
    #: How long no SYN is unusual after one was followed by silence; twice as long each time; 0: one goes on
    #: (tcp_fastopen_blackhole_timeout_sec).
    fast_open_pause: float = 0.0
    #: Explicit Congestion Notification (RFC 3168): 0 never, 1 ask for it and agree to it, 2 agree to it (tcp_ecn); and
    #: do not ask again in a SYN that got no answer (tcp_ecn_fallback).
    ecn: int = 2
    ecn_fallback: bool = True
    #: Challenge ACKs in a second, over all connections (tcp_challenge_ack_limit), and the least time between two of
    #: one connection (tcp_invalid_ratelimit).
    challenge_acks: int = 2147483647
    challenge_interval: float = 0.5


@dataclass(frozen=True, slots=True)
class Timing:
    """What the timers of a connection go by that does not take its host's settings; in seconds.

    ``min_rto`` and ``max_rto`` are the bounds of the retransmission time-out (TCP_RTO_MIN_US, TCP_RTO_MAX_MS),
    ``max_delay`` is how long an acknowledgment may wait (TCP_DELACK_MAX_US), ``thin_linear_time_outs`` as in
    `TcpSettings` (TCP_THIN_LINEAR_TIMEOUTS).
    """

    min_rto: float
    max_rto: float
    max_delay: float = 0.2
    thin_linear_time_outs: bool = False


@dataclass(slots=True)
class TcpOptions:
    """The options of one connection, or of a listener (its connections inherit a copy).

    After a change on a living connection call `Connection.options_changed`. None means the host's setting.
    """

    nodelay: bool = False
    cork: bool = False
    keepalive: bool = False
    keepalive_idle: float = 7200.0
    keepalive_interval: float = 75.0
    keepalive_count: int = 9
    #: The largest segment to send and to announce, in bytes; 0: what the path allows.
    maxseg: int = 0
    #: How long sent data may stay unacknowledged, in seconds (RFC 5482); 0: as long as the retries last.
    user_timeout: float = 0.0
    syn_retries: int | None = None
    fin_timeout: float | None = None
    #: Fixed buffer sizes in bytes, with what data cost beside their size; None: grown as needed.
    receive_buffer: int | None = None
    send_buffer: int | None = None
    #: The congestion controller, by its name in `controllers`; empty: the host's.
    congestion: str = ""
    #: In bytes/s; inf: no limit, and no pacing unless the controller asks for it.
    max_pacing_rate: float = inf
    hop_limit: int = 64
    #: Segments are not fragmented on their way (RFC 1191); False: routers may.
    dont_fragment: bool = True
    traffic_class: int = 0
    #: Segments that have come through more routers than leave them so many hops are dropped (IP_MINTTL).
    least_hop_limit: int = 0
    timing: Timing | None = None
    #: Acknowledge the next segments at once rather than wait for an answer to ride on.
    quick_ack: bool = True
    #: A listener's connections are not ready before their first data, or before a handshake's answer was sent again
    #: this many times; 0: they are ready at once.
    defer_accept: int = 0
    #: The most unsent bytes that a connection takes from its user; 0: what the send buffer holds.
    notsent_low_water: int = 0
    #: The most that is offered as receive window, in bytes, until the peer's segments turn out to be larger than
    #: thought (as on Linux); 0: what the buffer holds. Of a living connection: `Connection.clamp_window`.
    window_clamp: int = 0
    #: A listener takes data in this many SYNs whose handshake is not over (RFC 7413); 0: in none.
    fast_open: int = 0
    #: Its own keys for cookies, of 16 bytes: the one in use, and the one before; empty: the host's.
    fast_open_keys: tuple[bytes, ...] = ()
    #: Data are sent in a SYN, and taken from one, without a cookie.
    fast_open_no_cookie: bool = False
    #: connect lets the SYN wait for the first data where the server has given us a cookie.
    fast_open_connect: bool = False
    #: A listener's connections keep their SYN: 1 from the IP header on, 2 from the link's.
    save_syn: int = 0
    saved_syn: bytes = b""
    #: If the user wants to know of all ICMP errors (IP_RECVERR): told of those that keep a connection from being
    #: opened; later ones are its ``error`` for once, without ending it.
    failed: Callable[[Failure], object] | None = None
    #: Whether an address pair may be bound while TIME-WAIT holds it (SO_REUSEADDR).
    reuse: bool = False
    #: The first and the last port that may be chosen for a connection; 0: the host's (IP_LOCAL_PORT_RANGE).
    local_ports: tuple[int, int] = (0, 0)

    def inherited(self) -> TcpOptions:
        """A copy for a listener's new connection; how many SYNs with data it takes is the listener's alone, and as on
        Linux how it acknowledges is."""
        options = TcpOptions(*_values(self))
        options.fast_open = 0
        options.quick_ack = True
        return options


_values: Final = attrgetter(*TcpOptions.__slots__)
