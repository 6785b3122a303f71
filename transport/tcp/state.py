"""The states of a connection (RFC 9293 §3.3.2), as data.

Theory of operation
===================
A connection is a pair of streams, one each way. Each stream is opened by a SYN and closed by a FIN, each of
which takes a place in the sequence space, is acknowledged like a byte of data, and is sent again until it is. The
eleven states say how far the two have come:

=============  =====================  =======================
state          our stream             the peer's stream
=============  =====================  =======================
LISTEN         (nobody yet)           (nobody yet)
SYN-SENT       SYN sent               nothing heard
SYN-RECEIVED   SYN sent               open
ESTABLISHED    open                   open
FIN-WAIT-1     FIN sent               open
FIN-WAIT-2     closed                 open
CLOSE-WAIT     open                   closed
CLOSING        FIN sent               closed
LAST-ACK       FIN sent, was second   closed
TIME-WAIT      closed, was first      closed
CLOSED         (no connection)        (no connection)
=============  =====================  =======================

Everything else that a connection knows (numbers, windows, timers) moves *within* a state; a state changes only by one
of the few events of `Event`, and only along `TRANSITIONS`. The code asks for each change with `follow`: an event that a
state does not know is an error in the code, never a fault of the peer, whose segments are judged before.

An arriving segment is judged by `arrival` in the order of RFC 9293 §3.10.7.4, so one segment can be several
events: the ACK of our FIN and the peer's FIN take FIN-WAIT-1 to FIN-WAIT-2 and at once to TIME-WAIT.

A listener stays in LISTEN and has a connection made for each SYN, which starts in SYN-RECEIVED. Whoever closes first
ends in TIME-WAIT, where a small object outlives the connection, so that segments still on their way meet no later
connection of the same addresses and ports, and a peer whose FIN was not acknowledged is answered.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    CLOSED = "CLOSED"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"

    __hash__ = object.__hash__  # by identity: a third of the price of hashing the name


class Event(Enum):
    PASSIVE_OPEN = "passive OPEN"
    ACTIVE_OPEN = "active OPEN, send SYN"
    SYN = "receive SYN, send SYN and ACK"
    SYN_ACK = "receive SYN and ACK, send ACK"
    ACK_OF_SYN = "receive ACK of SYN"
    CLOSE = "CLOSE, send FIN"
    FIN = "receive FIN, send ACK"
    ACK_OF_FIN = "receive ACK of FIN"
    TIMEOUT = "time-out of 2 MSL"
    END = "receive RST, ABORT, time-out"

    __hash__ = object.__hash__


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.CLOSED, Event.PASSIVE_OPEN): State.LISTEN,
    (State.CLOSED, Event.ACTIVE_OPEN): State.SYN_SENT,
    (State.LISTEN, Event.SYN): State.SYN_RECEIVED,
    (State.SYN_SENT, Event.SYN): State.SYN_RECEIVED,
    (State.SYN_SENT, Event.SYN_ACK): State.ESTABLISHED,
    (State.SYN_RECEIVED, Event.ACK_OF_SYN): State.ESTABLISHED,
    (State.ESTABLISHED, Event.CLOSE): State.FIN_WAIT_1,
    (State.ESTABLISHED, Event.FIN): State.CLOSE_WAIT,
    (State.FIN_WAIT_1, Event.ACK_OF_FIN): State.FIN_WAIT_2,
    (State.FIN_WAIT_1, Event.FIN): State.CLOSING,
    (State.FIN_WAIT_2, Event.FIN): State.TIME_WAIT,
    (State.CLOSE_WAIT, Event.CLOSE): State.LAST_ACK,
    (State.CLOSING, Event.ACK_OF_FIN): State.TIME_WAIT,
    (State.LAST_ACK, Event.ACK_OF_FIN): State.CLOSED,
    (State.TIME_WAIT, Event.TIMEOUT): State.CLOSED,
    **{(state, Event.END): State.CLOSED for state in State if state is not State.CLOSED},
}

#: Our stream is open: what the user writes is sent.
SENDING: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
#: The peer's stream is open: its data are taken.
RECEIVING: Final = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2})
#: The handshake is not over: our SYN is the first thing that was not acknowledged.
OPENING: Final = frozenset({State.SYN_SENT, State.SYN_RECEIVED})


def follow(state: State, event: Event) -> State:
    """The state after ``event``. Raises KeyError where ``state`` does not know it."""
    return TRANSITIONS[state, event]


def _drawn() -> list[tuple[State, Event, State]]:
    """Every transition but those of `Event.END`, which leave every state alike."""
    return [(state, event, target) for (state, event), target in TRANSITIONS.items() if event is not Event.END]


def mermaid() -> str:
    """The state machine as a Mermaid diagram."""
    lines = [f'    state "{state.value}" as {state.name}' for state in State]
    lines += [f"    {state.name} --> {target.name} : {event.value}" for state, event, target in _drawn()]
    return "\n".join(["stateDiagram-v2", "    [*] --> CLOSED", *lines]) + "\n"


def dot() -> str:
    """The state machine for Graphviz."""
    lines = [f'    "{state.value}" -> "{target.value}" [label="{event.value}"];' for state, event, target in _drawn()]
    return "\n".join(["digraph tcp {", "    node [shape=box];", *lines, "}"]) + "\n"


def document() -> str:
    """docs/tcp-states.md."""
    ends = f"From every state, *{Event.END.value}* leads to CLOSED."
    title = "# The states of a TCP connection\n\nDrawn by `transport/tcp/state.py`."
    return f"{title}\n\n```mermaid\n{mermaid()}```\n\n{ends}\n"
