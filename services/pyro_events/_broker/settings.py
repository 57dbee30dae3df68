"""Every limit and delay of the engine in one value. Seconds and bytes throughout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

from pyro_events._protocol.when_full import WhenFull

MIB: Final = 1 << 20
SMALLEST_MESSAGE: Final = 1024
MOST_PERMISSIONS: Final = 0o777
_COUNTS: Final = (
    "queue_size",
    "max_connections",
    "max_connections_per_peer",
    "max_subscribers",
    "max_subscriptions",
)
_SIZES: Final = ("queue_bytes", "max_message_size")


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen about an engine. Raises ValueError that names what is out of range."""

    ident: str | None = None
    """The identification that clients must present; None lets everybody in."""
    trusted: bool = False
    """Accept marshal, which a hostile client can use to crash the process."""
    queue_size: int = 1000
    """Events that may wait for one subscriber, unless it asks for another number."""
    queue_bytes: int = 16 * MIB
    """Bytes that may wait for one subscriber; a larger message is refused."""
    when_full: WhenFull = "block"
    block_timeout: float = 5.0
    """How long a publisher is held for a full queue before the event is dropped there."""
    max_message_size: int = 16 * MIB
    """Bytes of a request, as sent and as inflated."""
    handshake_timeout: float = 5.0
    """A client that has not introduced itself for so long is hung up on."""
    handshake_size: int = 64 << 10
    socket_mode: int = 0o600
    """Who may connect to a Unix socket, as permissions of its file."""
    max_connections: int = 10_000
    max_connections_per_peer: int = 8000
    """Connections from one address; all those over a Unix socket count as one peer's."""
    max_subscribers: int = 8000
    max_subscriptions: int = 1000
    """Subjects and patterns of one subscriber."""
    batch_events: int = 250
    """In one frame. Every frame costs both ends as much as some fifty events; but a receiver makes
    the objects of a whole frame, and those of a thousand events don't fit a processor's cache."""
    batch_bytes: int = 256 << 10
    window: int = 4
    """Frames that a subscriber may have unanswered."""
    reply_timeout: float = 30.0
    """A callback subscriber that answers nothing for so long is taken for broken."""
    connect_timeout: float = 5.0
    retry_delay: float = 0.1
    retry_max_delay: float = 5.0
    retry_for: float = 60.0
    """A callback subscriber that stays unreachable for so long is dropped."""
    ping_after: float = 10.0
    silence: float = 30.0
    """A stream that sends nothing for so long is taken for broken."""
    reconnect_grace: float = 30.0
    """The mailbox of a broken stream is kept for so long."""
    publisher_memory: float = 3600.0
    """The last sequence number of an idle publisher is kept for so long."""
    max_publishers: int = 10_000
    drain_timeout: float = 2.0
    """What stopping may take while queues empty."""

    def __post_init__(self) -> None:
        """Check what people choose; the rest is for tests and experts."""
        for names, lowest in ((_COUNTS, 1), (_SIZES, SMALLEST_MESSAGE)):
            for name in names:
                if getattr(self, name) < lowest:
                    raise ValueError(f"{name} must be at least {lowest}, not {getattr(self, name)}")
        if self.when_full not in get_args(WhenFull):
            choices = ", ".join(get_args(WhenFull))
            raise ValueError(f"when_full must be one of {choices}, not {self.when_full!r}")
        if not 0 <= self.block_timeout < float("inf"):
            raise ValueError(f"block_timeout must be seconds, not {self.block_timeout}")
        if not 0 <= self.socket_mode <= MOST_PERMISSIONS:
            raise ValueError(
                f"socket_mode must be permissions such as 0o600, not {self.socket_mode}"
            )
        if not 0 < self.handshake_timeout < float("inf"):
            raise ValueError(f"handshake_timeout must be seconds, not {self.handshake_timeout}")
