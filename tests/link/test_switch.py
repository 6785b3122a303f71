"""The learning switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netower.link import Packet, Wire
from netower.link.ethernet import BROADCAST, local_address
from netower.link.switch import AGEING_TIME, MAX_ADDRESSES, Switch

if TYPE_CHECKING:
    from netower.link import WireEnd


class Lan:
    """A switch, and stations behind its ports."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.switch = Switch(lambda: self.now)
        self.stations: list[WireEnd] = []
        self.ports: list[WireEnd] = []
        for _ in range(count):
            port, station = Wire().ends
            self.switch.attach(port)
            self.ports.append(port)
            self.stations.append(station)

    def send(self, sender: int, destination: bytes, source: bytes | None = None) -> list[int]:
        """Who receives a frame."""
        frame = destination + (source or local_address(sender)) + b"\x08\0data"
        self.stations[sender].send_packet(Packet([frame]))
        return [number for number, station in enumerate(self.stations) if self.got(station, frame)]

    @staticmethod
    def got(station: WireEnd, frame: bytes) -> bool:
        packets = list(iter(station.receive_packet, None))
        assert all(packet.tobytes() == frame for packet in packets)
        return len(packets) == 1


def test_it_floods_what_it_does_not_know_and_learns() -> None:
    lan = Lan(3)
    assert lan.send(0, local_address(2)) == [1, 2]
    assert lan.send(2, local_address(0)) == [0]
    assert lan.send(0, local_address(2)) == [2]
    assert lan.send(0, BROADCAST) == [1, 2]


def test_a_frame_never_goes_back_where_it_came_from() -> None:
    lan = Lan(2)
    lan.send(0, BROADCAST, local_address(7))
    assert lan.send(0, local_address(7)) == []


def test_a_station_that_moves_is_found_where_it_was_heard_last() -> None:
    lan = Lan(3)
    lan.send(0, BROADCAST, local_address(7))
    assert lan.send(2, local_address(7)) == [0]
    lan.send(1, BROADCAST, local_address(7))
    assert lan.send(2, local_address(7)) == [1]


def test_what_was_heard_long_ago_is_no_longer_believed() -> None:
    lan = Lan(3)
    lan.send(0, BROADCAST)
    lan.now = AGEING_TIME
    assert lan.send(1, local_address(0)) == [0]
    lan.now += AGEING_TIME + 1
    assert lan.send(1, local_address(0)) == [0, 2]


def test_its_memory_is_bounded_and_loses_the_longest_unheard() -> None:
    lan = Lan(3)
    lan.send(0, BROADCAST, local_address(1000))
    lan.send(0, BROADCAST, local_address(1001))
    for number in range(MAX_ADDRESSES - 2):
        lan.send(1, local_address(1000), local_address(2000 + number))
    lan.send(0, BROADCAST, local_address(1000))
    lan.send(1, BROADCAST, local_address(999_999))
    assert lan.send(2, local_address(1000)) == [0]
    assert lan.send(2, local_address(1001)) == [0, 1]


def test_a_group_address_is_never_learned_as_a_source() -> None:
    lan = Lan(3)
    lan.send(0, BROADCAST, BROADCAST)
    assert lan.send(1, BROADCAST) == [0, 2]


def test_a_port_that_is_taken_away_is_forgotten() -> None:
    lan = Lan(3)
    lan.send(0, BROADCAST)
    lan.switch.detach(lan.ports[0])
    assert lan.send(1, local_address(0)) == [2]


def test_a_broken_frame_harms_nobody() -> None:
    lan = Lan(2)
    lan.stations[0].send_packet(Packet([b"short"]))
    assert lan.got(lan.stations[1], b"short")
    assert lan.send(1, local_address(0)) == [0]
