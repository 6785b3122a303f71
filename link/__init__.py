"""The link floor: frames on one subnet, the packet itself, and the agenda of a host's timers."""

from .link import Link, Offloads
from .packet import PARTIAL, UNVERIFIED, VERIFIED, Buffer, Packet
from .scheduler import Scheduler, Timer

__all__ = ["PARTIAL", "UNVERIFIED", "VERIFIED", "Buffer", "Link", "Offloads", "Packet", "Scheduler", "Timer"]
