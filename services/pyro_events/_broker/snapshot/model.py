"""What one process of the event service leaves to the next: plain values, with a format. Pure.

    State ── incarnation, reason
      ├── subscribers   Standing: who, what it wants, what waits for it, how far it has come
      ├── publishers    the last sequence number of each
      └── lost          plain subscribers that an earlier crash has cost

A planned restart writes one (`parting`); after a crash one is put together from the roster's
journal and tallies, with nothing in the queues. Everything is what msgpack carries.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal

import msgpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyro_events._protocol.event import Item

FORMAT: Final = 1
"""Grows whenever an older process could misunderstand what a newer one writes."""

Kind = Literal["stream", "callback"]


class UnreadableSnapshot(Exception):
    """What an earlier process left can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class SubscriberSnapshot:
    """One subscriber: what the roster knows, and in a parting what waits for it, too."""

    kind: Kind
    key: str
    """The id of a stream's subscriber, the URI of a callback's."""
    name: str
    aware: bool
    subjects: list[str]
    patterns: list[str]
    options: dict[str, Any]
    lineage: list[str] = field(default_factory=list)
    """Incarnations that the subscriber may think it is in, and whose numbers go on."""
    promised: int = 0
    accounted: int = 0
    """Both as in `engine/subscriber.py`."""
    untold: int = 0
    """Events that were dropped, and it was not told so yet."""
    acked: int = 0
    """The last delivery number that it has acknowledged."""
    lost: int = 0
    """Events with a number up to this one that did not arrive will not come any more."""
    sent: list[Item] = field(default_factory=list)
    """Events that went out after `acked`."""
    waiting: list[Item] = field(default_factory=list)
    """Events that did not go out yet."""

    def plain(self) -> dict[str, Any]:
        """Give what is not as usual, for msgpack."""
        found = {name: getattr(self, name) for name in _ALWAYS}
        for name in _SELDOM:
            if value := getattr(self, name):
                found[name] = value
        return found

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SubscriberSnapshot:
        """Make it from what `plain` gave; raises Unreadable."""
        try:
            items = {name: [_item(i) for i in values.get(name, ())] for name in ("sent", "waiting")}
            made = cls(**{**values, **items})
        except (TypeError, ValueError) as error:
            raise UnreadableSnapshot(
                f"a subscriber is not described as it should be: {error}"
            ) from None
        if made.kind not in ("stream", "callback"):
            raise UnreadableSnapshot(f"a subscriber of the unknown kind {made.kind!r}")
        return made


_ALWAYS = ("kind", "key", "name", "aware", "subjects", "patterns", "options")
_SELDOM = tuple(each.name for each in fields(SubscriberSnapshot) if each.name not in _ALWAYS)


@dataclass(frozen=True, slots=True)
class LostSubscriber:
    """A plain subscriber that a crash has cost, for people."""

    subscriber: str
    subjects: list[str]
    patterns: list[str]

    def plain(self) -> dict[str, object]:
        """Give what statistics show."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class BrokerSnapshot:
    """Everything that the next process goes on with."""

    incarnation: str
    reason: str
    """Why there is a next one: `restart`, `crash`, …"""
    subscribers: list[SubscriberSnapshot] = field(default_factory=list)
    publishers: dict[str, int] = field(default_factory=dict)
    lost: list[LostSubscriber] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many subscribers and publishers there are."""
        return len(self.subscribers) + len(self.publishers)


def encode(state: BrokerSnapshot) -> bytes:
    """Give the state as bytes."""
    values = {
        "incarnation": state.incarnation,
        "reason": state.reason,
        "subscribers": [saved.plain() for saved in state.subscribers],
        "publishers": state.publishers,
        "lost": [lost.plain() for lost in state.lost],
    }
    return bytes(msgpack.packb([FORMAT, values]))


def decode(data: bytes) -> BrokerSnapshot:
    """Give the state that `encode` was given; raises Unreadable."""
    try:
        version, values = msgpack.unpackb(data)
    except Exception as error:  # noqa: BLE001 - msgpack raises many things for bad bytes
        raise UnreadableSnapshot(f"not what an event service writes: {error!r}") from None
    check_format(version)
    try:
        return BrokerSnapshot(
            incarnation=values["incarnation"],
            reason=values["reason"],
            subscribers=[SubscriberSnapshot.of(each) for each in values["subscribers"]],
            publishers=dict(values["publishers"]),
            lost=lost_of(values["lost"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableSnapshot(f"something is missing: {error!r}") from None


def check_format(version: object) -> None:
    """Raise Unreadable for a format that this program doesn't know."""
    if version != FORMAT:
        raise UnreadableSnapshot(f"it has format {version!r:.20}, and this program knows {FORMAT}")


def lost_of(plain: Iterable[Mapping[str, Any]]) -> list[LostSubscriber]:
    """Make them from what `LostSubscriber.plain` gave; raises TypeError."""
    return [LostSubscriber(**each) for each in plain]


def _item(values: Any) -> Item:
    subject, time, body, opaque = values
    return subject, time, body, opaque
