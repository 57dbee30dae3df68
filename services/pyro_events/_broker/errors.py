"""What can go wrong with the event service itself, said so that somebody can act on it."""

from __future__ import annotations


class ServiceFault(Exception):
    """The event service can't do its work; `message` says why and `hint` what to do about it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AddressUnusable(ServiceFault):
    """The event service can't listen where it was told to."""


class NameServerUnreachable(ServiceFault):
    """No name server answers where one was looked for."""


class NameTaken(ServiceFault):
    """Another event service has the name, and it answers."""


class NotRunning(ServiceFault):
    """The event service was not started, or has stopped."""


class HandoverRefused(ServiceFault):
    """The process that runs keeps its work, and goes on."""
