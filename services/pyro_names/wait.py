"""`python -m pyro_names.wait NAME` waits until a name is registered and its object answers.

A Pyro name server doesn't announce new names, so this polls it, first after 20 ms, and later at
least every half second. It ends when its parent does, which alone would learn the answer.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from pyro_wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_PAUSE = 0.5
"""Seconds between probes."""
PROBE_TIMEOUT = 2.0
"""Seconds for the name server and for the object to answer."""
LAST_PROBE_TIMEOUT = 0.5
"""The same for a probe just before the end: less would fail on a busy machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when the name is ready, 1 when it isn't in time, 130 on Ctrl-C."""
    options = _parser().parse_args(argv)
    try:
        from pyro_wire.address import AddressError, name_server_uri  # noqa: PLC0415 - imports Pyro5
    except (ValueError, AttributeError) as error:  # a PYRO_ variable that Pyro5 refuses
        return _fail(f"{error}; correct or unset that PYRO_ variable")
    try:
        ns = name_server_uri(options.ns)
    except AddressError as error:
        return _fail(str(error))
    try:
        why = wait(options.name, ns, options.timeout)
    except KeyboardInterrupt:
        return 130
    if why is None:
        return 0
    return _fail(f"{options.name} is not ready: {why}")


def wait(name: str, ns: Any, timeout: float) -> str | None:
    """Wait up to `timeout` seconds; return None when ready, or what is still missing."""
    parent = os.getppid()
    deadline = time.monotonic() + timeout
    backoff = Backoff(random.random, LONGEST_PAUSE)
    while True:
        left = max(LAST_PROBE_TIMEOUT, deadline - time.monotonic())
        why = probe(name, ns, min(PROBE_TIMEOUT, left))
        pause = backoff.next()
        if why is None:
            return None
        if time.monotonic() + pause > deadline:
            return f"after {timeout:g} s {why}"
        if os.getppid() != parent:
            return f"{why}; the program that waited has ended"
        time.sleep(pause)


def probe(name: str, ns: Any, timeout: float) -> str | None:
    """Look once; return None if the object answers, or what is missing.

    The name server and the object have `timeout` seconds each.
    """
    from Pyro5.core import URI  # noqa: PLC0415 - see main()
    from Pyro5.errors import PyroError  # noqa: PLC0415

    from pyro_wire.client import Client  # noqa: PLC0415
    from pyro_wire.name_server import NameServerUnreachable, open_name_server  # noqa: PLC0415

    try:
        with open_name_server(ns, timeout) as names:
            uri = names.lookup(name)
    except NameServerUnreachable as error:
        return str(error)
    if uri is None:
        return f"the name server at {ns} doesn't have the name"
    try:
        Client(URI(uri), timeout).close()  # the daemon there confirms that it has the object
    except (PyroError, OSError) as error:
        return f"it is registered as {uri}, which doesn't answer: {error}"
    return None


def _fail(sentence: str) -> int:
    print(f"pyro_names.wait: {sentence}", file=sys.stderr)  # noqa: T201 - a program's error
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyro_names.wait",
        description="Wait until a name is registered in a Pyro name server and answers.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--ns",
        default="localhost",
        metavar="HOST[:PORT]|URI",
        help="the name server (default: localhost:9090)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=math.inf,
        metavar="SECONDS",
        help="give up after this time and exit 1 (default: never; 0: look once)",
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if seconds >= 0:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")


if __name__ == "__main__":
    sys.exit(main())
