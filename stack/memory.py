"""Keeping the memory of frames.

Frames are large, live briefly, and lie at the top of the heap, which the C library gives back to the kernel whenever
128 KB of it are free: then each batch of frames begins with page faults for memory that the batch before has given
back. Measured on bulk data: half of the time that the stack spends in the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

# malloc.h; see mallopt(3)
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3

#: Free memory that this process keeps, in bytes: more than a batch of frames.
KEPT: Final = 8 << 20
_LARGEST_BLOCK: Final = 1 << 20
_STEP: Final = 1 << 18


def keep_frames() -> None:
    """Let the C library keep what a batch of frames needs (where it is one that can be told, glibc's malloc)."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((_M_TRIM_THRESHOLD, KEPT), (_M_MMAP_THRESHOLD, _LARGEST_BLOCK), (_M_TOP_PAD, _STEP)):
            mallopt(parameter, value)


def give_back() -> None:
    """Return to the system all memory that is free; takes milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
