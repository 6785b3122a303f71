"""TCP_INFO beside the kernel's: the same structure, and for the same exchange the same figures."""

from __future__ import annotations

import ctypes
import socket as kernel
import time

from netower.stack.calls import numbers as n

from .test_calls_stream import World

_BYTE, _WORD, _LONG = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64


_FIRST = "state ca_state retransmits probes backoff options"
_WORDS = (
    "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv "
    "last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans"
)
_RATES = "pacing_rate max_pacing_rate bytes_acked bytes_received"
_SEGMENTS = "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"
_TIMES = "delivery_rate busy_time rwnd_limited sndbuf_limited"
_LAST = "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash"


class TcpInfo(ctypes.Structure):
    """struct tcp_info, by the C compiler's rules of layout."""

    _fields_ = [
        *((name, _BYTE) for name in _FIRST.split()),
        ("snd_wscale", _BYTE, 4),
        ("rcv_wscale", _BYTE, 4),
        ("delivery_rate_app_limited", _BYTE, 1),
        ("fastopen_client_fail", _BYTE, 2),
        *((name, _WORD) for name in _WORDS.split()),
        *((name, _LONG) for name in _RATES.split()),
        *((name, _WORD) for name in _SEGMENTS.split()),
        *((name, _LONG) for name in _TIMES.split()),
        ("delivered", _WORD),
        ("delivered_ce", _WORD),
        ("bytes_sent", _LONG),
        ("bytes_retrans", _LONG),
        *((name, _WORD) for name in _LAST.split()),
        ("total_rto", ctypes.c_uint16),
        ("total_rto_recoveries", ctypes.c_uint16),
        ("total_rto_time", _WORD),
    ]


#: What must be equal for the same exchange, whatever the MTU and the speed.
_SAME = (
    "state ca_state retransmits probes backoff unacked sacked lost retrans last_ack_sent snd_ssthresh "
    "reordering total_retrans max_pacing_rate bytes_acked bytes_received notsent_bytes data_segs_in data_segs_out "
    "rwnd_limited sndbuf_limited delivered delivered_ce bytes_sent bytes_retrans dsack_dups reord_seen rcv_ooopack "
    "total_rto total_rto_recoveries total_rto_time"
)
SAME = _SAME.split()


def kernel_info() -> TcpInfo:
    """A connection of the kernel's on its loopback, seen by its client after one exchange."""
    with kernel.create_server(("127.0.0.1", 0)) as listener, kernel.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"question")
            server.recv(100)
            server.sendall(b"the answer")
            client.recv(100)
            time.sleep(0.1)  # for the last acknowledgment
            value = client.getsockopt(kernel.IPPROTO_TCP, kernel.TCP_INFO, ctypes.sizeof(TcpInfo))
    return TcpInfo.from_buffer_copy(value.ljust(ctypes.sizeof(TcpInfo), b"\0"))


def our_info(world: World, *, fin: bool = False) -> TcpInfo:
    client, server = world.pair()
    client.send(b"question")
    world.settle()
    server.receive(100)
    server.send(b"the answer")
    world.settle()
    client.receive(100)
    if fin:
        server.close()
    world.run(0.1)
    return TcpInfo.from_buffer_copy(client.getsockopt(n.IPPROTO_TCP, n.TCP_INFO))


def test_the_structure_is_as_long_as_the_compiler_makes_it() -> None:
    assert len(World().stream().getsockopt(n.IPPROTO_TCP, n.TCP_INFO)) == ctypes.sizeof(TcpInfo) == 248
    assert len(World().stream().getsockopt(n.IPPROTO_TCP, n.TCP_INFO, 104)) == 104


def test_an_idle_connection_looks_like_one_of_the_kernel_s() -> None:
    theirs, ours = kernel_info(), our_info(World())
    assert {name: getattr(ours, name) for name in SAME} == {name: getattr(theirs, name) for name in SAME}
    assert ours.options & 7 == theirs.options & 7 == 7
    assert abs(ours.rto - theirs.rto) < 10_000
    assert ours.snd_cwnd == 10
    assert ours.rcv_wnd > 0
    assert ours.snd_wnd > 0


def test_what_the_peer_s_end_adds() -> None:
    assert our_info(World(2), fin=True).bytes_received == len("the answer") + 1  # as Linux, which counts the FIN


def test_a_listener_shows_its_queue() -> None:
    world = World()
    listener = world.listener(backlog=7)
    client = world.stream()
    world.begin(client, (bytes((127, 0, 0, 1)), 80))
    world.settle()
    info = TcpInfo.from_buffer_copy(listener.getsockopt(n.IPPROTO_TCP, n.TCP_INFO))
    assert (info.state, info.unacked, info.sacked) == (10, 1, 7)


def test_held_back_by_the_peer() -> None:
    world = World(2)
    client, server = world.pair()
    client.send(bytes(200_000))
    world.run(2)
    info = TcpInfo.from_buffer_copy(client.getsockopt(n.IPPROTO_TCP, n.TCP_INFO))
    assert info.rwnd_limited > 1_500_000  # nobody reads
    assert info.notsent_bytes > 0
    while server.readable:
        server.receive(1 << 20)
        world.run(0.5)
    info = TcpInfo.from_buffer_copy(client.getsockopt(n.IPPROTO_TCP, n.TCP_INFO))
    assert info.rwnd_limited < 4_000_000
    assert (info.notsent_bytes, info.unacked) == (0, 0)
    assert info.bytes_acked == 200_001
