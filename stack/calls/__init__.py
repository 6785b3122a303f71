"""The calls that programs make on sockets, with the kernel's semantics: each one non-blocking, with Linux's errnos.

Nothing here is particular to a language. An address is (packed bytes, port), an option's value the C structure as
bytes, a flag Linux's number, and every failure an OSError with its errno. A socket says with ``readiness`` what poll(2)
would say, and calls its ``observer`` when that may have changed. Gates bring these calls to programs.
"""

from .base import Socket
from .datagram import DatagramSocket
from .stream import StreamSocket
from .table import Calls, CallSettings

__all__ = ["CallSettings", "Calls", "DatagramSocket", "Socket", "StreamSocket"]
