"""The link floor: frames on one subnet, the packet itself, and the agenda of a host's timers.

`netower.link.tap` and `netower.link.capture` are imported by those who need them.
"""

from .link import Link, Offloads
from .loopback import Loopback
from .packet import PARTIAL, UNVERIFIED, VERIFIED, Buffer, Packet
from .scheduler import Scheduler, Timer
from .wire import Wire, WireEnd

__all__ = [
    "PARTIAL",
    "UNVERIFIED",
    "VERIFIED",
    "Buffer",
    "Link",
    "Loopback",
    "Offloads",
    "Packet",
    "Scheduler",
    "Timer",
    "Wire",
    "WireEnd",
]
