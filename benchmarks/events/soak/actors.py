"""What runs in the processes: healthy sources and sinks, idle ones, and those who come and go.

Every actor's first argument is a pipe to the director. It sends READY, obeys what comes, and ends
when the pipe is closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import random
import signal
import time
from collections import defaultdict
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

from benchmarks.events.soak.clients import Sender, receiver
from benchmarks.events.soak.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from benchmarks.events.soak.clients import Door
    from pyro_events import Event

READY, LEAVE, REPORT, ERROR = "ready", "leave", "report", "error"
HEALTHY, NOISE = "pair", "noise"
"""What subjects begin with."""
TOPICS = 20
_PR_SET_PDEATHSIG = 1
_MOST_COMPLAINTS = 5
_DRAIN = 20.0
"""Seconds within which a sink must have the last event."""


def act(pipe: Connection, actor: Callable[..., Any], *args: Any) -> None:
    """Run as an actor, and report whatever goes wrong."""
    _die_with_director()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the director
    logger = logging.getLogger("pyro_events")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    try:
        with contextlib.suppress(EOFError):  # the director has gone, and so do we
            actor(pipe, *args)
    except BaseException as error:
        with contextlib.suppress(OSError):
            pipe.send((ERROR, f"{actor.__name__}{args[1:]}: {type(error).__name__}: {error}"))
        raise


class Complaints(logging.Handler):
    """Keeps the first few things that a helper logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        logging.getLogger("pyro_events").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.texts) < _MOST_COMPLAINTS:
            self.texts.append(record.getMessage())

    def with_count(self, number: int) -> list[str]:
        """Return them, and how many troubles the helpers themselves have counted."""
        return [*self.texts, *([f"{number} gaps, breaks or retries"] if number else [])]


def _die_with_director() -> None:
    """Make the kernel kill this process, even while stopped, when the fork server ends.

    That ends with the director, unless its children keep open its lifeline, which they inherit.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    lifeline: int = vars(forkserver)["_forkserver"]._forkserver_alive_fd  # noqa: SLF001 - no other way
    os.close(lifeline)


def source(
    pipe: Connection, door: Door, kinds: Sequence[str], names: Sequence[str], rate: float
) -> None:
    """Publish numbered events at a steady rate, by turns from every sender, until told to leave."""
    complaints = Complaints()
    senders = [Sender(kind, door, "msgpack") for kind in kinds]
    pipe.send((READY, None))
    pipe.recv()
    began, number = time.monotonic(), 0
    turns = len(senders)
    while not pipe.poll(max(0.0, began + number / rate - time.monotonic())):
        turn = number % turns
        senders[turn].send(f"{HEALTHY}.{names[turn]}", [names[turn], number // turns])
        number += 1
    trouble = sum(sender.trouble for sender in senders)
    for sender in senders:
        sender.close()
    sent = {name: (number - turn + turns - 1) // turns for turn, name in enumerate(names)}
    pipe.send((REPORT, (sent, complaints.with_count(trouble))))


def sink(
    pipe: Connection, door: Door, kind: str, subjects: Sequence[str], patterns: Sequence[str]
) -> None:
    """Take every event of every source; when told what was sent, wait for it and report."""
    complaints = Complaints()
    tallies: defaultdict[str, Tally] = defaultdict(Tally)

    def take(event: Event) -> None:
        name, number = event.msg
        tallies[name].take(number)

    made = receiver(kind, door, take, name=f"sink-{kind}")
    made.subscribe(subjects, patterns)
    pipe.send((READY, None))
    sent: dict[str, int] = pipe.recv()
    end = time.monotonic() + _DRAIN
    while any(tallies[name].received < count for name, count in sent.items()):
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    results = {name: tallies[name].result(count) for name, count in sent.items()}
    pipe.send((REPORT, (results, complaints.with_count(made.trouble))))
    made.close()


def idler(pipe: Connection, door: Door, number: int) -> None:
    """Run as some subscribers that never get anything."""
    made = [receiver("stream", door, lambda _event: None, name=f"idle-{n}") for n in range(number)]
    for n, each in enumerate(made):
        each.subscribe([f"idle.{n}"], [])
    pipe.send((READY, None))
    pipe.poll(None)


def visitor(pipe: Connection, door: Door, kind: str, seed: int, options: dict[str, Any]) -> None:
    """Subscribe to noise and to the healthy events, unsubscribe from some, and leave when told."""
    chance = random.Random(seed)
    got = 0

    def take(_event: Event) -> None:
        nonlocal got
        got += 1

    made = receiver(kind, door, take, name=f"visitor-{kind}", **options)
    made.subscribe([f"{NOISE}.{chance.randrange(TOPICS)}"], [rf"{NOISE}\.1.*"])
    made.subscribe([], [rf"{HEALTHY}\..*"])
    pipe.send((READY, None))
    while not pipe.poll(chance.uniform(0.2, 1.5)):
        pattern = rf"{NOISE}\.{chance.randrange(TOPICS)}\.x{chance.randrange(1000)}"
        made.subscribe([], [pattern])
        if not pipe.poll(chance.uniform(0.1, 0.5)):
            made.unsubscribe([pattern])
    made.close()
    pipe.send((REPORT, got))


def talker(pipe: Connection, door: Door, kind: str, seed: int, rate: float) -> None:
    """Publish noise of all sizes, until told to leave."""
    chance = random.Random(seed)
    sender = Sender(kind, door, chance.choice(["serpent", "json", "msgpack"]))
    pipe.send((READY, None))
    while not pipe.poll(chance.expovariate(rate)):
        size = 50_000 if chance.random() < 0.02 else chance.randrange(10, 2000)
        sender.send(f"{NOISE}.{chance.randrange(TOPICS)}", "x" * size)
    sender.close()
    pipe.send((REPORT, None))
