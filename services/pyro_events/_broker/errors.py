"""What can go wrong with the event service itself, and what to do about it."""

from __future__ import annotations


class ServiceFault(Exception):
    """The event service can't work; `message` gives the reason and `hint` a remedy."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AddressUnusable(ServiceFault):
    """The event service can't listen at the given address."""


class TlsUnusable(ServiceFault):
    """The files for TLS can't be used."""


class NameServerUnreachable(ServiceFault):
    """No name server answers at the given place."""


class NameTaken(ServiceFault):
    """Another event service has the name, and it answers."""


class NotRunning(ServiceFault):
    """The event service was not started, or has stopped."""


class HandoverRefused(ServiceFault):
    """The running process doesn't hand over, and continues to serve."""
