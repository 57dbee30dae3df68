"""The shapes of notices and statistics, for annotations: at run time they are plain dicts."""

from typing import Literal, NotRequired, TypedDict

__all__ = [
    "ConnectionNotice", "DurationHistogram", "EventServiceStatistics", "GapNotice",
    "LostSubscriber", "ProxyNotice", "ProxyStatistics", "PublisherStatistics", "SubscriberInfo",
    "SubscriberStatistics", "WhenFull",
]  # fmt: skip

WhenFull = Literal["drop-oldest", "drop-newest", "disconnect"]
"""What happens to an event for a subscriber whose queue is full."""


class ConnectionNotice(TypedDict):
    """What the hooks `connected` and `disconnected` of a subscriber receive."""

    kind: Literal["connected", "disconnected"]
    uri: str  # of the event service, PYRO:…
    incarnation: str  # the id of that run of the event service
    reason: str | None  # why the connection ended; None if it began


class GapNotice(TypedDict):
    """What the hook `gap` of a subscriber receives. An undecodable event has no `uri`."""

    kind: Literal["gap"]
    missed: int | None  # events; None if their number is unknown
    reason: str  # full, restarted, expired, lost, undecodable, pattern or rule
    uri: NotRequired[str]
    incarnation: NotRequired[str]
    subject: NotRequired[str]  # of an undecodable event
    detail: NotRequired[str]  # why it can't be decoded
    pattern: NotRequired[str]  # that took too long to match
    suspended: NotRequired[bool]  # whether that pattern is matched no more
    subjects: NotRequired[list[str]]  # that a rule allows no more
    patterns: NotRequired[list[str]]  # of which a rule allows less


class ProxyNotice(TypedDict):
    """What the hooks `connected` and `disconnected` of a `ReconnectingProxy` receive."""

    kind: Literal["connected", "disconnected"]
    uri: str | None  # of the object, PYRO:…; None before the first connection
    reason: str | None  # None for the first connection


class PublisherStatistics(TypedDict):
    """Counts since a publisher was made. An event is one call here, whatever its subjects."""

    published: int  # calls of `publish`
    posted: int  # calls of `post`
    acked: int  # events that the event service confirmed
    failed: int  # events that it refused
    withdrawn: int  # events of interrupted or Unreachable publishes, until they are confirmed
    retries: int  # events sent again after a broken connection
    reconnects: int  # connections after the first
    pending: int  # events that are not confirmed yet
    pending_bytes: int  # their messages, and 64 bytes for each event and each of its subjects


class SubscriberStatistics(TypedDict):
    """Counts since a subscriber was made."""

    received: int  # events
    errors: int  # exceptions raised by `event` and by hooks
    undecodable: int  # events whose message can't be decoded here
    gaps: int  # calls of `gap`
    reconnects: int  # connections after the first


class ProxyStatistics(TypedDict):
    """Counts since a `ReconnectingProxy` was made."""

    calls: int
    connections: int  # that were made
    failures: int  # of attempts to make one
    repeated: int  # calls sent again
    unknown: int  # calls that raised OutcomeUnknown
    unreachable: int  # calls that raised Unreachable
    dropped: int  # connections that were dropped because the service has gone


class LostSubscriber(TypedDict):
    """A plain subscriber that lost its subscriptions in a crash of the event service."""

    subscriber: str  # its URI
    subjects: list[str]
    patterns: list[str]


class TlsStatistics(TypedDict):
    """How an event service uses TLS."""

    mode: str  # both or required
    name: str  # in its certificate
    expires: str  # when its certificate ends, in ISO 8601
    connections: int  # with TLS, now
    handshakes: int  # clients that came in with TLS
    refused: int  # clients turned away because of TLS, or for the lack of it


class DurationHistogram(TypedDict):
    """How many values are at most each bound and above the one before, in seconds."""

    bounds: list[float]
    counts: list[int]  # one more than bounds: for larger values
    sum: float


class EventServiceStatistics(TypedDict):
    """Counts since an event service started, and its state now."""

    uri: str
    incarnation: str
    version: str
    uptime_s: float
    connections: int
    received_bytes: int  # from all connections
    sent_bytes: int  # to all connections
    delivery: DurationHistogram  # from the publish of an event until it was given to a socket
    fullest_queue: float  # how full the fullest queue of a subscriber is, from 0 to 1
    handover_seconds: NotRequired[float]  # the pause when it took over; only for the manager
    publishers: int  # connected ones that use a helper
    subscribers: int
    aware: int  # those of them that can be notified of a restart
    subscriptions: int
    published: int  # events of clients, one for each subject of a publish
    announced: int  # events of the manager, not part of `published`
    unmatched: int  # events of clients that nobody was subscribed to
    delivered: int  # events that subscribers have taken
    dropped: int  # events lost to subscribers
    dropped_unsent: int  # those of them that waited for a subscriber when it was dropped
    queued: int  # events that wait for subscribers or are not confirmed by them
    queued_bytes: int  # the size of these events, for each subscriber that has them
    held: int  # publishes that wait for a full queue
    gave_up: int  # times that a publish stopped to wait for a full queue
    errors: int  # exceptions raised by `event` of objects that are called back
    retries: int  # repeated attempts to reach such objects
    refused: int  # calls that ended with an exception
    refusals: dict[str, int]  # rejections by the name of the limit
    slowed: int  # large requests that waited because earlier ones had cost too much
    lost: list[LostSubscriber]  # in crashes since the last planned restart
    roster_errors: int  # failed writes of the roster to the state directory
    tls: TlsStatistics | None  # None: without TLS


class SubscriberInfo(TypedDict):
    """A subscriber of an event service."""

    subscriber: str  # its name; for a callback its URI
    kind: str  # stream or callback
    aware: bool  # whether it can be notified of a restart
    state: str  # connected or away; for a callback connected, connecting or retrying
    subjects: list[str]  # as the subscriber wrote them
    patterns: list[str]
    suspended: list[str]  # patterns that took too long to match
    queued: int  # events that wait for it or are not confirmed by it
    queue_size: int  # how many that may be
    when_full: WhenFull
    delivered: int  # events that it has taken
    dropped: int  # events lost to it
    unmatched: int  # how often a pattern of it was cut off, or there was no time for it
    errors: int  # exceptions raised by its `event`
