"""What a fiber waits for, for people: where in its program, and in which call."""

from __future__ import annotations

import os
import sysconfig
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

    from .fiber import Fiber

_TOWER: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARY: Final = sysconfig.get_path("stdlib")
_THIRD: Final = f"{os.sep}site-packages{os.sep}"


def describe(fiber: Fiber) -> str:
    """For example ``in socket.recv, at client.py:12 in fetch``."""
    frames = []
    frame: FrameType | None = fiber.gr_frame
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    place = next((number for number, frame in enumerate(frames) if _own(frame)), None)
    if place is None:
        return "to begin"
    code = frames[place].f_code
    at = f"at {os.path.basename(code.co_filename)}:{frames[place].f_lineno} in {code.co_qualname}"
    return f"in {frames[place - 1].f_code.co_qualname}, {at}" if place else at


def _own(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return not file.startswith((_TOWER, "<frozen")) and (not file.startswith(_LIBRARY) or _THIRD in file)
