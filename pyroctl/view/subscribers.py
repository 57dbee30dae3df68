"""Subscribers of an event service as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def subscriptions_of(subscriber: Mapping[str, Any]) -> list[str]:
    """Return the subjects of a subscriber, and its patterns as `/PATTERN/`."""
    return [*subscriber["subjects"], *(f"/{pattern}/" for pattern in subscriber["patterns"])]


def subscriber_line(subscriber: Mapping[str, Any]) -> str:
    """Return a line about a subscriber and its subscriptions."""
    return f"    {subscriber['subscriber']}: {', '.join(subscriptions_of(subscriber))}"
