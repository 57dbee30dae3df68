"""The command line of the host, as one frozen value."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_PORT = 65535
SERIALIZERS = ("serpent", "json", "msgpack", "marshal")


@dataclass(frozen=True, slots=True)
class Options:
    """What to host, and how; see `--help`. None leaves a setting to Pyro5."""

    object: str
    path: tuple[str, ...]
    """Absolute directories."""
    id: str | None
    name: str | None
    metadata: frozenset[str]
    ns: str | None
    host: str
    port: int
    nathost: str | None
    natport: int | None
    servertype: str
    threadpool: int
    serializer: str | None
    max_message_size: int | None
    commtimeout: float | None
    ssl_servercert: str | None
    ssl_serverkey: str | None
    ssl_cacerts: str | None
    ssl_requireclientcert: bool
    ssl_clientcert: str | None
    ssl_clientkey: str | None

    @property
    def object_id(self) -> str:
        """The object's id, the same in every run, so that proxies find it again."""
        text = self.id or self.name or self.object.partition(":")[2].removesuffix("()")
        return re.sub(r"[\s@]", ".", text)  # a Pyro URI can't contain these


def parse(argv: Sequence[str] | None = None) -> Options:
    """Parse the command line; exit 2 with a line on stderr if it is wrong."""
    parser = _parser()
    found = vars(parser.parse_args(argv))
    found["path"] = tuple(os.path.abspath(entry) for entry in found["path"])  # noqa: PTH100 - keeps links
    found["metadata"] = frozenset(found["metadata"])
    options = Options(**found)
    if options.natport is not None and options.nathost is None:
        parser.error("--natport needs --nathost")
    if options.ssl_serverkey and not options.ssl_servercert:
        parser.error("--ssl-serverkey needs --ssl-servercert")
    if options.metadata and not options.name:
        parser.error("--metadata needs --name")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyro_host",
        description="Serve a Pyro class or object of a Python module.",
        epilog="Exit status: 0 stopped by TERM or INT; 1 can't serve, for example because no name "
        "server answers; 2 wrong arguments; 125 trying again is pointless, for example because "
        "the module can't be imported. A password of --ssl-serverkey is taken from the "
        "environment variable PYRO_SSL_SERVERKEYPASSWD.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "object",
        metavar="MODULE:CLASS",
        help="what to serve: MODULE:CLASS, or MODULE:FACTORY() for what a call returns",
    )
    add(
        "--path",
        action="append",
        default=[],
        metavar="DIR",
        help="search modules here first; may be repeated",
    )
    add("--id", metavar="ID", help="the object's id (default: its name)")
    add("--name", metavar="NAME", help="its name in the name server (default: not registered)")
    add(
        "--metadata",
        action="append",
        default=[],
        metavar="TEXT",
        help="metadata for the name server; may be repeated",
    )
    add("--ns", metavar="HOST:PORT", help="the name server (default: as Pyro5 is configured)")
    add("--host", default="localhost", help="address to serve on (default: localhost)")
    add("--port", type=_port, default=0, help="port (default: 0, any free one)")
    add("--nathost", metavar="HOST", help="address at which clients behind NAT reach this one")
    add("--natport", type=_port, metavar="PORT", help="port there (default: the same)")
    add(
        "--servertype",
        choices=("thread", "multiplex"),
        default="thread",
        help="a thread for each client, or one for all (default: thread)",
    )
    add("--threadpool", type=_positive, default=200, help="most clients at once (default: 200)")
    add("--serializer", choices=SERIALIZERS, help="for proxies that the object itself makes")
    add("--max-message-size", type=_positive, metavar="BYTES")
    add("--commtimeout", type=_seconds, metavar="SECONDS", help="disconnect idle clients")
    add("--ssl-servercert", metavar="FILE", help="serve TLS, with this certificate")
    add("--ssl-serverkey", metavar="FILE", help="the key of the certificate, if it is not in it")
    add("--ssl-cacerts", metavar="FILE|DIR", help="certificates to verify those of peers with")
    add("--ssl-requireclientcert", action="store_true", help="refuse clients without certificate")
    add("--ssl-clientcert", metavar="FILE", help="for proxies that the object itself makes")
    add("--ssl-clientkey", metavar="FILE", help="the key of that certificate")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if 0 <= seconds < float("inf"):
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
