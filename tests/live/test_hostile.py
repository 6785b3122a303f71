"""Frames that no honest machine sends, thrown at the stack while it works: it drops them, counts them, and goes on."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from .sides import HERE, PATIENCE, THERE, Side, eventually, read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .sides import Stack

pytestmark = pytest.mark.live

FRAMES: Final = 6000
ETHERTYPES: Final = (0x0800, 0x0806, 0x86DD, 0x8100, 0x88CC, 0x0000, 0x05DC, 0xFFFF)


@pytest.fixture
def wire(ours: Side, stack: Stack) -> Iterator[Callable[[bytes], None]]:
    """Throws one frame at the stack; what the kernel itself refuses to send is gone."""
    name = next(name for _, name in socket.if_nameindex() if name.startswith("tap"))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((name, 0))

        def throw(frame: bytes) -> None:
            with suppress(OSError):
                raw.send(frame)

        yield throw


def link_addresses(stack: Stack) -> bytes:
    """The start of a frame from the kernel to the stack."""
    tap = next(interface for interface in stack.query("interfaces") if interface["link_address"])
    return bytes.fromhex(tap["link_address"].replace(":", "")) + bytes.fromhex("020000000001")


def honest(ports: list[int], chance: random.Random) -> bytes:
    """The IP packet of an honest sender, by scapy: what the mutations start from."""
    from scapy.layers.dns import DNS, DNSQR
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.packet import Raw

    port, source = chance.choice(ports), chance.choice([THERE, "10.77.0.7", "192.0.2.9", HERE, "127.0.0.1", "0.0.0.0"])
    ip = IP(src=source, dst=chance.choice([HERE, HERE, HERE, "10.77.0.255", "224.0.0.1"]))
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("WScale", 14), ("SAck", (1, 2, 3, 4))]
    quoted = IP(src=HERE, dst=THERE) / TCP(sport=port, dport=port)
    kinds = [
        TCP(sport=chance.choice(ports), dport=port, flags=chance.choice(["S", "A", "SA", "R", "FA", "FSRPAU", ""]),
            seq=chance.getrandbits(32), ack=chance.getrandbits(32), options=chance.sample(options, 2)),
        UDP(sport=port, dport=port) / DNS(qd=DNSQR(qname="example.com")),
        ICMP(type=chance.choice([0, 3, 4, 5, 8, 11, 12, 13, 255]), code=chance.randrange(16)) / quoted,
        ICMP(type=8) / Raw(bytes(chance.randrange(1200))),
    ]  # fmt: skip
    packet = ip / chance.choice(kinds)
    if chance.random() < 0.2:
        packet[IP].flags, packet[IP].frag = chance.choice([1, 0, 2, 4]), chance.choice([0, 1, 100, 8191])
    return bytes(packet)


def flip(chance: random.Random, frame: bytearray) -> bytes:
    for _ in range(chance.randrange(1, 8)):
        frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
    return bytes(frame)


def cut(chance: random.Random, frame: bytearray) -> bytes:
    return bytes(frame[: chance.randrange(14, len(frame) + 1)])


def stretch(chance: random.Random, frame: bytearray) -> bytes:
    return bytes(frame) + chance.randbytes(chance.randrange(400))


def lie(chance: random.Random, frame: bytearray) -> bytes:
    """A length, an offset or a header size that is not so."""
    at, size = chance.choice([(14, 1), (16, 2), (20, 2), (34 + 4, 2), (34 + 12, 1)])
    if at + size <= len(frame):
        frame[at : at + size] = chance.randbytes(size)
    return bytes(frame)


def keep(chance: random.Random, frame: bytearray) -> bytes:
    return bytes(frame)


def noise(chance: random.Random, frame: bytearray) -> bytes:
    return bytes(frame[:12]) + struct.pack("!H", chance.choice(ETHERTYPES)) + chance.randbytes(chance.randrange(1400))


def with_good_sum(frame: bytes) -> bytes:
    """The checksum of the IP header put right, so that the lie gets past it."""
    from netower.net.checksum import checksum

    size = (frame[14] & 15) * 4 if len(frame) >= 34 else 0
    if size < 20:
        return frame
    header = bytearray(frame[14 : 14 + size])
    header[10:12] = bytes(2)
    header[10:12] = checksum([header]).to_bytes(2)
    return frame[:14] + bytes(header) + frame[14 + size :]


def frames(start: bytes, ports: list[int], chance: random.Random) -> Iterator[bytes]:
    mutations: list[Any] = [flip, flip, cut, stretch, lie, lie, keep, noise]
    stock = [honest(ports, chance) for _ in range(150)]
    for _ in range(FRAMES):
        packet = chance.choice(stock)
        ethertype = 0x0800 if chance.random() < 0.97 else chance.choice(ETHERTYPES)
        destination = start if chance.random() < 0.95 else bytes([255] * 6) + start[6:]
        frame = chance.choice(mutations)(chance, bytearray(destination + struct.pack("!H", ethertype) + packet))
        yield with_good_sum(frame) if chance.random() < 0.6 else frame


def arp(start: bytes, chance: random.Random) -> bytes:
    """An ARP packet with some fields at random: it may claim the addresses of others."""
    fields = bytearray(struct.pack("!HHBBH", 1, 0x0800, 6, 4, chance.choice([1, 2])))
    if chance.random() < 0.3:
        fields[chance.randrange(8)] = chance.randrange(256)
    addresses = [socket.inet_aton(chance.choice(["10.77.0.50", "10.77.0.51", "0.0.0.0"])), socket.inet_aton(HERE)]
    return start + b"\x08\x06" + bytes(fields) + chance.randbytes(6) + addresses[0] + chance.randbytes(6) + addresses[1]


def test_an_honest_transfer_beside_hostile_frames(ours: Side, stack: Stack, wire: Callable[[bytes], None]) -> None:
    chance = random.Random(20)
    data = os.urandom(30_000_000)
    received: dict[str, bytes] = {}
    with (
        ours.peer.listen(THERE) as listener,
        ours.program.connect(listener.getsockname()) as program,
        ours.program.listen(HERE) as bait,
        ours.program.datagrams(HERE) as datagrams,
        listener.accept()[0] as peer,
    ):
        peer.settimeout(PATIENCE)
        before = stack.query("counters")
        ends = {"program": (program, peer), "peer": (peer, program)}

        def send(end: Any) -> None:
            for start in range(0, len(data), 100_000):
                end.sendall(data[start : start + 100_000])

        def receive(name: str, end: Any) -> None:
            received[name] = read_all(end, len(data))

        threads = [threading.Thread(target=send, args=(end,)) for end, _ in ends.values()]
        threads += [threading.Thread(target=receive, args=(name, end)) for name, (_, end) in ends.items()]
        for thread in threads:
            thread.start()
        ports = [end.getsockname()[1] for end in (program, peer, bait, datagrams)] + [9]
        start = link_addresses(stack)
        for number, frame in enumerate(frames(start, ports, chance)):
            wire(frame)
            if number % 20 == 0:
                wire(arp(start, chance))
        for thread in threads:
            thread.join()
        assert [name for name, got in received.items() if got == data] == list(received)
        assert len(received) == 2
        assert stack.process.poll() is None
        after = stack.query("counters")
        grown = {reason for reason in after if after[reason] > before.get(reason, 0)}
        assert len(grown) > 8
        # It answers still, and the kernel's address is still the kernel's.
        bait.settimeout(PATIENCE)
        with ours.peer.connect(bait.getsockname()) as honest_one:
            honest_one.sendall(b"hello")
            eventually(lambda: _accepts(bait, honest_one.getsockname()))


def _accepts(bait: Any, client: tuple[str, int]) -> bool:
    """Whether the next connection is this one; a forged handshake may have made others."""
    connection, address = bait.accept()
    with connection:
        return bool(address == client)


def test_a_flood_of_handshakes_takes_no_more_than_its_share(
    ours: Side, stack: Stack, wire: Callable[[bytes], None]
) -> None:
    from scapy.layers.inet import IP, TCP

    start = link_addresses(stack) + b"\x08\x00"
    with ours.program.listen(HERE) as bait, ours.program.listen(HERE) as other:
        memory = stack.memory()
        port = bait.getsockname()[1]
        template = bytearray(bytes(IP(src="10.77.0.60", dst=HERE) / TCP(dport=port, flags="S", sport=1)))
        for number in range(3000):
            template[20:22] = (1024 + number).to_bytes(2)
            template[36:38] = bytes(2)
            template[36:38] = _tcp_sum(template)
            wire(start + bytes(template))
        with ours.peer.connect(other.getsockname()) as client:
            connection, address = other.accept()
            with connection:
                assert address == client.getsockname()
        assert sum(row["state"] == "SYN-RECV" for row in stack.query("sockets")) < 3000
        assert stack.memory() - memory < 20_000_000


def _tcp_sum(packet: bytearray) -> bytes:
    from netower.net.checksum import checksum

    segment = bytes(packet[20:])
    return checksum([packet[12:20], struct.pack("!HH", 6, len(segment)), segment]).to_bytes(2)
