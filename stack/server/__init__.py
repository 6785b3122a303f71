"""The stack's own process: it serves the sockets of a host as real descriptors to any number of programs."""

from .server import StackServer

__all__ = ["StackServer"]
