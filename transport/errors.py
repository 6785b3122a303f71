"""Errors as the kernel gives them: an OSError with its errno and the text that belongs to it."""

from __future__ import annotations

import os


def error(number: int) -> OSError:
    """The OSError (or the subclass that Python has for it) of an errno."""
    return OSError(number, os.strerror(number))
