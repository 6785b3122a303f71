"""Running a script: event by event, on a machine of its own, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ...net.protocols import TCP
from . import messages
from .calls import CALLS
from .code import Snippets
from .configuration import Configuration
from .errors import Mismatch, ScriptError, Unsupported
from .flows import Flows
from .machine import fast_open_cookies
from .outbound import Outbound
from .parser import parse
from .process import Process
from .shell import Shell
from .stack_machine import StackMachine
from .syntax import Call, Code, Command, Event, IcmpPacket, TcpPacket, UdpPacket
from .task import Task
from .wire import ECN, Datagram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .machine import Machine
    from .program import Program
    from .syntax import Action, IpInfo, Packet, Script

#: What a script may take on the real clock, in seconds.
LONGEST: Final = 600.0
#: Of the script's packets, where it does not say.
_TTL: Final = 255
#: How long a call may take that is not said to wait, in seconds.
AT_ONCE: Final = 0.5
#: How long is waited for an event that may happen at any time, in seconds.
_AT_ANY_TIME: Final = 3600.0


class Verdict(Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(slots=True)
class Outcome:
    """How a script went. ``line`` (from 1), ``expected`` and ``actual`` say where and how it failed, ``reason`` why, or
    why it was skipped; ``remarks`` are what it did not fail for, as it says itself."""

    verdict: Verdict
    reason: str = ""
    line: int = 0
    expected: str = ""
    actual: str = ""
    remarks: list[str] = field(default_factory=list)


def run_file(path: Path, configuration: Configuration, definitions: Mapping[str, str]) -> Outcome:
    """Run the script in a file. Raises OSError for a file that cannot be read; with the kernel as the host under test
    PermissionError (EPERM), where there can be no network namespace."""
    text = read(path)
    if not configuration.kernel:
        return run(text, configuration, definitions, path.parent)
    from .kernel import in_namespace

    return in_namespace(lambda: run(text, configuration, definitions, path.parent), LONGEST)


def read(path: Path) -> str:
    """A script's text, whatever its comments are encoded in."""
    return path.read_text(encoding="utf-8", errors="replace")


def run(
    text: str,
    configuration: Configuration | None = None,
    definitions: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Outcome:
    """Run a script; ``folder`` is where files are that its commands name."""
    line = 0
    configuration = configuration or Configuration()
    try:
        script, configuration = prepare(text, configuration, definitions or {})
        if configuration.dry_run:
            return Outcome(Verdict.PASSED, "only read")
        engine = Engine(configuration, folder or Path())
        try:
            engine.run(script)
        finally:
            line = engine.line
    except ScriptError as failure:
        return Outcome(Verdict.FAILED, f"the script cannot be read: column {failure.column}: {failure}", failure.line)
    except Unsupported as reason:
        return Outcome(Verdict.SKIPPED, f"unsupported: {reason}", line)
    except Mismatch as failure:
        return Outcome(Verdict.FAILED, str(failure), line, failure.expected, failure.actual, engine.remarks)
    except ValueError as failure:
        return Outcome(Verdict.FAILED, f"the script asks for what cannot be: {failure}", line)
    return Outcome(Verdict.PASSED, remarks=engine.remarks)


def prepare(text: str, configuration: Configuration, definitions: Mapping[str, str]) -> tuple[Script, Configuration]:
    """Read a script and its options. Raises ScriptError, Unsupported, ValueError."""
    script = parse(text, definitions, {**PREDEFINED, **fast_open_cookies(configuration)})
    return script, configuration.for_script(script.options)


#: What packetdrill's runners define for IPv4.
PREDEFINED: Final = {"CMSG_LEVEL_IP": "SOL_IP", "CMSG_TYPE_RECVERR": "IP_RECVERR"}


class Period(NamedTuple):
    """When an event may happen, in seconds: from ``start`` to ``end``, which may be missed by ``tolerance``. ``base``:
    what its times count from."""

    start: float
    end: float
    tolerance: float
    base: float


class Engine:
    """One run. ``line``: that of the current event."""

    def __init__(self, configuration: Configuration, folder: Path) -> None:
        self.line = 0
        self.remarks: list[str] = []
        self._configuration = configuration
        self._machine, self._flows, self._program = _host(configuration)
        self._program.folder = folder
        self._outbound = Outbound(self._machine, self._flows, configuration, self._remark)
        self._shell = Shell(self._machine, folder)
        self._snippets = Snippets()
        self._task: tuple[int, Task] | None = None
        #: When the event before was to happen.
        self._before = 0.0
        self._machine.settled = self._resume

    def run(self, script: Script) -> None:
        """Raises Mismatch, Unsupported."""
        for path in self._configuration.init_scripts:
            self._shell.source(path)
        if script.setup is not None:
            self._shell.run(script.setup.text)
        self._machine.begin()
        for event in script.events:
            self.line = event.line
            self._happen(event)
        self._finish_task()

    def _happen(self, event: Event) -> None:
        period = self._period(event)
        action = event.action
        try:
            if isinstance(action, TcpPacket | UdpPacket | IcmpPacket) and action.outbound:
                self._expect(action, period)
                return
            if self._machine.now > period.end + period.tolerance:
                raise Mismatch(
                    f"the stack has taken until {self._machine.now:.6f} s", f"an event at {period.end:.6f} s"
                )
            self._machine.run(period.start)
            self._check_task()
            self._act(action, period)
        except Mismatch as failure:
            self._bear(action, failure)
        finally:
            self._before = period.start or period.base

    def _bear(self, action: Action, failure: Mismatch) -> None:
        """Go on if the script says that this may be."""
        kind = "syscall" if isinstance(action, Call) else "packet"
        if kind not in self._configuration.non_fatal or isinstance(action, Code):
            raise failure
        self._remark(str(failure))

    def _remark(self, text: str) -> None:
        self.remarks.append(f"line {self.line}: {text}")

    def _period(self, event: Event) -> Period:
        now, when = self._machine.now, event.when
        if when is None:
            return Period(0.0, now + _AT_ANY_TIME, 0.0, now)
        base = now if when.relative else 0.0
        start = base + when.start
        return Period(start, base + when.end, self._configuration.tolerance(start - self._before), base)

    # -- what the script does

    def _act(self, action: Action, period: Period) -> None:
        if isinstance(action, Call):
            self._call(action, period)
        elif isinstance(action, Code):
            self._snippets.run(action.text, self.line, self._program.under_test())
        elif isinstance(action, Command):
            self._shell.run(action.text)
        else:
            self._inject(action)
        self._machine.settle()

    def _call(self, call: Call, period: Period) -> None:
        self._finish_task()
        until = None if call.until is None else period.base + call.until
        task = Task(self._program, call, until, self._configuration.tolerance((until or 0.0) - period.start))
        if until is not None:
            self._task = self.line, task
            self._check_task()
            return
        if task.finished is None:  # a time limit of its own may end it soon
            self._task = self.line, task
            self._machine.run(self._machine.now + AT_ONCE, lambda: task.finished is not None)
            self._task = None
        if task.finished is None:
            raise Mismatch("the call waits", f"{call.name} returns at once")
        task.check()

    def _resume(self) -> None:
        if self._task is not None:
            self._task[1].resume()

    def _check_task(self) -> None:
        """See to the call that waits: has it returned, and in time?"""
        if self._task is None:
            return
        line, task = self._task
        assert task.until is not None
        if task.finished is None and self._machine.now <= task.until + task.tolerance:
            return
        self._task = None
        self.line, here = line, self.line
        if task.finished is None:
            raise Mismatch("the call still waits", f"{task.call.name} returns at {task.until:.6f} s")
        task.check()
        if abs(task.finished - task.until) > task.tolerance:
            times = f"at {task.until:.6f} s", f"at {task.finished:.6f} s"
            raise Mismatch(f"{task.call.name} returned at another time", *times)
        self.line = here

    def _finish_task(self) -> None:
        """Wait for the call that waits."""
        if self._task is not None:
            task = self._task[1]
            assert task.until is not None
            limit = task.until + 2 * task.tolerance
            self._machine.run(max(limit, self._machine.now), lambda: task.finished is not None)
            self._check_task()

    def _inject(self, packet: Packet) -> None:
        machine = self._machine
        if isinstance(packet, TcpPacket):
            flow = self._flows.inbound(packet)
            protocol, data = TCP, flow.to_wire(packet).to_bytes(machine.remote, machine.local)
            mss = self._configuration.mss if packet.length > self._configuration.mss else 0
        else:
            protocol, data = messages.inbound(packet, machine, self._flows)
            mss = 0
        ttl = packet.ip.ttl or _TTL
        machine.inject(Datagram(machine.remote, machine.local, protocol, data, 0.0, _tos(packet.ip), ttl, mss))

    # -- what the stack is to do

    def _expect(self, packet: Packet, period: Period) -> None:
        start, end, tolerance, _ = period
        deadline = end + tolerance
        if isinstance(packet, TcpPacket):
            datagram = self._outbound.match_segment(packet, deadline)
        else:
            datagram = self._match_message(packet, deadline)
        if not start - tolerance <= datagram.time <= deadline:
            when = f"at {start:.6f} s" if start == end else f"from {start:.6f} to {end:.6f} s"
            raise Mismatch("sent at another time", f"{packet} {when}", f"at {datagram.time:.6f} s")
        self._check_task()
        self._machine.settle()

    def _match_message(self, packet: UdpPacket | IcmpPacket, deadline: float) -> Datagram:
        protocol = messages.protocol_of(packet)
        datagram = self._outbound.next(lambda sent: sent.protocol == protocol, deadline)
        if datagram is None:
            raise Mismatch("nothing was sent", str(packet))
        actual = messages.outbound(packet, datagram, self._flows)
        if actual != packet:
            raise Mismatch("another message", str(packet), str(actual))
        return datagram


def _host(configuration: Configuration) -> tuple[Machine, Flows, Program]:
    """The host under test, and the program on it."""
    if configuration.kernel:
        from . import kernel  # takes 150 ms, and a Linux

        machine = kernel.KernelMachine(configuration)
        flows = Flows(machine, configuration)
        return machine, flows, kernel.KernelProgram(machine, flows, configuration)
    stack = StackMachine(configuration)
    flows = Flows(stack, configuration)
    return stack, flows, Process(stack, flows, configuration, CALLS)


def _tos(info: IpInfo) -> int:
    """The traffic class of a packet of the script's: its ECN bits are either named or part of the number."""
    return (info.tos or 0) | (ECN.get(info.ecn, 0) if info.ecn else 0)
