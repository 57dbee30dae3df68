"""The remote call that publishes events, and what its answer says. Pure.

Whoever publishes events one by one, and waits for each, sends nothing else. The start of such a
call is always the same, and the answer is known before it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from pyro_events._client.calls import nonsense, outcome
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyro_events._client.outbox import Entry

METHOD: Final = "publish_batch"
_CALL: Final = b"\x94" + msgpack.packb(EVENTSERVICE_NAME) + msgpack.packb(METHOD)
_NO_OPTIONS: Final = b"\x80"


class Answer(NamedTuple):
    """What the event service says about a batch."""

    number: int | None
    """Up to where all events are settled; None if the whole batch is refused."""
    refused: Collection[int]
    """The numbers of those among them that no rule allows."""
    error: Exception | None
    """Why something is refused."""


class Due(NamedTuple):
    """The answer that is expected to a call with one event."""

    seq: int
    answer: bytes
    """The whole frame."""


def read_answer(frame: framing.Frame) -> Answer:
    """Return what the answer says; one that can't be read refuses the batch."""
    answer, error = outcome(frame)
    if error is not None:
        return Answer(None, (), error)
    try:
        number, rest = int(answer[1]), answer[2:]
    except (TypeError, ValueError, LookupError, OverflowError) as unreadable:
        return Answer(None, (), nonsense(unreadable))
    if not rest:
        return Answer(number, (), None)
    refused, reason = rest
    return Answer(number, refused, PermissionError(reason))


class LoneCall:
    """The calls of one publisher with one event each. Belongs to one thread at a time."""

    def __init__(self, publisher: str) -> None:
        self._publisher = publisher
        self._pack: Any = msgpack.Packer().pack

    def encode(self, seq: int, number: int, entry: Entry) -> bytes:
        """Return the frame that `encode_call` makes for a batch of this event alone."""
        data = b"".join((_CALL, self._pack((self._publisher, number, (entry,))), _NO_OPTIONS))
        return framing.encode_header(framing.INVOKE, framing.MSGPACK, 0, seq, len(data)) + data

    def due(self, seq: int, incarnation: str, number: int) -> Due:
        """Return the answer with which that incarnation of the event service confirms it."""
        data: bytes = self._pack((incarnation, number))
        header = framing.encode_header(framing.RESULT, framing.MSGPACK, 0, seq, len(data))
        return Due(seq, header + data)
