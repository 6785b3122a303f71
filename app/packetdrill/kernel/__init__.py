"""The Linux kernel as the host under test: real sockets in a network namespace, packets through a TUN, real time.

Scripts that hold for this stack can so be held against an independent one.
"""

from .isolation import in_namespace
from .machine import KernelMachine
from .program import KernelProgram

__all__ = ["KernelMachine", "KernelProgram", "in_namespace"]
