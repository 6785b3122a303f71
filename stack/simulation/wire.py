"""A simulated wire: two ends, two directions, the conditions and faults of each."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Unpack

from ...link.impairment import Delay, Drop, Duplicate, Impairment, Rewrite
from ...link.link import Offloads
from ...link.pipe import Pipe
from ...link.wire import Wire
from ..units import Quantity, seconds
from . import conditions as wire_conditions
from .conditions import Conditions
from .frame import Frame, repaired
from .port import Port

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...link.packet import Packet
    from ...link.scheduler import Scheduler

#: Before the mischances: an exact fault is about the frames that the host sends.
_EXACT = 50


class Direction:
    """What one end sends. ``random(kind)`` is the randomness of one kind of impairment, and nobody else's."""

    def __init__(self, scheduler: Scheduler, label: str) -> None:
        self.scheduler = scheduler
        #: Those in force, as they were written.
        self.conditions: dict[str, Any] = {}
        self.impairments: dict[str, Impairment] = {}
        #: What impairments that are no more have done.
        self.counters: Counter[str] = Counter()
        self._label = label
        self._randoms: dict[str, Random] = {}
        self.pipe = Pipe(scheduler, random=self.random("jitter"))
        self.port: Port

    def random(self, kind: str) -> Random:
        if kind not in self._randoms:
            self._randoms[kind] = Random(f"{self._label}/{kind}")
        return self._randoms[kind]


class Fault:
    """An exact fault on a wire. ``count`` says how many frames it has befallen; `remove` ends it."""

    def __init__(self, impairments: list[tuple[Port, Impairment]]) -> None:
        self._impairments = impairments

    @property
    def count(self) -> int:
        return sum(impairment.count for _, impairment in self._impairments)

    def remove(self) -> None:
        for port, impairment in self._impairments:
            port.remove(impairment)


class SimulatedWire:
    """A wire between two nodes of a network, made by `Network.wire`.

    ``sender``, wherever it is asked for, is the name of the node at one end: what it sends is meant. Without it both
    directions are.
    """

    def __init__(self, scheduler: Scheduler, seed: int | str, name: str, ends: tuple[str, str], mtu: int) -> None:
        self.name = name
        self.ends = ends
        self.up = True
        self._scheduler = scheduler
        self.directions = tuple(Direction(scheduler, f"{seed}/wire/{name}/{sender}") for sender in ends)
        first, second = self.directions
        self._mtu = mtu
        self._pipes = (first.pipe, second.pipe)

    def connect(self, addresses: tuple[bytes, bytes]) -> tuple[Port, Port]:
        """Make the ends, with their link addresses."""
        wire = Wire(addresses=addresses, mtu=self._mtu, offloads=Offloads.CHECKSUM, pipes=self._pipes)
        ports = Port(wire.ends[0]), Port(wire.ends[1])
        for direction, port in zip(self.directions, ports, strict=True):
            direction.port = port
            wire_conditions.apply(direction, wire_conditions.DEFAULTS)
        return ports

    def __repr__(self) -> str:
        return f"<wire {self.name}{'' if self.up else ', down'}>"

    # -- conditions

    def set(self, sender: str | None = None, **conditions: Unpack[Conditions]) -> None:
        """Change conditions from now on, for frames that have not been put on the line yet; the others stay.

        Raises ValueError for values that make no sense, TypeError for names that are no condition.
        """
        meant = self._sent_by(sender)
        for direction, values in zip(self.directions, self.check(conditions), strict=True):
            if direction in meant:
                wire_conditions.apply(direction, values)

    def check(self, conditions: Conditions, sender: str | None = None) -> list[dict[str, Any]]:
        """The conditions of each direction, if `set` would take them; raises what it would raise."""
        self._sent_by(sender)
        both = wire_conditions.pairs(conditions)
        for values in both:
            wire_conditions.check(values)
        return both

    def conditions(self, sender: str) -> dict[str, Any]:
        """The conditions in force for what ``sender`` sends, as they were written."""
        return dict(self._sent_by(sender)[0].conditions)

    def fail(self) -> None:
        """Go down: what is on the way is lost, and whatever is sent until `recover`."""
        self.up = False
        for direction in self.directions:
            direction.pipe.cut()

    def recover(self) -> None:
        """Be up again."""
        self.up = True
        for direction in self.directions:
            direction.pipe.down = False

    # -- exact faults

    def drop(self, picks: Callable[[Frame], bool], sender: str | None = None) -> Fault:
        """Lose the frames that ``picks`` picks."""
        return self._fault(sender, lambda port: Drop(port, self._seen(picks)))

    def delay(self, picks: Callable[[Frame], bool], by: Quantity, sender: str | None = None) -> Fault:
        """Hold the frames that ``picks`` picks back for so long; those behind pass them."""
        held = seconds(by, "delay")
        return self._fault(sender, lambda port: Delay(port, self._seen(picks), self._scheduler, held))

    def duplicate(self, picks: Callable[[Frame], bool], sender: str | None = None) -> Fault:
        """Send the frames that ``picks`` picks twice."""
        return self._fault(sender, lambda port: Duplicate(port, self._seen(picks)))

    def rewrite(
        self,
        picks: Callable[[Frame], bool],
        change: Callable[[bytearray], bytes | bytearray | None],
        sender: str | None = None,
        *,
        repair: bool = True,
    ) -> Fault:
        """Let ``change`` alter the frames that ``picks`` picks: in place, or by returning another frame.

        With ``repair`` the length and checksums are made right afterwards, so that the receiver believes the change.
        """

        def changed(frame: bytearray) -> bytes | bytearray:
            result = change(frame)
            result = frame if result is None else result
            return repaired(bytearray(result)) if repair else result

        return self._fault(sender, lambda port: Rewrite(port, self._seen(picks), changed))

    def _seen(self, picks: Callable[[Frame], bool]) -> Callable[[Packet], bool]:
        scheduler = self._scheduler
        return lambda packet: picks(Frame(packet, scheduler.now))

    def _fault(self, sender: str | None, make: Callable[[Port], Impairment]) -> Fault:
        impairments = []
        for direction in self._sent_by(sender):
            impairment = make(direction.port)
            direction.port.add(_EXACT, impairment)
            impairments.append((direction.port, impairment))
        return Fault(impairments)

    # -- what happened

    def counters(self, sender: str | None = None) -> Counter[str]:
        """Frames and bytes that were delivered, and what became of the others, by reason."""
        total: Counter[str] = Counter()
        for number, direction in enumerate(self.directions):
            if direction not in self._sent_by(sender):
                continue
            pipe = direction.pipe
            total.update(direction.counters)
            total.update({name: impairment.count for name, impairment in direction.impairments.items()})
            total.update(pipe.counters)
            total.update(pipe.queue.counters)
            total.update(self.directions[1 - number].port.counters)
            total.update(frames=pipe.delivered, bytes=pipe.delivered_bytes)
        return total

    def _sent_by(self, sender: str | None) -> tuple[Direction, ...]:
        if sender is None:
            return self.directions
        if sender not in self.ends:
            raise ValueError(f"{sender!r} is at neither end of the wire {self.name}")
        return (self.directions[self.ends.index(sender)],)
