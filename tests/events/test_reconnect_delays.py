"""How long a helper waits before it connects again: a fake clock, no network."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_events._client import names
from pyro_events._client.connection import ConnectionLost
from pyro_events._client.introduction import Welcome
from pyro_events._client.reconnecting_connection import ReconnectingConnection
from pyro_events._client.waker import Stopped
from pyro_events.errors import EventServiceError, Unreachable
from pyro_wire.backoff import FIRST, LAST, SETTLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.connection import Connection
    from pyro_events._client.waker import Waker

Attempt = tuple[str, float] | None
"""The process that answers, and the seconds of its service; None: nobody does."""


class Owner:
    """Takes whatever a link tells."""

    def connected(self, connection: Connection, welcome: Welcome) -> None:
        pass

    received = woken = disconnected = closing = refused = cast("Any", lambda *_: None)


class ShortConnection:
    """Breaks after some seconds of the link's clock."""

    read_requested = False

    def __init__(self, link: Link, seconds: float) -> None:
        self._link = link
        self._seconds = seconds

    def acquire(self) -> bool:
        return True

    def listen(self, _: float | None) -> None:
        self._link.now += self._seconds
        raise ConnectionLost("it broke")

    def release(self) -> None:
        pass

    close = release


class Link(ReconnectingConnection):
    """Connects as a list says, and records for how long it pauses."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        service = names.service("PYRO:Pyro.EventService@localhost:1", None, broadcast=False)
        super().__init__(
            service, "publisher", None, Owner(), clock=lambda: self.now, chance=lambda: 1.0
        )
        self.now = 0.0
        self.pauses: list[float] = []
        self._attempts = list(attempts)
        self._thread = threading.current_thread()

    def _connect(self, waker: Waker) -> tuple[Connection, Welcome]:
        if not self._attempts:
            raise Stopped
        attempt = self._attempts.pop(0)
        if attempt is None:
            raise Unreachable("nobody listens")
        process, seconds = attempt
        return cast("Connection", ShortConnection(self, seconds)), Welcome("", process, "")

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def close(self) -> None:
        pass


def pauses(*attempts: Attempt) -> list[float]:
    link = Link(attempts)
    link._run(cast("Waker", link))
    return link.pauses


def test_each_of_many_restarts_is_followed_by_a_short_delay() -> None:
    """A process that was served briefly, or not at all, between two restarts changes nothing."""
    found = pauses(*[each for n in range(40) for each in ((str(n), 0.01), None)])
    assert set(found) == {FIRST, FIRST * 2}


def test_a_process_that_drops_its_clients_again_and_again_is_left_alone() -> None:
    """A connection to the same process, however often it succeeds, lets the delay grow."""
    found = pauses(*[("same", 0.01)] * 12)
    assert found[0] == FIRST
    assert found[-1] == LAST
    assert found == sorted(found)


def test_one_that_cannot_be_reached_is_left_alone() -> None:
    """Nothing that lies behind begins the delays again."""
    assert pauses(("a", 0.01), *[None] * 9)[-1] == LAST


@given(
    st.lists(
        st.none() | st.tuples(st.sampled_from("ab"), st.sampled_from([0.1, 0.9, 1.1])), max_size=30
    )
)
@settings(deadline=None)
def test_a_short_delay_needs_another_process_or_a_second_of_service(
    attempts: list[Attempt],
) -> None:
    """Everything else doubles it."""
    expected, delay, last = [], FIRST, None
    for attempt in attempts:
        if attempt is not None:
            if attempt[0] != last or attempt[1] >= SETTLED:
                delay = FIRST
            last = attempt[0]
        expected.append(delay)
        delay = min(delay * 2, LAST)
    assert pauses(*attempts) == expected


def test_an_owner_that_refuses_a_connection_was_not_served() -> None:
    """A process whose subscriptions can't be made again is not a new one each time."""

    class Refusing(Owner):
        def connected(self, connection: Connection, welcome: Welcome) -> None:
            raise EventServiceError("no")

    link = Link([(str(n), 1.0) for n in range(12)])
    link._owner = Refusing()
    link._run(cast("Waker", link))
    assert link.pauses[-1] == LAST
