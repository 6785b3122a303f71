"""What a script says, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

# -- expressions: arguments and results of calls


@dataclass(frozen=True, slots=True)
class Number:
    value: int


@dataclass(frozen=True, slots=True)
class Name:
    """A constant of C, such as SOCK_STREAM."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string; ``open_ended`` if anything may follow it."""

    value: bytes
    open_ended: bool = False


@dataclass(frozen=True, slots=True)
class Anything:
    """``...``: whatever it is, or what the runner would choose."""


@dataclass(frozen=True, slots=True)
class Union:
    """``A|B``"""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """``[a, b]``: also a value that a call takes or gives through a pointer."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Struct:
    """``{name=value, …}``; a field without a name has an empty one."""

    fields: tuple[tuple[str, Expression], ...]

    def get(self, name: str) -> Expression | None:
        return next((value for key, value in self.fields if key == name), None)


@dataclass(frozen=True, slots=True)
class Applied:
    """``htons(8080)``, ``inet_addr("192.0.2.1")``"""

    function: str
    argument: Expression


Expression = Number | Name | Text | Anything | Union | Array | Struct | Applied

# -- packets


@dataclass(frozen=True, slots=True)
class TcpOption:
    """An option as a script writes it: ``mss`` (1460), ``nop`` (), ``sack`` (left, right, …), ``TS`` (value, echo)."""

    name: str
    values: tuple[int | bytes, ...] = ()

    def __str__(self) -> str:
        if self.name == "TS":
            return f"TS val {self.values[0]!r} ecr {self.values[1]!r}"
        if self.name == "ECN":
            return " ".join(["ECN", *(word.decode() if isinstance(word, bytes) else str(word) for word in self.values)])
        if self.name == "sack":
            pairs = zip(self.values[::2], self.values[1::2], strict=True)
            return " ".join(["sack", *(f"{left!r}:{right!r}" for left, right in pairs)])
        words = [value.hex() if isinstance(value, bytes) else str(value) for value in self.values]
        return " ".join([self.name, *filter(None, words)])


@dataclass(frozen=True, slots=True)
class IpInfo:
    """What a packet's IP header has, as far as the script cares. ``ecn``: noecn, ect0, ect1, ect01 (either), ce."""

    ecn: str | None = None
    tos: int | None = None
    ttl: int | None = None

    def __str__(self) -> str:
        words = [self.ecn] if self.ecn else []
        words += [f"tos {self.tos:#x}"] if self.tos is not None else []
        words += [f"ttl {self.ttl}"] if self.ttl is not None else []
        return f"[{', '.join(words)}] " if words else ""


@dataclass(frozen=True, slots=True)
class Ports:
    source: int
    destination: int

    def __str__(self) -> str:
        return f"{self.source} > {self.destination} "


@dataclass(frozen=True, slots=True)
class TcpPacket:
    """A TCP segment; sequence numbers are relative to where each stream begins in the script. ``outbound``: the stack
    sends it. None is what the script does not say; without ``options`` a segment has any, if the script says ``<...>``,
    else it has none."""

    outbound: bool
    flags: str
    seq: int
    length: int
    ack: int | None = None
    window: int | None = None
    urgent: int = 0
    options: tuple[TcpOption, ...] | None = ()
    ip: IpInfo = IpInfo()
    ports: Ports | None = None

    def __str__(self) -> str:
        ack = "" if self.ack is None else f" ack {self.ack}"
        window = "" if self.window is None else f" win {self.window}"
        urgent = f" urg {self.urgent}" if self.urgent else ""
        options = " <...>" if self.options is None else f" <{','.join(map(str, self.options))}>" if self.options else ""
        place = f"{self.ip}{self.ports or ''}{self.flags or '-'} {self.seq}:{self.seq + self.length}({self.length})"
        return f"{_arrow(self.outbound)} {place}{ack}{window}{urgent}{options}"


@dataclass(frozen=True, slots=True)
class UdpPacket:
    outbound: bool
    length: int
    ip: IpInfo = IpInfo()
    ports: Ports | None = None

    def __str__(self) -> str:
        return f"{_arrow(self.outbound)} {self.ip}udp {self.ports or ''}({self.length})"


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes of a message that quotes nothing: how many, with its header."""

    size: int


@dataclass(frozen=True, slots=True)
class IcmpPacket:
    """``quoted``: what of the packet that it is about, in the other direction: a sequence number and a length of TCP,
    or a length alone of UDP; None if the script does not say."""

    outbound: bool
    kind: str
    code: str | None = None
    mtu: int = 0
    identifier: int = 0
    quoted: tuple[int, int] | int | Raw | None = None
    ip: IpInfo = IpInfo()

    def __str__(self) -> str:
        words = [_arrow(self.outbound), f"{self.ip}icmp {self.kind}", self.code or ""]
        words += [f"mtu {self.mtu}"] if self.mtu else []
        words += [f"id {self.identifier}"] if self.identifier else []
        if isinstance(self.quoted, tuple):
            seq, length = self.quoted
            words.append(f"[{seq}:{seq + length}({length})]")
        elif isinstance(self.quoted, Raw):
            words.append(f"[raw ({self.quoted.size})]")
        elif self.quoted is not None:
            words.append(f"[udp ({self.quoted})]")
        return " ".join(filter(None, words))


def _arrow(outbound: bool) -> str:
    return ">" if outbound else "<"


# -- events


@dataclass(frozen=True, slots=True)
class When:
    """When an event is to happen, in seconds from the script's start, or (``relative``) from the event before; between
    ``start`` and ``end``. None: at any time."""

    start: float
    end: float
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A system call. ``until``: when a call that waits returns (as `When`); None for one that does not wait."""

    name: str
    arguments: tuple[Expression, ...]
    result: Expression
    errno: str | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A line for the shell."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Python statements, mostly assertions on the fields of struct tcp_info."""

    text: str


Packet = TcpPacket | UdpPacket | IcmpPacket
Action = Packet | Call | Command | Code


@dataclass(frozen=True, slots=True)
class Event:
    line: int
    when: When | None
    action: Action


@dataclass(slots=True)
class Script:
    """``options`` are those the script itself begins with, by name."""

    options: list[tuple[str, str]] = field(default_factory=list)
    setup: Command | None = None
    events: list[Event] = field(default_factory=list)
