"""A name server that is slow, dead or lying, for the event service and for its clients."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from pyro_events import EVENTSERVICE_NAME, Publisher
from pyro_events.errors import EventServiceError
from tests.events.service_harness import Process, WireClient
from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.fuzz.liar import LyingNameServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_PROGRAM = ("-m", "pyro_events", "-q", "-p", "0")
QUICK, PROMPT = 1.0, 8.0
"""Seconds that a publisher has, and within which it has to say that it failed."""


def lying(mode: str) -> Callable[[None, Random], Effect]:
    """Return a fault: a name server becomes like that, and good again."""

    def inject(_scene: None, _chance: Random) -> Effect:
        with LyingNameServer("true") as names, contextlib.ExitStack() as stack:
            es = _started(names.port)
            stack.callback(es.close)
            uri = names.truth = es.first_line.split()[0]
            by_name = f"PYRONAME:{EVENTSERVICE_NAME}@127.0.0.1:{names.port}"
            pair = stack.enter_context(WireClient(int(uri.rpartition(":")[2])))
            pair.greet()
            pair.attach("pair", ["a"])
            names.mode = mode
            _fails_promptly(by_name)
            _starts_or_says_why(names.port)
            pair.call("publish", "a", 1)
            pair.events(1)
            names.mode = "true"
            with Publisher(by_name, timeout=20) as publisher:
                publisher.publish("a", 2)
            pair.events(1)
            es.process.terminate()
            status, _, errors = es.end(20)
        if status or "Traceback" in errors:
            raise NotSurvived(f"it ended with {status}: {errors}")
        return Effect()

    return inject


def _started(port: int) -> Process:
    return Process(*_PROGRAM, PYRO_NS_HOST="127.0.0.1", PYRO_NS_PORT=str(port))


def _starts_or_says_why(port: int) -> None:
    """Start another event service beside the same name server."""
    es = _started(port)
    try:
        if not es.first_line:
            status, _, errors = es.end(20)
            if not status or "Traceback" in errors or not errors.startswith("es: "):
                raise NotSurvived(f"it ended with {status}: {errors}")
    finally:
        es.close()


def _fails_promptly(es: str) -> None:
    began = time.monotonic()
    try:
        with Publisher(es, timeout=QUICK) as publisher:
            publisher.publish("a", 0)
    except EventServiceError:
        if (seconds := time.monotonic() - began) > PROMPT:
            raise NotSurvived(f"a publisher noticed only after {seconds:.1f} s") from None
    else:
        raise NotSurvived("a publisher published nowhere")


FAULTS = [
    Fault(f"name server: {mode}", lying(mode), "alone", quick=mode == "garbage", most=3)
    for mode in LyingNameServer.MODES
]
