"""What can be set on the net floor of a host; times are in seconds, and the defaults are those of Linux."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class NetSettings:
    """The knobs of one host's net floor."""

    #: Hop limit (TTL) of packets whose sender has not chosen one (ip_default_ttl).
    hop_limit: int = 64

    #: Neighbors (RFC 4861 §10): time between two solicitations, and how many of them before giving up.
    neighbor_retransmit: float = 1.0
    neighbor_solicitations: int = 3
    #: How long a confirmation lasts; it is drawn between half and one and a half of this (RFC 4861 §6.3.2).
    neighbor_reachable: float = 30.0
    #: How long upper layers have to confirm a stale neighbor before it is probed.
    neighbor_delay: float = 5.0
    #: Packets that wait for one neighbor's address (the oldest is dropped), and neighbors in one interface's cache.
    neighbor_queue: int = 100
    neighbor_cache: int = 1024

    #: ICMP errors per second that this host sends, and how many at once after a silence.
    icmp_rate: float = 1000.0
    icmp_burst: int = 50
    #: Whether echo requests are left without an answer (icmp_echo_ignore_all).
    icmp_echo_ignore: bool = False
    #: Whether an echo request to a broadcast or multicast address is answered (RFC 1122 §3.2.2.6 leaves it open).
    icmp_echo_broadcast: bool = False

    #: How long a lowered path MTU is believed (RFC 1191 §6.3), and the smallest that is, in bytes.
    path_mtu_expiry: float = 600.0
    path_mtu_minimum: int = 552
    #: Destinations for which paths, or lowered path MTUs, are kept.
    path_cache: int = 4096

    #: How long fragments wait for the rest, and how many bytes of memory they may take in all.
    reassembly_timeout: float = 30.0
    reassembly_memory: int = 4 << 20
