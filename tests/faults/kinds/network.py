"""Attacks on the event service beside a healthy pair, crowds that go at once, logs not read."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import threading
import time
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.events import neighbours
from benchmarks.events.neighbours import RATE, actor
from pyro_wire import framing
from tests.events.service_harness import Process, Running, WireClient
from tests.events.test_attacks import ATTACKS
from tests.faults.fault import Effect, Fault, NotSurvived, Skip
from tests.faults.scene import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection
    from random import Random

    from tests.faults.scene import Scene

SECONDS = 2.0
"""Of each measurement."""
TRIES = 3
TIMES_QUIET = 5.0
"""How much later events may be under attack, of a hundred all but the latest."""
UNNOTICED = 20.0
"""Milliseconds that don't count, whatever the multiple: attackers and the pair share the cores."""
BUSY = 50.0
"""Milliseconds of delay without an attack that say nothing about one."""
HANDSHAKES, CROWD = 8000, 1000
_WINDOW = 3.0
"""Seconds within which all handshakes expire, or the crowd goes."""
_BAD_CALLS = 20_000


def attack(name: str) -> Callable[[None, Random], Effect]:
    """Return a fault that attacks the event service as one of the tests does."""

    def inject(_scene: None, _chance: Random) -> Effect:
        calm = []
        for _ in range(TRIES):  # other programs may have been busy
            quiet, late = _beside(name)
            if late <= max(TIMES_QUIET * quiet, UNNOTICED):
                return Effect(note=f"p99 × {late / quiet:.1f}, {late:.1f} ms")
            if quiet <= BUSY:
                calm.append((late / quiet, late))
        if len(calm) < 2:
            raise Skip("the machine is busy, and events are late without an attack")
        ratio, late = min(calm)
        raise NotSurvived(f"p99 is {ratio:.1f} times the quiet one: {late:.1f} ms")

    return inject


def _beside(name: str) -> tuple[float, float]:
    """Return the p99 of delays without the attack and under it, in milliseconds."""
    with _pair(_usual()) as (uri, phase):
        quiet = phase(contextlib.nullcontext())
        late = phase(actor(run_attack, uri, name))
    return quiet, late


@contextlib.contextmanager
def _pair(service: AbstractContextManager[str]) -> Iterator[tuple[str, Callable[..., float]]]:
    """Run a healthy pair; the context has the URI, and a function that measures beside something.

    It returns the 99th percentile of the events' delays, in milliseconds; none may be missed.
    """
    with (
        service as uri,
        actor(neighbours.receive, uri) as (_, receiver),
        actor(neighbours.send, uri),
    ):
        spans: list[tuple[float, float]] = []

        def phase(surroundings: Any, seconds: float = SECONDS) -> float:
            with surroundings:
                began = time.monotonic()
                time.sleep(seconds)
                spans.append((began, time.monotonic()))
            receiver.send("seen")
            delays, missed = receiver.recv()
            if missed:
                raise NotSurvived(f"the healthy subscriber missed {missed} events")
            began, ended = spans[-1]
            late = [1000 * delay for due, delay in delays if began <= due < ended - 0.3]
            if len(late) < RATE * (seconds - 0.3) * 0.5:
                return 1000 * seconds  # most of them are later than that
            p99: float = quantiles(late, n=100)[98]
            return p99

        yield uri, phase


@contextlib.contextmanager
def _usual() -> Iterator[str]:
    """Run an event service with the defaults; the context has its URI."""
    with neighbours.event_service() as es:
        yield es.address


@contextlib.contextmanager
def _wide(**settings: float) -> Iterator[str]:
    """Run one with settings that no option has."""
    program = f"from tests.faults.kinds.network import serve; serve(**{settings!r})"
    process = Process("-c", program)
    try:
        yield process.first_line.strip()
    finally:
        process.close()


def serve(**settings: Any) -> None:
    """Run an event service, and print its URI."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print(Running(**settings).uri, flush=True)


def run_attack(uri: str, pipe: Connection, name: str) -> None:
    """Attack until killed, in a process of its own."""
    pipe.send("ready")
    with contextlib.suppress(OSError):
        ATTACKS[name](_port(uri), threading.Event())


def many_handshakes(uri: str, pipe: Connection) -> None:
    """Begin thousands of handshakes and end none, in a process of its own."""
    connections = [socket.create_connection(("127.0.0.1", _port(uri))) for _ in range(HANDSHAKES)]
    pipe.send("ready")
    time.sleep(1000)  # sleep: until it is killed
    del connections


def crowd(uri: str, pipe: Connection) -> None:
    """Attach a thousand subscribers, in a process of its own."""
    clients = []
    for number in range(CROWD):
        clients.append(WireClient(_port(uri)))
        clients[-1].greet()
        clients[-1].attach(f"crowd{number}", ["crowd"])
    pipe.send("ready")
    time.sleep(1000)  # sleep: the same
    del clients


def expiring_handshakes(_scene: None, _chance: Random) -> Effect:
    """Begin thousands of handshakes, which expire in the same turn."""
    most = HANDSHAKES + 1
    wide = _wide(max_handshakes=most, max_handshakes_per_peer=most, handshake_timeout=_WINDOW)
    with _pair(wide) as (uri, phase):
        quiet = phase(contextlib.nullcontext())
        with actor(many_handshakes, uri):
            late = phase(contextlib.nullcontext(), _WINDOW + 1.0)
    return _bounded(quiet, late)


def leaving_crowd(_scene: None, _chance: Random) -> Effect:
    """Kill a thousand subscribers at once."""

    @contextlib.contextmanager
    def goes(uri: str) -> Iterator[None]:
        with actor(crowd, uri) as (process, _):
            process.kill()
            yield

    with _pair(_usual()) as (uri, phase):
        quiet = phase(contextlib.nullcontext())
        late = phase(goes(uri))
    return _bounded(quiet, late)


def _bounded(quiet: float, late: float) -> Effect:
    """Return the effect of what takes one turn of the loop, which may take a second."""
    if late > 1000.0:
        raise NotSurvived(f"events were {late:.0f} ms late")
    return Effect(note=f"p99 × {late / quiet:.1f}, {late:.1f} ms")


def log_not_read(reader: str) -> Callable[[Scene, Random], Effect]:
    """Return a fault: whoever reads the logs is stopped, while a client provokes many lines."""

    def inject(scene: Scene, _chance: Random) -> Effect:
        port = _port(services(scene)["es"]["uri"])
        scene.kill(reader, signal.SIGSTOP)
        try:
            with WireClient(port) as client:
                ident = scene.security.ident
                client.identify(ident) if ident else client.greet()
                mark = scene.clients.source.sent
                for _ in range(_BAD_CALLS):
                    client.start("publish", 7, flags=framing.ONEWAY)
                client.call("statistics")
                end = time.monotonic() + 10
                while behind := scene.clients.behind(mark):
                    if time.monotonic() > end:
                        raise NotSurvived(f"no events while the log is not read: {behind}")
                    time.sleep(0.02)
        finally:
            scene.kill(reader, signal.SIGCONT)
        return Effect()

    return inject


def _port(uri: str) -> int:
    return int(uri.split(maxsplit=1)[0].rpartition(":")[2])


FAULTS = [
    Fault("log not read: fdstore stopped", log_not_read("fdstore"), most=20, quick=True),
    Fault("log not read: manager stopped", log_not_read("manager"), "stop", most=20),
    Fault(f"{HANDSHAKES} handshakes expire at once", expiring_handshakes, "alone", most=3),
    Fault(f"{CROWD} subscribers go at once", leaving_crowd, "alone", most=3),
    *(Fault(f"attack: {name}", attack(name), "alone", most=1) for name in ATTACKS),
]
