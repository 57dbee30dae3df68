"""Errors of the helpers, each a `Pyro5.errors.CommunicationError`, as programs expect them."""

from __future__ import annotations

from Pyro5.errors import CommunicationError

__all__ = [
    "Closed", "EventServiceError", "Forked", "NotPublished", "OutcomeUnknown", "Refused",
    "Unreachable",
]  # fmt: skip


class EventServiceError(CommunicationError):  # type: ignore[misc] # Pyro5 ships no types
    """Base of the errors that helpers raise, besides ValueError and TypeError."""


class Unreachable(EventServiceError):
    """The event service or the name server did not answer in time."""


class Refused(EventServiceError):
    """The event service refused this client, because of its identification for example."""


class OutcomeUnknown(EventServiceError):
    """The connection broke after a call was sent; it may or may not have been executed."""


class NotPublished(EventServiceError):
    """The event service refused `count` posted events; the cause is its error for the first."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message, count)  # both, so that it can be pickled
        self.count = count

    def __str__(self) -> str:
        return str(self.args[0])


class Closed(EventServiceError):
    """The helper was closed before or during the call."""


class Forked(EventServiceError):
    """The helper was made before a fork: it belongs to the parent process."""
