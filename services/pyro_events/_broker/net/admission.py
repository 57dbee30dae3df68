"""Which connections may stay: many of accepted clients, and few that may be of strangers.

So a client that never identifies itself takes no place of one that does. Such places are few, and
the connection that waits longest leaves first, much as with MaxStartups in sshd.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from pyro_events._protocol.decode_limits import LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.settings import Settings

_PROMPT: Final = 0.5
"""Seconds that a handshake may take however many others the same peer has begun: all clients of a
machine come back at once after a restart."""
_FIRST_DELAY: Final = 0.1
_LAST_DELAY: Final = 5.0
_FORGIVEN: Final = 60.0
"""Seconds after which a peer's wrong identifications are forgotten."""
_REMEMBERED: Final = 1000
"""Peers, of which the one that was refused least recently is forgotten first."""


class Client(Protocol):
    """A connection, from its first moment."""

    @property
    def origin(self) -> str:
        """Its principal before its handshake: its address, or its user on this machine."""

    def dismiss(self, reason: LimitReached) -> None:
        """Close the connection at once."""


class Admission:
    """Counts the connections of the event service. For the loop's thread."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._accepted: set[Client] = set()
        self._counts: Counter[str] = Counter()
        """How many of them each origin has."""
        self._pending: dict[str, dict[Client, float]] = {}
        """When the connections of each origin have arrived that are not accepted yet, in order."""
        self._securing: dict[str, dict[Client, float]] = {}
        """The same, once they have begun TLS: they wait for us as much as we for them."""

    def arrive(self, client: Client) -> None:
        """Count a connection that is not accepted yet; another one may have to leave for it."""
        now = self._clock()
        same = self._pending.setdefault(client.origin, {})
        same[client] = now
        oldest, since = next(iter(same.items()))
        most = self._settings.max_handshakes
        if len(same) > self._settings.max_handshakes_per_peer and now - since > _PROMPT:
            self._dismiss(oldest)
        else:
            self._limit(self._pending, most)

    def secure(self, client: Client) -> None:
        """Count a connection that begins TLS; another one may have to leave for it."""
        self._forget(client)
        self._securing.setdefault(client.origin, {})[client] = self._clock()
        self._limit(self._securing, self._settings.max_tls_handshakes)

    def wait_anew(self, client: Client) -> None:
        """Count a connection as just arrived: its client has spoken, and has more to say."""
        same = self._pending.get(client.origin, {})
        if same.pop(client, None) is not None:
            same[client] = self._clock()

    def accept(self, client: Client) -> None:
        """Admit a client that has identified itself. Raises LimitReached if there is no place."""
        origin, settings = client.origin, self._settings
        if len(self._accepted) >= settings.max_connections:
            raise LimitReached(
                "max_connections",
                f"the event service has its {settings.max_connections} connections "
                "(max_connections)",
            )
        limit = settings.max_connections_per_peer
        if self._counts[origin] >= limit:
            raise LimitReached(
                "max_connections_per_peer",
                f"{origin} has its {limit} connections to the event service "
                "(max_connections_per_peer)",
            )
        self._forget(client)
        self.enter(client)

    def enter(self, client: Client) -> None:
        """Count a client that another process has accepted."""
        self._accepted.add(client)
        self._counts[client.origin] += 1

    def leave(self, client: Client) -> None:
        """Count a connection as gone."""
        self._forget(client)
        if client in self._accepted:
            self._accepted.remove(client)
            self._counts[client.origin] -= 1
            if not self._counts[client.origin]:
                del self._counts[client.origin]

    def _limit(self, group: dict[str, dict[Client, float]], most: int) -> None:
        """Dismiss the oldest connection of the origin with the most, if there are too many."""
        if sum(map(len, group.values())) > most:
            largest = max(group, key=lambda origin: len(group[origin]))
            self._dismiss(next(iter(group[largest])))

    def _dismiss(self, client: Client) -> None:
        self._forget(client)
        client.dismiss(
            LimitReached("max_handshakes", "too many connections without a handshake; the oldest")
        )

    def _forget(self, client: Client) -> None:
        for group in (self._pending, self._securing):
            same = group.get(client.origin, {})
            if same.pop(client, None) is not None and not same:
                del group[client.origin]


class GuessDelays:
    """How long a peer waits for the answer to a wrong identification: longer each time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._refused: dict[str, tuple[float, float]] = {}
        """When the peer was refused most recently, and its delay; in order."""

    def next(self, origin: str) -> float:
        """Return the seconds that this refusal is to be delayed."""
        now = self._clock()
        since, delay = self._refused.pop(origin, (now, 0.0))
        if now - since > _FORGIVEN:
            delay = 0.0
        delay = min(2 * delay, _LAST_DELAY) or _FIRST_DELAY
        self._refused[origin] = now, delay
        if len(self._refused) > _REMEMBERED:
            del self._refused[next(iter(self._refused))]
        return delay
