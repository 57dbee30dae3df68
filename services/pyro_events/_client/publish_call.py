"""The remote call that publishes events, and what its answer says. Pure.

Whoever publishes events one by one, and waits for each, sends nothing else. The start of such a
call is always the same, and its answer is known before it comes: neither needs the general way.
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
_RESULT: Final = (framing.MSGPACK, 0)
"""Serializer and flags of the answer to a call that has succeeded."""
_new: Final = tuple.__new__


class Answer(NamedTuple):
    """What the event service says about a batch."""

    number: int | None
    """Up to where all events are settled; None if the whole batch is refused."""
    refused: Collection[int]
    """The numbers of those among them that no rule allows."""
    error: Exception | None
    """Why something is refused."""


class PublishCalls:
    """Makes and reads them for one publisher. Belongs to one thread at a time."""

    def __init__(self, publisher: str) -> None:
        self.incarnation = ""
        """That of the event service."""
        self._publisher = publisher
        self._pack: Any = msgpack.Packer().pack

    def encode(self, seq: int, number: int, entry: Entry) -> bytes:
        """Return the frame that `encode_call` makes for a batch of this event alone."""
        data = b"".join((_CALL, self._pack((self._publisher, number, (entry,))), _NO_OPTIONS))
        return framing.encode_header(framing.INVOKE, framing.MSGPACK, 0, seq, len(data)) + data

    def read_answer(self, frame: framing.Frame, first: int) -> Answer:
        """Return what the answer about the batch with that first number says.

        One that can't be read refuses the batch.
        """
        if frame.data == self._pack((self.incarnation, first)) and frame[1:3] == _RESULT:
            return _new(Answer, (first, (), None))  # it was a lone event
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
