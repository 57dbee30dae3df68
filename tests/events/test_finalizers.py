"""Helpers in finalizers: called while the interpreter ends, or dropped with something pending."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher
from pyro_events.errors import Unreachable
from tests.events.client_fixtures import FakeES
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Running, Start

pytestmark = pytest.mark.usefixtures("tidy")
NOBODY = "PYRO:Pyro.EventService@127.0.0.1:1"
AT_THE_END = """
import asyncio, atexit, contextlib, sys
holder = {}
exec('''
import contextlib, threading
go, held = threading.Event(), threading.Event()
def hold(locks):
    with contextlib.ExitStack() as stack:
        go.wait()
        for lock in locks:
            stack.enter_context(lock)
        held.set()
        threading.Event().wait()
def late():
    go.set()
    held.wait()
''', holder)  # in globals of its own: the interpreter keeps those of a thread that has stopped
atexit.register(holder["late"])
from pyro_events import *
from pyro_events.reconnecting import LifeCycle
uri = sys.argv[1]
class Silent(Subscriber):
    def event(self, event): pass
class Late:
    def __init__(self): self.calls = calls
    def __del__(self, print=print):
        for name, call in self.calls.items():
            try:
                call()
                print(name, "returned")
            except Exception as error:
                print(name, type(error).__name__, str(error)[:25])
"""
END = """
holder["threading"].Thread(target=holder["hold"], args=(locks,), daemon=True).start()
late = Late()
"""
TOO_LATE = " Unreachable the interpreter is ending\n"
SUBSCRIBER = """
helper = Silent(uri, delivery={delivery!r})
helper.subscribe("a")
locks = [helper._subscription._lock, helper._subscription.link._lock, helper._count_lock]
calls = {{"subscribe": lambda: helper.subscribe("b"), "match": lambda: helper.subscribeMatch("b"),
    "unsubscribe": lambda: helper.unsubscribe("a"), "listen": helper.listen,
    "abort": helper.abort, "statistics": helper.statistics, "close": helper.close}}
"""


@pytest.mark.parametrize(
    ("program", "refused", "done"),
    [
        ("""
helper = Publisher(uri, timeout=3)
helper.publish("a", 1)
sender = helper._sender
locks = [sender._lock, sender.link._lock, sender._connection._lock]
calls = {"publish": lambda: helper.publish("a", 1), "post": lambda: helper.post("a", 1),
    "flush": helper.flush, "statistics": helper.statistics, "close": helper.close}
""", "publish post", "flush statistics close"),
        (SUBSCRIBER.format(delivery="stream"),
         "subscribe match unsubscribe listen", "abort statistics close"),
        (SUBSCRIBER.format(delivery="callback"),
         "subscribe match unsubscribe listen", "abort statistics close"),
        ("""
helper = AsyncSubscriber(uri)
asyncio.run(helper.subscribe("a"))
locks = [helper._subscription._lock]
calls = {"subscribe": lambda: asyncio.run(helper.subscribe("b")),
    "close": lambda: asyncio.run(helper.close())}
""", "subscribe", "close"),
        ("""
helper = ReconnectingProxy(uri, events=uri)
other = ReconnectingProxy(uri, patience=1)
helper.method("statistics")()
locks = [helper._changed, helper._pool._lock, helper._own_events._watching]
calls = {"call": helper.method("statistics"), "first": other.method("statistics"),
    "statistics": helper.statistics, "close": helper.close}
""", "", "call first statistics close"),
    ],
    ids=["Publisher", "stream", "callback", "AsyncSubscriber", "ReconnectingProxy"],
)  # fmt: skip
def test_calls_when_all_threads_have_stopped(
    process: Start, engine: Any, program: str, refused: str, done: str
) -> None:
    """Whatever locks those threads hold: a call returns at once, or says that it is too late."""
    made = process("-c", AT_THE_END + program + END, engine().uri, first_line=False)
    status, out, err = made.end()
    assert status == 0
    assert sorted(out.splitlines(keepends=True)) == sorted(
        [call + TOO_LATE for call in refused.split()] + [f"{c} returned\n" for c in done.split()]
    )
    assert "Traceback" not in err


def test_an_event_service_that_ends_with_its_program(process: Start) -> None:
    """Its thread has stopped as well: it answers no finalizer, and keeps none waiting."""
    program = """
helper = EventService(port=0, register=False)
helper.start()
locks = [helper._lock]
calls = {"publish": lambda: helper.publish("a", 1), "statistics": helper.statistics,
    "start": EventService(port=0, register=False).start, "stop": helper.stop}
"""
    status, out, _ = process("-c", AT_THE_END + program + END, NOBODY, first_line=False).end()
    assert status == 0
    said = " NotRunning the interpreter is ending\n"
    assert out == f"publish{said}statistics{said}start{said}stop returned\n"


DROP = """
import asyncio, atexit, gc, multiprocessing, sys, threading
def late(): pass
atexit.register(lambda: late())
from pyro_events import Publisher
def post():
    publisher = Publisher(sys.argv[1], timeout=1)
    for number in range(500):
        publisher.post("a", number)
    return publisher
"""
DROPS = {
    "by a function": "post()",
    "by asyncio": """
async def main():
    post()
asyncio.run(main())
""",
    "by a thread": """
local = threading.local()
def run():
    local.publisher = post()
threading.Thread(target=run).start()
""",
    "by a worker": """
def work():
    post()
worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join()
""",
    "in a cycle": """
class Cycle: pass
cycle = Cycle()
cycle.cycle, cycle.publisher = cycle, post()
del cycle
gc.collect()
""",
    "by an exit handler": "late = post",
}


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
def test_a_dropped_publisher_sends(process: Start, engine: Any, drop: str) -> None:
    """What was posted is sent, wherever the publisher was dropped without `close`."""
    es: Running = engine()
    made = process("-c", DROP + drop, es.uri, first_line=False)
    assert made.end() == (0, "", "")
    assert es.statistics()["published"] == 500


@pytest.mark.parametrize("drop", [text for text in DROPS.values() if "late" not in text])
def test_what_a_dropped_publisher_loses(process: Start, drop: str) -> None:
    """It has its time-out, which holds the end of the program, and the number is logged."""
    began = time.monotonic()
    status, out, err = process("-c", DROP + drop, NOBODY, first_line=False).end()
    assert time.monotonic() - began < 8
    assert (status, out) == (0, "")
    assert err.count("500 events were lost ") == 1
    assert "since the publisher was dropped without close(): " in err
    assert "Traceback" not in err


def test_withdrawn_events_are_counted() -> None:
    """Each call is counted, and so is what has become of its event."""
    with FakeES() as es, Publisher(es.uri, timeout=0.3) as publisher:
        publisher.publish("a", 1)
        es.on_batch = lambda _batch: "ignore"
        with pytest.raises(Unreachable):
            publisher.publish("a", 2)
        publisher.post("a", 3)
        counts = publisher.statistics()
        assert (counts["published"], counts["posted"]) == (2, 1)
        assert (counts["acked"], counts["withdrawn"], counts["pending"]) == (1, 1, 1)
        es.on_batch = lambda _batch: "ack"
        publisher._sender._connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        publisher.flush()
        counts = publisher.statistics()
        assert (counts["acked"], counts["withdrawn"], counts["pending"]) == (2, 1, 0)


def test_a_dropped_publisher_goes(process: Start, engine: Any) -> None:
    """In a program that goes on, its connection is closed when everything was sent."""
    es: Running = engine()
    end = "post()\nprint('posted', flush=True)\nthreading.Event().wait()"
    process("-c", DROP + end, es.uri)
    eventually(lambda: es.statistics()["published"] == 500)
    eventually(lambda: es.statistics()["connections"] == 0)
