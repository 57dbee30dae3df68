"""Publishers and subscribers that a signal handler interrupts, at every place where it can."""

from __future__ import annotations

import _thread
import os
import random
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher, Subscriber
from tests.events.client_fixtures import Recording
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from pyro_events import Event
    from pyro_events.types import GapNotice
    from tests.events.service_harness import Running

pytestmark = [
    pytest.mark.usefixtures("tidy"),
    # A socket that had no owner yet when the interruption came.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    # Python's own callback of a weak reference was interrupted, nothing else.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.skipif(
        threading.current_thread() is not threading.main_thread(),
        reason="only the main thread handles signals",
    ),
]
OURS = f"{os.sep}pyro_events{os.sep}"
SETTLED = 3.0
"""Seconds that anything may take after an interruption; a time-out would take 10."""


class Interrupted(BaseException):
    """What the signal handler raises."""


class Interrupter:
    """Raises a signal before the n-th instruction that this thread executes in our modules.

    The handler runs when Python looks for signals next, as it does for a signal from outside.
    """

    def __init__(self) -> None:
        self.left = 0
        self.hit = False
        self.places: list[str] = []
        """The names of the functions that were interrupted."""

    def handle(self, _number: int, frame: FrameType | None) -> None:
        assert frame is not None
        self.places.append(frame.f_code.co_name)
        raise Interrupted

    def run(self, n: int, work: Callable[[], object]) -> bool:
        """Do the work, and interrupt it; False when it has fewer instructions."""
        self.left, self.hit = n, False
        try:
            sys.settrace(self._enter)
            try:
                work()
            finally:
                sys.settrace(None)
        except Interrupted:
            return True
        return self.hit

    def _enter(self, frame: FrameType, _what: str, _value: object) -> Any:
        if OURS not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, _frame: FrameType, _what: str, _value: object) -> Any:
        self.left -= 1
        if self.left:
            return self._step
        self.hit = True
        sys.settrace(None)  # a trace function would look for signals where the program doesn't
        for _ in map(_thread.interrupt_main, (signal.SIGUSR1,)):
            break  # no check for signals follows here
        return None


@pytest.fixture
def interrupter() -> Iterator[Interrupter]:
    made = Interrupter()
    before = signal.signal(signal.SIGUSR1, made.handle)
    yield made
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def es(engine: Callable[..., Running]) -> Running:
    return engine()


def check_sequence(got: list[int], interrupted: set[int], count: int) -> None:
    """All numbers in order and once each, but for those whose call was interrupted."""
    assert got == sorted(set(got))
    assert set(range(count)) - set(got) <= interrupted


PRIME = 7
"""Only every PRIME-th instruction is interrupted, with a different first one each time."""


@pytest.mark.parametrize("how", ["publish", "post and flush", "many posts"])
def test_interrupted_publishers_continue(es: Running, interrupter: Interrupter, how: str) -> None:
    """After any interruption the next calls succeed at once; nothing is duplicated or reordered."""
    interrupted: set[int] = set()
    number = 0
    with Recording(es.uri) as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        sub.start()
        pub.publish("a", number)

        def call() -> None:
            nonlocal number
            for _ in range(5 if how == "many posts" else 1):
                number += 1
                (pub.publish if how == "publish" else pub.post)("a", number)
            pub.flush()

        n, missed = random.randrange(1, PRIME), 0
        while missed < 3:
            began, first = time.monotonic(), number + 1
            hit = interrupter.run(n, call)
            interrupted.update(range(first, number + 1) if hit else ())
            missed = 0 if hit else missed + 1
            number += 1
            pub.post("a", number)
            pub.flush(SETTLED)
            number += 1
            pub.publish("a", number)
            assert time.monotonic() - began < SETTLED, f"stuck after instruction {n}"
            assert pub.statistics()["pending"] == 0
            n += PRIME
        eventually(lambda: sub.events and sub.events[-1].msg == number)
        check_sequence(sub.messages(), interrupted, number + 1)
        assert sub.gaps() == []
        assert n > 300


@pytest.mark.parametrize("posted", [1, 20])
def test_interrupted_publishers_close(es: Running, interrupter: Interrupter, posted: int) -> None:
    """Wherever a post or the close is interrupted, closing again releases everything at once."""
    n, hit = random.randrange(1, 4 * PRIME), True
    while hit:
        began = time.monotonic()
        pub = Publisher(es.uri)
        pub.publish("a", 0)

        def call(pub: Publisher = pub) -> None:
            for number in range(posted):
                pub.post("a", number)
            pub.close()

        hit = interrupter.run(n, call)
        pub.close()
        assert time.monotonic() - began < SETTLED, f"stuck after instruction {n}"
        n += 4 * PRIME
    assert n > 300


class Numbers(Subscriber):
    """Ends listen when it has the last event that was published."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.seen: list[int] = []
        self.gaps: list[GapNotice] = []
        self.last = 0

    def event(self, event: Event) -> None:
        self.seen.append(event.msg)
        if event.msg >= self.last:
            self.abort()

    def gap(self, notice: GapNotice) -> None:
        self.gaps.append(notice)


def test_interrupted_subscribers_continue(es: Running, interrupter: Interrupter) -> None:
    """Listening again continues with the next event: none is missing, none comes twice."""
    with Publisher(es.uri) as pub, Numbers(es.uri) as sub:
        sub.subscribe("a")

        def publish(count: int) -> None:
            for _ in range(count):
                sub.last += 1
                pub.post("a", sub.last)
            pub.flush()

        n, missed = random.randrange(1, PRIME), 0
        while missed < 3:
            began = time.monotonic()
            publish(3)
            missed = 0 if interrupter.run(n, sub.listen) else missed + 1
            publish(1)
            while sub.seen[-1:] != [sub.last]:
                sub.listen()
            assert time.monotonic() - began < SETTLED, f"stuck after instruction {n}"
            n += PRIME
        assert n > 300
        assert sub.gaps == []
        assert sub.seen == sorted(set(sub.seen))
        # What was interrupted in `event` itself counts as handled.
        assert len(sub.seen) == sub.last - interrupter.places.count("event")
        assert sub.statistics()["received"] == sub.last


def test_interrupted_subscriptions_are_made_again(es: Running, interrupter: Interrupter) -> None:
    """Subscribing again and unsubscribing take effect at once."""
    with Publisher(es.uri) as pub, Numbers(es.uri) as sub:
        sub.subscribe("other")
        n, missed = random.randrange(1, 14 * PRIME), 0
        while missed < 3:
            began = time.monotonic()

            def call() -> None:
                sub.subscribe("a")
                sub.unsubscribe("a")

            missed = 0 if interrupter.run(n, call) else missed + 1
            sub.subscribe("a")
            sub.last += 1
            pub.publish("a", sub.last)
            while sub.seen[-1:] != [sub.last]:
                sub.listen()
            sub.unsubscribe("a")
            (about,) = es.subscriptions()
            assert about["subjects"] == ["other"]
            assert time.monotonic() - began < SETTLED, f"stuck after instruction {n}"
            n += 14 * PRIME
        assert sub.seen == list(range(1, sub.last + 1))
        assert n > 300
