"""Closing: each way from ESTABLISHED to CLOSED, resets, challenges, TIME-WAIT."""

from __future__ import annotations

import errno

import pytest
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.header import ACK, FIN, PSH, RST, SYN
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.state import State

from .peer import MASK, OURS, THEIRS, Peer


def gone(peer: Peer, connection: Connection, error: int = 0) -> bool:
    """Whether nothing is left of the connection."""
    assert connection.error == error
    assert connection.timer is None
    return connection.state is State.CLOSED and not peer.tcp.connections


def test_we_close_first() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.shutdown()
    assert connection.state is State.FIN_WAIT_1
    assert peer.one().flags == FIN | ACK
    peer.send(ACK)
    assert connection.state is State.FIN_WAIT_2
    peer.data(b"still")
    assert bytes(connection.received[0]) == b"still"
    peer.seen()
    peer.send(FIN | ACK)
    assert connection.state is State.TIME_WAIT
    assert connection.at_end
    assert peer.one().ack == peer.seq
    assert len(peer.tcp.time_wait) == 1
    peer.advance(59.9)
    assert peer.tcp.connections
    peer.advance(0.5)
    assert not peer.tcp.connections
    assert len(peer.tcp.ports) == 0
    assert peer.scheduler.next_event() is None


def test_the_peer_closes_first() -> None:
    peer = Peer()
    connection = peer.connect()
    told = []
    connection.observer = lambda: told.append(connection.at_end)
    peer.send(FIN | ACK)
    assert (connection.state, connection.at_end, told) == (State.CLOSE_WAIT, True, [True])
    peer.none()  # our FIN might follow at once
    peer.advance(0.041)
    assert peer.one().ack == peer.seq
    connection.write(b"still")
    assert peer.one().payload == b"still"
    connection.shutdown()
    assert connection.state is State.LAST_ACK
    assert peer.one().flags == FIN | ACK
    peer.send(ACK)
    assert gone(peer, connection)


def test_both_close_at_once() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.shutdown()
    fin = peer.one()
    peer.send(FIN | ACK, ack=fin.seq)
    assert connection.state is State.CLOSING
    peer.seen()
    peer.send(ACK)
    assert connection.state is State.TIME_WAIT
    assert len(peer.tcp.time_wait) == 1


def test_a_fin_with_the_ack_of_ours() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.shutdown()
    peer.seen()
    peer.send(FIN | ACK)
    assert connection.state is State.TIME_WAIT


def test_the_fin_comes_after_the_data() -> None:
    peer = Peer(mss=100)
    connection = peer.connect()
    connection.write(bytes(250))
    connection.shutdown()
    segments = peer.seen()
    assert [len(segment.payload) for segment in segments] == [100, 100, 50]
    assert segments[-1].flags == FIN | PSH | ACK
    connection.write(b"too late")
    peer.none()


def test_a_fin_that_gets_lost_comes_again() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.shutdown()
    first = peer.one()
    peer.advance(0.5)
    again = peer.one()
    assert (again.flags, again.seq) == (FIN | ACK, first.seq)


def test_a_fin_out_of_order_waits() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.send(FIN | ACK, seq=peer.seq + 3)
    assert connection.state is State.ESTABLISHED
    peer.data(b"abc")
    assert connection.state is State.CLOSE_WAIT
    assert bytes(connection.received[0]) == b"abc"


@pytest.mark.parametrize("size", [0, 100])
def test_an_ack_that_the_fin_has_overtaken_does_no_harm(size: int) -> None:
    peer = Peer()
    connection = peer.connect()
    sent_before = peer.seq
    peer.send(FIN | ACK, bytes(size), flush=False)
    peer.send(ACK, seq=sent_before)
    assert (connection.state, connection.error, connection.readable) == (State.CLOSE_WAIT, 0, size)
    connection.write(b"still")
    assert peer.one().payload == b"still"


def test_shutdown_while_opening_waits_for_the_peer() -> None:
    peer = Peer()
    connection = peer.start_connect()
    connection.write(b"hello")
    connection.shutdown()
    assert connection.state is State.SYN_SENT
    peer.send(SYN | ACK, options=peer.syn_options())
    assert connection.state is State.FIN_WAIT_1
    assert peer.one().payload == b"hello"


def test_close_while_opening_forgets() -> None:
    peer = Peer()
    connection = peer.start_connect()
    connection.close()
    peer.none()
    assert gone(peer, connection)
    assert len(peer.tcp.ports) == 0


def test_close_with_unread_data_resets() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.data(b"unread")
    peer.seen()
    connection.close()
    peer.reset()
    assert gone(peer, connection)


@pytest.mark.parametrize("half_closed", [False, True])
def test_data_after_close_are_reset(half_closed: bool) -> None:
    peer = Peer()
    connection = peer.connect()
    connection.close()
    fin = peer.one()
    if half_closed:
        peer.send(ACK)
        assert connection.state is State.FIN_WAIT_2
    peer.data(b"anybody?", ack=fin.end)
    answer = peer.reset()
    assert (answer.seq, answer.flags) == (fin.end, RST)
    assert gone(peer, connection, errno.ECONNRESET)


def test_data_after_shutdown_for_receiving_are_taken_until_our_fin() -> None:
    peer = Peer()
    connection = peer.open()
    connection.shutdown_receive()
    peer.data(b"still taken")
    assert connection.readable == 11
    connection.consume(11)
    connection.shutdown()
    fin = [segment for segment in peer.seen() if segment.flags & FIN]
    assert len(fin) == 1
    peer.send(ACK)
    assert connection.state is State.FIN_WAIT_2
    peer.data(b"too late")
    assert peer.reset().flags & RST
    assert connection.error == errno.ECONNRESET


def test_fin_wait_2_of_a_closed_connection_ends() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.close()
    peer.seen()
    peer.send(ACK)
    peer.advance(59)
    assert connection.state is State.FIN_WAIT_2
    peer.advance(2)
    assert gone(peer, connection)


def test_fin_wait_2_of_an_open_half_lasts() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.shutdown()
    peer.seen()
    peer.send(ACK)
    peer.advance(1000)
    assert connection.state is State.FIN_WAIT_2
    connection.close()
    peer.advance(61)
    assert gone(peer, connection)


def test_abort() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(b"lost")
    connection.abort()
    answer = peer.reset()
    assert answer.flags == RST | ACK
    assert gone(peer, connection)
    connection.close()
    connection.abort()
    connection.write(b"x")
    connection.shutdown()
    peer.none()


@pytest.mark.parametrize("how", ["established", "half-closed", "closing", "last-ack"])
def test_reset_arrives(how: str) -> None:
    peer = Peer()
    connection = peer.connect()
    expected = errno.ECONNRESET
    if how == "half-closed":
        peer.send(FIN | ACK)
        expected = errno.EPIPE
    elif how == "closing":
        connection.shutdown()
        peer.send(FIN | ACK, ack=peer.one().seq)
    elif how == "last-ack":
        peer.send(FIN | ACK)
        connection.shutdown()
    peer.seen()
    told = []
    connection.observer = lambda: told.append(connection.error)
    peer.send(RST)
    peer.none()
    assert gone(peer, connection, expected)
    assert told == [expected]


def test_data_before_a_reset_can_be_read() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.data(b"last words")
    peer.send(RST)
    assert (connection.error, connection.readable) == (errno.ECONNRESET, 10)
    connection.consume(10)


# RFC 5961


def test_a_reset_elsewhere_in_the_window_is_challenged() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.send(RST, seq=peer.seq + 10)
    challenge = peer.one()
    assert (challenge.flags, challenge.ack) == (ACK, peer.seq)
    peer.send(RST, seq=peer.seq - 10)
    peer.send(RST, seq=peer.seq + 1_000_000)
    peer.none()
    assert connection.state is State.ESTABLISHED


def test_a_syn_in_the_window_is_challenged() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.send(SYN, seq=peer.seq + 1)
    assert peer.one().flags == ACK
    assert connection.state is State.ESTABLISHED


def test_impossible_acks_are_challenged_and_dropped() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.data(b"x", seq=peer.seq, ack=peer.ack + 1)
    assert peer.one().flags == ACK
    peer.advance(1)
    peer.data(b"x", seq=peer.seq, ack=peer.ack - 70000)
    assert peer.one().flags == ACK
    assert connection.readable == 0


def test_challenges_are_limited() -> None:
    peer = Peer()
    peer.connect()
    for _ in range(10):
        peer.send(RST, seq=peer.seq + 10)
    assert len(peer.seen()) == 1
    peer.advance(0.6)
    peer.send(RST, seq=peer.seq + 10)
    assert len(peer.seen()) == 1


def test_challenges_of_a_host_are_limited() -> None:
    peer = Peer(settings=TcpSettings(challenge_acks=3, challenge_interval=0.0))
    peer.connect()
    for _ in range(10):
        peer.send(RST, seq=peer.seq + 10)
    assert len(peer.seen()) == 3
    peer.advance(1)
    peer.send(RST, seq=peer.seq + 10)
    assert len(peer.seen()) == 1


# TIME-WAIT


def time_wait(peer: Peer) -> Connection:
    connection = peer.open()
    connection.close()
    peer.seen()
    peer.send(FIN | ACK)
    peer.seen()
    assert connection.state is State.TIME_WAIT
    return connection


def test_a_fin_again_is_acknowledged_and_starts_time_wait_again() -> None:
    peer = Peer(timestamps=True)
    connection = time_wait(peer)
    stamp = peer.stamp()
    peer.advance(40)
    peer.send(FIN | ACK, seq=peer.seq - 1)
    answer = peer.one()
    assert (answer.flags, answer.ack, answer.seq) == (ACK, peer.seq, connection.snd_nxt & MASK)
    assert answer.options.timestamp_echo == stamp
    peer.advance(40)
    assert peer.tcp.connections
    peer.advance(21)
    assert not peer.tcp.connections


@pytest.mark.parametrize("protected", [False, True])
def test_time_wait_ends_by_rst_unless_it_is_told_not_to(protected: bool) -> None:
    peer = Peer(settings=TcpSettings(time_wait_ignores_rst=protected))
    time_wait(peer)
    peer.send(RST, seq=peer.seq + 1)  # RFC 5961 §3.2: only the exact number counts
    peer.none()
    assert peer.tcp.connections
    peer.send(RST)
    peer.none()
    assert bool(peer.tcp.connections) is protected  # RFC 1337 §3


def test_old_data_in_time_wait_are_acknowledged() -> None:
    peer = Peer()
    time_wait(peer)
    peer.data(b"old", seq=peer.seq - 100)
    assert peer.one().ack == peer.seq


@pytest.mark.parametrize("timestamps", [False, True])
def test_a_newer_syn_opens_again(timestamps: bool) -> None:
    peer = Peer(timestamps=timestamps)
    old = time_wait(peer)
    peer.advance(1)
    seq = peer.seq - 1000 if timestamps else peer.seq + 5  # with timestamps, the clock decides
    peer.send(SYN, seq=seq, options=peer.syn_options())
    answer = peer.one()
    assert (answer.flags, answer.ack) == (SYN | ACK, (seq + 1) & MASK)
    assert (answer.seq - old.snd_nxt) & MASK < 1 << 31
    assert len(peer.tcp.connections) == 1


def test_an_old_syn_does_not() -> None:
    peer = Peer()
    time_wait(peer)
    peer.send(SYN, seq=peer.seq - 1000)
    assert peer.one().flags == ACK


def test_time_wait_holds_the_port() -> None:
    peer = Peer()
    listener = peer.listen()
    connection = peer.tcp.listeners and listener
    assert connection
    peer.send(SYN)
    peer.seen()
    peer.send(ACK)
    accepted = listener.accept()
    assert accepted is not None
    accepted.close()
    peer.seen()
    peer.send(FIN | ACK)
    listener.close()
    peer.tcp.ports.release(peer)
    with pytest.raises(OSError) as caught:
        peer.tcp.ports.bind(OURS, 80, "another")
    assert caught.value.errno == errno.EADDRINUSE
    peer.advance(61)
    assert peer.tcp.ports.bind(OURS, 80, "another") == 80


@pytest.mark.parametrize(("timestamps", "delay"), [(False, 1.0), (True, 1.0), (True, 2.0)])
def test_connect_may_take_a_pair_from_time_wait(timestamps: bool, delay: float) -> None:
    peer = Peer(timestamps=timestamps, settings=TcpSettings(time_wait_reuse_delay=delay))
    peer.tcp.ports.bind(OURS, 7000, peer)
    connection = peer.tcp.connect((OURS, 7000), (THEIRS, 4000))
    peer.our_port = 7000
    peer.seen()
    peer.send(SYN | ACK, options=peer.syn_options())
    connection.close()
    peer.seen()
    peer.send(FIN | ACK)
    assert connection.state is State.TIME_WAIT
    peer.advance(1.5)
    if timestamps and delay < 1.5:
        again = peer.tcp.connect((OURS, 7000), (THEIRS, 4000))
        assert (again.iss - connection.snd_nxt) & MASK < 1 << 31
    else:
        with pytest.raises(OSError) as caught:
            peer.tcp.connect((OURS, 7000), (THEIRS, 4000))
        assert caught.value.errno == errno.EADDRNOTAVAIL


def test_time_wait_is_bounded() -> None:
    peer = Peer(settings=TcpSettings(max_time_wait=5))
    listener = peer.listen(options=TcpOptions())
    for port in range(5000, 5010):
        peer.port, peer.seq = port, 1000
        peer.send(SYN)
        peer.seen()
        peer.send(ACK)
        connection = listener.accept()
        assert connection is not None
        connection.close()
        peer.seen()
        peer.send(FIN | ACK)
        peer.seen()
    assert len(peer.tcp.time_wait) == len(peer.tcp.connections) == 5


def test_the_length_of_time_wait_is_a_setting() -> None:
    peer = Peer(settings=TcpSettings(time_wait=90.0))
    time_wait(peer)
    peer.advance(89)
    assert peer.tcp.connections
    peer.advance(2)
    assert not peer.tcp.connections


def test_a_closed_connection_gives_up_on_a_dead_peer() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(b"data")
    connection.close()
    peer.advance(400)
    assert gone(peer, connection, errno.ETIMEDOUT)
