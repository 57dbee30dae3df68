"""Clients whose refused requests cost much, and who waits for it: a fake clock, no loop."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import pytest

from pyro_events._broker.net.loop_share import FREE, LONGEST, SHARE, LoopShare

if TYPE_CHECKING:
    from collections.abc import Callable


class Later:
    """A clock, and what is to be called when it gets there."""

    def __init__(self) -> None:
        self.now = 100.0
        self._calls: list[tuple[float, int, Callable[[], None]]] = []

    def call(self, delay: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (self.now + delay, len(self._calls), callback))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            self.now, _, callback = heapq.heappop(self._calls)
            callback()
        self.now = end


class Client:
    """Connections that send large requests, and note when they are decoded."""

    def __init__(self) -> None:
        self.later = Later()
        self.share = LoopShare(lambda: self.later.now, self.later.call)
        self.decoded: list[object] = []

    def send(self, connection: object, cost: float = 0.0, name: str = "uid:1000") -> bool:
        """Send one, which costs so much in its turn; return whether it is decoded at once."""

        def go() -> None:
            self.decoded.append(connection)
            self.share.charge(name, cost)

        now = self.share.admit(name, connection, go)
        if now:
            go()
        return now


@pytest.fixture
def client() -> Client:
    return Client()


def test_what_was_accepted_or_little_delays_nothing(client: Client) -> None:
    """Ten refusals that cost no more than an ordinary mistake make no request wait."""
    assert all(client.send(number, FREE) for number in range(10))
    assert client.share.slowed == 0


def test_a_costly_refusal_delays_the_next_request(client: Client) -> None:
    """It waits until the refusal is no more than the client's share of the time; it is counted."""
    client.send("a", 0.02)
    assert not client.send("b")
    client.later.advance(0.02 / SHARE - 0.01)
    assert client.decoded == ["a"]
    client.later.advance(0.02)
    assert client.decoded == ["a", "b"]
    assert client.share.slowed == 1


def test_other_clients_do_not_wait(client: Client) -> None:
    """Only the client waits that has cost something."""
    client.send("a", 0.02)
    assert client.send("b", name="10.0.0.7")


def test_any_number_of_connections_share_the_time(client: Client) -> None:
    """A hundred attackers cost together what one may, one after the other."""
    for number in range(100):
        client.send(number, 0.01)
    client.later.advance(10.0)
    assert client.decoded == list(range(11))


def test_who_is_refused_nothing_makes_the_next_one_wait_no_longer(client: Client) -> None:
    """A turn whose request is accepted is over at once."""
    client.send("a", 0.02)
    for number in range(5):
        client.send(number)
    client.later.advance(0.02 / SHARE + 0.01)
    assert client.decoded == ["a", 0, 1, 2, 3, 4]


def test_the_wait_has_an_end(client: Client) -> None:
    """However much was spent, a request waits for a bounded time."""
    client.send("a", 60.0)
    client.send("b")
    client.later.advance(LONGEST + 0.01)
    assert client.decoded == ["a", "b"]


def test_a_debt_is_forgotten(client: Client) -> None:
    """After the time nothing waits any more."""
    client.send("a", 0.02)
    client.later.advance(0.02 / SHARE + 0.01)
    assert client.send("b")


def test_a_connection_that_ends_has_no_turn(client: Client) -> None:
    """The one behind it goes on in its place."""
    client.send("a", 0.02)
    client.send("b")
    client.send("c", 0.02)
    client.send("d")
    client.share.leave("uid:1000", "b")
    client.later.advance(0.02 / SHARE + 0.01)
    assert client.decoded == ["a", "c"]
