"""The packet: one object that walks through every floor, in and out.

On the way in a packet is a view: ``buffers`` holds exactly one ``bytes`` object, the frame as the link
received it, and ``offset`` and ``end`` bound what the current floor looks at. A floor that has read its header moves
``offset`` behind it (and ``end`` before any padding); nothing is copied.

On the way out a packet is a list of buffers: the payload's, to which each floor prepends its header. The
link writes the list with one system call. ``offset`` is 0 and ``end`` counts all bytes.

Checksums and segmentation may be left to the link (or to whoever the link leaves them to), the way network cards
do it; the fields below carry what is needed for that.
"""

from __future__ import annotations

from typing import Any, Final

Buffer = bytes | bytearray | memoryview

#: Nobody has looked at the transport checksum of this received packet yet.
UNVERIFIED: Final = 0
#: The transport checksum of this received packet is known to be right (verified, or it never left the machine).
VERIFIED: Final = 1
#: The transport checksum field holds the sum of the pseudo-header only. Whoever puts the packet on a real wire
#: completes it: the 16-bit one's complement sum from ``checksum_start`` to the end, stored at
#: ``checksum_start + checksum_offset``. A *received* PARTIAL packet never was on a wire: its payload is to be trusted.
PARTIAL: Final = 2


class Packet:
    """A frame, or what is left of one on the current floor.

    ``segment_size`` is 0 for a packet that is one segment, else the payload size (in bytes) of each of the segments
    that this packet stands for (TCP segmentation or receive offload).
    ``checksum_start`` counts from the packet's first byte and moves as headers are prepended.

    ``source``, ``destination`` (packed addresses), ``hop_limit``, ``network`` (where the network header starts in
    ``buffers[0]``) and ``interface`` are set by the net floor on a received packet, for the floors above it.
    """

    __slots__ = (
        "buffers",
        "checksum",
        "checksum_offset",
        "checksum_start",
        "destination",
        "end",
        "hop_limit",
        "interface",
        "network",
        "offset",
        "segment_size",
        "source",
    )

    buffers: list[Buffer]
    source: bytes
    destination: bytes
    hop_limit: int
    network: int
    interface: Any  # the net floor's Interface; this floor does not know its type

    def __init__(self, buffers: list[Buffer], *, checksum: int = UNVERIFIED, segment_size: int = 0) -> None:
        self.buffers = buffers
        self.offset = 0
        self.end = len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
        self.checksum = checksum
        self.checksum_start = 0
        self.checksum_offset = 0
        self.segment_size = segment_size

    def __len__(self) -> int:
        return self.end - self.offset

    def __repr__(self) -> str:
        return f"<Packet {len(self)} bytes at {self.offset} in {len(self.buffers)} buffers>"

    def prepend(self, header: Buffer) -> None:
        """Put ``header`` in front (on the way out)."""
        self.buffers.insert(0, header)
        size = len(header)
        self.end += size
        self.checksum_start += size

    def view(self) -> memoryview:
        """What is left on the current floor, without a copy (on the way in)."""
        return memoryview(self.buffers[0])[self.offset : self.end]

    def tobytes(self) -> bytes:
        """All bytes between ``offset`` and ``end``, as one new ``bytes`` object."""
        data = self.buffers[0] if len(self.buffers) == 1 else b"".join(self.buffers)
        return bytes(data[self.offset : self.end])
