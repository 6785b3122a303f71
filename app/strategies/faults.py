"""Fault schedules: what goes wrong on a network, exactly, as a story that reads and shrinks.

Simpler is: fewer faults, losses rather than anything else, earlier packets, shorter times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from ...net.address import parse
from ...stack.simulation.frame import data as data_segment
from ...stack.simulation.frame import during, every, fin, nth, pure_ack, syn, syn_ack, tcp, udp

if TYPE_CHECKING:
    from ...stack.network import Network
    from ...stack.simulation.frame import Frame

#: What packets are called, and which they are.
KINDS: Final[dict[str, Callable[[Frame], bool]]] = {
    "segment": tcp,
    "data segment": data_segment,
    "SYN": syn,
    "SYN-ACK": syn_ack,
    "pure ACK": pure_ack,
    "FIN": fin,
    "datagram": udp,
    "frame": every,
}
#: What may befall a packet, the simplest first.
ACTIONS: Final = ("drop", "delay", "duplicate", "corrupt")
_ORDINALS: Final = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip
_ARP: Final = b"\x08\x06"


@dataclass(frozen=True, repr=False)
class PacketFault:
    """Something befalls one packet: the ``number``-th of a ``kind`` that ``sender`` sends to ``receiver``.

    ``by``: seconds, for a delay. A packet that is corrupted fails its receiver's checksum.
    """

    action: str
    number: int
    kind: str
    sender: str
    receiver: str
    by: float = 0.0

    def __repr__(self) -> str:
        later = f" by {_time(self.by)}" if self.action == "delay" else ""
        return f"{self.action} the {_ordinal(self.number)} {self.kind} from {self.sender} to {self.receiver}{later}"

    def apply(self, network: Network) -> None:
        """Let it happen, counting packets from now on."""
        picks = nth(self.number, _both(KINDS[self.kind], _to(network, self.receiver)))
        for wire in _wires(network, self.sender):
            if self.action == "drop":
                wire.drop(picks, self.sender)
            elif self.action == "delay":
                wire.delay(picks, self.by, self.sender)
            elif self.action == "duplicate":
                wire.duplicate(picks, self.sender)
            else:
                wire.rewrite(picks, _corrupt, self.sender, repair=False)


@dataclass(frozen=True, repr=False)
class OutageFault:
    """Nothing gets from either node to the other, from ``start`` on for ``duration``, both in seconds."""

    start: float
    duration: float
    between: tuple[str, str]

    def __repr__(self) -> str:
        first, second = self.between
        return f"keep {first} and {second} apart from {_time(self.start)} to {_time(self.start + self.duration)}"

    def apply(self, network: Network) -> None:
        """Let it happen, in the network's own time."""
        for sender, receiver in (self.between, self.between[::-1]):
            picks = during(self.start, self.start + self.duration, _to(network, receiver))
            for wire in _wires(network, sender):
                wire.drop(picks, sender)


@dataclass(frozen=True, repr=False)
class CrashFault:
    """A node crashes at ``start``, and restarts ``duration`` later, both in seconds."""

    start: float
    duration: float
    node: str

    def __repr__(self) -> str:
        return f"crash {self.node} at {_time(self.start)}, restart it at {_time(self.start + self.duration)}"

    def apply(self, network: Network) -> None:
        """Let it happen, in the network's own time. A node that is down already stays so until its restart."""
        node = network[self.node]

        def crash() -> None:
            if node.up:
                node.crash()
                network.at(self.start + self.duration, node.restart)

        network.at(self.start, crash)


Fault = PacketFault | OutageFault | CrashFault


class FaultSchedule(tuple[Fault, ...]):
    """Faults that happen to one network. Its repr is the story: ``[drop the third segment from client to server]``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"[{'; '.join(map(repr, self))}]"

    def apply(self, network: Network) -> None:
        """Let all of them happen to ``network``, whose nodes and wires must be there. Raises ValueError for a node that
        is not."""
        for fault in self:
            fault.apply(network)


@st.composite
def fault_schedules(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    *nodes: str,
    max_faults: int = 4,
    kinds: Sequence[str] = ("segment",),
    actions: Sequence[str] = ACTIONS,
    within: int = 12,
    outages: bool = False,
    crashes: Iterable[str] = (),
    until: int = 60,
) -> FaultSchedule:
    """Schedules of up to ``max_faults`` faults, for packets between any two of ``nodes``.

    ``kinds`` (of `KINDS`) and ``actions`` (of `ACTIONS`) are those to draw from, the simplest first; ``within``: among
    how many of its kind from its sender a packet is. With ``outages``, pairs of nodes are kept apart for a while; the
    nodes ``crashes`` may crash and restart. Both begin within ``until`` seconds. Raises ValueError for other kinds and
    actions, and for fewer nodes than two.
    """
    for given, known in ((kinds, KINDS), (actions, ACTIONS)):
        if unknown := [each for each in given if each not in known]:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
    if len(nodes) < 2:
        raise ValueError("fault_schedules: name two nodes or more")
    choices: list[st.SearchStrategy[Fault]] = [_packet_faults(nodes, kinds, actions, within)]
    if outages:
        choices.append(_outages(nodes, until))
    if crashes := tuple(crashes):
        choices.append(_crashes(crashes, until))
    return FaultSchedule(draw(st.lists(st.one_of(choices), max_size=max_faults, unique=True)))


@st.composite
def _packet_faults(
    draw: Any, nodes: Sequence[str], kinds: Sequence[str], actions: Sequence[str], within: int
) -> PacketFault:
    action = draw(st.sampled_from(actions))
    sender, receiver = draw(st.sampled_from([(one, other) for one in nodes for other in nodes if one != other]))
    kind, number = draw(st.sampled_from(kinds)), draw(st.integers(1, within))
    by = draw(st.sampled_from((0.1, 0.01, 1.0, 10.0))) if action == "delay" else 0.0
    return PacketFault(action, number, kind, sender, receiver, by)


@st.composite
def _outages(draw: Any, nodes: Sequence[str], until: int) -> OutageFault:
    pairs = [(one, other) for number, one in enumerate(nodes) for other in nodes[number + 1 :]]
    start, duration = draw(_times(until))
    return OutageFault(start, duration, draw(st.sampled_from(pairs)))


@st.composite
def _crashes(draw: Any, nodes: Sequence[str], until: int) -> CrashFault:
    start, duration = draw(_times(until))
    return CrashFault(start, duration, draw(st.sampled_from(nodes)))


def _times(until: int) -> st.SearchStrategy[tuple[float, float]]:
    """Start and duration, in tenths of a second: whole seconds would miss what is over within one."""
    tenths = st.integers(0, until * 10).map(lambda tenth: tenth / 10)
    return st.tuples(tenths, st.integers(1, 300).map(lambda tenth: tenth / 10))


def _wires(network: Network, node: str) -> list[Any]:
    return [attachment.wire for attachment in network[node].attachments]


def _to(network: Network, receiver: str) -> Callable[[Frame], bool]:
    """Picks what is meant for a node: IPv4 packets, and ARP that asks or answers it."""
    texts = set(network[receiver].addresses)
    packed = {parse(address) for address in texts}
    return lambda frame: frame.destination in texts or (frame.data[12:14] == _ARP and frame.data[38:42] in packed)


def _both(first: Callable[[Frame], bool], second: Callable[[Frame], bool]) -> Callable[[Frame], bool]:
    return lambda frame: first(frame) and second(frame)


def _corrupt(frame: bytearray) -> None:
    """Flip the last bit: of the payload, or of a header that a checksum covers."""
    frame[-1] ^= 1


def _ordinal(number: int) -> str:
    if number < len(_ORDINALS):
        return _ORDINALS[number]
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if 0 < seconds < 1 else f"{seconds:g} s"
