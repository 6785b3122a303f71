"""Opening: handshakes by script, and what arrives where no connection is."""

from __future__ import annotations

import errno

import pytest
from netower.net.failure import Failure
from netower.transport.tcp.header import ACK, FIN, HEADER, PSH, RST, SYN
from netower.transport.tcp.options import build_syn
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.state import State

from .peer import MASK, OURS, THEIRS, Peer, arriving


def test_active_open() -> None:
    peer = Peer(timestamps=True, shift=4)
    connection = peer.start_connect()
    assert connection.state is State.SYN_SENT
    peer.send(SYN | ACK, options=peer.syn_options(), window=100)
    assert connection.state is State.ESTABLISHED
    answer = peer.one()
    assert answer.flags == ACK
    assert answer.ack == peer.seq
    assert answer.options.timestamp_echo == peer.stamp()
    assert connection.snd_wnd == 100  # the window of a SYN is not scaled
    peer.send(ACK, window=100)
    assert connection.snd_wnd == 1600


def test_the_syn_says_what_we_have() -> None:
    peer = Peer()
    peer.tcp.connect(None, (THEIRS, 80))
    syn = peer.one()
    assert (syn.options.mss, syn.options.window_shift, syn.options.sack_permitted) == (1460, 7, True)
    assert syn.options.timestamp is not None
    assert (syn.flags, syn.window, syn.ack) == (SYN, 64240, 0)


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("shift", [None, 5])
def test_options_hold_only_if_both_have_them(timestamps: bool, shift: int | None) -> None:
    peer = Peer(timestamps=timestamps, shift=shift)
    peer.listen()
    peer.send(SYN, options=peer.syn_options())
    answer = peer.one()
    assert (answer.options.timestamp is not None) == timestamps
    assert (answer.options.window_shift is not None) == (shift is not None)
    connection = peer.tcp.connections[next(iter(peer.tcp.connections))]
    assert connection.mss == (1448 if timestamps else 1460)
    assert answer.window == (65160 if timestamps else 64240)  # whole segments
    assert (connection.rcv_clamp > 65535) == (shift is not None)


def test_a_syn_without_options_gets_the_default_mss() -> None:
    peer = Peer()
    connection = peer.start_connect()
    peer.send(SYN | ACK, options=b"")
    assert connection.mss == 536


def test_passive_open() -> None:
    peer = Peer()
    listener = peer.listen()
    calls = []
    listener.observer = lambda: calls.append(listener.waiting)
    peer.send(SYN, options=peer.syn_options())
    answer = peer.one()
    assert (answer.flags, answer.ack) == (SYN | ACK, 1001)
    assert (listener.opening, listener.waiting, calls) == (1, 0, [])
    peer.send(ACK)
    assert (listener.opening, listener.waiting, calls) == (0, 1, [1])
    connection = listener.accept()
    assert connection is not None
    assert connection.state is State.ESTABLISHED
    assert (connection.local, connection.remote) == ((OURS, 80), (THEIRS, 4000))
    assert listener.accept() is None


def test_data_may_come_with_the_last_ack() -> None:
    peer = Peer()
    listener = peer.listen()
    peer.send(SYN)
    peer.seen()
    peer.data(b"early")
    connection = listener.accept()
    assert connection is not None
    assert bytes(connection.received[0]) == b"early"


def test_simultaneous_open() -> None:
    peer = Peer()
    connection = peer.start_connect()
    peer.send(SYN, options=peer.syn_options())
    assert connection.state is State.SYN_RECEIVED
    answer = peer.one()
    assert (answer.flags, answer.seq) == (SYN | ACK, connection.iss)
    peer.send(SYN | ACK, seq=1000, options=peer.syn_options())
    assert connection.state is State.ESTABLISHED
    assert peer.one().flags == ACK


def test_a_syn_again_is_answered_again() -> None:
    peer = Peer()
    peer.listen()
    peer.send(SYN)
    first = peer.one()
    peer.send(SYN, seq=1000)
    again = peer.one()
    assert (again.flags, again.seq, again.ack) == (SYN | ACK, first.seq, 1001)


def test_nobody_answers() -> None:
    peer = Peer()
    connection = peer.tcp.connect(None, (THEIRS, 80))
    told = []
    connection.observer = lambda: told.append(connection.error)
    times = []
    peer.scheduler.flush()
    start = peer.scheduler.now
    while connection.state is not State.CLOSED:
        if peer.seen():
            times.append(peer.scheduler.now - start)
        peer.advance(0.5)
    assert times == pytest.approx([0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67])
    assert peer.scheduler.now - start == pytest.approx(127, abs=5.1)
    assert (connection.error, told) == (errno.ETIMEDOUT, [errno.ETIMEDOUT])
    assert not peer.tcp.connections
    assert len(peer.tcp.ports) == 0


def test_fewer_tries_on_request() -> None:
    peer = Peer()
    connection = peer.tcp.connect(None, (THEIRS, 80), TcpOptions(syn_retries=1))
    peer.advance(2.9)
    assert connection.error == 0
    peer.advance(0.2)
    assert connection.error == errno.ETIMEDOUT


def test_the_host_is_woken_once_for_each_syn_that_is_sent_again() -> None:
    peer = Peer()
    connection = peer.tcp.connect(None, (THEIRS, 80))
    peer.scheduler.flush()
    assert len(peer.seen()) == 1
    while (when := peer.scheduler.next_event()) is not None:
        peer.scheduler.advance(when)
        peer.scheduler.flush()
        assert len(peer.seen()) == (connection.state is State.SYN_SENT)
    assert connection.error == errno.ETIMEDOUT


def test_a_syn_and_ack_is_sent_five_times_more() -> None:
    peer = Peer()
    listener = peer.listen()
    peer.send(SYN)
    peer.advance(200)
    assert [segment.flags for segment in peer.seen()] == [SYN | ACK] * 6
    assert listener.opening == 0
    assert not peer.tcp.connections


def test_refused() -> None:
    peer = Peer()
    connection = peer.start_connect()
    peer.send(RST | ACK)
    assert (connection.state, connection.error) == (State.CLOSED, errno.ECONNREFUSED)


def test_a_reset_must_acknowledge_our_syn() -> None:
    peer = Peer()
    connection = peer.start_connect()
    peer.send(RST)
    peer.send(RST | ACK, ack=peer.ack + 5)
    peer.none()
    assert connection.state is State.SYN_SENT


def test_a_wrong_ack_in_syn_sent_is_reset() -> None:
    peer = Peer()
    connection = peer.start_connect()
    peer.send(ACK, ack=peer.ack + 7)
    answer = peer.reset()
    assert answer.seq == (peer.ack + 7) & MASK
    assert connection.state is State.SYN_SENT


def test_a_wrong_ack_in_syn_received_is_reset() -> None:
    peer = Peer()
    listener = peer.listen()
    peer.send(SYN)
    answer = peer.one()
    peer.send(ACK, ack=answer.seq)
    assert peer.reset().seq == answer.seq
    assert listener.waiting == 0


def test_a_reset_ends_a_handshake() -> None:
    peer = Peer()
    listener = peer.listen()
    peer.send(SYN)
    peer.seen()
    peer.send(RST)
    assert listener.opening == 0
    assert not peer.tcp.connections


def failure(number: int, quote: bytes, *, hard: bool = False, reporter: bytes | None = b"\x0a\0\0\x09") -> Failure:
    return Failure(number, hard, OURS, THEIRS, quote, 0, reporter)


def quote_of(peer: Peer) -> bytes:
    packet, _ = peer.internet.sent[-1]
    return packet.tobytes()[:8]


@pytest.mark.parametrize(
    ("number", "hard", "reporter", "ends"),
    [
        (errno.ECONNREFUSED, True, b"\x0a\0\0\x09", True),
        (errno.EHOSTUNREACH, False, b"\x0a\0\0\x09", False),
        (errno.EHOSTUNREACH, False, None, True),  # this host itself: no neighbor answers
    ],
)
def test_icmp_errors_while_opening(number: int, hard: bool, reporter: bytes | None, ends: bool) -> None:
    peer = Peer()
    connection = peer.tcp.connect(None, (THEIRS, 80))
    peer.scheduler.flush()
    peer.tcp.receive_failure(failure(number, quote_of(peer), hard=hard, reporter=reporter))
    assert (connection.state is State.CLOSED) == ends
    assert connection.error == (number if ends else 0)
    peer.advance(200)
    assert connection.error == number  # a soft error is what explains the time-out


def test_icmp_errors_do_not_end_what_is_open() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(b"x")
    peer.scheduler.flush()
    peer.tcp.receive_failure(failure(errno.ECONNREFUSED, quote_of(peer), hard=True))
    assert (connection.state, connection.soft_error) == (State.ESTABLISHED, errno.ECONNREFUSED)


def test_icmp_errors_about_nothing_on_its_way_are_ignored() -> None:
    peer = Peer()
    connection = peer.tcp.connect(None, (THEIRS, 80))
    peer.scheduler.flush()
    forged = bytearray(quote_of(peer))
    forged[4:8] = ((connection.iss + 100_000) & MASK).to_bytes(4)
    peer.tcp.receive_failure(failure(errno.ECONNREFUSED, bytes(forged), hard=True))
    peer.tcp.receive_failure(failure(errno.ECONNREFUSED, b"short", hard=True))
    assert connection.state is State.SYN_SENT


def test_nobody_listens() -> None:
    peer = Peer()
    peer.send(SYN, b"data")
    answer = peer.reset()
    assert (answer.flags, answer.seq, answer.ack) == (RST | ACK, 0, 1005)
    peer.send(ACK | PSH, b"x", ack=77)
    answer = peer.reset()
    assert (answer.flags, answer.seq) == (RST, 77)
    peer.send(RST)
    peer.none()


def test_a_listener_takes_syns_alone() -> None:
    peer = Peer()
    peer.listen()
    peer.send(ACK, ack=9)
    assert peer.reset().seq == 9
    peer.send(FIN)
    peer.send(RST | SYN)
    peer.none()


@pytest.mark.parametrize("address", [b"\x0a\x00\x00\xff", b"\xe0\x00\x00\x01"])
def test_syns_to_many_are_dropped(address: bytes) -> None:
    peer = Peer()
    peer.listen()
    peer.tcp.receive(arriving(peer.raw(SYN), destination=address))
    peer.none()
    assert peer.tcp.counters["tcp.not_unicast"] == 1


def test_broken_segments_are_counted() -> None:
    peer = Peer()
    whole = peer.raw(SYN)
    peer.tcp.receive(arriving(whole[:19]))
    peer.tcp.receive(arriving(HEADER.pack(1, 2, 3, 4, 4 << 12, 0, 0, 0)))
    peer.tcp.receive(arriving(HEADER.pack(1, 2, 3, 4, 15 << 12, 0, 0, 0)))
    wrong = arriving(whole)
    wrong.checksum = 0
    peer.tcp.receive(wrong)
    counters = peer.tcp.counters
    assert (counters["tcp.truncated"], counters["tcp.bad_offset"], counters["tcp.bad_checksum"]) == (1, 2, 1)
    peer.none()


# listeners


def handshake(peer: Peer, port: int) -> bool:
    """Whether the host answered the SYN."""
    peer.port, peer.seq = port, 1000
    peer.send(SYN)
    answers = peer.seen()
    if answers:
        peer.ack = answers[0].end
        peer.send(ACK)
    return bool(answers)


def test_a_full_accept_queue_drops_syns() -> None:
    peer = Peer()
    listener = peer.listen(backlog=1)
    assert [handshake(peer, 5000 + number) for number in range(4)] == [True, True, False, False]
    assert listener.waiting == 2
    listener.accept()
    assert handshake(peer, 5010)


def test_a_full_accept_queue_drops_last_acks() -> None:
    peer = Peer()
    listener = peer.listen(backlog=1)
    acks = {}
    for ports in ((5000, 5001), (5002,)):
        for port in ports:
            peer.port, peer.seq = port, 1000
            peer.send(SYN)
            acks[port] = peer.one().end
        peer.port, peer.seq = ports[0], 1001
        peer.send(ACK, ack=acks[peer.port])
    peer.port = 5001
    peer.send(ACK, ack=acks[5001])
    assert (listener.waiting, listener.opening) == (2, 1)
    listener.accept()
    peer.advance(1.1)
    assert peer.one().flags == SYN | ACK  # reminds the peer
    peer.send(ACK, ack=acks[5001])
    assert (listener.waiting, listener.opening) == (2, 0)


def test_a_closed_listener_resets_what_nobody_accepted() -> None:
    peer = Peer()
    listener = peer.listen()
    assert handshake(peer, 5000)
    peer.port = 5001
    peer.send(SYN, seq=1)
    peer.seen()
    listener.close()
    answer = peer.reset()
    assert answer.destination_port == 5000
    assert not peer.tcp.connections
    assert not peer.tcp.listeners
    peer.send(SYN)
    peer.reset()


@pytest.mark.parametrize(("backlog", "most"), [(3, 4), (50, 10)])  # a quarter of tcp_max_syn_backlog is kept free
def test_half_open_connections_are_bounded(backlog: int, most: int) -> None:
    peer = Peer(settings=TcpSettings(max_syn_backlog=12, syn_cookies=0))
    listener = peer.listen(backlog)
    for port in range(5000, 5050):
        peer.port = port
        peer.send(SYN)
    assert listener.opening == most
    assert peer.tcp.counters["tcp.listen_overflow"] == 50 - most


def test_connections_inherit_a_copy_of_the_options() -> None:
    peer = Peer()
    options = TcpOptions(nodelay=True)
    connection = peer.open(options)
    assert connection.options == options
    assert connection.options is not options


def test_one_listener_for_an_address_and_port() -> None:
    peer = Peer()
    listener = peer.listen()
    with pytest.raises(OSError) as caught:
        peer.tcp.listen(listener.local, 5)
    assert caught.value.errno == errno.EADDRINUSE


# connect


def test_a_pair_of_addresses_connects_once() -> None:
    peer = Peer()
    peer.tcp.ports.bind(OURS, 7000, peer)
    peer.tcp.connect((OURS, 7000), (THEIRS, 80))
    with pytest.raises(OSError) as caught:
        peer.tcp.connect((OURS, 7000), (THEIRS, 80))
    assert caught.value.errno == errno.EADDRNOTAVAIL
    peer.tcp.connect((bytes(4), 7000), (THEIRS, 81))


def test_no_connection_to_many() -> None:
    peer = Peer()
    for address in (b"\x0a\x00\x00\xff", b"\xe0\x00\x00\x01"):
        with pytest.raises(OSError) as caught:
            peer.tcp.connect(None, (address, 80))
        assert caught.value.errno == errno.ENETUNREACH


def test_the_maximum_segment_size_can_be_lowered() -> None:
    peer = Peer()
    connection = peer.tcp.connect(None, (THEIRS, 80), TcpOptions(maxseg=500))
    assert peer.one().options.mss == 500
    assert connection.announced_mss == 500


def test_options_of_a_syn_without_scaling() -> None:
    peer = Peer(settings=TcpSettings(window_scaling=False, timestamps=False))
    peer.tcp.connect(None, (THEIRS, 80))
    peer.scheduler.flush()
    packet, _ = peer.internet.sent[0]
    assert packet.tobytes()[20:] == build_syn(1460, None, None, sack=True)
