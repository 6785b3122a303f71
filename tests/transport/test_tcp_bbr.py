"""BBR over simulated paths in virtual time: what it is for, and each state by what others see of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.stack import HostSettings, Network
from netower.transport.tcp.bbr import Bbr, Mode
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.windowed import MaxFilter

from .peer import Peer

ROUND_TRIP = 0.04


class Look(NamedTuple):
    """What there was to see at a time."""

    time: float
    srtt: float
    cwnd: int
    flight: int
    control: str
    bandwidth: float


class Flows:
    """Flows from hosts of their own to one server, over one bottleneck."""

    def __init__(self, congestion: str, count: int = 1, seed: int = 1, **bottleneck: Any) -> None:
        self.received: dict[str, int] = {}
        self.looks: list[Look] = []
        self.network = Network(seed)
        settings = HostSettings(tcp=TcpSettings(congestion=congestion))
        self.names = [f"client{number}" for number in range(count)]
        self.nodes = [self.network.host(name, settings=settings) for name in self.names]
        self.network.host("server")
        self.network.router("router")
        for name in self.names:
            self.network.wire(name, "router", delay=ROUND_TRIP / 4)
        self.bottleneck = self.network.wire("router", "server", delay=ROUND_TRIP / 4, **bottleneck)
        self.network.start("server", self._serve())

    def __enter__(self) -> Flows:
        self.network.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.network.__exit__(*error)

    async def _serve(self) -> None:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            name = (await reader.readline()).decode().strip()
            while data := await reader.read(1 << 20):
                self.received[name] = self.received.get(name, 0) + len(data)

        async with await asyncio.start_server(take, port=80) as server:
            await server.serve_forever()

    async def bulk(self, name: str) -> None:
        _, writer = await asyncio.open_connection("server", 80)
        writer.write(f"{name}\n".encode())
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    def start(self) -> Flows:
        for number, name in enumerate(self.names):
            self.network.at(0.5 * number, self.network.start, name, self.bulk(name))
        return self

    def connection(self, number: int = 0) -> Connection:
        connections = self.nodes[number].host.tcp.connections.values()
        return next(c for c in connections if isinstance(c, Connection))

    def control(self) -> Bbr:
        control = self.connection().congestion
        assert isinstance(control, Bbr)
        return control

    def watch(self, seconds: float, every: float = 0.05) -> list[Look]:
        """Let time pass, and look at the first flow; returns what was seen."""
        looks = []
        until = self.network.now + seconds
        while self.network.now < until - 1e-9:
            self.network.run(until=min(self.network.now + every, until))
            c = self.connection()
            control = c.congestion
            mode, rate = (control.mode.name, control.bandwidth * 8) if isinstance(control, Bbr) else ("", 0.0)
            looks.append(Look(self.network.now, c.rtt.srtt, control.cwnd, c.snd_max - c.snd_una, mode, rate))
        return looks

    def goodput(self, seconds: float) -> float:
        """Bits per second that arrive in the next ``seconds``."""
        before = sum(self.received.values())
        self.network.run(until=self.network.now + seconds)
        return (sum(self.received.values()) - before) * 8 / seconds


def filled_deep_queue(congestion: str) -> tuple[float, float]:
    """The goodput, and the median of the round trip beyond that of the empty path, with a queue of 10 BDP."""
    with Flows(congestion, rate="10Mbit", queue=340).start() as flows:
        flows.network.run(until=2.0)
        looks = flows.watch(10.0)
        return flows.received["client0"] * 8 / 12, median(look.srtt for look in looks) - ROUND_TRIP


def test_a_deep_queue_stays_almost_empty() -> None:
    goodput, delay = filled_deep_queue("bbr")
    assert goodput >= 0.9 * 10e6
    assert delay < 0.015
    assert filled_deep_queue("cubic")[1] > 10 * delay


def with_random_loss(congestion: str) -> float:
    with Flows(congestion, rate="10Mbit", queue=340, loss="1%").start() as flows:
        flows.network.run(until=2.0)
        return flows.goodput(10.0)


def test_random_loss_is_no_congestion() -> None:
    assert with_random_loss("bbr") >= 0.9 * 9.5e6
    assert with_random_loss("cubic") < 0.6 * 9.5e6


def test_a_change_of_bandwidth_is_followed() -> None:
    """Upwards within some cycles of PROBE_BW; downwards once ten rounds, and the queue, are over."""
    with Flows("bbr", rate="5Mbit", queue=340).start() as flows:
        flows.network.run(until=4.0)
        flows.bottleneck.set(rate="10Mbit")
        flows.network.run(until=7.0)
        assert flows.goodput(1.0) >= 0.9 * 9.5e6
        flows.bottleneck.set(rate="4Mbit")
        flows.network.run(until=12.0)
        late = flows.watch(8.0)
        assert late[0].bandwidth < 4.2e6
        assert median(look.srtt for look in late[-60:]) < 2 * ROUND_TRIP


def test_two_flows_share() -> None:
    with Flows("bbr", count=2, rate="4Mbit", queue=200).start() as flows:
        flows.network.run(until=60.0)
        shares = list(flows.received.values())
    assert sum(shares) ** 2 / (2 * sum(share**2 for share in shares)) >= 0.9
    assert sum(shares) * 8 / 60 >= 0.9 * 3.8e6


def test_the_round_trip_is_probed_every_ten_seconds() -> None:
    with Flows("bbr", rate="4Mbit", queue=200).start() as flows:
        flows.network.run(until=1.0)
        looks = flows.watch(34.0, every=0.01)
    probing = [look for look in looks if look.control == "PROBE_RTT"]
    starts = [b.time for a, b in pairwise(looks) if "PROBE_RTT" == b.control != a.control]
    assert len(starts) == 3
    for earlier, later in pairwise(starts):
        assert 10 <= later - earlier <= 10.5
    assert 0.2 <= len(probing) * 0.01 / 3 <= 0.35
    assert {look.cwnd for look in probing} == {4 * 1448}
    assert min(look.flight for look in probing) <= 4 * 1448


def test_startup_finds_the_rate_in_few_rounds_and_drains_its_queue() -> None:
    with Flows("bbr", rate="20Mbit", queue=1000).start() as flows:
        flows.network.run(until=0.2)
        looks = flows.watch(1.5, every=0.01)
    modes = [look.control for look in looks]
    assert modes.index("DRAIN") < modes.index("PROBE_BW") < 0.8 / 0.01
    assert looks[-1].bandwidth == pytest.approx(0.956 * 20e6, rel=0.05)
    assert looks[-1].flight < 1.5 * looks[-1].bandwidth / 8 * ROUND_TRIP


def test_a_user_that_sends_little_does_not_lower_the_estimate() -> None:
    with Flows("bbr", rate="10Mbit", queue=340) as flows:

        async def talk() -> None:
            _, writer = await asyncio.open_connection("server", 80)
            writer.write(b"client0\n" + bytes(3_000_000))
            await writer.drain()
            for _ in range(150):
                await asyncio.sleep(0.05)
                writer.write(bytes(1000))
            await asyncio.sleep(3600)

        flows.network.start("client0", talk())
        flows.network.run(until=4.0)
        before = flows.control().bandwidth
        assert before * 8 > 9e6
        flows.network.run(until=11.0)
        assert flows.control().bandwidth >= before
        rate = flows.connection().rate
        assert rate is not None
        assert rate.app_limited


def test_after_an_idle_time_it_goes_on_at_the_rate_without_a_burst() -> None:
    """Where window-based controllers start over or send a whole window at once."""
    with Flows("bbr", rate="10Mbit", queue=340) as flows:

        async def talk() -> None:
            _, writer = await asyncio.open_connection("server", 80)
            writer.write(b"client0\n" + bytes(3_000_000))
            await writer.drain()
            await asyncio.sleep(5)
            writer.write(bytes(200_000))
            await asyncio.sleep(3600)

        flows.network.start("client0", talk())
        flows.network.run(until=7.0)
        cwnd, bandwidth = flows.control().cwnd, flows.control().bandwidth
        assert flows.connection().unacknowledged == 0
        while not flows.connection().unacknowledged:
            flows.network.run(until=flows.network.now + 0.001)
        assert flows.control().cwnd == cwnd
        flows.network.run(until=flows.network.now + 0.03)
        c = flows.connection()
        assert c.snd_max - c.snd_una < 1.5 * bandwidth * 0.031 + 2 * c.mss


def test_a_time_out_gives_the_window_back() -> None:
    with Flows("bbr", rate="10Mbit", queue=340).start() as flows:
        flows.network.run(until=3.0)
        cwnd = flows.control().cwnd
        flows.bottleneck.set(loss=1.0)
        flows.network.run(until=3.6)
        assert flows.connection().retries
        assert flows.control().cwnd == flows.connection().mss
        flows.bottleneck.set(loss=0.0)
        flows.network.run(until=6.0)
        assert flows.control().cwnd >= 0.9 * cwnd
        assert flows.goodput(1.0) >= 0.85 * 9.5e6


def test_losses_let_go_no_more_than_arrives_and_the_window_comes_back() -> None:
    with Flows("bbr", rate="10Mbit", queue=12).start() as flows:
        looks = flows.watch(6.0)
        assert flows.connection().retransmissions > 0
        assert max(look.flight for look in looks[-60:]) < 150_000
        assert flows.goodput(2.0) >= 0.85 * 9.5e6


def test_a_run_can_be_repeated_and_seeds_differ() -> None:
    def run(seed: int) -> list[Look]:
        with Flows("bbr", seed=seed, rate="4Mbit", queue=100).start() as flows:
            flows.network.run(until=0.5)
            return flows.watch(2.0)

    assert run(1) == run(1)
    assert any(run(1) != run(seed) for seed in (2, 3, 4))


@pytest.mark.parametrize("change", [lambda c: None, lambda c: setattr(c.congestion, "ssthresh", 20_000)])
def test_a_living_connection_can_change_to_it_and_back(change: Callable[[Connection], object]) -> None:
    connection = Peer().connect()
    connection.congestion.cwnd = 12_345
    change(connection)
    connection.options.congestion = "bbr"
    connection.options_changed()
    control = connection.congestion
    assert isinstance(control, Bbr)
    assert (control.cwnd, control.mode) == (12_345, Mode.STARTUP)
    assert connection.pacer is not None
    assert connection.rate is not None
    connection.options.congestion = "cubic"
    connection.options_changed()
    assert (connection.congestion.name, connection.congestion.cwnd) == ("cubic", 12_345)


def test_the_first_flight_is_paced_by_the_handshake_s_round_trip() -> None:
    connection = Peer(mss=1000).connect(TcpOptions(congestion="bbr"))
    assert connection.congestion.pacing_rate == pytest.approx(2.856 * 10_000 / (connection.rtt.srtt or 0.001), rel=0.01)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1e9)), max_size=60), st.integers(1, 10))
def test_the_filter_is_the_maximum_of_a_window(steps: list[tuple[int, float]], length: int) -> None:
    largest, tick, seen = MaxFilter(length), 0, []
    for step, value in steps:
        tick += step
        seen.append((tick, value))
        largest.put(tick, value)
        assert largest.maximum == max(value for at, value in seen if at > tick - length)
        assert len(largest._values) <= length
