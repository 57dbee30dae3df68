"""The command line of the name server, as one frozen value."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyro_child.options import PORT, TlsOptions, add_options, from_arguments, option
from pyro_child.version_option import add_version

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST_AUTOCLEAN = 3.0
"""Seconds; Pyro5 has the same minimum."""


def _storage(text: str) -> str:
    kind, colon, file = text.partition(":")
    if text == "memory" or (kind + colon == "sql:" and file not in ("", ":memory:")):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is neither memory nor sql:FILE")


def _autoclean(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if seconds == 0 or SHORTEST_AUTOCLEAN <= seconds < math.inf:
        return seconds
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither 0 nor a number of seconds from {SHORTEST_AUTOCLEAN:g}"
    )


@dataclass(frozen=True, slots=True)
class Options(TlsOptions):
    """The options of a name server."""

    host: str = option("localhost", "address to serve on", "-n", "--host")
    port: int = option(9090, "port; 0 takes any free one", "-p", "--port", unit=PORT)
    storage: str = option(
        "memory",
        "where names are stored; memory loses them at the end",
        type=_storage,
        metavar="memory|sql:FILE",
    )
    broadcast: bool = option(
        False,
        "answer broadcasts that look for a name server (default: no)",
        action=argparse.BooleanOptionalAction,
    )
    bc_host: str | None = option(None, "address for broadcasts (default: all)", metavar="HOST")
    bc_port: int | None = option(None, "port for broadcasts (default: 9091)", unit=PORT)
    autoclean: float = option(
        0.0,
        "how often to look for names of unreachable objects, which are removed after 20 s "
        "(default: 0, never; at least 3)",
        type=_autoclean,
        metavar="SECONDS",
    )
    nathost: str | None = option(None, "the host that clients outside connect to", metavar="HOST")
    natport: int | None = option(
        None, "the port that clients outside connect to (default: the same)", unit=PORT
    )
    reserved: tuple[str, ...] = option(
        (),
        "a name that only services of the manager may change; may be repeated",
        metavar="NAME",
    )


def parse(argv: Sequence[str] | None = None) -> Options:
    """Parse the command line; exits 2 with a line on stderr if it is invalid."""
    parser = _parser()
    options = from_arguments(Options, parser.parse_args(argv))
    if options.natport is not None and options.nathost is None:
        parser.error("--natport needs --nathost")
    if not options.broadcast and (options.bc_host or options.bc_port is not None):
        parser.error("--bc-host and --bc-port need --broadcast")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyro_names",
        description="Run Pyro5's name server; its URI is printed once it answers.",
        epilog="Exit status: 0 stopped by TERM or INT; 1 can't serve, for example because the "
        "port is in use; 2 invalid arguments; 125 permanent failure, for example because the "
        "storage can't be used.",
        allow_abbrev=False,
    )
    add_options(parser, Options)
    add_version(parser)
    return parser
