"""Proportional rate reduction (RFC 9937): how much may be sent in recovery."""

from __future__ import annotations


class ProportionalRate:
    """The window shrinks to ``ssthresh`` in proportion to what arrives. Sizes are in bytes, but what may be sent is
    rounded up to whole segments. As on Linux the window before, which was in full use, stands for the flight's size."""

    __slots__ = ("_delivered", "_prior", "sent")

    def __init__(self) -> None:
        self.start(1)

    def start(self, cwnd: int) -> None:
        """Recovery begins with the window ``cwnd`` (RFC 9937 §6.1: RecoverFS)."""
        self._prior = max(cwnd, 1)
        self._delivered = 0
        #: What was sent in recovery: whoever sends counts it here.
        self.sent = 0

    def window(self, delivered: int, pipe: int, ssthresh: int, mss: int, *, safe: bool) -> int:
        """The congestion window after an ACK that told that ``delivered`` bytes more have arrived.

        ``safe``: the ACK moved SND.UNA and told no further loss.
        """
        self._delivered += delivered
        if pipe > ssthresh:
            count = -(-self._delivered * ssthresh // (self._prior * mss)) * mss - self.sent
        else:
            count = max(self._delivered - self.sent, delivered)
            if safe:
                count += mss
            count = min(ssthresh - pipe, count)
        if not self.sent and count < mss:
            count = mss  # the fast retransmit itself
        return pipe + max(count, 0)
