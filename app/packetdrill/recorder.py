"""What a host does when the stimuli of a script come to it, whatever the script expects: to compare two hosts, or to
begin a script with."""

from __future__ import annotations

import difflib
import re
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ...net.protocols import TCP, UDP
from . import messages
from .engine import AT_ONCE, LONGEST, Engine, Period, prepare, read
from .errors import Mismatch
from .flows import ip_info
from .syntax import Call, Code, IcmpPacket, IpInfo, TcpOption, TcpPacket, UdpPacket
from .task import Task
from .wire import Segment, flag_bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .configuration import Configuration
    from .syntax import Action, Packet
    from .wire import Datagram

#: What the first timestamp of a connection is in a record.
_FIRST_TIMESTAMP: Final = 100
#: What comes after a script's end is recorded for so long, in seconds.
_LONGER: Final = 0.5
#: What hosts choose by chance: timestamps, and numbers of connections that the record knows no beginning of.
_TIMESTAMP: Final = re.compile(r"TS val \d+|\b\d{8,}\b")
#: By how much, and by how much of it, the times of two hosts may differ (see `on_kernel`).
_TOLERANCE: Final = 0.02
#: By how much a call that waits may return later than the script says before it is said to wait still, in seconds.
_SLACK: Final = 0.05
_TOLERANCE_RATIO: Final = 0.13
_LAST: Final = flag_bits("FP")
#: The flag that only the first has.
_FIRST: Final = flag_bits("W")


class Entry(NamedTuple):
    """Something that the host did, at a time in seconds, in the script's language."""

    time: float
    text: str

    def __str__(self) -> str:
        return f"{self.time:.3f} {self.text}"


def record_file(path: Path, configuration: Configuration, definitions: Mapping[str, str]) -> list[Entry]:
    """As `record`, on the kernel in a namespace of its own; for a moment longer."""

    def work() -> list[Entry]:
        return record(read(path), configuration, definitions, path.parent, longer=_LONGER)

    if not configuration.kernel:
        return work()
    from .kernel import in_namespace

    return in_namespace(work, LONGEST)


def record(
    text: str,
    configuration: Configuration,
    definitions: Mapping[str, str],
    folder: Path | None = None,
    *,
    longer: float = 0.0,
) -> list[Entry]:
    """What the host did while the script ran, and for so many seconds ``longer``.

    Raises ScriptError, Unsupported, ValueError as the script gives reason.
    """
    script, configuration = prepare(text, configuration, definitions)
    recorder = Recorder(configuration, folder or Path())
    recorder.run(script)
    recorder.rest(longer)
    return recorder.entries


class Recorder(Engine):
    """A run that expects nothing. ``entries``: what the host did."""

    def __init__(self, configuration: Configuration, folder: Path) -> None:
        super().__init__(configuration, folder)
        self.entries: list[Entry] = []

    def _expect(self, packet: Packet, period: Period) -> None:
        self._machine.run(max(period.start, self._machine.now))
        self._note()

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        self._machine.run(self._machine.now + seconds, self._note)

    def _note(self) -> None:
        """Write down what has been sent."""
        sent = self._machine.sent
        while sent:
            whole = sent.popleft()
            for datagram in [whole] if self._configuration.strict_segments else _cut(whole):
                self.entries.append(Entry(datagram.time, self._shown(datagram)))

    def _act(self, action: Action, period: Period) -> None:
        self._note()
        if isinstance(action, Code):
            self._snippet(action, period)
        else:
            super()._act(action, period)
        self._note()

    def _snippet(self, code: Code, period: Period) -> None:
        """What it prints is recorded, and an assertion that does not hold."""
        with redirect_stderr(StringIO()) as printed:
            try:
                super()._act(code, period)
            except Mismatch as failure:
                print(failure, failure.actual, file=printed)
        if said := printed.getvalue().strip():
            self.entries.append(Entry(self._machine.now, f"%{{ {said} }}%"))

    def _shown(self, datagram: Datagram) -> str:
        if datagram.protocol == TCP:
            return str(self._segment(datagram))
        expected: UdpPacket | IcmpPacket = (
            UdpPacket(True, 0) if datagram.protocol == UDP else IcmpPacket(True, "", quoted=0)
        )
        return str(messages.outbound(expected, datagram, self._flows))

    def _segment(self, datagram: Datagram) -> TcpPacket:
        segment = Segment.from_bytes(datagram.data)
        first = TcpPacket(True, "", 0, 0, options=(TcpOption("TS", (_FIRST_TIMESTAMP, 0)),))
        flow = self._flows.observed(segment)
        if flow.first_timestamp is not None:
            first = replace(first, options=())
        return flow.to_script(segment, ip_info(datagram, IpInfo(ecn="", tos=0)), first)

    # -- calls

    def _call(self, call: Call, period: Period) -> None:
        self._finish_task()
        until = None if call.until is None else period.base + call.until
        task = Task(self._program, call, until)
        self._task = self.line, task
        self._check_task()

    def _check_task(self) -> None:
        if self._task is not None and self._task[1].finished is not None:
            task = self._task[1]
            self._task = None
            if task.until is not None:
                self._note()
            self.entries.append(Entry(task.finished or 0.0, task.adopt()))

    def _finish_task(self) -> None:
        if self._task is not None:
            task = self._task[1]
            limit = self._machine.now + AT_ONCE if task.until is None else task.until + _SLACK
            self._machine.run(max(limit, self._machine.now), lambda: task.finished is not None)
            self._check_task()
        if self._task is not None:
            self.entries.append(Entry(self._machine.now, f"{task.call.name} still waits"))
            self._task = None


def _cut(datagram: Datagram) -> Iterator[Datagram]:
    """The segments that the interface makes of what it was left to cut."""
    size = datagram.segment_size
    segment = Segment.from_bytes(datagram.data) if size and datagram.protocol == TCP else None
    if segment is None:
        yield datagram
        return
    for start in range(0, segment.length, size):
        length = min(size, segment.length - start)
        flags = segment.flags if start + length == segment.length else segment.flags & ~_LAST
        if start:
            flags &= ~_FIRST
        piece = replace(segment, seq=segment.seq + start & 0xFFFFFFFF, length=length, flags=flags)
        yield replace(datagram, data=piece.to_bytes(datagram.source, datagram.destination))


def differences(ours: list[Entry], theirs: list[Entry]) -> list[str]:
    """Two records line by line: ``-`` what only the first has, ``+`` only the second, ``~`` at another time."""
    left, right = [[_TIMESTAMP.sub("TS val", entry.text) for entry in entries] for entries in (ours, theirs)]
    lines = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            for mine, other in zip(ours[a:b], theirs[c:d], strict=True):
                if abs(mine.time - other.time) > max(_TOLERANCE, _TOLERANCE_RATIO * mine.time):
                    lines.append(f"~ {mine} / {other.time:.3f}")
        else:
            lines += [f"- {entry}" for entry in ours[a:b]] + [f"+ {entry}" for entry in theirs[c:d]]
    return lines
