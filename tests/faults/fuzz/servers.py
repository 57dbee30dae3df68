"""Mutated frames for all services that speak Pyro's protocol."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from Pyro5.client import Proxy

from pyro_events._protocol.event import EVENTSERVICE_NAME
from tests.faults.fault import Effect, Fault
from tests.faults.fuzz import mutation
from tests.faults.fuzz.sending import BYTES, pieces, send, unharmed
from tests.real.managed import Managed

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

HOSTED = Path(__file__).parents[1]
"""Where the hosted object's module is."""
OBJECTS = {"es": EVENTSERVICE_NAME, "names": "Pyro.NameServer", "hosted": "counter"}
_PROGRAMS = {
    "es": ["pyro_events", "-N", "-q", "-p", "0"],
    "names": ["pyro_names", "--port", "0", "--host", "localhost"],
    "hosted": ["pyro_host", "programs:Counter", "--path", str(HOSTED)],
}


def service(name: str, *options: str) -> contextlib.closing[Managed]:
    """Start a service of ours, with more options."""
    command = [sys.executable, "-P", "-m", *_PROGRAMS[name], *options]
    return contextlib.closing(Managed(command, "/"))


def port(started: Managed) -> int:
    """Wait until it is ready, and return its port."""
    return int(started.ready().rpartition(":")[2])


def frames(name: str, total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that sends mutated frames to a service of ours."""

    def inject(_scene: None, chance: Random) -> Effect:
        objects = [OBJECTS[name], "Pyro.Daemon"]
        makers, greetings = mutation.requests(objects), mutation.connects(objects)
        with service(name) as started:
            address = ("localhost", port(started))
            with unharmed(started.process.pid):
                for piece in pieces(lambda chance: chance.choice(makers)(chance), chance, total):
                    greeting = chance.choice(greetings)
                    if chance.random() < 0.1:
                        greeting = mutation.mutate(greeting, chance)
                    send(socket.create_connection(address, 5.0), greeting + piece)
                with Proxy(f"PYRO:Pyro.Daemon@{started.uri.rpartition('@')[2]}") as proxy:
                    proxy._pyroTimeout = 5
                    proxy.ping()
            return Effect(fuzzed=total)

    return inject


FAULTS = [
    Fault(f"fuzz: frames for {what}", frames(name, BYTES), "alone")
    for name, what in (("es", "es"), ("names", "ns"), ("hosted", "an object"))
]
