"""Strategies for whole networks: hosts, what joins them, and the conditions on their wires."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from ...stack.network import Network

Draw = Callable[[st.SearchStrategy[Any]], Any]
_MOST_SWITCHES_AND_ROUTERS: Final = 4


@dataclass(frozen=True, repr=False)
class Topology:
    """A network that can be built as often as one likes: every host reaches every other.

    ``wires`` are two names and the conditions between them, in the order in which they are made.
    """

    hosts: tuple[str, ...]
    switches: tuple[str, ...]
    routers: tuple[str, ...]
    wires: tuple[tuple[str, str, dict[str, Any]], ...]

    def __repr__(self) -> str:
        return f"[{'; '.join(f'{one} - {other}{_words(conditions)}' for one, other, conditions in self.wires)}]"

    def build(self, seed: int | str = 0, *, pcap: str | os.PathLike[str] | None = None) -> Network:
        """A new network like this."""
        network = Network(seed, pcap=pcap)
        for names, make in (
            (self.hosts, network.host),
            (self.switches, network.switch),
            (self.routers, network.router),
        ):
            for name in names:
                make(name)
        for one, other, conditions in self.wires:
            network.wire(one, other, **conditions)
        return network


def _words(conditions: dict[str, Any]) -> str:
    words = ", ".join(f"{name} {value}" for name, value in conditions.items())
    return f" ({words})" if words else ""


@st.composite
def wire_conditions(
    draw: Draw, *, delay: bool = True, loss: bool = True, rate: bool = True, most_loss: int = 10
) -> dict[str, Any]:
    """Conditions for `Network.wire`, as people write them; up to ``most_loss`` percent are lost. Simpler is a better
    wire."""
    conditions: dict[str, Any] = {}
    if delay and (milliseconds := draw(st.integers(0, 200))):
        conditions["delay"] = f"{milliseconds}ms"
        if jitter := draw(st.integers(0, min(milliseconds, 20))):
            conditions["jitter"] = f"{jitter}ms"
    if loss and (percent := draw(st.integers(0, most_loss))):
        conditions["loss"] = f"{percent}%"
    if rate and (megabits := draw(st.sampled_from((0, 100, 10, 1)))):
        conditions["rate"] = f"{megabits}Mbit"
    return conditions


@st.composite
def topologies(
    draw: Draw, *, max_hosts: int = 5, conditions: st.SearchStrategy[dict[str, Any]] | None = None
) -> Topology:
    """Two hosts on a wire, or more hosts on a tree of switches and routers.

    ``conditions`` is where those of each wire are drawn from: `wire_conditions` unless given. Hosts are called h1, h2 …
    """
    drawn = wire_conditions() if conditions is None else conditions
    hosts = [f"h{number}" for number in range(1, draw(st.integers(2, max(2, max_hosts))) + 1)]
    fewest = 0 if len(hosts) == 2 else 1
    kinds = draw(st.lists(st.sampled_from(("s", "r")), min_size=fewest, max_size=_MOST_SWITCHES_AND_ROUTERS))
    middle = [f"{kind}{number}" for number, kind in enumerate(kinds, 1)]
    if not middle:
        return Topology(tuple(hosts), (), (), ((*hosts, draw(drawn)),))
    pairs = [(name, draw(st.sampled_from(middle[:number]))) for number, name in enumerate(middle) if number]
    pairs += [(host, draw(st.sampled_from(middle))) for host in hosts]
    return Topology(
        tuple(hosts),
        tuple(name for name in middle if name[0] == "s"),
        tuple(name for name in middle if name[0] == "r"),
        tuple((one, other, draw(drawn)) for one, other in pairs),
    )
