"""The command line of the name server, as one frozen value."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyro_child.version import installed_version

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_PORT = 65535

SHORTEST_AUTOCLEAN = 3.0
"""Seconds; Pyro5 has the same minimum."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a name server; see `--help`."""

    host: str
    port: int
    storage: str
    broadcast: bool
    bc_host: str | None
    bc_port: int | None
    autoclean: float
    nathost: str | None
    natport: int | None


def parse(argv: Sequence[str] | None = None) -> Options:
    """Parse the command line; exit 2 with a line on stderr if it is wrong."""
    parser = _parser()
    options = Options(**vars(parser.parse_args(argv)))
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
        "port is taken; 2 wrong arguments; 125 trying again is pointless, for example because "
        "the storage can't be used.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-n", "--host", default="localhost", help="address to serve on (default: localhost)")
    add("-p", "--port", type=_port, default=9090, help="port (default: 9090; 0: any free one)")
    add(
        "--storage",
        type=_storage,
        default="memory",
        metavar="memory|sql:FILE",
        help="where names are kept (default: memory, which forgets them at the end)",
    )
    add(
        "--broadcast",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="answer broadcasts that look for a name server (default: don't)",
    )
    add("--bc-host", metavar="HOST", help="address to receive broadcasts on (default: all)")
    add("--bc-port", type=_port, metavar="PORT", help="port for broadcasts (default: 9091)")
    add(
        "--autoclean",
        type=_autoclean,
        default=0.0,
        metavar="SECONDS",
        help="how often to look for names whose objects are gone; they are removed after 20 s "
        "(default: 0, never; at least 3)",
    )
    add("--nathost", metavar="HOST", help="address at which clients behind NAT reach this one")
    add("--natport", type=_port, metavar="PORT", help="port there (default: the same)")
    add(
        "--version",
        action=_Version,
        nargs=0,
        dest=argparse.SUPPRESS,
        default=argparse.SUPPRESS,
        help="print the version and exit",
    )
    return parser


class _Version(argparse.Action):
    """Looks up the version only when it is requested."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"pyro_names {installed_version()}")  # noqa: T201 - the requested output
        parser.exit()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


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
