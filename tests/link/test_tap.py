"""TAP and TUN against the kernel: what it sends arrives, what is sent to it is received, offloads either way."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise

import pytest
import pytun
from netower.link import PARTIAL, UNVERIFIED, Link, Offloads, Packet
from netower.link import tap as tap_module
from netower.link.checksum import complete_checksum, ones_complement_sum
from netower.link.ethernet import address_text
from netower.link.tap import Tap, Tun
from pyroute2 import IPRoute
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

pytestmark = pytest.mark.live

HOST = "10.0.0.1"  # the kernel's side
OURS = "10.0.0.2"


def wait_for(link: Tap | Tun, wanted: Callable[[Packet], bool], patience: float = 5.0) -> Packet:
    """The first packet that is wanted; the kernel has its own to say on any interface (MLD, router solicitations)."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        while (packet := link.receive_packet()) is not None:
            if wanted(packet):
                return packet
        select.select([link], [], [], 0.1)
    raise AssertionError("the kernel did not send it")


def ip_of(packet: Packet, link: Tap | Tun) -> IP:
    return IP(packet.buffers[0][14 if link.address else 0 :])


def is_ipv4(link: Tap | Tun, protocol: type) -> Callable[[Packet], bool]:
    def wanted(packet: Packet) -> bool:
        frame = packet.buffers[0]
        if link.address and frame[12:14] != b"\x08\x00":
            return False
        packet_ip = ip_of(packet, link)
        return bool(packet_ip.version == 4 and packet_ip.haslayer(protocol))

    return wanted


def send_ip(link: Tap | Tun, packet: IP) -> None:
    if link.address:
        packet = Ether(src=address_text(link.address), dst="ff:ff:ff:ff:ff:ff") / packet
    link.send_packet(Packet([bytes(packet)]))


def introduce(link: Tap | Tun) -> bytes:
    """Let the kernel know our link address, answering the ARP request that it sends; returns the kernel's."""
    if link.address is None:
        return b""
    request = wait_for(link, lambda packet: packet.buffers[0][12:14] == b"\x08\x06")
    asked = Ether(request.buffers[0])[ARP]
    own = address_text(link.address)
    reply = Ether(src=own, dst=asked.hwsrc) / ARP(op=2, hwsrc=own, psrc=OURS, hwdst=asked.hwsrc, pdst=HOST)
    link.send_packet(Packet([bytes(reply)]))
    return request.buffers[0][6:12]


@pytest.fixture(params=["tap", "tun", "plain tap", "plain tun"])
def link(request: pytest.FixtureRequest) -> Iterator[Tap | Tun]:
    kind = Tap if "tap" in request.param else Tun
    with closing(kind(host_address=f"{HOST}/24", offload="plain" not in request.param)) as link:
        yield link


@contextmanager
def udp_socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
        kernel.bind((HOST, 5000))
        kernel.settimeout(5)
        yield kernel


def test_a_datagram_from_the_kernel_arrives(link: Tap | Tun) -> None:
    with udp_socket() as kernel:
        kernel.sendto(b"hello", (OURS, 7))
        introduce(link)
        packet = wait_for(link, is_ipv4(link, UDP))
    frame = packet.buffers[0]
    assert type(frame) is bytes
    assert (packet.offset, packet.end, packet.segment_size) == (0, len(frame), 0)
    if link.offloads:
        header = 14 if link.address else 0
        assert (packet.checksum, packet.checksum_start, packet.checksum_offset) == (PARTIAL, header + 20, 6)
        frame = bytearray(frame)
        complete_checksum(frame, packet.checksum_start, packet.checksum_offset)
    else:
        assert packet.checksum == UNVERIFIED
    ip = IP(bytes(frame[14 if link.address else 0 :]))
    assert (ip.src, ip.dst, ip[UDP].dport, bytes(ip[UDP].payload)) == (HOST, OURS, 7, b"hello")
    sum_on_wire = ip[UDP].chksum
    del ip[UDP].chksum
    assert IP(bytes(ip))[UDP].chksum == sum_on_wire


def test_a_datagram_to_the_kernel_is_received(link: Tap | Tun) -> None:
    with udp_socket() as kernel:
        send_ip(link, IP(src=OURS, dst=HOST) / UDP(sport=7, dport=5000) / b"hello")
        assert kernel.recvfrom(100) == (b"hello", (OURS, 7))
    assert not link.counters


def test_the_kernel_answers_echo_requests(link: Tap | Tun) -> None:
    send_ip(link, IP(src=OURS, dst=HOST) / ICMP(id=1, seq=2) / b"echo")
    introduce(link)
    reply = ip_of(wait_for(link, is_ipv4(link, ICMP)), link)
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq, bytes(reply[ICMP].payload)) == (0, 1, 2, b"echo")


@pytest.mark.parametrize("kind", [Tap, Tun])
def test_an_unfinished_checksum_is_the_kernels_to_trust(kind: type[Tap | Tun]) -> None:
    datagram = IP(bytes(IP(src=OURS, dst=HOST) / UDP(sport=7, dport=5000, chksum=0x1234) / b"hello"))
    packet = Packet([bytes(datagram[UDP])], checksum=PARTIAL)
    packet.checksum_offset = 6
    packet.prepend(bytes(datagram)[:20])
    with closing(kind(host_address=f"{HOST}/24")) as link, udp_socket() as kernel:
        if link.address:
            packet.prepend(b"\xff" * 6 + link.address + b"\x08\x00")
        link.send_packet(packet)
        assert kernel.recvfrom(100) == (b"hello", (OURS, 7))


def test_nothing_to_read_is_none_at_once(link: Tap | Tun) -> None:
    while link.receive_packet() is not None:
        pass
    assert not os.get_blocking(link.fileno())


class Peer:
    """As much of TCP as it takes to be the other end of a kernel socket that listens on port 5000."""

    def __init__(self, link: Tap | Tun, ours: str = OURS, host: str = HOST) -> None:
        self.link = link
        self.ip = IPv6(src=ours, dst=host) if ":" in ours else IP(src=ours, dst=host)
        self.mine, self.theirs = 1000, 0
        self.header: list[bytes] = []
        if link.address:
            with udp_socket() as kernel:
                kernel.sendto(b"", (ours, 7))
                self.header = [introduce(link) + link.address + b"\x08\0"]
        answer = self._open()
        self.mine += 1
        assert answer.flags == "SA"
        self.theirs = answer.seq + 1
        self.send("A")

    def _open(self) -> TCP:
        """The answer to a SYN, which is sent again like any: a new interface drops what comes before it is ready."""
        for patience in 1.0, 2.0:
            self.send("S", options=[("MSS", 1400)])
            with suppress(AssertionError):
                return self.receive(patience)[1]
        self.send("S", options=[("MSS", 1400)])
        return self.receive()[1]

    def segment(self, flags: str, payload: bytes = b"", **fields: object) -> bytes:
        tcp = TCP(sport=6000, dport=5000, flags=flags, seq=self.mine, ack=self.theirs, window=65535, **fields)
        return bytes(self.ip / tcp / payload)

    def send(self, flags: str, **fields: object) -> None:
        self.link.send_packet(Packet([*self.header, self.segment(flags, **fields)]))

    def send_large(self, payload: bytes) -> None:
        """A packet of many segments, its checksum and its cutting left to the kernel."""
        whole = self.segment("PA", payload)
        size = len(self.ip)
        addresses = whole[8:40] if size == 40 else whole[12:20]
        pseudo = ones_complement_sum(addresses, 6 + len(whole) - size)
        tcp = whole[size : size + 16] + pseudo.to_bytes(2) + whole[size + 18 : size + 20]
        packet = Packet([tcp, memoryview(payload)], checksum=PARTIAL, segment_size=1400)
        packet.checksum_offset = 16
        packet.prepend(whole[:size])
        for header in self.header:
            packet.prepend(header)
        self.link.send_packet(packet)

    def receive(self, patience: float = 5.0) -> tuple[Packet, TCP]:
        """The next TCP packet from the kernel."""
        parsed: list[TCP] = []

        def is_tcp(packet: Packet) -> bool:
            frame = packet.buffers[0][14 if self.header else 0 :]
            if self.link.address and packet.buffers[0][12:14] != b"\x08\0":
                return False
            ip = IPv6(frame) if frame[0] >> 4 == 6 else IP(frame)
            if ip.haslayer(TCP):
                parsed.append(ip[TCP])
            return bool(parsed)

        return wait_for(self.link, is_tcp, patience), parsed[0]


@contextmanager
def listening(host: str = HOST) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 5000), family=family) as server:
        server.settimeout(5)
        yield server


def give_address(name: str, address: str, length: int) -> None:
    with IPRoute() as route:
        index = route.link_lookup(ifname=name)[0]
        route.addr("add", index=index, address=address, prefixlen=length, flags=2)  # IFA_F_NODAD


@pytest.mark.parametrize("kind", ["tap", "tun", "tun6"])
def test_large_packets_pass_uncut_both_ways(kind: str) -> None:
    data = bytes(range(250)) * 160
    with closing((Tap if kind == "tap" else Tun)(host_address=f"{HOST}/24")) as link:
        ours, host = OURS, HOST
        if kind == "tun6":
            ours, host = "fd00::2", "fd00::1"
            give_address(link.name, host, 64)
        with listening(host) as server:
            peer = Peer(link, ours, host)
            accepted, _ = server.accept()
            with accepted:
                accepted.settimeout(5)
                peer.send_large(data)
                assert accepted.recv(len(data), socket.MSG_WAITALL) == data
                accepted.sendall(data[:14000])
                while True:
                    packet, tcp = peer.receive()
                    if len(tcp.payload):
                        break
    assert packet.segment_size == 1400
    assert packet.checksum == PARTIAL
    assert packet.buffers[0][packet.checksum_start + 20 :] == data[: len(tcp.payload)]
    assert len(tcp.payload) >= 2 * 1400  # the least that the kernel hands on uncut (net.ipv4.tcp_min_tso_segs)
    assert not link.counters


@pytest.mark.parametrize("cwr", [0x80, 0])
@pytest.mark.parametrize("pieces", [[54], [14, 54], [14, 34, 54]])
def test_the_kernel_is_told_of_a_flag_that_is_the_first_segment_s(
    monkeypatch: pytest.MonkeyPatch, pieces: list[int], cwr: int
) -> None:
    """RFC 3168 §6.1.2: CWR, wherever the buffers of a packet begin."""
    written: list[bytes] = []
    frame = bytes(12) + b"\x08\0" + bytes(33) + bytes([0x10 | cwr]) + bytes(6) + bytes(3000)
    with closing(Tap(host_address=f"{HOST}/24")) as link:
        monkeypatch.setattr(tap_module.os, "writev", lambda _, buffers: written.append(buffers[0]))
        places = [0, *pieces, len(frame)]
        packet = Packet([frame[a:b] for a, b in pairwise(places)], checksum=PARTIAL, segment_size=1400)
        packet.checksum_start, packet.checksum_offset = 34, 16
        link.send_packet(packet)
    assert tap_module.OFFLOAD_HEADER.unpack(written[0])[1] == tap_module.GSO_TCPV4 | cwr


def test_plain_frames_come_in_segments() -> None:
    with closing(Tap(host_address=f"{HOST}/24", offload=False)) as link, listening() as server:
        assert link.offloads == Offloads.NONE
        peer = Peer(link)
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(bytes(14000))
            while True:
                packet, tcp = peer.receive()
                if len(tcp.payload):
                    break
        assert (packet.checksum, packet.segment_size) == (UNVERIFIED, 0)
        assert len(tcp.payload) == 1400
        written = tcp.chksum
        del tcp.chksum
        assert IP(bytes(IP(src=HOST, dst=OURS) / tcp))[TCP].chksum == written


def test_a_frame_in_more_buffers_than_one_call_takes(link: Tap | Tun) -> None:
    datagram = bytes(IP(src=OURS, dst=HOST) / UDP(sport=7, dport=5000) / bytes(1200))
    header = [b"\xff" * 6 + link.address + b"\x08\0"] if link.address else []
    with udp_socket() as kernel:
        link.send_packet(Packet([*header, *(datagram[i : i + 1] for i in range(len(datagram)))]))
        assert kernel.recv(2000) == bytes(1200)


def test_the_kernels_side_is_as_asked() -> None:
    own = b"\x02\0\0\0\0\x2a"
    with closing(Tap("mine", mtu=9000, address=own, host_address="10.1.2.3/20")) as link:
        assert isinstance(link, Link)
        assert (link.name, link.mtu, link.address) == ("mine", 9000, own)
        with IPRoute() as route:
            index = route.link_lookup(ifname="mine")[0]
            assert route.get_links(index)[0].get("mtu") == 9000
            address = route.get_addr(index=index, family=socket.AF_INET)[0]
            assert (address.get("address"), address["prefixlen"]) == ("10.1.2.3", 20)
    assert "mine" not in [name for _, name in socket.if_nameindex()]


def test_addresses_of_ones_own_differ() -> None:
    with closing(Tap()) as first, closing(Tap()) as second:
        assert first.address != second.address
        assert first.name != second.name


def test_what_the_kernel_does_not_take_is_counted(link: Tap | Tun) -> None:
    with IPRoute() as route:
        index = route.link_lookup(ifname=link.name)[0]
        route.link("set", index=index, state="down")
        send_ip(link, IP(src=OURS, dst=HOST))
        route.link("set", index=index, state="up")
    link.send_packet(Packet([bytes(5)]))
    assert link.counters == {"link_down": 1, "refused": 1}


def test_an_interface_that_was_deleted_is_down(link: Tap | Tun) -> None:
    with IPRoute() as route:
        route.link("del", index=route.link_lookup(ifname=link.name)[0])
    with pytest.raises(OSError, match=f"{link.name} is gone") as caught:
        link.receive_packet()
    assert caught.value.errno == errno.ENETDOWN
    link.send_packet(Packet([bytes(60)]))
    assert link.counters == {"link_down": 1}


def test_a_closed_link_is_down_and_may_be_closed_again(link: Tap | Tun) -> None:
    link.close()
    link.close()
    link.send_packet(Packet([bytes(60)]))
    assert link.counters == {"link_down": 1}
    with pytest.raises(OSError, match="gone"):
        link.receive_packet()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ({"name": "taken"}, errno.EBUSY, "taken is in use"),
        ({"name": "lo"}, errno.EBUSY, "lo exists already"),
        ({"name": "a/b"}, errno.EINVAL, "'a/b' cannot be the name"),
        ({"mtu": 100_000}, errno.EINVAL, "MTU 100000"),
        ({"host_address": "224.0.0.1/24"}, errno.EINVAL, "address 224.0.0.1/24"),
    ],
)
def test_refusals_say_what_is_wrong(arguments: dict[str, object], code: int, text: str) -> None:
    with closing(Tap("taken")):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match=text) as caught:
            Tap(**arguments)  # type: ignore[arg-type]
        assert caught.value.errno == code
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "arguments", [{"name": "x" * 16}, {"host_address": "10.0.0.300/24"}, {"host_address": "10.0.0.1/33"}]
)
def test_malformed_arguments(arguments: dict[str, str]) -> None:
    (value,) = arguments.values()
    with pytest.raises(ValueError, match=value.split("/")[1] if "/33" in value else value.split("/")[0]):
        Tap(**arguments)  # type: ignore[arg-type]


@pytest.mark.usefixtures("droppable_privileges")
def test_without_permission_it_says_what_grants_it() -> None:
    program = (
        "import os, netower.link.tap as tap\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "try: tap.Tap()\n"
        "except PermissionError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    for remedy in "root", "CAP_NET_ADMIN", "unshare -rn":
        assert remedy in result.stdout


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENODEV])
def test_without_a_driver_it_says_so(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise pytun.Error(code, os.strerror(code))

    monkeypatch.setattr(pytun, "TunTapDevice", refuse)
    with pytest.raises(OSError, match="no TUN/TAP driver") as caught:
        Tap()
    assert caught.value.errno == code


def test_a_kernel_without_offload_headers_gives_plain_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pytun.TunTapDevice

    def without_headers(name: str, flags: int) -> object:
        if flags & pytun.IFF_VNET_HDR:
            raise pytun.Error(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(name=name, flags=flags)

    monkeypatch.setattr(pytun, "TunTapDevice", without_headers)
    with closing(Tap()) as link:
        assert link.offloads == Offloads.NONE


def test_a_kernel_that_grants_no_offload_gives_plain_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: object, offloads: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(tap_module, "_set_offloads", refuse)
    with closing(Tun(host_address=f"{HOST}/24")) as link, udp_socket() as kernel:
        assert link.offloads == Offloads.NONE
        send_ip(link, IP(src=OURS, dst=HOST) / UDP(sport=7, dport=5000) / b"hello")
        assert kernel.recv(100) == b"hello"
