"""`python -m pyro_names.wait NAME` waits until a name is registered and its object answers.

A Pyro name server doesn't tell when a name comes, so this asks again and again, first every 20 ms
and later every half second. It ends with its parent: nobody else would learn the answer.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
CALL_PATIENCE = 2.0
"""Seconds for one call."""
LAST_CALL_PATIENCE = 0.5
"""Seconds for one that begins just before the end: less would blame a machine that is busy."""


def main(argv: Sequence[str] | None = None) -> int:
    """Give 0 when the name is ready, 1 when it isn't in time, 130 on Ctrl-C."""
    options = _parser().parse_args(argv)
    try:
        from Pyro5.core import URI  # noqa: PLC0415 - reads the environment, and is slow
        from Pyro5.errors import PyroError  # noqa: PLC0415
    except (ValueError, AttributeError) as error:  # a PYRO_ variable that Pyro5 refuses
        return _say(f"{error}; correct or unset that PYRO_ variable")
    try:
        ns = URI(ns_uri(options.ns))
    except PyroError as error:
        return _say(f"{options.ns!r} is no address of a name server ({error})")
    try:
        why = wait(options.name, ns, options.timeout)
    except KeyboardInterrupt:
        return 130
    if why is None:
        return 0
    return _say(f"{options.name} is not ready: {why}")


def ns_uri(text: str) -> str:
    """Give the URI for `HOST`, `HOST:PORT` or a URI; the name server's own port is 9090."""
    if text.upper().startswith("PYRO:"):
        return text
    bare_host = text.endswith("]") if text.startswith("[") else ":" not in text
    return f"PYRO:Pyro.NameServer@{text}" + (":9090" if bare_host else "")


def wait(name: str, ns: Any, timeout: float) -> str | None:
    """Wait up to `timeout` seconds; give None when ready, or what is still missing."""
    parent = os.getppid()
    deadline = time.monotonic() + timeout
    pauses = _pauses()
    while True:
        left = max(LAST_CALL_PATIENCE, deadline - time.monotonic())
        why = probe(name, ns, min(CALL_PATIENCE, left))
        pause = next(pauses)
        if why is None:
            return None
        if time.monotonic() + pause > deadline:
            return f"after {timeout:g} s {why}"
        if os.getppid() != parent:
            return f"{why}; the program that wanted to know has ended"
        time.sleep(pause)


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(1.5 * pause, LONGEST_PAUSE)


def probe(name: str, ns: Any, patience: float) -> str | None:
    """Look once; give None if the object answers, or what is missing. `patience` in seconds."""
    from Pyro5.client import Proxy  # noqa: PLC0415 - see main()
    from Pyro5.errors import NamingError, PyroError  # noqa: PLC0415

    try:
        with Proxy(ns) as names:
            names._pyroTimeout = patience  # noqa: SLF001 - Pyro5's interface
            uri = names.lookup(name)
    except NamingError:
        return f"the name server at {ns} doesn't have the name"
    except (PyroError, OSError, AttributeError) as error:  # the latter: something else is there
        return f"no name server answers at {ns}: {error}"
    try:
        with Proxy(uri) as proxy:
            proxy._pyroTimeout = patience  # noqa: SLF001 - Pyro5's interface
            proxy._pyroBind()  # noqa: SLF001 - the daemon there confirms that it has the object
    except (PyroError, OSError) as error:
        return f"it is registered as {uri}, which doesn't answer: {error}"
    return None


def _say(sentence: str) -> int:
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
        help="give up then, and exit 1 (default: never; 0: look once)",
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if seconds >= 0:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


if __name__ == "__main__":
    sys.exit(main())
