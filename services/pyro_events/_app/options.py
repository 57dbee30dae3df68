"""The command line of `es`: its grammar, and the options that it makes."""

from __future__ import annotations

import argparse
from dataclasses import replace

from pyro_child.options import add_options, from_arguments
from pyro_child.version_option import add_version
from pyro_events._broker.settings import ServiceOptions
from pyro_events.ident import read_ident


def options_of(arguments: argparse.Namespace) -> ServiceOptions:
    """Return the options of a command line.

    Raises OSError or ValueError when the identification can't be read from its file.
    """
    options = from_arguments(ServiceOptions, arguments)
    if arguments.ident_file is None:
        return options
    return replace(options, ident=read_ident(arguments.ident_file))


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    found = argparse.ArgumentParser(
        prog="es",
        description="Run the Pyro5 event service: publishers send it events, and it delivers them "
        "to all subscribers of their subjects.",
        epilog="Stops on TERM and INT. Exit status: 0 stopped, 1 failed, 2 wrong usage, "
        "125 permanent failure, restarting will not help.",
        allow_abbrev=False,
    )
    groups = {title: found.add_argument_group(title) for title in ("queues", "limits", "tls")}
    add_options(found, ServiceOptions, groups)
    ident = found.add_mutually_exclusive_group()
    ident.add_argument(
        "--ident-file",
        metavar="FILE",
        help="has the secrets of which clients must have one; only its owner may read it",
    )
    ident.add_argument(
        "-i",
        "--ident",
        metavar="TEXT",
        help="the same on the command line, which hides it soon; scripts should use a file",
    )
    volume = found.add_mutually_exclusive_group()
    volume.add_argument("-v", "--verbose", action="store_true", help="log every connection")
    volume.add_argument("-q", "--quiet", action="store_true", help="log only warnings and errors")
    add_version(found)
    return found
