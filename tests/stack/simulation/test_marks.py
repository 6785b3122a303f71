"""ECN on simulated networks: routers that mark instead of dropping (RFC 3168)."""

from __future__ import annotations

import pytest
from netower.stack import Network
from netower.stack.simulation.conditions import Bursts
from netower.stack.simulation.frame import Frame
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.ecn import SEEN

from .programs import Sink, Source


class Flow:
    """A client that asks for ECN, a server that agrees by default, a wire, and data from one to the other."""

    def __init__(self, size: int, *, ecn: int = 1, seed: int = 0, **conditions: object) -> None:
        self.network = Network(seed)
        self.client, self.server = self.network.host("client"), self.network.host("server")
        self.client.host.settings.tcp.ecn = ecn
        self.wire = self.network.wire("client", "server", **conditions)  # type: ignore[arg-type]
        self.seen: list[Frame] = []
        self.sink = Sink(self.server.host)
        self.source = Source(self.client.host, self.server, bytes(size), stay=True)

    @property
    def sender(self) -> Connection:
        (connection,) = [c for c in self.client.host.tcp.sockets() if isinstance(c, Connection)]
        return connection

    def counters(self) -> dict[str, int]:
        return dict(self.client.host.internet.counters)


def test_over_a_marking_bottleneck_nothing_is_lost_and_the_line_is_full() -> None:
    flow = Flow(6_000_000, rate="10Mbit", delay="20ms", queue=200, mark_above=30)
    flow.network.run(until=1)
    before = flow.sink.got
    flow.network.run(until=4)
    # Of the line 1460 in 1514 bytes are data, less those of the timestamps.
    assert (flow.sink.got - before) * 8 > 0.94 * 3 * 10e6
    counters = flow.wire.counters("client")
    assert counters["queue_full"] == 0
    assert counters["mark_above"] > 10
    assert flow.counters().get("tcp.retransmitted", 0) == 0
    assert flow.counters()["tcp.congestion_echoed"] >= 2
    assert flow.sender.counts.delivered_marked > 0


def test_without_ecn_the_same_bottleneck_overflows() -> None:
    flow = Flow(6_000_000, ecn=0, rate="10Mbit", delay="20ms", queue=100, mark_above=30)
    flow.network.run(until=4)
    counters = flow.wire.counters("client")
    assert counters["queue_full"] > 0
    assert counters["mark_above"] == 0


def test_the_window_is_reduced_once_for_each_round_of_marks() -> None:
    """Half of all packets are marked, so every round trip has marks, and one reduction."""
    flow = Flow(2_000_000, rate="10Mbit", delay="20ms", mark="50%")
    flow.network.run(until=2)
    reductions = flow.counters()["tcp.congestion_echoed"]
    rounds = 2 / 0.04
    assert 3 < reductions <= rounds
    assert flow.sender.congestion.cwnd >= flow.sender.mss
    flow.network.run(until=300)
    assert flow.sink.got == 2_000_000
    assert flow.counters().get("tcp.retransmitted", 0) == 0


def test_the_receiver_tells_of_marks_until_it_sees_cwr() -> None:
    flow = Flow(30_000, delay="10ms")
    forward: list[Frame] = []
    backward: list[Frame] = []

    def note(into: list[Frame]) -> object:
        def picks(frame: Frame) -> bool:
            into.append(frame)
            return False

        return picks

    flow.wire.drop(note(forward), "client")  # type: ignore[arg-type]
    flow.wire.drop(note(backward), "server")  # type: ignore[arg-type]
    flow.network.run(until="25ms")
    flow.wire.set(sender="client", mark="100%")
    flow.network.run(until="35ms")
    flow.wire.set(sender="client", mark=0)
    flow.network.run(until=5)
    assert flow.sink.got == 30_000
    syn = next(frame for frame in forward if "SYN" in frame.flags)
    assert syn.flags == "SYN,ECE,CWR"
    answer = next(frame for frame in backward if "SYN" in frame.flags)
    assert answer.flags == "SYN,ACK,ECE"
    echoed = [frame for frame in backward if frame.flags == "ACK,ECE"]
    assert echoed
    told = [frame for frame in forward if "CWR" in frame.flags and frame.payload]
    assert len(told) == 1
    assert not any("ECE" in frame.flags for frame in backward if frame.time > told[0].time + 0.011)
    (receiver,) = [c for c in flow.server.host.tcp.sockets() if isinstance(c, Connection)]
    assert receiver.ecn & SEEN


def test_data_are_capable_and_nothing_else_is() -> None:
    flow = Flow(100_000, seed=4, delay="10ms", loss="5%")
    codepoints: dict[str, set[int]] = {"new": set(), "again": set(), "bare": set()}
    highest = 0

    def picks(frame: Frame) -> bool:
        nonlocal highest
        if frame.protocol == "tcp":
            kind = "bare"
            if frame.payload:
                kind = "again" if frame.seq < highest else "new"
                highest = max(highest, frame.seq + len(frame.payload))
            codepoints[kind].add(frame.data[15] & 3)
        return False

    flow.wire.drop(picks)
    flow.network.run(until=30)
    assert flow.sink.got == 100_000
    assert codepoints == {"new": {2}, "again": {0}, "bare": {0}}


def test_marks_survive_routers_and_loss_beside_them() -> None:
    network = Network(5)
    client, server = network.host("client"), network.host("server")
    network.router("r1"), network.router("r2")
    client.host.settings.tcp.ecn = 1
    network.wire("client", "r1", mark="5%")
    network.wire("r1", "r2", rate="20Mbit", delay="5ms", loss="1%")
    network.wire("r2", "server")
    sink = Sink(server.host)
    Source(client.host, server, bytes(1_000_000))
    network.run(until=60)
    assert sink.got == 1_000_000
    assert server.host.internet.counters["tcp.congestion_experienced"] > 0
    assert client.host.internet.counters["tcp.congestion_echoed"] > 0


def test_marks_are_the_same_every_run() -> None:
    def run() -> tuple[int, int]:
        flow = Flow(1_000_000, seed=9, rate="10Mbit", delay="10ms", mark=Bursts("2%", 3))
        flow.network.run(until=5)
        return flow.wire.counters("client")["mark"], flow.sender.congestion.cwnd

    assert run() == run()


def test_what_marking_cannot_be() -> None:
    for value in (-1, 1.5, "many", True):
        with pytest.raises(ValueError, match="mark_above"):
            Flow(1, mark_above=value)
