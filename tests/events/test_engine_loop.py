"""The loop, its timers and its deadlines, with a clock of the test's own."""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pyro_events._broker.net.dialer import Dial, Resolver, numeric
from pyro_events._broker.net.loop import READ, Deadline, Loop
from tests.events.service_harness import nothing_left_behind
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[Loop]:
    with nothing_left_behind():
        made = Loop(clock)
        yield made
        made.close()


def test_timers_run_in_order_of_time(loop: Loop, clock: Clock) -> None:
    """Timers run when they are due, the earlier first, equal ones in order of creation."""
    ran: list[str] = []
    for delay, name in ((2, "c"), (1, "a"), (1, "b"), (3, "d")):
        loop.call_later(delay, partial(ran.append, name))
    loop.run_once()
    assert ran == []
    clock.now += 2
    loop.run_once()
    assert ran == ["a", "b", "c"]


def test_a_cancelled_timer_does_not_run(loop: Loop, clock: Clock) -> None:
    """A timer may be cancelled, also by an earlier timer of the same round."""
    ran: list[str] = []
    second = loop.call_later(1.5, lambda: ran.append("second"))
    loop.call_later(1, second.cancel)
    clock.now += 2
    loop.run_once()
    assert ran == []


def test_a_failing_callback_does_not_disturb_others(
    loop: Loop, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception is logged, and the other callbacks run."""

    def fail() -> None:
        raise LookupError("of the callback")

    ran: list[str] = []
    loop.call_later(1, fail)
    loop.call_later(1, lambda: ran.append("timer"))
    loop.call_soon(fail)
    loop.call_soon(lambda: ran.append("soon"))
    clock.now += 1
    loop.run_once()
    assert ran == ["timer", "soon"]
    assert caplog.text.count("LookupError: of the callback") == 2


def test_after_round_comes_last(loop: Loop) -> None:
    """The callback of each round runs after everything else in it."""
    ran: list[str] = []
    loop.after_round.append(lambda: ran.append("after"))
    loop.call_soon(lambda: ran.append("soon"))
    loop.run_once()
    assert ran == ["soon", "after"]


def test_sockets_are_watched_until_they_are_unwatched(loop: Loop) -> None:
    """A watch calls with what is ready, may be replaced, and ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        seen: list[object] = []
        loop.watch(ours, READ, seen.append)
        loop.run_once()
        theirs.send(b"x")
        loop.run_once()
        loop.watch(ours, READ, lambda mask: seen.append("replaced"))
        loop.run_once()
        loop.unwatch(ours)
        loop.run_once()
        assert seen == [READ, "replaced"]


def test_other_threads_wake_the_loop(loop: Loop) -> None:
    """Work of other threads is done at once and in order, and `stop` ends `run`."""
    ran: list[int] = []
    thread = threading.Thread(target=loop.run)
    thread.start()
    for number in range(1000):
        loop.call_soon(partial(ran.append, number))
    eventually(lambda: len(ran) == 1000)
    loop.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert ran == list(range(1000))


def test_a_deadline_that_is_moved_expires_later(loop: Loop, clock: Clock) -> None:
    """Setting a deadline again moves it; clearing it keeps it from expiring."""
    expired: list[float] = []
    deadline = Deadline(loop, lambda: expired.append(clock.now))
    deadline.set(10)
    for _ in range(5):
        clock.now += 5
        deadline.set(10)
        loop.run_once()
    assert expired == []
    clock.now += 10
    loop.run_once()
    assert expired == [135.0]
    deadline.set(1)
    deadline.clear()
    clock.now += 5
    loop.run_once()
    deadline.set(1)
    deadline.cancel()
    clock.now += 5
    loop.run_once()
    assert expired == [135.0]


def test_addresses_need_no_resolver() -> None:
    """Addresses and localhost are known at once, in their usual form; names are not."""
    assert numeric("localhost") == "127.0.0.1"
    assert numeric("10.1.2.3") == "10.1.2.3"
    assert numeric("0:0::1") == "::1"
    assert numeric("::ffff:10.1.2.3") == "10.1.2.3"
    assert numeric("lab.example") is None


def run_until(loop: Loop, found: list[object]) -> None:
    def step() -> bool:
        loop.run_once(0.01)
        return bool(found)

    eventually(step)


@pytest.mark.parametrize("host", ["no such host", "x" * 300, "host.invalid", ""])
def test_unknown_hosts_fail_without_blocking(loop: Loop, host: str) -> None:
    """A name is looked up on a thread, and the error comes back from there."""
    resolver = Resolver(loop)
    found: list[object] = []
    resolver.resolve(host, found.append)
    run_until(loop, found)
    assert isinstance(found[0], OSError)
    resolver.close(10)


def test_a_refused_connection_is_reported_once(loop: Loop) -> None:
    """A port without a listener is an OSError; cancelled dials report nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        found: list[object] = []
        cancelled: list[object] = []
        Dial(loop, 60, found.append).to("127.0.0.1", port)
        dial = Dial(loop, 60, cancelled.append)
        dial.to("127.0.0.1", port)
        dial.cancel()
        run_until(loop, found)
        loop.run_once()
    assert isinstance(found[0], ConnectionRefusedError)
    assert len(found) == 1
    assert cancelled == []


def test_a_unix_socket_with_a_full_backlog_is_not_connected_to(loop: Loop, tmp_path: Path) -> None:
    """EAGAIN counts as a failure to connect, not as a connection."""
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(path)
        full.listen(0)
        first.connect(path)
        found: list[object] = []
        Dial(loop, 60, found.append).to(path, None)
        run_until(loop, found)
    assert isinstance(found[0], BlockingIOError)


def test_a_dial_times_out(loop: Loop, clock: Clock) -> None:
    """The attempt to connect to a silent peer is given up."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        found: list[object] = []
        others = []
        for _ in range(3):
            other = socket.socket()
            other.setblocking(False)
            other.connect_ex(full.getsockname())
            others.append(other)
        Dial(loop, 5, found.append).to(*full.getsockname())
        loop.run_once()
        assert found == []
        clock.now += 5
        loop.run_once()
        loop.run_once()
        assert isinstance(found[0], TimeoutError)
        for other in others:
            other.close()
