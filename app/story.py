"""What happened on a simulated network, for whoever reads of a test that failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .dissect import read_segments
from .ladder import Conversation, conversations, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..stack.network import Network

#: How much is drawn: connections, and segments of each; and the largest capture that is read for it, in bytes.
_CONNECTIONS: Final = 3
_SEGMENTS: Final = 16
_LARGEST: Final = 32 << 20


def tell(network: Network, width: int = 100) -> Iterator[str]:
    """The lines: seed, virtual time, ladders of the connections that were last busy, counters, where the captures are.

    Ladders are drawn from the captures of the hosts that opened the connections: what was lost on the way to them is
    not there.
    """
    yield f"seed {network.seed!r}, at {network.now:.6f} s of virtual time, after {network.events} events"
    yield from _ladders(network, width)
    for name, counters in network.counters().items():
        counted = ", ".join(f"{reason} {count}" for reason, count in sorted(counters.items()) if count)
        if counted:
            yield f"{name}: {counted}"
    if network.pcap is not None:
        yield f"captures: {os.fspath(network.pcap)} (netower ladder FILE, tcpdump -r FILE, Wireshark)"


def _ladders(network: Network, width: int) -> Iterator[str]:
    found = [conversation for name in network.nodes for conversation in _opened_by(network, name)]
    found.sort(key=lambda conversation: conversation.segments[-1].time)
    for conversation in found[-_CONNECTIONS:]:
        shown = min(_SEGMENTS, len(conversation.segments))
        yield ""
        yield f"the last {shown} of {len(conversation.segments)} segments; 0 is {conversation.segments[0].time:.6f} s:"
        yield from render(conversation, last=_SEGMENTS, width=width)
    if len(found) > _CONNECTIONS:
        yield f"({len(found) - _CONNECTIONS} more connections)"
    if found:
        yield ""


def _opened_by(network: Network, name: str) -> list[Conversation]:
    """The TCP connections in a node's own capture that it opened itself."""
    if network.pcap is None:
        return []
    capture = Path(network.pcap) / f"{name}.pcap"
    if not capture.exists() or capture.stat().st_size > _LARGEST:
        return []
    own = {attachment.address.packed for attachment in network[name].attachments}
    return [each for each in conversations(read_segments(capture)) if each.client.address in own]
