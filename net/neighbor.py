"""Neighbors: which link-layer address a network-layer address on the same subnet has, and whether that still holds.

The state machine is that of Neighbor Unreachability Detection (RFC 4861 §7.3), for either family; ARP (RFC 826) and
later ND only carry its questions and answers.

    INCOMPLETE   asked for, not answered: packets wait, in a bounded queue
    REACHABLE    confirmed not long ago, by an answer or by an upper layer's progress
    STALE        known, not confirmed for a while, not in use
    DELAY        in use again: upper layers have a moment to confirm it
    PROBE        they did not: asked again, by unicast
    FAILED       no answer: whatever waited could not be delivered; the next packet starts over, as on Linux
    PERMANENT    set by hand, or computed (broadcast, multicast): never asked for

A neighbor's `header`, the whole link-layer header of packets to it, is there exactly in the states in which a packet
goes out at once and nothing changes by it. So the fast path of a packet looks at nothing else.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from random import Random

    from ..link.packet import Packet
    from ..link.scheduler import Scheduler, Timer
    from .address import Address
    from .settings import NetSettings


class NeighborState(Enum):
    """The states of RFC 4861 §7.3.2, and Linux's two more."""

    INCOMPLETE = "incomplete"
    REACHABLE = "reachable"
    STALE = "stale"
    DELAY = "delay"
    PROBE = "probe"
    FAILED = "failed"
    PERMANENT = "permanent"


class Surroundings(Protocol):
    """What a cache of neighbors needs of the interface it belongs to."""

    def neighbor_header(self, neighbor: Neighbor) -> bytes:
        """The link-layer header of packets to a neighbor whose link-layer address is known."""

    def solicit(self, neighbor: Neighbor) -> None:
        """Ask for the neighbor: by unicast if its link-layer address is known, else by broadcast or multicast."""

    def transmit(self, packet: Packet) -> None:
        """Put a whole frame on the link."""

    def undeliverable(self, packet: Packet) -> None:
        """A packet (from its network header on) that waited in vain."""


class Neighbor:
    """One neighbor; its user keeps it, looks at `header`, and asks the cache again when that is None."""

    __slots__ = ("_cache", "_probes", "_timer", "_waiting", "address", "confirmed", "header", "link_address", "state")

    def __init__(self, cache: NeighborCache, address: Address) -> None:
        self._cache = cache
        self.address = address
        #: None as long as it has never been learned.
        self.link_address: bytes | None = None
        self.state = NeighborState.FAILED
        self.header: bytes | None = None
        #: When it was last known to be alive, in seconds on the host's clock.
        self.confirmed = float("-inf")
        self._waiting: deque[Packet] | None = None
        self._probes = 0
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<Neighbor {self.address.hex()} {self.state.value}>"

    @property
    def asking(self) -> bool:
        """Whether it has been asked and its answer is awaited."""
        return self.state in (NeighborState.INCOMPLETE, NeighborState.PROBE)

    def send(self, packet: Packet) -> None:
        """Send a packet (which starts with its network header) now, or once the neighbor has answered."""
        if self.header is None:
            self._wake()
            if self.header is None:
                self._wait(packet)
                return
        packet.prepend(self.header)
        self._cache.surroundings.transmit(packet)

    def confirm(self) -> None:
        """An upper layer made progress through this neighbor: it is alive (RFC 4861 §7.3.1)."""
        self.confirmed = self._cache.scheduler.now

    def answered(self, link_address: bytes, solicited: bool) -> None:
        """Its link-layer address has been learned: by the answer to a question of ours, or in passing."""
        if self.state is NeighborState.PERMANENT:
            return
        changed = link_address != self.link_address
        self.link_address = link_address
        if solicited:
            self.confirm()
            self._reachable()
        elif changed or self.state in (NeighborState.INCOMPLETE, NeighborState.FAILED):
            self._enter(NeighborState.STALE, None)
        self._release()

    def fix(self, link_address: bytes) -> None:
        """Make it PERMANENT with this address."""
        self.link_address = link_address
        self._enter(NeighborState.PERMANENT, None, usable=True)
        self._release()

    def drop(self) -> None:
        """Leave the cache: users have to ask it again."""
        self._enter(NeighborState.FAILED, None)
        self._give_up()

    # -- transitions

    def _enter(self, state: NeighborState, timeout: float | None, *, usable: bool = False) -> None:
        """Change the state; `_expired` is called after ``timeout`` seconds. ``usable``: packets go straight out."""
        cache = self._cache
        if self._timer is not None:
            self._timer.cancel()
        self.state = state
        self._timer = None if timeout is None else cache.scheduler.call_later(timeout, self._expired)
        self.header = cache.surroundings.neighbor_header(self) if usable else None
        cache.moved(self)

    def _wake(self) -> None:
        """A packet wants to go to a neighbor that has no header now."""
        cache = self._cache
        if self.state is NeighborState.STALE:
            if self.confirmed + cache.settings.neighbor_reachable / 2 > cache.scheduler.now:
                self._reachable()
            else:
                self._enter(NeighborState.DELAY, cache.settings.neighbor_delay, usable=True)
        elif self.state is NeighborState.FAILED:
            self._enter(NeighborState.INCOMPLETE, cache.settings.neighbor_retransmit)
            self.link_address = None
            self._ask(1)

    def _reachable(self) -> None:
        if self.state is not NeighborState.REACHABLE or self.header is None:
            self._enter(NeighborState.REACHABLE, self._cache.reachable_time(), usable=True)
        else:
            self.header = self._cache.surroundings.neighbor_header(self)

    def _expired(self) -> None:
        """The time for the current state is over."""
        cache = self._cache
        self._timer = None
        quiet = cache.scheduler.now - self.confirmed
        if self.state is NeighborState.REACHABLE:
            left = cache.reachable_time() - quiet
            if left > 0:
                self._enter(NeighborState.REACHABLE, left, usable=True)
            else:
                self._enter(NeighborState.STALE, None)
        elif self.state in (NeighborState.DELAY, NeighborState.PROBE) and quiet <= cache.settings.neighbor_delay:
            self._reachable()
        elif self.state is NeighborState.DELAY:
            self._enter(NeighborState.PROBE, cache.settings.neighbor_retransmit, usable=True)
            self._ask(1)
        elif self._probes < cache.settings.neighbor_solicitations:
            self._enter(self.state, cache.settings.neighbor_retransmit, usable=self.state is NeighborState.PROBE)
            self._ask(self._probes + 1)
        else:
            cache.counters["neighbor.failed"] += 1
            self._enter(NeighborState.FAILED, None)
            self._give_up()

    def _ask(self, probes: int) -> None:
        self._probes = probes
        self._cache.surroundings.solicit(self)

    # -- the queue

    def _wait(self, packet: Packet) -> None:
        """Wait for the answer; the queue drops its oldest packet when full (RFC 4861 §7.2.2)."""
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= self._cache.settings.neighbor_queue:
            self._waiting.popleft()
            self._cache.counters["neighbor.queue_full"] += 1
        self._waiting.append(packet)

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, None
        for packet in waiting or ():
            self.send(packet)

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, None
        for packet in waiting or ():
            self._cache.surroundings.undeliverable(packet)


class NeighborCache:
    """The neighbors on one interface, bounded: those that never answered leave first, then the least recently used."""

    __slots__ = ("_entries", "_unanswered", "counters", "random", "scheduler", "settings", "surroundings")

    def __init__(
        self,
        surroundings: Surroundings,
        scheduler: Scheduler,
        random: Random,
        settings: NetSettings,
        counters: Counter[str],
    ) -> None:
        self.surroundings = surroundings
        self.scheduler = scheduler
        self.random = random
        self.settings = settings
        self.counters = counters
        self._entries: dict[Address, Neighbor] = {}
        self._unanswered: dict[Address, Neighbor] = {}

    def __iter__(self) -> Iterator[Neighbor]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, address: Address) -> Neighbor | None:
        """The neighbor if it is in the cache."""
        return self._entries.get(address)

    def find(self, address: Address) -> Neighbor:
        """The neighbor, made if it is not in the cache; another may have to leave for it."""
        neighbor = self._entries.get(address)
        if neighbor is None:
            if len(self._entries) >= self.settings.neighbor_cache:
                self._evict()
            neighbor = self._entries[address] = Neighbor(self, address)
        return neighbor

    def set(self, address: Address, link_address: bytes) -> Neighbor:
        """Enter a neighbor by hand: PERMANENT, until it is removed."""
        neighbor = self.find(address)
        neighbor.fix(link_address)
        return neighbor

    def remove(self, address: Address) -> None:
        """Forget a neighbor; what waits for it is undeliverable."""
        neighbor = self._entries.pop(address, None)
        if neighbor is not None:
            self._unanswered.pop(address, None)
            neighbor.drop()

    def clear(self) -> None:
        """Forget all of them."""
        for address in list(self._entries):
            self.remove(address)

    def reachable_time(self) -> float:
        """How long a confirmation lasts, in seconds: random, so that hosts do not probe in step (RFC 4861 §6.3.4)."""
        return self.settings.neighbor_reachable * self.random.uniform(0.5, 1.5)

    def moved(self, neighbor: Neighbor) -> None:
        """A neighbor has changed its state, so it is in use: keep the order in which entries leave."""
        address = neighbor.address
        if self._entries.pop(address, None) is not None:
            self._entries[address] = neighbor
            if neighbor.state in (NeighborState.INCOMPLETE, NeighborState.FAILED):
                self._unanswered.setdefault(address, neighbor)
            else:
                self._unanswered.pop(address, None)

    def _evict(self) -> None:
        for neighbor in chain(self._unanswered.values(), self._entries.values()):
            if neighbor.state is not NeighborState.PERMANENT:
                self.counters["neighbor.evicted"] += 1
                self.remove(neighbor.address)
                return
