"""``netower ladder``: a captured TCP connection as a ladder diagram, time running down between two hosts."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from .dissect import Endpoint, Segment

NARROWEST: Final = 60
WIDEST: Final = 120
TIME_WIDTH: Final = 12


@dataclass
class Conversation:
    """The segments between two endpoints, from one SYN to what follows the end; ``client`` sent the first of them."""

    client: Endpoint
    server: Endpoint
    segments: list[Segment] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """A reset, or a FIN from either side, has been seen."""
        finished = {segment.source for segment in self.segments if segment.fin}
        return len(finished) == 2 or any(segment.rst for segment in self.segments)


def conversations(segments: Iterable[Segment]) -> list[Conversation]:
    """The connections of a capture, in the order they began. Ports used again begin a new one."""
    found: list[Conversation] = []
    current: dict[frozenset[Endpoint], Conversation] = {}
    for segment in segments:
        pair = frozenset((segment.source, segment.destination))
        conversation = current.get(pair)
        if conversation is None or (segment.syn and not segment.ack_flag and conversation.ended):
            conversation = current[pair] = Conversation(segment.source, segment.destination)
            found.append(conversation)
        conversation.segments.append(segment)
    return found


def render(
    conversation: Conversation, *, limit: int | None = None, last: int | None = None, width: int = 100
) -> Iterator[str]:
    """The lines of the diagram, the client's lifeline to the left; sequence numbers count from either side's first.

    ``limit``: how many segments are drawn; ``last``: only so many, from the end.
    """
    width = max(NARROWEST, min(WIDEST, width))
    inner = width - TIME_WIDTH - 3
    client, server = str(conversation.client), str(conversation.server)
    yield " " * TIME_WIDTH + client + server.rjust(inner + 3 - len(client))
    yield _between("", inner)
    labels = _Labels(conversation)
    start = conversation.segments[0].time
    earlier = max(0, len(conversation.segments) - last) if last is not None else 0
    if earlier:
        yield _between(f"… {earlier} segments before", inner)
    shown = conversation.segments[earlier:][:limit]
    for segment in shown:
        words, options = labels.describe(segment)
        rightwards = segment.source == conversation.client
        time = f"{(segment.time - start) * 1e3:.3f} ms"
        yield from _rung(time, words, options, inner, rightwards)
    if hidden := len(conversation.segments) - earlier - len(shown):
        yield _between(f"… {hidden} more segments", inner)


class _Labels:
    """What is written on the arrows: sequence numbers are relative to the first that each side was seen to use."""

    def __init__(self, conversation: Conversation) -> None:
        self._first: dict[Endpoint, int] = {}
        for segment in conversation.segments:
            self._first.setdefault(segment.source, segment.sequence)

    def describe(self, segment: Segment) -> tuple[str, str]:
        words = [segment.flags, f"seq={self._relative(segment.source, segment.sequence)}"]
        if segment.ack_flag:
            words.append(f"ack={self._relative(segment.destination, segment.acknowledgment)}")
        words.append(f"win={segment.window}")
        if segment.length:
            words.append(f"len={segment.length}")
        return " ".join(words), ", ".join(segment.options)

    def _relative(self, endpoint: Endpoint, number: int) -> int:
        return (number - self._first.get(endpoint, 0)) % 2**32


def _rung(time: str, words: str, options: str, inner: int, rightwards: bool) -> Iterator[str]:
    label = f"{words} <{options}>" if options else words
    if len(label) + 8 <= inner:
        yield _arrow(time, label, inner, rightwards)
    else:
        yield _arrow(time, words, inner, rightwards)
        for start in range(0, len(options), inner - 4):
            yield _between(options[start : start + inner - 4], inner)


def _arrow(time: str, label: str, inner: int, rightwards: bool) -> str:
    line = f" {label} ".center(inner - 1, "─")
    return f"{time:>{TIME_WIDTH - 1}} │{line}▶│" if rightwards else f"{time:>{TIME_WIDTH - 1}} │◀{line}│"


def _between(text: str, inner: int) -> str:
    return f"{'':{TIME_WIDTH}}│{text:^{inner}}│"


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--connection", "number", type=click.IntRange(1), help="Draw this connection (they count from 1).")
@click.option("--all", "everything", is_flag=True, help="Draw every connection.")
@click.option("--limit", type=click.IntRange(1), default=40, show_default=True, help="Segments drawn of a connection.")
def command(file: Path, number: int | None, everything: bool, limit: int) -> int:
    """Draw the TCP connections of a pcap file as ladder diagrams; the first one, if not told which.

    \b
    Examples:
      netower ladder netower-demo.pcap
      netower ladder capture.pcap --connection 3 --limit 10
      netower up --pcap trace.pcap          writes such a file; so do tcpdump -w and Wireshark
    """
    from .dissect import read_segments

    try:
        found = conversations(read_segments(file))
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    if not found:
        raise click.ClickException(f"{file}: there is no TCP in this capture")
    if number is not None and number > len(found):
        raise click.UsageError(f"{file} holds {len(found)} connection{'s' * (len(found) > 1)}, there is no {number}")
    chosen = found if everything else [found[(number or 1) - 1]]
    width = shutil.get_terminal_size((100, 24)).columns
    for conversation in chosen:
        print("\n".join(render(conversation, limit=limit, width=width)))
    if len(found) > len(chosen):
        print(f"{len(found)} connections in this capture; --connection N or --all shows others", file=sys.stderr)
    return 0
