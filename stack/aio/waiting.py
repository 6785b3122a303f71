"""What a suspended task waits for, for people: where in its program, and in which call."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import FrameType

#: Where frames are not the program's own.
_PLUMBING: Final = (os.path.dirname(asyncio.__file__) + os.sep, os.path.dirname(__file__) + os.sep)


def describe(task: asyncio.Task[Any]) -> str:
    """For example ``in StreamReader.read, at client.py:12 in fetch``."""
    frames = _frames(task.get_coro())
    if not frames:
        return "to begin"
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_PLUMBING)]
    place = (own or frames)[-1]
    code = place.f_code
    at = f"at {os.path.basename(code.co_filename)}:{place.f_lineno} in {code.co_qualname}"
    following = frames[frames.index(place) + 1 :]
    return f"in {following[0].f_code.co_qualname}, {at}" if following else at


def _frames(awaited: Any) -> list[FrameType]:
    """The frames of a suspended coroutine and of what it awaits, outermost first."""
    frames = []
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            frame = getattr(awaited, "ag_frame", None)
        if frame is None:
            break
        frames.append(frame)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return frames
