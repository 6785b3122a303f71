"""Fault schedules: what they do to a network, how they read, and that failing tests shrink to what matters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, find, given, settings
from netower.app import strategies
from netower.app.strategies import CrashFault, FaultSchedule, OutageFault, PacketFault
from netower.stack import Network

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypothesis import strategies as st

    Client = Callable[[], Awaitable[bytes]]

ANSWER = bytes(range(256)) * 20  # four segments


async def serve() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(ANSWER)
        writer.close()

    await asyncio.start_server(answer, port=7)


async def fragile_client() -> bytes:
    """Takes what arrives first for the whole answer: on a good network, it is."""
    reader, writer = await asyncio.open_connection("server", 7)
    writer.write(b"GET\n")
    answer = await reader.read(65536)
    writer.close()
    return answer


async def sound_client() -> bytes:
    """Tries again when the server cannot be reached, and reads to the end."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("server", 7)
            break
        except OSError:  # EHOSTUNREACH: an outage outlasted the questions for the server's link address
            await asyncio.sleep(1)
    writer.write(b"GET\n")
    answer = await reader.read()
    writer.close()
    return answer


async def datagram_client() -> bytes:
    """Three questions, each asked again if no answer comes, but for the last."""
    loop = asyncio.get_running_loop()
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _: object) -> None:
            answers.put_nowait(data)

    transport, _ = await loop.create_datagram_endpoint(Protocol, remote_addr=("server", 7))
    try:
        for number in range(3):
            for _ in range(5 if number < 2 else 1):
                transport.sendto(b"%d" % number)
                try:
                    async with asyncio.timeout(1):
                        while await answers.get() != b"%d" % number:
                            pass
                    break
                except TimeoutError:
                    continue
            else:
                return b"gave up"
        return ANSWER
    finally:
        transport.close()


async def serve_datagrams() -> None:
    class Protocol(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, peer: object) -> None:
            self.transport.sendto(data, peer)

    await asyncio.get_running_loop().create_datagram_endpoint(Protocol, local_addr=("0.0.0.0", 7))


def outcome(faults: FaultSchedule, client: Client) -> bytes:
    with Network() as network:
        network.wire(network.host("client"), network.host("server"), delay="10ms")
        faults.apply(network)
        network.start("server", serve)
        network.start("server", serve_datagrams)
        answer: bytes = network.run(client(), on="client", until="10min")  # type: ignore[arg-type]
        return answer


def shrunk_story(client: Client, faults: st.SearchStrategy[FaultSchedule]) -> str:
    """What hypothesis tells of a test of this client."""

    @settings(database=None, derandomize=True, max_examples=300, deadline=None, suppress_health_check=HealthCheck)
    @given(faults=faults)
    def test(faults: FaultSchedule) -> None:
        assert outcome(faults, client) == ANSWER

    with pytest.raises(AssertionError) as caught:
        test()
    return "\n".join(caught.value.__notes__)


def test_a_fragile_client_shrinks_to_one_fault() -> None:
    story = shrunk_story(fragile_client, strategies.fault_schedules("client", "server", kinds=("data segment",)))
    # Without the first, nothing is read until all is there; without a later one, what is before it is read alone.
    assert "faults=[drop the second data segment from server to client]" in story
    # Of all segments that is the fourth: a SYN-ACK that is lost once costs time only, and so does a lost ACK.
    story = shrunk_story(fragile_client, strategies.fault_schedules("client", "server"))
    assert "faults=[drop the fourth segment from server to client]" in story


def test_a_client_that_does_not_ask_again_shrinks_to_the_question_that_was_lost() -> None:
    story = shrunk_story(
        datagram_client, strategies.fault_schedules("client", "server", kinds=("datagram",), outages=True)
    )
    assert "faults=[drop the third datagram from client to server]" in story


@settings(max_examples=40, deadline=None)
@given(strategies.fault_schedules("client", "server", kinds=tuple(strategies.faults.KINDS), outages=True))
def test_a_sound_client_gets_its_answer_through_any_faults(faults: FaultSchedule) -> None:
    assert outcome(faults, sound_client) == ANSWER


def test_stories_read_well() -> None:
    schedule = FaultSchedule(
        [
            PacketFault("drop", 3, "segment", "client", "server"),
            PacketFault("delay", 11, "SYN-ACK", "server", "client", 0.1),
            PacketFault("duplicate", 22, "frame", "a", "b"),
            OutageFault(1.0, 2.5, ("client", "server")),
            CrashFault(0.5, 1.0, "server"),
        ]
    )
    assert repr(schedule) == (
        "[drop the third segment from client to server; delay the 11th SYN-ACK from server to client by 100 ms; "
        "duplicate the 22nd frame from a to b; keep client and server apart from 1 s to 3.5 s; "
        "crash server at 500 ms, restart it at 1.5 s]"
    )
    assert repr(FaultSchedule()) == "[]"


@pytest.mark.parametrize(
    ("wanted", "story"),
    [
        (lambda fault: True, "drop the first segment from client to server"),
        (lambda fault: getattr(fault, "number", 0) > 4, "drop the fifth segment from client to server"),
        (
            lambda fault: getattr(fault, "action", "") == "delay",
            "delay the first segment from client to server by 100 ms",
        ),
        (lambda fault: isinstance(fault, OutageFault), "keep client and server apart from 0 s to 100 ms"),
        (lambda fault: isinstance(fault, CrashFault), "crash server at 0 s, restart it at 100 ms"),
    ],
)
def test_what_is_simple(wanted: Callable[[object], bool], story: str) -> None:
    schedules = strategies.fault_schedules("client", "server", outages=True, crashes=["server"])
    found = find(schedules, lambda faults: any(map(wanted, faults)), settings=settings(derandomize=True, database=None))
    assert repr(found) == f"[{story}]"


def test_each_fault_does_what_it_says() -> None:
    faults = FaultSchedule(
        [
            PacketFault("drop", 1, "SYN", "client", "server"),
            PacketFault("corrupt", 1, "data segment", "server", "client"),
            PacketFault("duplicate", 2, "data segment", "server", "client"),
            PacketFault("delay", 1, "FIN", "client", "server", 1.0),
        ]
    )
    with Network() as network:
        wire = network.wire(network.host("client"), network.host("server"), delay="10ms")
        faults.apply(network)
        network.start("server", serve)
        assert network.run(sound_client(), on="client") == ANSWER
        assert network.now > 1  # the first SYN is repeated after a second
        network.run()
        assert network["client"].host.internet.counters["tcp.bad_checksum"] == 1
        assert wire.counters("server")["frames"] > 5


def test_nodes_are_kept_apart_and_crash_in_time() -> None:
    with Network() as network:
        network.wire(network.host("client"), network.host("server"), delay="10ms")
        FaultSchedule([OutageFault(1.0, 2.0, ("client", "server")), CrashFault(5.0, 1.0, "server")]).apply(network)
        answers = []
        server = network["server"].attachments[0].address.packed

        def ping() -> None:
            network["client"].host.internet.ping(server, answers.append, timeout=0.4)

        for when in (0.5, 1.5, 3.5, 5.5, 6.5):
            network.at(when, ping)
        network.run(until=10)
        assert [type(answer).__name__ for answer in answers] == [
            "EchoReply",
            "Failure",
            "EchoReply",
            "Failure",
            "EchoReply",
        ]


def test_nonsense_is_named() -> None:
    with pytest.raises(ValueError, match="'packet' is none of segment"):
        find(strategies.fault_schedules("a", "b", kinds=["packet"]), bool)
    with pytest.raises(ValueError, match="two nodes"):
        find(strategies.fault_schedules("a"), bool)
    with Network() as network, pytest.raises(ValueError, match="'nobody'"):
        network.host("server")
        FaultSchedule([PacketFault("drop", 1, "segment", "nobody", "server")]).apply(network)
