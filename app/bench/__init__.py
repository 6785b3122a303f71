"""``netower bench``: the same programs on this stack and on the kernel's, side by side."""

from .cli import command

__all__ = ["command"]
