"""Shell commands of a script, as what they would change: settings, routes, the MTU. Nothing is executed."""

from .interpreter import Shell

__all__ = ["Shell"]
