"""hypothesis strategies for networks, for tests of whatever runs on them (the extra ``hypothesis``).

A story of faults that shrinks to what matters::

    from hypothesis import given
    from netower.app import strategies
    from netower.stack import Network

    @given(strategies.fault_schedules("client", "server"))
    def test_client_survives(faults):
        with Network() as network:
            network.wire(network.host("client"), network.host("server"))
            faults.apply(network)
            network.start("server", serve)
            network.run(ask(), on="client", until="1min")

fails with, for example, ``faults=[drop the third segment from client to server]``: no other fault is needed, and no
earlier segment would do.
"""

try:
    import hypothesis  # noqa: F401
except ImportError:
    raise ImportError("the strategies are hypothesis': pip install 'netower[hypothesis]'") from None

from .faults import CrashFault, Fault, FaultSchedule, OutageFault, PacketFault, fault_schedules
from .frames import (
    DrawnFrame,
    arp_frames,
    ethernet_headers,
    frames,
    icmp_frames,
    ipv4_headers,
    nearly_valid_frames,
    tcp_frames,
    tcp_headers,
    udp_frames,
    udp_headers,
)
from .scalars import addresses, link_addresses, payloads, ports
from .topologies import Topology, topologies, wire_conditions

__all__ = [
    "CrashFault",
    "DrawnFrame",
    "Fault",
    "FaultSchedule",
    "OutageFault",
    "PacketFault",
    "Topology",
    "addresses",
    "arp_frames",
    "ethernet_headers",
    "fault_schedules",
    "frames",
    "icmp_frames",
    "ipv4_headers",
    "link_addresses",
    "nearly_valid_frames",
    "payloads",
    "ports",
    "tcp_frames",
    "tcp_headers",
    "topologies",
    "udp_frames",
    "udp_headers",
    "wire_conditions",
]
