"""Simulated networks: hosts, routers, switches and wires in one process, on a clock that jumps.

A whole story:

    import asyncio
    from netower.stack import Network
    from netower.stack.simulation.frame import data, nth

    async def serve():
        async def count(reader, writer):
            writer.write(b"%d bytes" % len(await reader.read()))
            writer.close()
        server = await asyncio.start_server(count, port=7)
        await server.serve_forever()

    async def send(size):
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(bytes(size))
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    with Network(seed=1, pcap="captures") as network:
        client = network.host("client")
        server = network.host("server")
        network.router("r1")
        network.switch("lan")
        network.wire("client", "lan")                       # short, fast, without loss
        network.wire("r1", "lan")
        path = network.wire("r1", "server", delay="20ms", rate="10Mbit", loss="1%", queue=100)

        lost = path.drop(nth(3, data), sender="r1")         # exactly the third data segment
        network.during(5, 7, path, loss="30%")
        network.at(2, network.partition, [client], [server])
        network.at("4s", network.heal)

        network.start("server", serve)                      # again after each restart
        assert network.run(send(2_000_000), on="client") == b"2000000 bytes"
        assert lost.count == 1 and network.now > 4

        server.crash()
        network.at("5min", server.restart)
        network.run(until="6min")
        assert network.run(send(10), on="client") == b"10 bytes"
        assert network.counters()["r1-server"]["loss"] > 10

Programs written for asyncio run on its hosts unchanged, with `start` and `run`: see `netower.stack.aio.simulated`.

Everything that happens is decided by the seed and by names: the randomness of each host, and of each kind of impairment
in each direction of a wire, is its own, so what is added elsewhere changes nothing for it.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from enum import Enum
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, Unpack, overload

from ..link import Scheduler
from ..link.ethernet import local_address
from ..link.impairment import Drop
from .simulation.addressing import AddressPlan, Subnet, read_address, read_network
from .simulation.frame import between_groups
from .simulation.joining import join, place_both
from .simulation.node import Attachment, Node, SwitchNode, recorder
from .simulation.outside import Outside, RealTime
from .simulation.routing import settle
from .simulation.wire import SimulatedWire
from .units import Quantity, seconds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Coroutine, Iterable

    from ..link import Link
    from ..link.impairment import Impairment
    from ..link.scheduler import Timer
    from .aio.simulated import SimulatedLoop
    from .blocking.program import Program as BlockingProgram
    from .host import HostSettings
    from .simulation.conditions import Conditions
    from .simulation.port import Port

T = TypeVar("T")
Program: TypeAlias = "Coroutine[Any, Any, Any] | Callable[[], Coroutine[Any, Any, Any]]"

#: What a name may look like: it becomes that of a file, too.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LINKTYPE_ETHERNET: Final = 1
#: Before all other impairments.
_PARTITION: Final = 0


class Ended(Enum):
    """Why `Network.run` returned."""

    UNTIL = "until"  #: the clock has reached the virtual time that was asked for
    EVENTS = "events"  #: so many events have happened
    WALL = "wall"  #: so much real time has passed
    IDLE = "idle"  #: nothing can ever happen again
    STOPPED = "stopped"  #: somebody called `Network.stop`


class Network:
    """A simulated network. ``seed`` decides all chance; with ``pcap``, a folder (made if need be), there is a capture
    of each host (``client.pcap``: what it sent, before any loss, and what arrived) and of each wire
    (``client-server.wire.pcap``: what arrived at either end). Captures are whole after `close`, which ``with`` does.

    Names are made of letters, digits, ``_``, ``-`` and ``.``. All times are virtual, from 0 on, in seconds or as text
    with a unit ("20ms", "2min"). Whatever makes no sense is a ValueError that names it.
    """

    def __init__(self, seed: int | str = 0, *, pcap: str | os.PathLike[str] | None = None) -> None:
        self.seed = seed
        self.scheduler = Scheduler()
        self.nodes: dict[str, Node] = {}
        self.switches: dict[str, SwitchNode] = {}
        self.wires: dict[str, SimulatedWire] = {}
        #: Events so far: instants at which something happened.
        self.events = 0
        self._plan = AddressPlan()
        self._partition: list[tuple[Port, Impairment]] = []
        self._unsettled = False
        #: Whether `stop` was called.
        self.stopped = False
        self.outsides: dict[str, Outside] = {}
        self._real_time: RealTime | None = None
        #: When the clock was 0, in seconds since 1970; in virtual time it was then.
        self._since = 0.0
        self._loop: SimulatedLoop | None = None
        #: Those written with blocking calls that have not ended, in the order they were started.
        self.programs: dict[BlockingProgram, None] = {}
        #: The folder of the captures, if there are to be any.
        self.pcap = pcap
        self._recorders: list[Any] = []
        if pcap is not None:
            os.makedirs(pcap, exist_ok=True)

    def __repr__(self) -> str:
        return f"<Network seed={self.seed!r} at {self.now:.6f} s, {len(self.nodes)} hosts, {len(self.wires)} wires>"

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the programs that run, let them end, and close the captures."""
        for program in list(self.programs):
            program.kill()
        if self._loop is not None:
            self._loop.part()
        for each in self._recorders:
            each.close()
        for outside in self.outsides.values():
            outside.link.close()
        if self._real_time is not None:
            self._real_time.close()

    # -- building

    def host(self, name: str, address: str | None = None, *, settings: HostSettings | None = None) -> Node:
        """A host. ``address`` ("10.0.0.1" or "10.0.0.1/24") is for its first wire; without, one is chosen."""
        return self._node(name, address, settings, forwarding=False)

    def router(self, name: str, *, settings: HostSettings | None = None) -> Node:
        """A host that forwards packets between its wires. Give it addresses with the wires, if they matter."""
        return self._node(name, None, settings, forwarding=True)

    def switch(self, name: str, subnet: str | None = None) -> SwitchNode:
        """A learning switch: what is wired to it shares one subnet, ``subnet`` ("10.1.0.0/16") if that is given."""
        self._check_name(name)
        network = None if subnet is None else read_network(subnet)
        switch = SwitchNode(name, self.scheduler, Subnet(name))
        if network is not None:
            self._plan.number(switch.subnet, network)
        self.switches[name] = switch
        return switch

    def outside(self, name: str, link: Link, address: str | None = None) -> Outside:
        """A way out: a real link, such as a TAP, that wires can lead to like to a switch. What it brings and takes are
        frames, and whoever sends and receives them there, a kernel say, is on the subnet of those wires.

        ``address`` ("10.1.0.1/24") is whose that is there, so that nobody else gets it and the subnet is that one. The
        network runs in real time from now on, and `close` closes the link, too.
        """
        self._check_name(name)
        if link.fileno() < 0 or link.address is None:
            raise ValueError(f"{name}: only an Ethernet link with a descriptor, such as a Tap, leads outside")
        place = None if address is None else read_address(address)
        self._real_time = self._real_time or RealTime(self.scheduler)
        outside = Outside(name, self.scheduler, Subnet(name), link, self._recorder(f"{name}.pcap"))
        if place is not None:
            self._plan.number(outside.subnet, place.network)
            outside.subnet.members[place.ip] = outside
        self.switches[name] = self.outsides[name] = outside
        self._real_time.watch(outside)
        return outside

    def wire(
        self,
        *ends: str | Node | SwitchNode,
        name: str | None = None,
        addresses: tuple[str | None, str | None] = (None, None),
        mtu: int = 1500,
        **conditions: Unpack[Conditions],
    ) -> SimulatedWire:
        """Join two nodes, each a host, a router or a switch; ``conditions`` as `Conditions` says.

        Each condition may be a pair, one for what the first end sends and one for what the second sends. The wire is
        named after its ends ("client-server") unless it gets a ``name``. ``addresses`` are those of the two ends.
        """
        if len(ends) != 2:
            raise ValueError(f"a wire has two ends, not {len(ends)}: {', '.join(map(_name, ends))}; use a switch")
        first, second = (self._find(end) for end in ends)
        if first is second:
            raise ValueError(f"both ends of a wire at {first.name}")
        name = self._wire_name(name, f"{first.name}-{second.name}")
        if mtu < 68:
            raise ValueError(f"mtu: {mtu} is less than any IPv4 link must carry, 68 bytes")
        wire = SimulatedWire(self.scheduler, self.seed, name, (first.name, second.name), mtu)
        wire.check(conditions)
        subnet = join(first, second, name, self.switches.values())
        places = place_both(self._plan, subnet, (first, second), addresses)
        ports = wire.connect(_link_addresses(places))
        wire.set(**conditions)
        self.wires[name] = wire
        record = self._recorder(f"{name}.wire.pcap")
        for end, port, place in zip((first, second), ports, places, strict=True):
            port.recorder = record
            self._attach(end, wire, subnet, port, place)
        self._unsettled = True
        return wire

    def route(self, node: str | Node, destination: str, via: str | Node) -> None:
        """Add a route by hand, before those that the network finds: to "10.2.0.0/16" or "default", over a node that
        is on a wire with this one, or an address. It outlives restarts."""
        found = self._find(node)
        if not isinstance(found, Node):
            raise ValueError(f"{found.name} is a switch, and has no routes")
        if destination != "default":
            read_network(destination)
        if _name(via) not in self.nodes and not isinstance(via, Node):
            read_address(via)
        found.wanted_routes.append((destination, _name(via)))
        self._unsettled = True

    def reroute(self) -> None:
        """Find all routes anew, around what is down: what a routing protocol does, when it has noticed.

        Routes are found by themselves only after wires and routes are added, and on a restart.
        """
        self._unsettled = True
        self._settle()

    # -- looking around

    def __getitem__(self, name: str) -> Node:
        """The host or router of that name. Raises ValueError if there is none."""
        node = self.nodes.get(name)
        if node is None:
            raise ValueError(f"no host or router is called {name!r}")
        return node

    def lookup(self, name: str, asker: str | None = None) -> list[str]:
        """The addresses of a host, as a name server would tell: those on a subnet with ``asker`` first."""
        node = self[name]
        near = {attachment.subnet for attachment in self[asker].attachments} if asker is not None else set()
        places = sorted(node.attachments, key=lambda attachment: attachment.subnet not in near)
        return [str(place.address.ip) for place in places]

    def name_of(self, address: str) -> str | None:
        """The name of the host or router that has an address."""
        return next((node.name for node in self.nodes.values() if address in node.addresses), None)

    def counters(self) -> dict[str, Counter[str]]:
        """What was counted on each host that is up, and on each wire."""
        hosts = {node.name: node.host.internet.counters for node in self.nodes.values() if node.up}
        return hosts | {name: wire.counters() for name, wire in self.wires.items()}

    # -- faults

    def partition(self, *groups: Iterable[str | Node]) -> None:
        """Keep the nodes of each group from reaching those of the others; nodes in no group reach everyone.

        IPv4 packets and ARP to nodes of other groups are lost as they are sent. Partitions add up, until `heal`.
        """
        members = [[self._member(each) for each in group] for group in groups]
        everyone = [node for group in members for node in group]
        for node in everyone:
            if everyone.count(node) > 1:
                raise ValueError(f"partition: {node.name} is there twice")
        for group in members:
            others = [node for node in everyone if node not in group]
            picks = between_groups(address for node in others for address in node.addresses)
            for attachment in (attachment for node in group for attachment in node.attachments):
                drop = Drop(attachment.port, picks)
                attachment.port.add(_PARTITION, drop)
                self._partition.append((attachment.port, drop))

    def heal(self) -> None:
        """End every partition."""
        for port, drop in self._partition:
            port.remove(drop)
        self._partition = []

    def at(self, when: Quantity, action: Callable[..., object], *args: Any, **kwargs: Any) -> Timer:
        """Call ``action`` with the arguments when the clock reaches ``when``. Raises ValueError for a time that has
        passed. The timer that is returned can be cancelled."""
        due = seconds(when, "at")
        if due < self.now:
            raise ValueError(f"at: {when!r} has passed, it is {self.now:.6f} s")
        return self.scheduler.call_at(due, partial(action, *args, **kwargs))

    def during(
        self,
        start: Quantity,
        end: Quantity,
        wire: str | SimulatedWire,
        sender: str | None = None,
        **conditions: Unpack[Conditions],
    ) -> None:
        """Set conditions of a wire from ``start`` to ``end``, and then back to what they were at ``start``."""
        found = self.wires.get(wire) if isinstance(wire, str) else wire
        if found is None:
            raise ValueError(f"no wire is called {wire!r}")
        if seconds(end, "end") < seconds(start, "start"):
            raise ValueError(f"during: {end!r} is before {start!r}")
        found.check(conditions, sender)

        def begin() -> None:
            before = {each: found.conditions(each) for each in found.ends}
            found.set(sender, **conditions)
            self.at(end, restore, before)

        def restore(before: dict[str, Any]) -> None:
            for each in found.ends if sender is None else (sender,):
                found.set(each, **{name: before[each][name] for name in conditions})

        self.at(start, begin)

    # -- time

    @property
    def now(self) -> float:
        """The virtual time, in seconds."""
        return self.scheduler.now

    def next_event(self) -> float | None:
        """When something happens next; None for never."""
        if self._unsettled:
            self._settle()
        scheduler = self.scheduler
        scheduler.flush()
        return scheduler.next_event()

    def advance(self, when: float) -> None:
        """Move the clock to ``when`` and let all happen that is due: one event.

        An exception that a callback raises comes out of here, with the virtual time among its notes.
        """
        self.events += 1
        scheduler = self.scheduler
        try:
            scheduler.advance(when)
            scheduler.flush()
        except Exception as error:
            error.add_note(f"on the network with seed {self.seed!r}, at {self.now:.6f} s of virtual time")
            raise

    def reach(self, when: float | None, until: float | None = None, deadline: float | None = None) -> bool:
        """Whether the clock may move on to ``when``, the next event: it jumps there, unless there is an `outside`.

        With one, this waits for that moment (None: for ever), for ``until``, or, on the machine's clock, for
        ``deadline``. The answer is False if something came in before, or `stop` was called: look again what is next.
        """
        return self._real_time is None or self._real_time.reach(when, until, deadline)

    @property
    def loop(self) -> SimulatedLoop:
        """The asyncio event loop of the programs on this network."""
        from .aio.simulated import SimulatedLoop

        if self._loop is None:
            self._loop = SimulatedLoop(self)
        return self._loop

    def start(self, node: str | Node, program: Program) -> asyncio.Task[Any]:
        """Have an asyncio program run on a node: a coroutine, or a coroutine function without arguments, which is
        called again after each restart. It begins when the network runs next, goes on whenever that runs, is cancelled
        when the node crashes, and an exception that it raises ends the run.
        """
        return self.loop.start(node, program)

    def spawn(self, node: str | Node, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> BlockingProgram:
        """Have a program written with blocking calls run on a node: ``function(*args, **kwargs)``, with the sockets,
        clocks and threads that it finds under the standard names (see `netower.stack.blocking.program`).

        It begins when the network runs next, goes on whenever that runs, is ended when the node crashes and begun anew
        on a restart, and an exception that it raises ends the run. ``spawn(…).wait()`` runs the network until it is
        done, and returns what it returns. Needs the extra ``simulation`` (ImportError without it).
        """
        from .blocking.program import Program as BlockingProgram

        return BlockingProgram(self, self[_name(node)], function, args, kwargs)

    @overload
    def run(
        self, until: Quantity | None = None, *, events: int | None = None, wall: Quantity | None = None
    ) -> Ended: ...

    @overload
    def run(
        self,
        main: Coroutine[Any, Any, T],
        /,
        *,
        on: str | Node,
        until: Quantity | None = None,
        events: int | None = None,
        wall: Quantity | None = None,
    ) -> T: ...

    def run(
        self,
        *main: Any,
        on: str | Node | None = None,
        until: Quantity | None = None,
        events: int | None = None,
        wall: Quantity | None = None,
    ) -> Any:
        """Let everything happen up to virtual time ``until``, for so many events, for so much real time: whichever
        comes first, and say which it was. Without any bound, until nothing can ever happen again.

        The clock is at ``until`` afterwards if nothing else ended the run: also after `Ended.IDLE`.

        With a coroutine, run it on the node ``on`` until it returns, and return what it returns. An exception that it
        raises comes out with host and virtual time among its notes; a bound that is reached before is a BoundError;
        and if it waits when nothing can ever happen again, there is a DeadlockError.
        """
        if main and not asyncio.iscoroutine(main[0]):
            until, main = main[0], main[1:]
        end = None if until is None else seconds(until, "until")
        if end is not None and end < self.now:
            raise ValueError(f"until: {until!r} has passed, it is {self.now:.6f} s")
        self.stopped = False
        if self._real_time is not None:
            self._since = self._real_time.start()
        if main:
            if on is None:
                main[0].close()
                raise ValueError("run: on which host? (on=...)")
            return self.loop.run_main(main[0], on, end, events, wall)
        if self._loop is not None:
            return self._loop.run_bounded(end, events, wall)
        return self._run(end, events, wall)

    def _run(self, end: float | None, events: int | None, wall: Quantity | None) -> Ended:
        """Without programs: event after event."""
        last = None if events is None else self.events + events
        deadline = None if wall is None else time.monotonic() + seconds(wall, "wall")
        scheduler = self.scheduler
        scheduler.flush()  # each event does that at its end
        while True:
            due = self.next_event() if self._unsettled else scheduler.next_event()
            if self.stopped:
                return Ended.STOPPED
            if self._real_time is not None and not self._real_time.reach(due, end, deadline):
                continue
            if deadline is not None and time.monotonic() >= deadline:
                return Ended.WALL
            if due is None or (end is not None and due > end):
                scheduler.advance(scheduler.now if end is None else end)
                return Ended.IDLE if due is None and not self.outsides else Ended.UNTIL
            if last is not None and self.events >= last:
                return Ended.EVENTS
            self.advance(due)

    def waiting(self) -> list[str]:
        """Who waits for what: a line for each task and each thread of the programs."""
        tasks = [] if self._loop is None else self._loop.waiting()
        return tasks + [line for program in self.programs for line in program.waiting()]

    def stop(self) -> None:
        """End `run` after the current event."""
        self.stopped = True
        if self._real_time is not None:
            self._real_time.ring()

    # -- inside

    def _node(self, name: str, address: str | None, settings: HostSettings | None, *, forwarding: bool) -> Node:
        self._check_name(name)
        if address is not None:
            self._plan.reserve(read_address(address).network)
        node = Node(
            name,
            seed=self.seed,
            scheduler=self.scheduler,
            settle=self._settle,
            reroute=self.reroute,
            settings=settings,
            forwarding=forwarding,
            address=address,
            recorder=self._recorder(f"{name}.pcap"),
        )
        self.nodes[name] = node
        return node

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a name: letters, digits, '_', '-' and '.' can")
        if name in self.nodes or name in self.switches:
            raise ValueError(f"there is a {name!r} already")

    def _wire_name(self, name: str | None, ends: str) -> str:
        if name is None:
            numbers = ("", *(f"-{number}" for number in range(2, len(self.wires) + 3)))
            return next(ends + number for number in numbers if ends + number not in self.wires)
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a name: letters, digits, '_', '-' and '.' can")
        if name in self.wires:
            raise ValueError(f"there is a wire {name!r} already")
        return name

    def _find(self, end: str | Node | SwitchNode) -> Node | SwitchNode:
        name = _name(end)
        found = self.nodes.get(name) or self.switches.get(name)
        if found is None or not (isinstance(end, str) or end is found):
            raise ValueError(f"no host, router or switch is called {name!r}")
        return found

    def _member(self, each: str | Node) -> Node:
        return self[_name(each)]

    def _attach(self, end: Node | SwitchNode, wire: SimulatedWire, subnet: Subnet, port: Port, place: Any) -> None:
        if isinstance(end, SwitchNode):
            end.attach(port)
            return
        attachment = Attachment(end, wire, subnet, port, place, f"eth{len(end.attachments)}")
        subnet.attachments.append(attachment)
        end.attach(attachment)

    def _recorder(self, file: str) -> Any:
        made = recorder(self.pcap, file, _LINKTYPE_ETHERNET, lambda: self.scheduler.now + self._since)
        if made is not None:
            self._recorders.append(made)
        return made

    def _settle(self) -> None:
        if self._unsettled:
            self._unsettled = False
            settle(self.nodes.values(), self.nodes.get)


def _name(end: str | Node | SwitchNode) -> str:
    return end if isinstance(end, str) else end.name


def _link_addresses(places: list[Any]) -> tuple[bytes, bytes]:
    """Readable ones, from the IPv4 addresses; a switch's port has one that nobody ever sees."""
    first, second = (local_address(int(IPv4Address(0) if place is None else place.ip)) for place in places)
    return first, second
