"""The command line of the host, as one frozen value."""

from __future__ import annotations

import argparse
import json
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pyro_child.options import (
    COUNT,
    PORT,
    SECONDS,
    SIZE,
    TlsOptions,
    add_options,
    from_arguments,
    option,
)
from pyro_host.wishes import Wishes

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Options(TlsOptions):
    """What to serve, and how. None leaves a setting to Pyro5."""

    object: str | None = option(
        None,
        "what to serve: MODULE:CLASS, MODULE:FACTORY() for the result of a call, or a MODULE "
        "that serves by itself",
        "object",
        metavar="MODULE:CLASS",
        nargs="?",
    )
    objects: tuple[str, ...] = option(
        (), "one of several objects, instead; may be repeated", metavar="NAME=MODULE:CLASS"
    )
    args: str = option("[]", "arguments of the class or factory, or of the module", metavar="JSON")
    kwargs: str = option("{}", "the same by keyword", metavar="JSON")
    instance_mode: str | None = option(
        None, "how many instances of the class there are", choices=("session", "single", "percall")
    )
    expose: bool = option(False, "expose everything public of the class")
    daemon: str | None = option(
        None, "a subclass of Pyro5's Daemon to serve with", metavar="MODULE:CLASS"
    )
    path: tuple[str, ...] = option(
        (), "where to search for modules first; may be repeated", metavar="DIR"
    )
    """Absolute directories."""
    id: str | None = option(None, "the object's id (default: its name)", metavar="ID")
    name: str | None = option(
        None, "its name in the name server (default: not registered)", metavar="NAME"
    )
    names: tuple[str, ...] = option((), "a further name; may be repeated", metavar="NAME")
    metadata: frozenset[str] = option(
        (), "metadata for the name server; may be repeated", metavar="TEXT"
    )
    ns: str | None = option(
        None, "the name server (default: as Pyro5 is configured)", metavar="HOST:PORT"
    )
    host: str = option("localhost", "address to serve on")
    port: int = option(0, "port; 0 takes any free one", unit=PORT)
    nathost: str | None = option(None, "the host that clients outside connect to", metavar="HOST")
    natport: int | None = option(
        None, "the port that clients outside connect to (default: the same)", unit=PORT
    )
    servertype: str = option(
        "thread", "one thread per client, or one for all", choices=("thread", "multiplex")
    )
    threadpool: int = option(200, "maximum number of clients", unit=COUNT)
    serializer: str | None = option(
        None,
        "of the proxies that the object itself creates",
        choices=("serpent", "json", "msgpack", "marshal"),
    )
    max_message_size: int | None = option(None, "larger messages are rejected", unit=SIZE)
    commtimeout: float | None = option(None, "disconnect idle clients", unit=SECONDS)
    ssl_servercert: str | None = option(None, "serve TLS with this certificate", metavar="FILE")
    ssl_serverkey: str | None = option(
        None, "the key of the certificate, if it is not in it", metavar="FILE"
    )
    ssl_cacerts: str | None = option(
        None, "certificates to verify those of others with", metavar="FILE|DIR"
    )
    ssl_requireclientcert: bool = option(False, "reject clients without a certificate")
    ssl_clientcert: str | None = option(
        None, "certificate of the proxies that the object itself creates", metavar="FILE"
    )
    ssl_clientkey: str | None = option(None, "its key", metavar="FILE")

    @property
    def arguments(self) -> list[Any]:
        """Positional arguments."""
        return list(json.loads(self.args))

    @property
    def wishes(self) -> Wishes:
        """What is wanted of the class or factory."""
        given = tuple(self.arguments), dict(json.loads(self.kwargs))
        return Wishes(*given, self.instance_mode, self.expose)

    @property
    def hosted(self) -> list[Hosted]:
        """The objects to serve, with their ids and names."""
        if self.objects:
            pairs = (each.partition("=") for each in self.objects)
            return [Hosted(text, _id(name), (name,)) for name, _, text in pairs]
        text = self.object or ""
        own_id = self.id or self.name or text.partition(":")[2].removesuffix("()")
        first = () if self.name is None else (self.name,)
        return [Hosted(text, _id(own_id), (*first, *self.names))]


class Hosted(NamedTuple):
    """One object that is served."""

    text: str
    """`MODULE:CLASS` or `MODULE:FACTORY()`."""
    id: str
    """The same in every run, so that proxies find it again."""
    names: tuple[str, ...]


def _id(text: str) -> str:
    return re.sub(r"[\s@]", ".", text)  # a Pyro URI can't contain these


def parse(argv: Sequence[str] | None = None) -> Options:
    """Parse the command line; exits 2 with a line on stderr if it is invalid."""
    parser = _parser()
    options = from_arguments(Options, parser.parse_args(argv))
    for name, kind in (("args", list), ("kwargs", dict)):
        try:
            fits = isinstance(json.loads(getattr(options, name)), kind)
        except ValueError:
            fits = False
        if not fits:
            parser.error(f"--{name} must be a JSON {'list' if kind is list else 'object'}")
    if options.natport is not None and options.nathost is None:
        parser.error("--natport needs --nathost")
    if options.ssl_serverkey and not options.ssl_servercert:
        parser.error("--ssl-serverkey needs --ssl-servercert")
    if options.tls != "off" and options.ssl_servercert:
        parser.error("--tls and --ssl-servercert exclude each other")
    if (options.object is None) != bool(options.objects):
        parser.error("expected MODULE:CLASS or --objects")
    if not all(re.fullmatch("[^=]+=[^=]+:[^=]+", each) for each in options.objects):
        parser.error("--objects must be NAME=MODULE:CLASS")
    if options.metadata and not (options.name or options.objects):
        parser.error("--metadata needs --name")
    path = tuple(map(os.path.abspath, options.path))  # not Path.resolve: links stay
    return replace(options, path=path, metadata=frozenset(options.metadata))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyro_host",
        description="Serve a Pyro class or object of a Python module.",
        epilog="Exit status: 0 stopped by TERM or INT; 1 can't serve, for example because no name "
        "server answers; 2 invalid arguments; 125 permanent failure, for example because the "
        "module can't be imported. The password of --ssl-serverkey, if any, is taken from the "
        "environment variable PYRO_SSL_SERVERKEYPASSWD.",
        allow_abbrev=False,
    )
    add_options(parser, Options)
    return parser
