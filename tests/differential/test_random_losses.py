"""The generator of random stories (random_losses.py), which is no test itself: its timing meets the kernel's."""

from __future__ import annotations

import pytest
from netower.app.packetdrill.configuration import Configuration
from netower.app.packetdrill.recorder import record

from .random_losses import Receiver, Story


@pytest.mark.parametrize("seed", [2])
def test_a_seed_is_a_story(seed: int) -> None:
    story = Story(seed).tell(5)
    assert story == Story(seed).tell(5)
    said = [entry.text for entry in record(story, Configuration(), {})]
    assert sum(text.startswith("> ") for text in said) > 3
    assert all(text.removeprefix("%{ ")[0].isdigit() for text in said if text.startswith("%{"))


def test_the_receiver_tells_what_came_early_and_twice() -> None:
    receiver = Receiver(selective=True, delays=False, most=3)
    assert receiver.take(1, 1001) == (1001, [])
    assert receiver.take(2001, 3001) == (1001, [(2001, 3001)])
    assert receiver.take(4001, 5001) == (1001, [(4001, 5001), (2001, 3001)])
    assert receiver.take(3001, 4001) == (1001, [(2001, 5001)])
    assert receiver.take(1, 1001) == (1001, [(1, 1001), (2001, 5001)])
    assert receiver.take(1001, 2001) == (5001, [])
