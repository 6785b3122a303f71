"""A wire in memory: two ends, each of them a link. What is sent into one arrives at the other, in order.

It arrives at once, or after what a pipe in each direction makes of it: delay, rate, queue. Impairments (loss,
reordering, corruption) are no business of the wire's: they are links that wrap one of its ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .inbox import Inbox, arrival
from .link import Offloads

if TYPE_CHECKING:
    from collections.abc import Callable

    from .packet import Packet
    from .pipe import Pipe


class WireEnd(Inbox):
    """One end of a `Wire`.

    What the other end goes on sending after this one is closed is lost, and counted here as ``link_down``.
    """

    __slots__ = ("_carry", "_largest", "_peer", "address", "mtu", "offloads")

    _peer: WireEnd

    def __init__(self, address: bytes | None, mtu: int, header_size: int, offloads: Offloads, capacity: int) -> None:
        super().__init__(capacity)
        self.address = address
        self.mtu = mtu
        self.offloads = offloads
        self._largest = mtu + header_size

    def _join(self, peer: WireEnd, pipe: Pipe | None) -> None:
        """Send to ``peer`` from now on, through ``pipe`` if there is one."""
        self._peer = peer
        self._carry: Callable[[Packet], None] = peer._arrive
        if pipe is not None:
            pipe.deliver = peer._arrive
            self._carry = pipe.send

    def send_packet(self, packet: Packet) -> None:
        """Send a frame to the other end."""
        if packet.end > self._largest and not (packet.segment_size and self.offloads & (Offloads.TSO4 | Offloads.TSO6)):
            self._peer.counters["too_big"] += 1
            return
        self._carry(arrival(packet))


class Wire:
    """Two ends that are connected with each other: ``first, second = Wire().ends``.

    With ``ethernet`` it carries Ethernet II frames, and its ends have the addresses given, or else 02:00:00:00:00:01
    and 02:00:00:00:00:02; without, bare IP packets. ``mtu`` is in bytes, without the Ethernet header. A frame larger
    than that is dropped and counted as ``too_big``, unless the wire offers segmentation among its ``offloads``: then
    it is passed on uncut, and the receiver finds a packet with a ``segment_size``. In the same way an unfinished
    checksum stays PARTIAL. ``capacity`` is how many frames can wait at either end; more are dropped and counted as
    ``queue_full``. ``pipes`` carry the frames from the first end to the second, and back.
    """

    __slots__ = ("ends",)

    def __init__(
        self,
        *,
        ethernet: bool = True,
        addresses: tuple[bytes, bytes] | None = None,
        mtu: int = 1500,
        offloads: Offloads = Offloads.NONE,
        capacity: int = 1000,
        pipes: tuple[Pipe, Pipe] | tuple[None, None] = (None, None),
    ) -> None:
        from .ethernet import HEADER_SIZE, local_address  # with construct, 50 ms: not for all who import the link floor

        first_address, second_address = addresses or (local_address(1), local_address(2))
        if ethernet:
            first = WireEnd(first_address, mtu, HEADER_SIZE, offloads, capacity)
            second = WireEnd(second_address, mtu, HEADER_SIZE, offloads, capacity)
        else:
            first, second = (WireEnd(None, mtu, 0, offloads, capacity) for _ in range(2))
        first._join(second, pipes[0])
        second._join(first, pipes[1])
        self.ends = first, second
