"""A send buffer whose user is told when certain bytes are sent, and when they are acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .send_buffer import SendBuffer

if TYPE_CHECKING:
    from ...link.packet import Buffer
    from .connection import Connection


class Watcher(Protocol):
    """What wants to know of one byte."""

    def sent(self, payload: list[Buffer]) -> None:
        """A packet with the byte goes out; also when it is sent again."""

    def acknowledged(self) -> None:
        """The peer has everything up to the byte."""


class WatchedBuffer(SendBuffer):
    """Takes the place of the buffer of a connection that somebody watches; the others pay nothing.

    ``watched`` has the sequence number of each byte that is watched, in order, and who wants to know.
    """

    __slots__ = ("watched",)

    def __init__(self, old: SendBuffer) -> None:
        self.start, self.end = old.start, old.end
        self._chunks, self._ends, self._head = old._chunks, old._ends, old._head
        self.watched: list[tuple[int, Watcher]] = []

    def slices(self, start: int, size: int) -> list[Buffer]:
        payload = super().slices(start, size)
        if self.watched and size:
            end = start + size
            for number, watcher in list(self.watched):
                if start <= number < end:
                    watcher.sent(payload)
        return payload

    def acknowledge(self, una: int) -> None:
        super().acknowledge(una)
        watched = self.watched
        while watched and watched[0][0] < una:
            watched.pop(0)[1].acknowledged()


def watch(c: Connection, watcher: Watcher) -> None:
    """Tell ``watcher`` of the byte that was written last."""
    buffer = c.buffer
    if not isinstance(buffer, WatchedBuffer):
        buffer = c.buffer = WatchedBuffer(buffer)
    buffer.watched.append((buffer.end - 1, watcher))


def unwatch(c: Connection, watcher: Watcher) -> None:
    """Tell ``watcher`` nothing any more."""
    buffer = c.buffer
    if isinstance(buffer, WatchedBuffer):
        buffer.watched = [entry for entry in buffer.watched if entry[1] is not watcher]
