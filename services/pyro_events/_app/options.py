"""The command line of `es`: its grammar, and the settings that it makes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pyro_child.version import installed_version
from pyro_events._broker.settings import MIB, SMALLEST_MESSAGE, Settings
from pyro_events._protocol.when_full import WhenFull

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULTS = Settings()
_MAX_PORT = 65535


def settings_of(options: argparse.Namespace) -> Settings:
    """Give the settings that the options mean.

    Raises OSError or ValueError when the identification can't be read from its file.
    """
    queue_bytes = options.queue_bytes
    if queue_bytes is None:
        queue_bytes = max(_DEFAULTS.queue_bytes, options.max_message_size)
    return Settings(
        ident=_read_ident(options),
        trusted=options.trusted,
        queue_size=options.queue_size,
        queue_bytes=queue_bytes,
        when_full=options.when_full,
        block_timeout=options.block_timeout,
        max_message_size=options.max_message_size,
        max_connections=options.max_connections,
        max_connections_per_peer=options.max_connections_per_peer,
        max_subscribers=options.max_subscribers,
        max_subscriptions=options.max_subscriptions,
        handshake_timeout=options.handshake_timeout,
        socket_mode=options.socket_mode,
    )


def _read_ident(options: argparse.Namespace) -> str | None:
    if options.ident_file is None:
        return options.ident or None
    ident = Path(options.ident_file).read_text(encoding="utf-8").strip()
    if not ident:
        raise ValueError(f"{options.ident_file} is empty")
    return ident


def parser() -> argparse.ArgumentParser:
    """Give the command line's grammar."""
    text = argparse.ArgumentParser(
        prog="es",
        description="Run the Pyro5 event service: publishers send it events, and it sends them on "
        "to everybody who subscribed to their subjects.",
        epilog="Stops on TERM and INT. Exit status: 0 stopped, 1 failed, 2 wrong usage, "
        "125 starting again is pointless.",
        allow_abbrev=False,
    )
    add = text.add_argument
    add(
        "-n",
        "--host",
        default="localhost",
        help="where to listen; ./u:PATH is a Unix socket (default: %(default)s)",
    )
    add("-p", "--port", type=_port, default=0, help="0 takes any free port (default: %(default)s)")
    add(
        "--socket-mode",
        type=_mode,
        metavar="MODE",
        default=_DEFAULTS.socket_mode,
        help=f"permissions of the Unix socket, octal (default: {_DEFAULTS.socket_mode:04o})",
    )
    add("-N", "--no-ns", action="store_true", help="do without a name server")
    add("--ns", metavar="HOST:PORT", help="where the name server is (default: Pyro5's NS_HOST)")
    ident = text.add_mutually_exclusive_group()
    ident.add_argument(
        "-i", "--ident", metavar="TEXT", help="identification that clients must present"
    )
    ident.add_argument(
        "--ident-file", metavar="FILE", help="the same from a file, hidden from other users"
    )
    _add_queues(text)
    _add_limits(text)
    volume = text.add_mutually_exclusive_group()
    volume.add_argument("-v", "--verbose", action="store_true", help="log every connection")
    volume.add_argument("-q", "--quiet", action="store_true", help="log only warnings and errors")
    add("--version", action=_Version, nargs=0, help="show the program's version and exit")
    return text


class _Version(argparse.Action):
    """Looks the version up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(parser.prog, installed_version())  # noqa: T201 - the command's output
        parser.exit()


def _add_queues(text: argparse.ArgumentParser) -> None:
    add = text.add_argument_group("queues").add_argument
    add(
        "--queue-size",
        type=_at_least(1),
        metavar="N",
        default=_DEFAULTS.queue_size,
        help="events that may wait for one subscriber (default: %(default)s)",
    )
    add(
        "--queue-bytes",
        type=_at_least(SMALLEST_MESSAGE),
        metavar="BYTES",
        help=f"the same in bytes (default: {_DEFAULTS.queue_bytes // MIB} MiB, or the size of the "
        "largest message if that is more)",
    )
    add(
        "--when-full",
        choices=get_args(WhenFull),
        default=_DEFAULTS.when_full,
        help="what happens to further events (default: %(default)s)",
    )
    add(
        "--block-timeout",
        type=_seconds,
        metavar="SECONDS",
        default=_DEFAULTS.block_timeout,
        help="how long a publisher is held before an event is dropped (default: %(default)g)",
    )


def _add_limits(text: argparse.ArgumentParser) -> None:
    add = text.add_argument_group("limits").add_argument
    add(
        "--max-message-size",
        type=_at_least(SMALLEST_MESSAGE),
        metavar="BYTES",
        default=_DEFAULTS.max_message_size,
        help="larger messages are refused (default: %(default)s)",
    )
    for option, default, what in (
        ("--max-connections", _DEFAULTS.max_connections, "connections in all"),
        (
            "--max-connections-per-peer",
            _DEFAULTS.max_connections_per_peer,
            "connections from one address",
        ),
        ("--max-subscribers", _DEFAULTS.max_subscribers, "subscribers in all"),
        (
            "--max-subscriptions",
            _DEFAULTS.max_subscriptions,
            "subjects and patterns of one subscriber",
        ),
    ):
        add(
            option,
            type=_at_least(1),
            metavar="N",
            default=default,
            help=f"{what} (default: %(default)s)",
        )
    add(
        "--handshake-timeout",
        type=_positive_seconds,
        metavar="SECONDS",
        default=_DEFAULTS.handshake_timeout,
        help="how long a client may take to introduce itself (default: %(default)g)",
    )
    add(
        "--trusted",
        action="store_true",
        help="let clients send marshal, with which a hostile one can crash the process",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to {_MAX_PORT}")
    return int(text)


def _mode(text: str) -> int:
    if not re.fullmatch("0?[0-7]{3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} are no permissions such as 0660")
    return int(text, 8)


def _at_least(lowest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text!r} is no number of at least {lowest}")
        return int(text)

    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _positive_seconds(text: str) -> float:
    seconds = _seconds(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError("0 seconds are too short")
    return seconds
