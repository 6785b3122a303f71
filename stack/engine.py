"""The engine: runs one host on the machine's clock and on epoll.

A turn of the engine is a batch: wait, tell the host the time, serve every descriptor that is ready, let the host finish
the batch (where it acknowledges and sends once), and ask it when it wants to be woken.
"""

from __future__ import annotations

import logging
import select
import time
from functools import partial
from typing import TYPE_CHECKING

from .memory import give_back, keep_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..net.interface import Interface
    from .host import Host

log = logging.getLogger(__name__)

#: The engine never sleeps longer than this, in seconds (epoll's time-out is a C int of milliseconds).
LONGEST_SLEEP = 3600.0
#: An engine that has had nothing to do for so long gives memory back to the system, in seconds.
IDLE = 1.0
#: epoll counts milliseconds; the engine waits more finely if it is for less than this, in seconds.
FINE = 0.001
#: select(2) takes descriptors below this (FD_SETSIZE).
_SELECTABLE = 1024
#: What failed is off the host's agenda.
_FAILED = "the host failed"


class Engine:
    """Drives ``host``: its links, and whatever descriptors are registered.

    ``clock`` returns seconds that never go back. A handler is called with the epoll events of its descriptor.
    """

    def __init__(self, host: Host, clock: Callable[[], float] = time.monotonic) -> None:
        self.host = host
        self._clock = clock
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], object]] = {}
        self._interfaces = host.interfaces
        self._links: dict[Interface, int] = {}
        self._running = False
        self._used_memory = False
        host.advance(clock())
        host.calls.epoch = time.time() - host.scheduler.now
        keep_frames()

    def register(self, descriptor: int, events: int, handler: Callable[[int], object]) -> None:
        self._epoll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def modify(self, descriptor: int, events: int) -> None:
        self._epoll.modify(descriptor, events)

    def unregister(self, descriptor: int) -> None:
        """Forget a descriptor, before it is closed."""
        del self._handlers[descriptor]
        try:
            self._epoll.unregister(descriptor)
        except OSError:
            log.debug("descriptor %d was closed already", descriptor)

    def turn(self, longest: float = LONGEST_SLEEP) -> None:
        """One batch; waits at most ``longest`` seconds for something to do."""
        if len(self._interfaces) != len(self._links):
            self._watch_links()
        patience = self._patience(IDLE if self._used_memory and longest > IDLE else longest)
        ready = self._wait_finely(patience) if 0 < patience < FINE else self._epoll.poll(patience, 256)
        if ready:
            self._used_memory = True
        elif patience == IDLE and self._used_memory:
            self._used_memory = False
            give_back()
        host, now = self.host, self._clock()
        try:
            host.advance(now)
        except Exception:
            log.exception(_FAILED)
            self._whatever_fails(host.advance, now)
        handlers = self._handlers
        for descriptor, events in ready:
            handler = handlers.get(descriptor)
            if handler is None:
                continue  # unregistered by an earlier handler of this batch
            try:
                handler(events)
            except Exception:  # the engine serves every other program still
                log.exception("a handler failed")
        try:
            host.pump()
        except Exception:
            log.exception(_FAILED)
            self._whatever_fails(host.pump)

    @staticmethod
    def _whatever_fails(step: Callable[..., object], *arguments: float) -> None:
        """Take a step of the host to its end: one timer or one connection that fails must not stop the others."""
        while True:
            try:
                step(*arguments)
                return
            except Exception:
                log.exception(_FAILED)

    def run(self) -> None:
        """Turn until ``stop`` is called."""
        self._running = True
        while self._running:
            self.turn()

    def stop(self) -> None:
        """Leave ``run`` after the current turn (call it from a handler)."""
        self._running = False

    def close(self) -> None:
        self._epoll.close()

    def _patience(self, longest: float) -> float:
        due = self.host.next_event()
        if due is None:
            return longest
        wait = due - self._clock()
        if wait < FINE:
            return min(max(wait, 0.0), longest)
        wait += 0.0005  # rounded up to epoll's milliseconds by a hair, or the engine would spin in the last one
        return wait if wait < longest else longest

    def _wait_finely(self, patience: float) -> list[tuple[int, int]]:
        """Wait until something is ready or ``patience`` is over: what is ready. A busy engine need not wait at all."""
        ready = self._epoll.poll(0, 256)
        if ready:
            return ready
        if self._epoll.fileno() >= _SELECTABLE:
            return self._epoll.poll(patience, 256)
        select.select((self._epoll,), (), (), patience)
        return self._epoll.poll(0, 256)

    def _watch_links(self) -> None:
        interfaces = self._interfaces
        for interface in interfaces:
            if interface not in self._links:
                descriptor = interface.link.fileno()
                self._links[interface] = descriptor
                if descriptor >= 0:
                    self.register(descriptor, select.EPOLLIN, partial(self._receive, interface))
        for interface in [known for known in self._links if known not in interfaces]:
            descriptor = self._links.pop(interface)
            if descriptor >= 0:
                self.unregister(descriptor)

    def _receive(self, interface: Interface, _events: int) -> None:
        try:
            self.host.receive(interface)
        except OSError as failure:
            self.host.lose(interface, failure)
