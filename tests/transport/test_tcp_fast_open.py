"""TCP Fast Open (RFC 7413), as a client and as a server."""

from __future__ import annotations

import errno
from struct import pack

import pytest
from netower.transport.tcp import options as wire_options
from netower.transport.tcp.fast_open import Known
from netower.transport.tcp.header import ACK, FIN, RST, SYN
from netower.transport.tcp.listener import Listener
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.siphash import siphash
from netower.transport.tcp.state import State

from .peer import OURS, THEIRS, Peer

COOKIE = bytes(range(8))
BOTH = TcpSettings(fast_open=3)


def syn_options(peer: Peer, cookie: bytes | None) -> bytes:
    return wire_options.build_syn(peer.mss, None, None, cookie)


# cookies


def test_siphash_is_the_published_function() -> None:
    assert siphash(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


def test_cookies_are_those_that_linux_makes() -> None:
    peer = Peer()
    peer.tcp.fast_open.set_key(pack("<4I", 0xA1A1A1A1, 0xB2B2B2B2, 0xC3C3C3C3, 0xD4D4D4D4))
    cookie = peer.tcp.fast_open.cookie(bytes((192, 0, 2, 1)), bytes((192, 168, 0, 1)))
    assert cookie.hex() == "3021b9d889017eeb"
    with pytest.raises(ValueError, match="16 bytes"):
        peer.tcp.fast_open.set_key(b"short")


def test_a_client_remembers_so_many_servers() -> None:
    peer = Peer()
    for number in range(1100):
        peer.tcp.fast_open.remember(number.to_bytes(4), 1460, COOKIE)
    assert peer.tcp.fast_open.recall((0).to_bytes(4)) is None
    assert peer.tcp.fast_open.recall((1099).to_bytes(4)) == Known(COOKIE, 1460)


# the server


def server(backlog: int = 5, limit: int = 5) -> tuple[Peer, Listener]:
    peer = Peer(settings=BOTH)
    return peer, peer.listen(backlog, TcpOptions(fast_open=limit))


def good_cookie(peer: Peer) -> bytes:
    return peer.tcp.fast_open.cookie(THEIRS, OURS)


def test_a_cookie_on_request() -> None:
    peer, listener = server()
    peer.send(SYN, options=syn_options(peer, b""))
    answer = peer.one()
    assert answer.options.fast_open == good_cookie(peer)
    assert listener.waiting == 0


def test_data_with_a_cookie_are_taken_at_once() -> None:
    peer, listener = server()
    peer.send(SYN, b"request", options=syn_options(peer, good_cookie(peer)))
    answer = peer.one()
    assert (answer.flags, answer.ack, answer.options.fast_open) == (SYN | ACK, peer.seq, None)
    connection = listener.accept()
    assert connection is not None
    assert connection.state is State.SYN_RECEIVED
    assert bytes(connection.received[0]) == b"request"
    connection.consume(7)
    connection.write(b"answer")
    assert peer.one().payload == b"answer"
    peer.send(ACK)
    assert (connection.state, listener.waiting) == (State.ESTABLISHED, 0)
    assert not listener.early
    peer.data(b"more")
    assert connection.readable == 4


def test_the_answer_may_end_the_connection() -> None:
    peer, listener = server()
    peer.send(SYN, b"request", options=syn_options(peer, good_cookie(peer)))
    connection = listener.accept()
    assert connection is not None
    connection.consume(7)
    connection.write(b"answer")
    connection.close()
    syn, data = peer.seen()
    assert (syn.flags & SYN, data.payload, data.flags & FIN) == (SYN, b"answer", FIN)
    peer.send(ACK)
    peer.none()
    peer.send(FIN | ACK)
    assert peer.one().flags == ACK


def test_another_cookie_is_answered_with_the_right_one() -> None:
    peer, listener = server()
    peer.send(SYN, b"request", options=syn_options(peer, COOKIE))
    answer = peer.one()
    assert (answer.ack, answer.options.fast_open) == (1001, good_cookie(peer))
    peer.data(b"request", seq=1001)
    connection = listener.accept()
    assert connection is not None
    assert connection.readable == 7


def test_no_fast_open_unless_asked_for() -> None:
    peer = Peer(settings=BOTH)
    peer.listen()
    peer.send(SYN, b"request", options=syn_options(peer, good_cookie(peer)))
    answer = peer.one()
    assert (answer.ack, answer.options.fast_open) == (1001, None)


def test_early_connections_are_bounded() -> None:
    peer, listener = server(limit=2)
    for port in range(5000, 5004):
        peer.port, peer.seq = port, 1000
        peer.send(SYN, b"x", options=syn_options(peer, good_cookie(peer)))
        answer = peer.one()
        assert answer.ack == (1002 if port < 5002 else 1001)
    assert (len(listener.early), listener.waiting, listener.opening) == (2, 2, 2)


def test_a_setting_takes_data_without_a_cookie() -> None:
    peer = Peer(settings=TcpSettings(fast_open=0x602))
    listener = peer.listen()
    peer.send(SYN, b"x", options=syn_options(peer, None))
    assert peer.one().ack == 1002
    assert listener.waiting == 1


def test_a_reset_before_the_handshake_is_over() -> None:
    peer, listener = server()
    peer.send(SYN, b"x", options=syn_options(peer, good_cookie(peer)))
    connection = listener.accept()
    assert connection is not None
    peer.seen()
    peer.send(RST)
    assert (connection.state, connection.error) == (State.CLOSED, errno.ECONNRESET)
    assert not listener.early


def test_a_syn_and_ack_that_got_lost_comes_again_before_the_data() -> None:
    peer, listener = server()
    peer.send(SYN, b"x", options=syn_options(peer, good_cookie(peer)))
    connection = listener.accept()
    assert connection is not None
    connection.write(b"answer")
    peer.seen()
    peer.advance(1.1)
    assert peer.one().flags == SYN | ACK
    peer.send(ACK, ack=connection.iss + 1)  # the data got lost as well
    peer.advance(5)
    assert b"answer" in [segment.payload for segment in peer.seen()]


# the client


def client(known: bool = True) -> Peer:
    peer = Peer()
    peer.port = 80
    if known:
        peer.tcp.fast_open.remember(THEIRS, 1200, COOKIE)
    return peer


def test_the_first_time_a_cookie_is_asked_for_and_kept() -> None:
    peer = client(known=False)
    connection = peer.start_connect(TcpOptions(fast_open_connect=True))
    assert not connection.early
    peer.send(SYN | ACK, options=syn_options(peer, COOKIE))
    peer.seen()
    assert peer.tcp.fast_open.recall(THEIRS) == Known(COOKIE, 1460)


def test_the_syn_waits_for_data_and_takes_them_along() -> None:
    peer = client()
    connection = peer.tcp.connect(None, (THEIRS, 80), early=True)
    peer.none()
    assert (connection.state, connection.early) == (State.SYN_SENT, True)
    assert connection.room > 0
    connection.write(b"request")
    syn = peer.one()
    assert (syn.flags, syn.payload, syn.options.fast_open) == (SYN, b"request", COOKIE)
    assert connection.room == 0
    peer.our_port = syn.source_port
    peer.send(SYN | ACK, options=syn_options(peer, None), ack=syn.end)
    assert peer.one().payload == b""
    assert connection.unacknowledged == 0


def test_data_that_were_not_taken_are_sent_again_at_once() -> None:
    peer = client()
    connection = peer.tcp.connect(None, (THEIRS, 80), early=True)
    connection.write(b"request")
    syn = peer.one()
    peer.our_port, peer.ack = syn.source_port, syn.seq + 1
    peer.send(SYN | ACK, options=syn_options(peer, None))
    assert [segment.payload for segment in peer.seen()] == [b"request"]
    peer.send(ACK)
    assert connection.unacknowledged == 0


def test_the_data_in_a_syn_fit_the_segment_size_that_is_remembered() -> None:
    peer = client()
    connection = peer.tcp.connect(None, (THEIRS, 80), early=True)
    connection.write(bytes(3000))
    syn = peer.one()
    assert len(syn.payload) == 1200 - 40
    peer.our_port, peer.ack = syn.source_port, syn.end
    peer.send(SYN | ACK, options=syn_options(peer, None))
    assert sum(len(segment.payload) for segment in peer.seen()) + len(syn.payload) >= 2900


def test_a_syn_again_is_an_ordinary_one() -> None:
    peer = client()
    connection = peer.tcp.connect(None, (THEIRS, 80), early=True)
    connection.write(b"request")
    first = peer.one()
    peer.advance(1.1)
    again = peer.one()
    assert (again.seq, again.payload, again.options.fast_open) == (first.seq, b"", None)
    peer.our_port, peer.ack = first.source_port, again.end
    peer.send(SYN | ACK, options=syn_options(peer, None))
    assert b"request" in [segment.payload for segment in peer.seen()]
    known = peer.tcp.fast_open.recall(THEIRS)
    assert known is not None
    assert known.cookie == COOKIE


def test_closing_before_the_first_data_forgets() -> None:
    peer = client()
    connection = peer.tcp.connect(None, (THEIRS, 80), early=True)
    connection.close()
    peer.none()
    assert not peer.tcp.connections
