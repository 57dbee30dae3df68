"""Mutated answers and calls for helpers, from a lying event service and from strangers."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

from pyro_events import Publisher, Subscriber
from pyro_events.errors import EventServiceError
from tests.events.service_harness import Process, read_line
from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.fuzz import mutation
from tests.faults.fuzz.liar import LyingService
from tests.faults.fuzz.sending import BYTES, FEW_BYTES, pieces, send, stranger, unharmed
from tests.faults.fuzz.servers import service

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from pyro_events import Event


def answers(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that lets a publisher and a subscriber meet a lying event service."""

    def inject(_scene: None, chance: Random) -> Effect:
        with LyingService(chance) as liar, unharmed(os.getpid()):
            while liar.sent < total:
                with (
                    contextlib.suppress(EventServiceError),
                    Publisher(liar.uri, timeout=0.2) as pub,
                ):
                    pub.publish("a", 1)
                with contextlib.suppress(EventServiceError), _Brief(liar.uri) as sub:
                    sub.subscribe("a")
                    threading.Timer(0.1, sub.abort).start()
                    sub.listen()
        return Effect(fuzzed=liar.sent)

    return inject


class _Brief(Subscriber):
    """Takes anything, and gaps."""

    def event(self, event: object) -> None:
        """Take it."""

    def gap(self, notice: object) -> None:
        """Take that, too."""


def callbacks(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault: strangers send mutated frames to the daemon of a subscriber by callback."""

    def inject(_scene: None, chance: Random) -> Effect:
        with service("es") as es, contextlib.ExitStack() as stack:
            program = (
                "import sys; from tests.faults.fuzz.helpers import listen; listen(sys.argv[1])"
            )
            helper = Process("-c", program, es.ready())
            stack.callback(helper.close)
            (row,) = es.ask("subscriptions")["answer"]
            target, _, place = row["subscriber"].removeprefix("PYRO:").partition("@")
            objects = [target, "Pyro.Daemon"]
            makers, greetings = mutation.requests(objects), mutation.connects(objects)
            with unharmed(helper.pid):
                for piece in pieces(lambda chance: chance.choice(makers)(chance), chance, total):
                    greeting = chance.choice(greetings)
                    if chance.random() < 0.5:
                        greeting = mutation.mutate(greeting, chance)
                    send(stranger(int(place.rpartition(":")[2]), chance), greeting + piece)
                with Publisher(es.uri) as publisher:
                    publisher.publish("a", "after all")
                assert helper.process.stdout is not None
                if (line := read_line(helper.process.stdout)) != "after all\n":
                    raise NotSurvived(f"the subscriber got {line!r}")
        return Effect(fuzzed=total)

    return inject


def listen(uri: str) -> None:
    """Subscribe by callback, and print what comes."""

    class Printing(Subscriber):
        def event(self, event: Event) -> None:
            print(event.msg, flush=True)

    with Printing(uri, delivery="callback") as subscriber:
        subscriber.subscribe("a")
        print("ready", flush=True)
        subscriber.listen()


FAULTS = [
    Fault("fuzz: answers to helpers", answers(FEW_BYTES), "alone"),
    Fault("fuzz: calls of a helper", callbacks(BYTES), "alone"),
]
