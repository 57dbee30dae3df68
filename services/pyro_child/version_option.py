"""The option `--version` of a service's command line."""

from __future__ import annotations

import argparse

from pyro_child.version import installed_version


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--version",
        action=_PrintVersion,
        nargs=0,
        dest=argparse.SUPPRESS,
        default=argparse.SUPPRESS,
        help="print the version and exit",
    )


class _PrintVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(parser.prog, installed_version())  # noqa: T201 - the requested output
        parser.exit()
