"""What can go wrong between a helper and the event service.

All are `Pyro5.errors.CommunicationError`s, which programs around Pyro handle already.
"""

from __future__ import annotations

from Pyro5.errors import CommunicationError

__all__ = [
    "Closed",
    "EventServiceError",
    "NotPublished",
    "OutcomeUnknown",
    "Refused",
    "Unreachable",
]


class EventServiceError(CommunicationError):  # type: ignore[misc] # Pyro5 ships no types
    """Base of the errors that helpers raise beside ValueError and TypeError."""


class Unreachable(EventServiceError):
    """The event service, or the name server that knows it, did not answer in time."""


class Refused(EventServiceError):
    """The event service answered that it doesn't want this client."""


class OutcomeUnknown(EventServiceError):
    """The connection broke after a call was sent, which may or may not have been executed."""


class NotPublished(EventServiceError):
    """Events that were posted did not arrive; `count` says how many, the cause says why."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class Closed(EventServiceError):
    """The helper was closed before or during the call."""
