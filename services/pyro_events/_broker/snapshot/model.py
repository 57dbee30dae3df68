"""What one process of the event service leaves to the next: plain values, with a format. Pure.

    BrokerSnapshot ── incarnation, reason
      ├── subscribers   SubscriberSnapshot: its subscriptions, its queue, what it has received
      ├── publishers    the last sequence number of each
      └── lost          plain subscribers that an earlier crash has cost

A planned restart writes one (`parting`); after a crash one is made of the roster's journal and
counter file, with empty queues. msgpack carries all the values.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgpack

from pyro_events._broker.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyro_events._protocol.event import Item

FORMAT: Final = 3
"""Grows whenever an older process could misunderstand what a newer one writes."""

Kind = Literal["stream", "callback"]


class Callee(NamedTuple):
    """An object to call, and how it is known to be its subscriber's."""

    uri: str
    address: str
    """The number of its host, to which its name may not change any more; the path of a Unix socket
    otherwise."""
    user: int | None
    """The user whose daemon it has to be; None if any will do."""
    key: str | None = None
    """What a helper's daemon wants to hear."""
    certificate: str | None = None
    """The name in the certificate that a helper's daemon must have; None: it needs none."""
    secure: bool = False
    """Whether a stock daemon is called over TLS, as its client has subscribed over TLS."""


class PublisherNumber(NamedTuple):
    """A publisher, and the last number that was accepted from it."""

    owner: Principal
    name: str
    last: int


class UnreadableSnapshot(Exception):
    """What an earlier process has left can't be used; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class SubscriberSnapshot:
    """One subscriber: what the roster records, and after a planned restart its queue, too."""

    kind: Kind
    key: str
    """The id of a stream's subscriber, the URI of a callback's."""
    name: str
    aware: bool
    subjects: list[str]
    patterns: list[str]
    options: dict[str, Any]
    owner: Principal
    """The client that has subscribed, and may change that."""
    callee: Callee | None = None
    """Where to call it, unless it is a stream."""
    lineage: list[str] = field(default_factory=list)
    """Incarnations that the subscriber may take for the present one; their numbers continue."""
    slot: int = -1
    """Where its numbers were."""
    promised: int = 0
    accounted: int = 0
    """Both as in BrokerSubscriber."""
    untold: int = 0
    """Events that were dropped without a notice so far."""
    series: bytes = b""
    """Of the numbers in calls to a helper."""
    acked: int = 0
    """The last delivery number that it has acknowledged."""
    lost: int = 0
    """Events with a number up to this one that did not arrive are lost."""
    sent: list[Item] = field(default_factory=list)
    """Events that were sent after `acked`."""
    waiting: list[Item] = field(default_factory=list)
    """Events that were not sent yet."""

    @property
    def kept(self) -> int:
        """How many events there are for it."""
        return len(self.sent) + len(self.waiting)

    def plain(self) -> dict[str, Any]:
        """Return all values but empty optional ones, for msgpack."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value or name in _ALWAYS}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SubscriberSnapshot:
        """Return the snapshot with these values, or raise UnreadableSnapshot."""
        try:
            items = {name: [_item(i) for i in values.get(name, ())] for name in ("sent", "waiting")}
            callee = Callee(*values["callee"]) if values.get("callee") else None
            owner = Principal(*values["owner"])
            made = cls(**{**values, **items, "owner": owner, "callee": callee})
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableSnapshot(f"an invalid subscriber: {error!r}") from None
        if made.kind not in ("stream", "callback"):
            raise UnreadableSnapshot(f"a subscriber of the unknown kind {made.kind!r}")
        return made


_ALWAYS = ("kind", "key", "name", "aware", "subjects", "patterns", "options", "owner", "slot")


@dataclass(frozen=True, slots=True)
class LostSubscriber:
    """A plain subscriber that a crash has cost."""

    subscriber: str
    subjects: list[str]
    patterns: list[str]
    owner: Principal

    def plain(self) -> dict[str, Any]:
        """Return all values, for msgpack."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BrokerSnapshot:
    """Everything with which the next process continues."""

    incarnation: str
    reason: str
    """Why there is a next one: `restart`, `crash`, …"""
    subscribers: list[SubscriberSnapshot] = field(default_factory=list)
    publishers: list[PublisherNumber] = field(default_factory=list)
    lost: list[LostSubscriber] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many subscribers and publishers there are."""
        return len(self.subscribers) + len(self.publishers)


def encode(snapshot: BrokerSnapshot) -> bytes:
    """Return the snapshot as bytes."""
    values = {name: getattr(snapshot, name) for name in snapshot.__slots__}
    for name in ("subscribers", "lost"):
        values[name] = [each.plain() for each in values[name]]
    return bytes(msgpack.packb([FORMAT, values]))


def decode(data: bytes) -> BrokerSnapshot:
    """Return the snapshot that was encoded; raises UnreadableSnapshot."""
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
            publishers=[
                PublisherNumber(Principal(*owner), name, last)
                for owner, name, last in values["publishers"]
            ],
            lost=lost_of(values["lost"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableSnapshot(f"something is missing: {error!r}") from None


def check_format(version: object) -> None:
    """Raise UnreadableSnapshot for another format."""
    if version != FORMAT:
        raise UnreadableSnapshot(f"it has format {version!r:.20}, and this program knows {FORMAT}")


def lost_of(plain: Iterable[Mapping[str, Any]]) -> list[LostSubscriber]:
    """Return those with these values; raises TypeError."""
    return [LostSubscriber(**{**each, "owner": Principal(*each["owner"])}) for each in plain]


def _item(values: Any) -> Item:
    subject, time, body, opaque = values
    return subject, time, body, opaque
