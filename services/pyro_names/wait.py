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
from pyro_wire.environment import import_pyro5

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST_PAUSE = 0.5
"""Seconds between probes."""
PROBE_TIMEOUT = 2.0
"""Seconds for the name server and for the object to answer."""
LAST_PROBE_TIMEOUT = 0.5
"""The same for a probe just before the end: less would fail on a busy machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when the name is ready, 1 when it isn't in time, 130 on Ctrl-C."""
    options = _parser().parse_args(argv)
    import_pyro5()
    from pyro_wire.address import AddressError, name_server_uri  # noqa: PLC0415 - imports Pyro5

    try:
        ns = name_server_uri(options.ns)
    except AddressError as error:
        return _fail(str(error))
    try:
        report = _print if options.report else lambda _: None
        why = wait(options.name, ns, options.timeout, report)
    except KeyboardInterrupt:
        return 130
    if why is None:
        return 0
    return _fail(f"{options.name} is not ready: {why}")


def wait(
    name: str, ns: Any, timeout: float, report: Callable[[str], None] = lambda _: None
) -> str | None:
    """Wait up to `timeout` seconds; return None when ready, or what is still missing.

    `report` is called with what is missing whenever that has changed, and with the URI at the end.
    """
    parent = os.getppid()
    deadline = time.monotonic() + timeout
    backoff = Backoff(random.random, LONGEST_PAUSE)
    reported = ""
    while True:
        left = max(LAST_PROBE_TIMEOUT, deadline - time.monotonic())
        uri, why = probe(name, ns, min(PROBE_TIMEOUT, left))
        pause = backoff.next()
        if (found := why or uri) != reported:
            report(found)
            reported = found
        if not why:
            return None
        if time.monotonic() + pause > deadline:
            return f"after {timeout:g} s {why}"
        if os.getppid() != parent:
            return f"{why}; the program that waited has ended"
        time.sleep(pause)


def probe(name: str, ns: Any, timeout: float) -> tuple[str, str]:
    """Look once; return the object's URI if it answers and what is missing, both "" if unknown.

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
        return "", str(error)
    if uri is None:
        return "", f"no name {name!r} at {ns.location}"
    try:
        Client(URI(uri), timeout).close()  # the daemon there confirms that it has the object
    except (PyroError, OSError) as error:
        return uri, f"{name!r} at {ns.location} is {uri}, which doesn't answer: {error}"
    return uri, ""


def _print(found: str) -> None:
    print(" ".join(found.split()), flush=True)  # noqa: T201 - one line for the program that waits


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
    parser.add_argument(
        "--report",
        action="store_true",
        help="print what is missing whenever that changes, and the object's URI in the end",
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
