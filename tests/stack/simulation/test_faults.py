"""What goes wrong on simulated networks: by chance, exactly, and at a time."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netower.link.drop_tail import DropTail
from netower.stack import Ended, Network
from netower.stack.simulation.conditions import Bursts
from netower.stack.simulation.frame import Frame, arp, data, during, every, fin, nth, pure_ack, rst, syn, syn_ack, tcp

from .programs import Sink, Source

if TYPE_CHECKING:
    from netower.stack.simulation.wire import SimulatedWire

SOME = bytes(range(256)) * 80


class Pair:
    """A client, a server, one wire, and a transfer between them."""

    def __init__(self, seed: int = 0, data: bytes = SOME, stay: bool = False, **conditions: object) -> None:
        self.network = Network(seed)
        self.client, self.server = self.network.host("client"), self.network.host("server")
        self.wire: SimulatedWire = self.network.wire("client", "server", **conditions)  # type: ignore[arg-type]
        self.sink = Sink(self.server.host)
        self.source = Source(self.client.host, self.server, data, stay=stay)

    def retransmitted(self) -> int:
        return self.client.host.internet.counters["tcp.retransmitted"]


@pytest.mark.parametrize(
    "conditions",
    [
        {"loss": "5%"},
        {"loss": ("10%", 0)},
        {"loss": (0, "10%")},
        {"loss": Bursts("5%", 3)},
        {"duplicate": "20%"},
        {"reorder": "20%"},
        {"corrupt": "10%"},
        {"delay": "10ms", "jitter": "9ms"},
        {"rate": "1Mbit", "queue": 5},
        {"rate": "1Mbit", "queue": "8kB"},
        {"rate": "1Mbit", "queue": "codel"},
        {"mtu": 300},
        {"loss": "3%", "duplicate": "3%", "reorder": "3%", "corrupt": "3%", "jitter": "1ms", "rate": "5Mbit"},
    ],
)
def test_data_arrive_whole_whatever_happens_to_frames(conditions: dict[str, object]) -> None:
    pair = Pair(seed=4, **conditions)
    pair.network.run(until=120)
    assert bytes(pair.sink.data) == SOME


def test_what_happened_is_counted() -> None:
    pair = Pair(seed=4, data=SOME * 5, loss="10%", duplicate="10%", corrupt="10%", reorder="10%")
    pair.network.run(until=60)
    counters = pair.wire.counters("client")
    for name in ("loss", "duplicate", "corrupt", "reorder", "frames", "bytes"):
        assert counters[name] > 0
    assert pair.wire.counters()["loss"] == counters["loss"] + pair.wire.counters("server")["loss"]
    everyone = pair.network.counters()
    assert everyone["client-server"]["loss"] == pair.wire.counters()["loss"]
    assert everyone["client"]["tcp.retransmitted"] > 0


def test_directions_are_apart() -> None:
    pair = Pair(seed=1, loss=("20%", 0), delay=("10ms", "30ms"))
    pair.network.run(until=60)
    assert pair.wire.counters("client")["loss"] > 0
    assert pair.wire.counters("server")["loss"] == 0
    assert pair.wire.conditions("client")["delay"] == "10ms"
    assert pair.wire.conditions("server")["delay"] == "30ms"


def test_what_is_added_elsewhere_changes_nothing_here() -> None:
    """The draws of a wire depend on the seed and on names, not on what else there is."""

    def arrivals(more: bool) -> tuple[float, bytes]:
        network = Network(seed=9)
        if more:
            network.host("x"), network.host("y")
            network.wire("x", "y", loss="50%", jitter="50us")
        network.host("client", "10.9.0.1/24"), network.host("server", "10.9.0.2/24")
        wire = network.wire("client", "server", loss="5%", jitter="50us")
        if more:
            wire.set("server", reorder="1%")
            Sink(network["y"].host)
            Source(network["x"].host, network["y"], SOME)
        sink = Sink(network["server"].host)
        lost: list[float] = []
        wire.drop(lambda frame: bool(lost.append(frame.time)), sender="client")
        Source(network["client"].host, network["server"], SOME)
        network.run(until=0.01)
        return lost[-1], bytes(sink.data)

    assert arrivals(False) == arrivals(True)


# -- exact faults


@pytest.mark.parametrize("number", [1, 2, 7])
def test_one_lost_segment_is_one_retransmission(number: int) -> None:
    pair = Pair(delay="10ms")
    fault = pair.wire.drop(nth(number, data), sender="client")
    pair.network.run(until=60)
    assert bytes(pair.sink.data) == SOME
    assert fault.count == 1
    assert pair.retransmitted() == 1


def test_a_delayed_syn_ack_delays_the_connection() -> None:
    pair = Pair()
    fault = pair.wire.delay(syn_ack, "700ms")
    pair.network.run(until=60)
    assert pair.sink.ended_at[0] == pytest.approx(0.7, abs=0.01)
    assert fault.count == 1


def test_a_duplicate_is_received_once() -> None:
    pair = Pair()
    fault = pair.wire.duplicate(data, sender="client")
    pair.network.run(until=60)
    assert bytes(pair.sink.data) == SOME
    assert fault.count > 10


def test_a_rewritten_segment_is_believed_if_it_is_repaired() -> None:
    def shout(frame: bytearray) -> bytes:
        return bytes(frame).replace(b"quiet", b"LOUD!")

    for repair in (True, False):
        pair = Pair(data=b"be quiet")
        fault = pair.wire.rewrite(nth(1, data), shout, sender="client", repair=repair)
        pair.network.run(until=60)
        assert fault.count == 1
        assert bytes(pair.sink.data) == (b"be LOUD!" if repair else b"be quiet")


def test_a_repaired_frame_may_have_another_length() -> None:
    pair = Pair(data=b"end", stay=True)

    def cut(frame: bytearray) -> None:
        del frame[-1:]

    pair.wire.rewrite(nth(1, data), cut, sender="client")
    pair.network.run(until=60)
    assert bytes(pair.sink.data) == b"end"
    assert pair.retransmitted() == 1


def test_a_fault_can_be_removed() -> None:
    pair = Pair()
    fault = pair.wire.drop(every)
    pair.network.run(until=2.5)
    fault.remove()
    fault.remove()
    pair.network.run(until=60)
    assert fault.count > 0
    assert bytes(pair.sink.data) == SOME


def test_what_faults_see() -> None:
    pair = Pair(data=SOME[:100])
    seen: list[Frame] = []
    pair.wire.drop(lambda frame: bool(seen.append(frame)))
    pair.network.run(until=60)
    kinds = (arp, syn, syn_ack, data, fin, rst)
    assert {kind.__name__: sum(map(kind, seen)) for kind in kinds} == {
        "arp": 2, "syn": 1, "syn_ack": 1, "data": 1, "fin": 2, "rst": 0
    }  # fmt: skip
    assert any(map(pure_ack, seen))
    assert all(map(tcp, seen[2:]))
    first = next(frame for frame in seen if data(frame))
    assert first.payload == SOME[:100]
    assert (first.source, first.destination, first.destination_port) == ("10.0.0.1", "10.0.0.2", 80)
    assert "10.0.0.2:80" in repr(first)
    with pytest.raises(ValueError, match="nth: 0"):
        nth(0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 25), st.sampled_from(["client", "server"]), st.booleans()), max_size=5))
def test_tcp_survives_any_few_faults(faults: list[tuple[int, str, bool]]) -> None:
    pair = Pair()
    for number, sender, lost in faults:
        if lost:
            pair.wire.drop(nth(number, tcp), sender=sender)
        else:
            pair.wire.delay(nth(number, tcp), "300ms", sender=sender)
    pair.network.run(until=120)
    assert bytes(pair.sink.data) == SOME


# -- at a time


def test_conditions_from_one_second_to_another() -> None:
    pair = Pair(data=b"", loss=("1%", 0))
    pair.network.during(5, 7, pair.wire, loss="100%")
    pair.network.during(5, 7, "client-server", "client", delay="1s")
    for time, losses, delay in ((4, ("1%", 0), 100e-6), (6, ("100%", "100%"), "1s"), (8, ("1%", 0), 100e-6)):
        pair.network.run(until=time)
        assert tuple(pair.wire.conditions(end)["loss"] for end in ("client", "server")) == losses
        assert pair.wire.conditions("client")["delay"] == delay
        assert pair.wire.conditions("server")["delay"] == 100e-6


def test_faults_from_one_second_to_another() -> None:
    pair = Pair()
    fault = pair.wire.drop(during(0, "5s", tcp))
    pair.network.run(until=60)
    assert fault.count == 5  # the SYN at 0 to 4 s
    assert pair.sink.ended_at[0] == pytest.approx(5, abs=0.2)


def test_a_partition_and_its_healing() -> None:
    network = Network()
    network.switch("lan")
    for name in ("a", "b", "c"):
        network.host(name)
        network.wire(name, "lan")
    sinks = {name: Sink(network[name].host) for name in ("b", "c")}
    network.partition(["a"], [network["b"]])
    Source(network["a"].host, network["b"], b"late")
    Source(network["a"].host, network["c"], b"now")
    network.run(until=1)
    assert bytes(sinks["c"].data) == b"now"
    assert not sinks["b"].data
    network.at(2, network.heal)
    network.run(until=20)
    assert bytes(sinks["b"].data) == b"late"


def test_a_partition_in_the_middle_of_a_transfer() -> None:
    pair = Pair(data=SOME * 10, rate="100kbit", queue=10)
    pair.network.at(0.5, pair.network.partition, ["client"], ["server"])
    pair.network.run(until=5)
    before = pair.sink.got
    pair.network.run(until=9)
    assert 0 < pair.sink.got == before < len(SOME) * 10
    pair.network.heal()
    pair.network.run(until=90)
    assert bytes(pair.sink.data) == SOME * 10


def test_a_wire_that_is_down_and_up_again() -> None:
    pair = Pair(rate="100kbit")
    pair.network.at(0.5, pair.wire.fail)
    pair.network.at(3, pair.wire.recover)
    pair.network.run(until=2)
    assert not pair.wire.up
    assert 0 < pair.sink.got < len(SOME)
    pair.network.run(until=60)
    assert bytes(pair.sink.data) == SOME
    assert pair.wire.counters()["link_down"] > 0


def test_a_crash_and_a_fresh_start() -> None:
    pair = Pair(rate="100kbit", stay=True)
    told: list[bool] = []
    pair.server.observers.append(lambda node: told.append(node.up))
    pair.network.at(0.5, pair.server.crash)
    pair.network.run(until=3)
    old, got = pair.sink, pair.sink.got
    assert 0 < got < len(SOME)
    assert not pair.server.up
    with pytest.raises(OSError, match="server is down") as caught:
        pair.server.host  # noqa: B018
    assert caught.value.errno == errno.EHOSTDOWN
    with pytest.raises(ValueError, match="cannot crash server: it is down"):
        pair.server.crash()
    assert pair.source.error is None  # nobody told the client
    assert pair.wire.counters("client")["host_down"] > 0
    pair.server.restart()
    sink = Sink(pair.server.host)
    pair.network.run(until=60)
    assert pair.source.error == errno.ECONNRESET  # a fresh stack knows no such connection
    Source(pair.client.host, pair.server, b"again")
    pair.network.run(until=62)
    assert bytes(sink.data) == b"again"
    assert old.got == got
    assert told == [False, True]


def test_a_host_that_is_down_leaves_nothing_to_happen() -> None:
    pair = Pair(rate="100kbit")
    pair.network.run(until=0.5)
    for node in (pair.client, pair.server):
        node.crash()
    assert pair.network.run() is Ended.IDLE
    assert pair.network.now < 3  # when the last frame has arrived in vain; a living TCP would try for minutes


def test_a_wire_to_a_host_that_is_down() -> None:
    network = Network()
    network.host("a"), network.host("b"), network.host("c")
    network["b"].crash()
    network.wire("a", "b")
    network.run(until=1)
    network["b"].restart()
    sink = Sink(network["b"].host)
    Source(network["a"].host, network["b"], b"x")
    network.run(until=5)
    assert bytes(sink.data) == b"x"


def test_a_queue_of_ones_own() -> None:
    make: Callable[[], DropTail] = lambda: DropTail(2)  # noqa: E731
    pair = Pair(rate="1Mbit", queue=make)
    pair.network.run(until=60)
    assert pair.wire.counters("client")["queue_full"] > 0
    assert bytes(pair.sink.data) == SOME
