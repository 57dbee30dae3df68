"""Helpers in a forked child: they say no at once, and the parent's work on undisturbed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.events.service_harness import Running, Start

pytestmark = pytest.mark.usefixtures("tidy")

START = """
import asyncio, os, signal, sys, threading, time
import Pyro5.api
from pyro_events import AsyncSubscriber, Publisher, ReconnectingProxy, Subscriber
from pyro_events.errors import Forked
from pyro_events.reconnecting import LifeCycle

ES = sys.argv[1]

class Count(Subscriber):
    def __init__(self, **options):
        super().__init__(ES, **options)
        self.got = []
    def event(self, event):
        self.got.append(event.msg)

def child(*calls, leave=sys.exit):
    '''Fork; the child makes the calls, each of which must raise Forked, and ends in order.'''
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        print("child", os.waitstatus_to_exitcode(status), flush=True)
        return
    signal.alarm(8)
    for call in calls:
        try:
            print("returned", call())
        except Forked as error:
            assert "after the fork" in str(error), error
    sys.stdout.flush()
    leave(0)

def until(condition):
    end = time.monotonic() + 8
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
"""


def run(process: Start, es: Running, program: str) -> list[str]:
    """Run a program that prints lines, in development mode; nothing may come on stderr."""
    made = process("-X", "dev", "-c", START + program, es.uri, first_line=False)
    status, out, err = made.end(20)
    assert (status, err) == (0, ""), err
    return out.splitlines()


def test_publisher(engine: Any, process: Start) -> None:
    """All calls of the child raise Forked within no time; the parent loses and doubles nothing."""
    out = run(process, engine(), """
count = Count()
count.subscribe("a")
threading.Thread(target=count.listen, daemon=True).start()
with Publisher(ES, timeout=3) as pub:
    pub.publish("a", 1)
    pub.post("a", 2)
    bound = pub.publish
    child(lambda: pub.publish("a", "child"), lambda: bound("a", "child"),
          lambda: pub.post("a", "child"), pub.flush, pub.statistics)
    pub.publish("a", 3)
    print(pub.statistics()["reconnects"])
until(lambda: len(count.got) == 3)
print(count.got, count.statistics()["reconnects"])
count.close()
""")  # fmt: skip
    assert out == ["child 0", "0", "[1, 2, 3] 0"]


@pytest.mark.parametrize("delivery", ["stream", "callback"])
def test_subscriber(engine: Any, process: Start, delivery: str) -> None:
    """A subscriber that listens goes on listening in the parent, and only there."""
    out = run(process, engine(), f"""
count, pub = Count(delivery={delivery!r}), Publisher(ES)
count.subscribe("a")
thread = threading.Thread(target=count.listen)
thread.start()
pub.publish("a", 1)
until(lambda: count.got == [1])
child(count.listen, lambda: count.subscribe("b"), lambda: count.subscribeMatch("b"),
      lambda: count.unsubscribe("a"), count.statistics)
pub.publish("a", 2)
until(lambda: count.got == [1, 2])
print(count.statistics()["reconnects"], count.statistics()["gaps"])
count.close()
pub.close()
thread.join()
""")  # fmt: skip
    assert out == ["child 0", "0 0"]


@pytest.mark.parametrize("threaded", [False, True])
def test_a_fork_in_a_handler(engine: Any, process: Start, threaded: bool) -> None:
    """A handler may fork; if its child returns from it, that doesn't handle the next events."""
    out = run(process, engine(), f"""
class Forking(Count):
    def event(self, event):
        super().event(event)
        if event.msg == 1 and not os.fork():
            signal.alarm(8)
        elif event.msg == 1:
            os.wait()
        elif os.getpid() != parent:
            print("the child handles", event.msg, flush=True)

parent = os.getpid()
count, pub = Forking(), Publisher(ES)
count.setThreading({threaded})
count.subscribe("a")
for number in range(1, 4):
    pub.post("a", number)
pub.flush()
if {threaded}:
    threading.Thread(target=lambda: (until(lambda: len(count.got) == 3), count.abort())).start()
    count.listen()
else:
    try:
        threading.Thread(target=lambda: (until(lambda: len(count.got) == 3), count.abort())).start()
        count.listen()
    except Forked:
        os._exit(0 if os.getpid() != parent else 1)
print(sorted(count.got))
count.close()
pub.close()
""")  # fmt: skip
    assert out == ["[1, 2, 3]"]


def test_async_subscriber(engine: Any, process: Start) -> None:
    """Forked while a coroutine waits for events: the child's own loop gets nothing from it."""
    out = run(process, engine(), """
async def main():
    asyncio.get_running_loop().slow_callback_duration = 60
    async with AsyncSubscriber(ES) as sub:
        await sub.subscribe("a")
        def forks():
            child(lambda: asyncio.run(sub.subscribe("b")), lambda: asyncio.run(anext(sub)),
                  leave=os._exit)  # the thread is a pool's
        await asyncio.to_thread(forks)
        pub.publish("a", 1)
        print((await anext(sub)).msg)

with Publisher(ES) as pub:
    asyncio.run(main())
""")  # fmt: skip
    assert out[-1] == "1"
    assert "child 0" in out


def test_reconnecting_proxy_and_life_cycle(engine: Any, process: Start) -> None:
    """A proxy's connections and the life cycle's stay the parent's."""
    out = run(process, engine(), """
with LifeCycle(ES) as life, ReconnectingProxy(ES, events=life) as proxy:
    proxy.publish("a", 1)
    until(proxy.method("subscriptions"))
    before = proxy.method("statistics")()["connections"]
    child(lambda: proxy.publish("a", 2), lambda: proxy.nothing, proxy.method("publish"),
          lambda: ReconnectingProxy(ES, events=life), life.listen)
    proxy.publish("a", 3)
    print(proxy.method("statistics")()["connections"] - before, proxy.statistics()["connections"])
""")  # fmt: skip
    assert out == ["child 0", "0 1"]


def test_multiprocessing(engine: Any, process: Start) -> None:
    """Workers of both kinds of pools make publishers of their own; what they post arrives."""
    out = run(process, engine(), """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def inherited():
    signal.alarm(8)
    try:
        pub.publish("a", "child")
    except Forked:
        return "Forked"

def own(number):
    signal.alarm(8)
    global mine
    mine = Publisher(ES, timeout=3)
    mine.post("a", number)

fork = multiprocessing.get_context("fork")
count, pub = Count(), Publisher(ES, timeout=3)
count.subscribe("a")
threading.Thread(target=count.listen, daemon=True).start()
pub.publish("a", 1)
with ProcessPoolExecutor(1, fork) as pool:
    print(pool.submit(inherited).result(8))
    pool.submit(own, 2).result(8)
worker = fork.Process(target=own, args=(3,))
worker.start()
worker.join(8)
print(worker.exitcode)
pub.publish("a", 4)
until(lambda: len(count.got) == 4)
print(count.got)
pub.close()
count.close()
""")  # fmt: skip
    assert out == ["Forked", "0", "[1, 2, 3, 4]"]


def test_the_child_holds_no_connection(engine: Any, process: Start) -> None:
    """A child that lives on doesn't keep the connections of its parent open."""
    out = run(process, engine(), """
def sockets():
    fds = os.listdir("/proc/self/fd")
    return [fd for fd in fds if "socket:" in os.path.realpath(f"/proc/self/fd/{fd}")]

pub, count, back, proxy = Publisher(ES), Count(), Count(delivery="callback"), ReconnectingProxy(ES)
with pub, count, back, proxy:
    count.subscribe("a")
    back.subscribe("a")
    proxy.publish("a", 1)
    pub.publish("a", 1)
    print(len(sockets()) > 8, flush=True)
    child(lambda: print(sockets()))
""")  # fmt: skip
    assert out == ["True", "[]", "returned None", "child 0"]


def test_an_event_service(engine: Any, process: Start, name_server: str) -> None:
    """A child that leaves `with EventService()` neither ends the service nor takes its name."""
    out = run(process, engine(), f"""
from pyro_events import EventService
with EventService(ns={name_server!r}) as es:
    pid = os.fork()
    if not pid:
        signal.alarm(8)
        sys.exit(0)
    print(os.waitpid(pid, 0)[1])
    with Publisher("PYRONAME:Pyro.EventService@" + {name_server!r}) as pub:
        pub.publish("a", 1)
""")  # fmt: skip
    assert out == ["0"]


@pytest.mark.parametrize("unix", [False, True])
def test_an_event_service_belongs_to_its_process(
    engine: Any, process: Start, tmp_path: Path, unix: bool
) -> None:
    """A child that lives on holds nothing of it: after the parent's stop nobody listens there."""
    out = run(process, engine(), f"""
import socket
from pyro_events import EventService

def links():
    return [os.path.realpath(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd")]

def open_here():
    return [sum(kind in link for link in links()) for kind in ("socket:", "eventpoll")]

@Pyro5.api.expose
class Gui:
    def event(self, event):
        pass

unix, path = {unix}, {str(tmp_path / "es.sock")!r}
gui = Pyro5.api.Daemon(unixsocket=path + ".gui" if unix else None)
threading.Thread(target=gui.requestLoop, daemon=True).start()
until(lambda: "eventpoll" in str(links()))
before = open_here()
es = EventService("./u:" + path if unix else "localhost", register=False)
es.start()
ES = es.uri
here, pub = Count(), Publisher(ES)
here.subscribe("a")
with Pyro5.api.Proxy(ES) as remote:
    remote.subscribe("a", gui.register(Gui()))
until(lambda: all(each["state"] == "connected" for each in es.subscriptions()))
go, ready = os.pipe()
pid = os.fork()
if not pid:
    signal.alarm(20)
    os.close(ready)
    before[0] += 1  # Pyro5's end of the connection to the object
    print(open_here() == before or (open_here(), before), flush=True)
    os.read(go, 1)
    os._exit(0)
pub.publish("a", 1)
threading.Thread(target=here.listen, daemon=True).start()
until(lambda: here.got == [1])
for each in here, pub:
    each.close()
es.stop()
with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as client:
    place = path if unix else ("127.0.0.1", int(ES.rpartition(":")[2]))
    try:
        client.connect(place)
        print("served")
    except OSError as error:
        print(type(error).__name__)
os.close(ready)
print(os.waitpid(pid, 0)[1])
gui.shutdown()
""")  # fmt: skip
    refused = "FileNotFoundError" if unix else "ConnectionRefusedError"
    assert out == ["True", refused, "0"]
