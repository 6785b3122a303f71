"""Capture: a link around a link that writes what passes to a pcap file, which tcpdump and Wireshark read.

The format is that of draft-ietf-opsawg-pcap: a header, then records in the order in which packets passed, each with
its time in nanoseconds.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

import construct

from .around import Around
from .checksum import complete_checksum
from .packet import PARTIAL
from .wireformat import fixed_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link
    from .packet import Buffer, Packet

#: What files with times in nanoseconds begin with, in the byte order of all that follows.
MAGIC_NANOSECONDS: Final = 0xA1B23C4D
LINKTYPE_ETHERNET: Final = 1
#: Packets that begin with an IPv4 or IPv6 header.
LINKTYPE_RAW: Final = 101

PcapHeader: Final = construct.Struct(
    "magic" / construct.Const(MAGIC_NANOSECONDS, construct.Int32ul),
    "major" / construct.Const(2, construct.Int16ul),
    "minor" / construct.Const(4, construct.Int16ul),
    "reserved1" / construct.Default(construct.Int32ul, 0),
    "reserved2" / construct.Default(construct.Int32ul, 0),
    "snap_length" / construct.Int32ul,
    "link_type" / construct.Int32ul,
)
PcapRecord: Final = construct.Struct(
    "seconds" / construct.Int32ul,
    "nanoseconds" / construct.Int32ul,
    "captured" / construct.Int32ul,
    "original" / construct.Int32ul,
)
PCAP_RECORD: Final = fixed_part(PcapRecord)

#: Larger than any packet: every packet is captured whole.
_SNAP_LENGTH: Final = 262144


class PcapFile:
    """A pcap file that is being written: ``path``, which is created. Raises OSError as ``open`` does.

    ``now`` tells the time, in seconds since 1970 or on a virtual clock. An unfinished checksum is finished in the
    recorded copy, so that no reader takes it for an error; a packet that the link is to cut into segments is recorded
    uncut, as tcpdump shows it on the kernel's interfaces.

    Each packet is one write, so that a reader finds whole packets in the file at any time. If a packet cannot be
    written (ENOSPC), the recording ends before it, and ``error`` says why.
    """

    __slots__ = ("_file", "_now", "error")

    def __init__(self, path: str | os.PathLike[str], link_type: int, now: Callable[[], float]) -> None:
        self._now = now
        #: What ended the recording before its time, if anything did.
        self.error: OSError | None = None
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115
        try:
            self._append([PcapHeader.build({"snap_length": _SNAP_LENGTH, "link_type": link_type})])
        except OSError:
            self._file.close()
            raise

    def record(self, packet: Packet) -> None:
        """Append a packet with the time that it is now; nothing any more after an ``error``."""
        if self.error is not None:
            return
        frame: Buffer
        if packet.checksum == PARTIAL:
            frame = bytearray().join(packet.buffers)
            complete_checksum(frame, packet.checksum_start, packet.checksum_offset)
        else:
            frame = b"".join(packet.buffers)
        time = self._now()
        seconds = int(time)
        nanoseconds = int((time - seconds) * 1e9)
        try:
            self._append([PCAP_RECORD.pack(seconds & 0xFFFF_FFFF, nanoseconds, len(frame), len(frame)), frame])
        except OSError as error:
            self.error = error

    def _append(self, buffers: list[Buffer]) -> None:
        """Write all of it or nothing."""
        written = os.writev(self._file.fileno(), buffers)
        if written < sum(map(len, buffers)):
            self._file.truncate(self._file.tell() - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        self._file.close()


class Capture(Around):
    """Passes everything through to ``link``, and records each packet in ``file``: a path, which is created and closed
    with the link, or a `PcapFile` that several links share and somebody else closes.

    A packet that is sent is recorded before the link gets it. ``now`` and the errors are those of `PcapFile`; the link
    goes on where the recording cannot.
    """

    __slots__ = ("_file", "_own")

    def __init__(self, link: Link, file: str | os.PathLike[str] | PcapFile, now: Callable[[], float]) -> None:
        super().__init__(link)
        self._own = not isinstance(file, PcapFile)
        link_type = LINKTYPE_RAW if link.address is None else LINKTYPE_ETHERNET
        self._file = file if isinstance(file, PcapFile) else PcapFile(file, link_type, now)

    @property
    def error(self) -> OSError | None:
        """What ended the recording before its time, if anything did."""
        return self._file.error

    def send_packet(self, packet: Packet) -> None:
        """Record the packet, and send it."""
        self._file.record(packet)
        self.link.send_packet(packet)

    def receive_packet(self) -> Packet | None:
        """The link's next packet, recorded. Raises OSError (ENETDOWN) as the link does."""
        packet: Packet | None = self.link.receive_packet()
        if packet is not None:
            self._file.record(packet)
        return packet

    def close(self) -> None:
        """Close the file, unless it is shared, and the link."""
        if self._own:
            self._file.close()
        self.link.close()
