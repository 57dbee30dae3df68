"""What was posted when a program ends: it arrives, or the program says how much is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Subscriber
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyro_events import Event
    from tests.events.service_harness import Running, Start

pytestmark = pytest.mark.usefixtures("tidy")
NOBODY = "PYRO:Pyro.EventService@127.0.0.1:1"
POST = """
import atexit, os, sys, threading, time
def late(): pass
atexit.register(lambda: late())
from pyro_events import Publisher
publisher = Publisher(sys.argv[1], timeout=2)
def post(first, last):
    for number in range(first, last):
        publisher.post("a", number)
post(0, 100)
"""


@pytest.fixture
def arrive(engine: Any) -> Iterator[Callable[[int], str]]:
    """Waits until that many events have arrived in order; `arrive(0)` gives the service's URI."""
    es: Running = engine()
    got: list[Any] = []

    class Recording(Subscriber):
        def event(self, event: Event) -> None:
            got.append(event.msg)
            if len(got) == self.wanted:
                self.abort()

        wanted = 0

    with Recording(es.uri) as recording:
        recording.subscribe("a")

        def wait(count: int) -> str:
            recording.wanted = count
            if count:
                recording.listen()
            assert got == list(range(count))
            return es.uri

        yield wait


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ("", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("raise KeyboardInterrupt", -2, "KeyboardInterrupt"),
        ("threading.Thread(target=lambda: (time.sleep(0.1), post(100, 120))).start()", 0, ""),
        ("atexit.register(post, 100, 120)", 0, ""),
        ("late = lambda: post(100, 120)", 0, ""),
        ("""
def late():
    global another
    another = Publisher(sys.argv[1])
    for number in range(100, 120):
        another.post('a', number)
""", 0, ""),
    ],
)  # fmt: skip
def test_it_arrives(
    process: Start, arrive: Callable[[int], str], end: str, status: int, said: str
) -> None:
    """However the program ends in order; what exit handlers post, too, whenever registered."""
    made = process("-c", POST + end, arrive(0), first_line=False)
    arrive(120 if "100" in end else 100)
    ended, out, err = made.end()
    assert (ended, out) == (status, "")
    assert said in err
    assert said or not err


def test_what_is_lost_is_counted(process: Start) -> None:
    """A service that is away holds the end for the timeout, once, and the number is logged."""
    began = time.monotonic()
    end = "another = Publisher(sys.argv[1], timeout=2)\nanother.post('a', 1)\n"
    made = process("-c", POST + end, NOBODY, first_line=False)
    status, out, err = made.end()
    assert time.monotonic() - began < 8
    assert (status, out) == (0, "")
    assert "100 events were lost when the program ended" in err
    assert "1 event was lost when the program ended" in err
    assert "can't be reached" in err
    assert "Traceback" not in err


def test_what_exit_handlers_lose(process: Start) -> None:
    """Posting when the time is over raises at once, which Python reports."""
    began = time.monotonic()
    end = "late = lambda: [post(100, 200) for _ in range(100)]"
    made = process("-c", POST + end, NOBODY, first_line=False)
    status, _, err = made.end()
    assert time.monotonic() - began < 8
    assert status == 0
    assert "100 events were lost" in err
    assert "Unreachable" in err


def test_a_closed_one_says_nothing_more(process: Start, arrive: Callable[[int], str]) -> None:
    """A program that closes its publisher ends without another word."""
    made = process("-X", "dev", "-c", POST + "publisher.close()", arrive(0), first_line=False)
    arrive(100)
    assert made.end() == (0, "", "")


def test_unclosed_is_still_a_warning(process: Start, arrive: Callable[[int], str]) -> None:
    """Those who look for unclosed helpers find them, at the end as well."""
    made = process("-X", "dev", "-c", POST, arrive(0), first_line=False)
    arrive(100)
    status, _, err = made.end()
    assert status == 0
    assert "ResourceWarning: unclosed publisher" in err
    assert "not sent" not in err


@pytest.mark.parametrize("helper", ["Publisher", "Subscriber", "ReconnectingProxy"])
def test_locks_of_frozen_threads(process: Start, engine: Any, helper: str) -> None:
    """The interpreter ends although a daemon thread will never release a helper's lock."""
    made = process("-c", f"""
import atexit, sys, threading, time
from threading import Thread
held = threading.Event()
def hold():
    name = {{"Publisher": "_sender", "Subscriber": "_subscription", "ReconnectingProxy": "_pool"}}
    with getattr(helper, name[{helper!r}])._lock:
        held.set()
        while True:
            time.sleep(0.01)
def late():
    Thread(target=hold, daemon=True).start()
    held.wait()
atexit.register(late)
from pyro_events import {helper}
helper = type("Own", ({helper},), {{"event": print}})(sys.argv[1])
(helper.subscribe("a") if {helper!r} == "Subscriber" else helper.publish("a", 1))
""", engine().uri, first_line=False)  # fmt: skip
    assert made.end() == (0, "", "")


def test_daemon_threads_that_publish(process: Start, engine: Any) -> None:
    """Threads that publish and post until the very end don't hold it, and print nothing."""
    es = engine()
    made = process("-c", POST + """
def forever(send):
    while True:
        send("b", 1)
for send in [publisher.publish, publisher.post] * 2:
    threading.Thread(target=forever, args=(send,), daemon=True).start()
time.sleep(0.2)
""", es.uri, first_line=False)  # fmt: skip
    assert made.end() == (0, "", "")
    eventually(lambda: es.statistics()["published"] > 100)
