"""What an IP packet carries: the numbers that the Internet protocols have in its header (IANA "Protocol Numbers")."""

from __future__ import annotations

from typing import Final

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
