"""CUBIC and HyStart++ by themselves, and flows that share a bottleneck, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from netower.stack import Network
from netower.transport.tcp.congestion import UNLIMITED
from netower.transport.tcp.cubic import Cubic
from netower.transport.tcp.hystart import HyStart
from netower.transport.tcp.rtt import RoundTrip
from netower.transport.tcp.settings import TcpOptions, TcpSettings

from .peer import Peer

MSS = 1000


@dataclass
class Clocked:
    """A sender whose acknowledgments come a window at a time, each a round trip after the last."""

    round_trip: float = 0.1
    now: float = 0.0
    snd_nxt: int = 0
    rtt: RoundTrip = field(default_factory=lambda: RoundTrip(1.0, TcpSettings()))

    def __post_init__(self) -> None:
        self.rtt.srtt = self.rtt.latest = self.round_trip

    def window(self, control: Cubic) -> None:
        """One round trip."""
        self.now += self.round_trip
        for _ in range(control.cwnd // MSS):
            self.snd_nxt += MSS
            control.acknowledged(MSS, MSS, self.snd_nxt - control.cwnd, self)


def after_a_loss(segments: int, round_trip: float = 0.1) -> tuple[Cubic, Clocked]:
    """A window of so many segments that has just been reduced, and its sender."""
    control = Cubic(segments * MSS)
    control.lost(control.cwnd, MSS)
    control.cwnd = control.ssthresh
    return control, Clocked(round_trip)


def test_slow_start_doubles() -> None:
    control, sender = Cubic(10 * MSS), Clocked()
    assert control.ssthresh == UNLIMITED
    sender.window(control)
    assert control.cwnd == 20 * MSS


def test_a_loss_takes_three_tenths() -> None:
    control = Cubic(100 * MSS)
    control.lost(control.cwnd, MSS)
    assert control.ssthresh == 70 * MSS
    assert control.cwnd == 100 * MSS  # in recovery, it is the sender's


def test_the_window_is_back_after_k_and_flat_there() -> None:
    """RFC 9438 §4.2: K is the time to the former maximum, where the cubic is flat; then it probes."""
    control, sender = after_a_loss(1000)
    k = (300 / 0.4) ** (1 / 3)
    steps = []
    while sender.now < k * 1.6:
        before = control.cwnd
        sender.window(control)
        steps.append((sender.now, control.cwnd - before))
        if abs(sender.now - k) < 0.06:
            assert control.cwnd == pytest.approx(1000 * MSS, rel=0.02)
    assert control.cwnd > 1050 * MSS
    slowest = min(steps[2:], key=lambda step: step[1])[0]
    assert k - 2.5 < slowest < k + 1.5  # in whole segments it is flat for a while


def test_where_reno_would_be_faster_it_is_followed() -> None:
    control, sender = after_a_loss(20, round_trip=0.001)
    for _ in range(60):
        sender.window(control)
    # 14 segments, 9/17 of a segment each round trip (RFC 9438 §4.3), as on Linux beyond the former maximum too; the
    # curve is looked at a few times in a second only
    assert 30 * MSS < control.cwnd < 46 * MSS


def test_a_small_window_does_not_stand_still_for_many_short_round_trips() -> None:
    """RFC 9438 §4.3: Reno's window is followed with each acknowledgment, here as good as that."""
    control, sender = after_a_loss(4, round_trip=0.0015)
    for _ in range(15):
        sender.window(control)
    assert control.cwnd >= 2 * MSS + 15 // 2 * MSS  # 9/17 of a segment each round trip, in whole ones


def test_a_second_loss_soon_leaves_room_to_others() -> None:
    control = Cubic(100 * MSS)
    control.lost(control.cwnd, MSS)
    control.cwnd = 80 * MSS
    control.lost(control.cwnd, MSS)
    assert control._w_max == pytest.approx(80 * 0.85)  # RFC 9438 §4.7


def test_what_was_no_loss_is_forgotten() -> None:
    control, sender = after_a_loss(100)
    for _ in range(20):
        sender.window(control)
    before = (control.cwnd, control.ssthresh, control._epoch, control._k)
    control.lost(control.cwnd, MSS)
    control.cwnd = control.ssthresh
    control.undo(*before[:2])
    assert (control.cwnd, control.ssthresh, control._epoch, control._k) == before


def test_a_time_out_starts_over() -> None:
    control = Cubic(100 * MSS)
    control.timed_out(control.cwnd, MSS, again=False)
    assert control.ssthresh == 70 * MSS
    control.cwnd = MSS
    while control.cwnd < 70 * MSS:
        control.acknowledged(MSS, MSS, 0, Clocked())
    assert control.cwnd == 70 * MSS


def rounds(hystart: HyStart, *round_trips: float, pause: float = 0.003) -> list[bool]:
    """Whether slow start has ended at the end of each round; ``pause`` is the time between acknowledgments."""
    grown, ack, now = [], 0, 0.0
    for round_trip in round_trips:
        steps = []
        for step in range(1, 11):
            now += pause
            steps.append(hystart.stops(1000, ack + 100 * step, ack + 1000, round_trip, now, wide=True))
        grown.append(steps[-1])
        ack += 1000
        now += round_trip
    return grown


def test_slow_start_goes_on_while_round_trips_stay() -> None:
    assert rounds(HyStart(), *[0.1] * 20) == [False] * 20


def test_longer_round_trips_end_slow_start() -> None:
    hystart = HyStart()
    assert rounds(hystart, 0.1, 0.1, 0.12) == [False, False, True]
    assert not hystart.over
    assert rounds(HyStart(), 0.1, 0.1, 0.12, 0.14, 0.14) == [False, False, True, True, True]


def test_two_conservative_rounds_follow_in_which_the_window_grows_by_a_quarter() -> None:
    """RFC 9406 §4.2."""
    control, sender, ack = Cubic(20 * MSS), Clocked(), 0
    windows = [20]
    for round_trip in (0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.22, 0.24):
        sender.rtt.latest = round_trip
        sender.now += round_trip
        for _ in range(windows[-1]):
            ack += MSS
            sender.snd_nxt = ack + control.cwnd
            control.acknowledged(MSS, MSS, ack, sender)
        windows.append(control.cwnd // MSS)
    grown = [after / before for before, after in pairwise(windows)]
    assert grown[0] == 2
    assert sum(1.2 < ratio < 1.3 for ratio in grown) >= 1, grown
    assert all(ratio < 1.1 for ratio in grown[-3:])


def test_a_train_of_acknowledgments_as_long_as_half_a_round_trip_ends_it_too() -> None:
    assert rounds(HyStart(), *[0.1] * 4, pause=0.0015) == [False] * 4
    assert rounds(HyStart(), *[0.01] * 9, pause=0.0015) == [True] * 9


def second_train(*times: float) -> bool:
    """Whether slow start ends with acknowledgments of 1000 bytes each at these times, in a round that
    follows one of 100 which came a millisecond apart. Round trips take half a second."""
    hystart = HyStart()
    for step in range(100):
        assert not hystart.stops(1000, 1000 * (step + 1), 100_000, 0.5, step / 1000, wide=True)
    return any(
        hystart.stops(1000, 100_000 + 1000 * step, 900_000, 0.5, 1 + now, wide=True)
        for step, now in enumerate(times, 1)
    )


def test_acknowledgments_that_a_busy_host_sees_together_are_a_train_still() -> None:
    seen_at_once = [step / 1000 for step in range(400)]
    seen_together = [step // 10 / 100 for step in range(400)]
    assert second_train(*seen_at_once)
    assert second_train(*seen_together)


def test_a_pause_in_which_nothing_was_acknowledged_ends_a_train() -> None:
    assert not second_train(*[step / 1000 for step in range(100)], *[0.02 + step / 1000 for step in range(100, 400)])


def test_a_passing_delay_does_not() -> None:
    assert rounds(HyStart(), 0.1, 0.13, 0.1, 0.1) == [False, True, False, False]


# choosing


def test_each_connection_has_the_controller_it_asks_for() -> None:
    peer = Peer(settings=TcpSettings(congestion="reno"))
    assert peer.connect().congestion.name == "reno"
    assert Peer().connect().congestion.name == "cubic"
    connection = Peer().connect(TcpOptions(congestion="reno"))
    connection.congestion.cwnd = 12_345
    assert connection.congestion.name == "reno"
    connection.options.congestion = "cubic"
    connection.options_changed()
    assert connection.congestion.name == "cubic"
    assert connection.congestion.cwnd == 12_345


# sharing


async def _serve(received: dict[str, int]) -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readline()).decode().strip()
        while data := await reader.read(1 << 20):
            received[name] = received.get(name, 0) + len(data)

    async with await asyncio.start_server(take, port=80) as server:
        await server.serve_forever()


async def _send(name: str, after: float) -> None:
    await asyncio.sleep(after)
    _, writer = await asyncio.open_connection("server", 80)
    writer.write(f"{name}\n".encode())
    while True:
        writer.write(bytes(65536))
        await writer.drain()


def test_two_flows_share_a_bottleneck() -> None:
    """Jain's index over 30 s is 0.9 at least, and the line is not idle."""
    received: dict[str, int] = {}
    with Network(1) as network:
        for name in ("first", "second", "server"):
            network.host(name)
        network.router("router")
        network.wire("first", "router", delay=0.005)
        network.wire("second", "router", delay=0.005)
        network.wire("router", "server", delay=0.005, rate=20e6, queue=50)
        network.start("server", _serve(received))
        network.start("first", _send("first", 0.0))
        network.start("second", _send("second", 1.0))
        network.run(until=31.0)
    shares = list(received.values())
    assert len(shares) == 2
    assert sum(shares) ** 2 / (2 * sum(share**2 for share in shares)) >= 0.9
    assert sum(shares) * 8 / 31 >= 0.85 * 20e6


def test_idle_time_in_conservative_slow_start_leaves_the_threshold_where_it_was() -> None:
    control, sender, acked = Cubic(10 * MSS), Clocked(), 0

    def window(round_trip: float) -> None:
        nonlocal acked
        sender.now += round_trip
        sender.rtt.latest = round_trip
        for _ in range(control.cwnd // MSS):
            acked += MSS
            sender.now += 0.001
            sender.snd_nxt = acked + control.cwnd
            control.acknowledged(MSS, MSS, acked, sender)

    for _ in range(4):
        window(0.1)
    window(0.15)
    threshold = control.ssthresh
    assert threshold < UNLIMITED
    control.idle(10 * MSS)
    for _ in range(3):
        window(0.1)
    assert control.ssthresh == threshold
    assert control.cwnd == 80 * MSS
