"""The link floor: frames on one subnet, the packet itself, and the agenda of a host's timers."""

from typing import TYPE_CHECKING

from .lazy import loader
from .link import Link, Offloads
from .loopback import Loopback
from .packet import PARTIAL, UNVERIFIED, VERIFIED, Buffer, Packet
from .scheduler import Scheduler, Timer
from .wire import Wire, WireEnd

if TYPE_CHECKING:
    from .capture import Capture
    from .tap import Tap, Tun

__all__ = [
    "PARTIAL",
    "UNVERIFIED",
    "VERIFIED",
    "Buffer",
    "Capture",
    "Link",
    "Loopback",
    "Offloads",
    "Packet",
    "Scheduler",
    "Tap",
    "Timer",
    "Tun",
    "Wire",
    "WireEnd",
]

# These declare wire formats or open devices, which not everyone who imports the floor is to pay for.
__getattr__ = loader(__name__, {"Capture": ".capture", "Tap": ".tap", "Tun": ".tap"})
