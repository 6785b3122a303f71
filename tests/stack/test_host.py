"""Hosts, composed."""

from __future__ import annotations

import errno
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING

import pytest
from netower.link.wire import Wire
from netower.net.address import parse
from netower.stack import Host

if TYPE_CHECKING:
    from netower.transport.udp import UdpEndpoint


def test_a_host_has_a_loopback_of_its_own() -> None:
    host = Host("a")
    assert [interface.name for interface in host.interfaces] == ["lo"]
    assert host.internet.is_local(parse("127.0.0.1"))
    assert not Host("b", loopback=False).interfaces


def test_attach_and_detach() -> None:
    host = Host("a", random=Random(1))
    end, other = Wire().ends
    interface = host.attach(end, "10.0.0.2/24", name="wire")
    host.routes.add("default", via="10.0.0.1")
    assert host.internet.path(parse("192.0.2.1")).source == parse("10.0.0.2")
    other.send_packet  # noqa: B018  # the other end still stands
    host.detach(interface)
    with pytest.raises(OSError, check=lambda error: error.errno == errno.ENETUNREACH):
        host.internet.path(parse("192.0.2.1"))
    host.pump()


def test_a_link_that_is_closed_under_a_host_is_left(caplog: pytest.LogCaptureFixture) -> None:
    host = Host("a", random=Random(1))
    gone, here = Wire().ends[0], Wire().ends[0]
    host.attach(gone, "10.0.0.2/24", name="gone")
    host.attach(here, "10.1.0.2/24", name="here")
    gone.close()
    host.pump()
    assert [interface.name for interface in host.interfaces] == ["lo", "here"]
    assert caplog.messages == ["gone: the link is closed"]


def test_the_agenda_is_the_hosts() -> None:
    host = Host("a", random=Random(1))
    assert host.next_event() is None
    done: list[float] = []
    host.scheduler.call_later(5, lambda: done.append(host.scheduler.now))
    assert host.next_event() == 5
    host.advance(7)
    assert done == [7]
    host.scheduler.call_soon(lambda: done.append(0))
    host.pump()
    assert done == [7, 0]


def test_what_goes_on_for_ever_lets_others_have_their_turn() -> None:
    """Two endpoints of one host that answer each other: a batch ends, and the host wants to be called at once."""
    host = Host("a", random=Random(1))
    host.advance(3)
    here = parse("127.0.0.1")
    ends = [host.udp.open(), host.udp.open()]
    for end, port in zip(ends, (1000, 2000), strict=True):
        end.bind(here, port)

    def answer(end: UdpEndpoint, port: int) -> None:
        while end.receive():
            end.send([b"tag"], (here, port))

    ends[0].observer = lambda: answer(ends[0], 2000)
    ends[1].observer = lambda: answer(ends[1], 1000)
    ends[0].send([b"tag"], (here, 2000))
    host.pump()
    assert host.next_event() == 3
    ends[0].observer = None
    host.pump()
    assert host.next_event() is None


def test_the_name_of_the_stack_costs_a_program_nothing() -> None:
    """A program that wants the socket module alone does not load the tower."""
    code = "import sys, netower.stack.socket; print([m for m in sys.modules if m.startswith('netower.transport')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip() == "[]"


def test_unknown_names_are_unknown() -> None:
    import netower.stack

    with pytest.raises(AttributeError, match="nonsense"):
        netower.stack.nonsense  # noqa: B018
