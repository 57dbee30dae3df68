"""What can go wrong with the event service itself, said so that somebody can act on it."""

from __future__ import annotations


class EventServiceError(Exception):
    """The event service can't do its work; `message` says why and `hint` what to do about it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AddressUnusable(EventServiceError):  # noqa: N818 - reads as the sentence that it is
    """The event service can't listen where it was told to."""


class NameServerUnreachable(EventServiceError):  # noqa: N818 - the same
    """No name server answers where one was looked for."""


class NameTaken(EventServiceError):  # noqa: N818 - the same
    """Another event service has the name, and it answers."""


class NotRunning(EventServiceError):  # noqa: N818 - the same
    """The event service was not started, or has stopped."""
