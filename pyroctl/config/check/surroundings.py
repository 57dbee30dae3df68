"""What a valid deployment needs of this machine and doesn't find: programs, modules, users, files.

Only `config check` asks: what is missing here may be there where the deployment runs, or later.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import sys
import tomllib
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, Literal

from pyroctl.config.check.convert import absolute
from pyroctl.config.source.diagnostics import Problem
from pyroctl.core.expansion.placeholders import words
from pyroctl.core.instances import collapse
from pyroctl.core.key_types import PYTHON_NAMES
from pyroctl.core.keys import keys_of
from pyroctl.core.names import NAME_SERVER_VARIABLES
from pyroctl.core.spec import (
    CommandOptions,
    CommandReady,
    EventServiceOptions,
    NameReady,
    NameServerOptions,
    ObjectOptions,
    Program,
)
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyroctl.config.source.diagnostics import Path
    from pyroctl.core.spec import Deployment, ServiceSpec


def missing(deployment: Deployment, environ: Mapping[str, str]) -> list[Problem]:
    """Return what the services of a deployment would not find if they were started now."""
    return [
        *_allowed(deployment),
        *(
            problem
            for name, (spec, _) in collapse(deployment.services).items()
            for problem in _of_service(("services", name), spec, deployment.directory, environ)
        ),
        *_name_servers(deployment, environ),
    ]


def client_names(services: Mapping[str, ServiceSpec]) -> dict[str, frozenset[str]]:
    """Return the names by which event services know clients, of those that can be found out.

    "" is among them if there is a secret without a name.
    """
    found = {
        name: _client_names(spec.options)
        for name, spec in services.items()
        if isinstance(spec.options, EventServiceOptions)
    }
    return {name: names for name, names in found.items() if names is not None}


def _client_names(options: EventServiceOptions) -> frozenset[str] | None:
    """Return the names in the files of secrets and keys; None if any name may be known."""
    names: set[str] = set()
    try:
        if options.ident_file is not None:
            with open(options.ident_file, encoding="utf-8") as file:
                lines = [words for words in map(str.split, file) if words]
            names.update(words[0] if len(words) > 1 else "" for words in lines)
        if options.tls != "off":
            clients = options.tls_clients or _clients_toml(options.tls_certificate)
            if clients is None:
                return None
            with open(clients, "rb") as keys:
                names.update(tomllib.load(keys)["clients"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return frozenset(names)


def _clients_toml(certificate: str | None) -> str | None:
    """Return the file with the keys of clients: beside a certificate, or where `certs` keeps it."""
    if certificate is None:
        return None
    folder = os.path.dirname(certificate)
    places = [os.path.join(folder, "clients.toml"), os.path.join(folder, "../../clients.toml")]
    return next((place for place in places if os.path.exists(place)), None)


def _name_servers(deployment: Deployment, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find services that wait for a name, and nothing tells in which name server."""
    services = deployment.services.values()
    if any(isinstance(spec.options, NameServerOptions) for spec in services):
        return
    for name, (spec, _) in collapse(deployment.services).items():
        match spec.options:
            case CommandOptions(ready=NameReady(ns=None)):
                if not NAME_SERVER_VARIABLES.keys() & {**environ, **spec.env}.keys():
                    yield Problem(
                        ("services", name, "ready"),
                        "nothing tells in which name server to look for this name: "
                        "localhost:9090 is asked",
                        'add ns = "HOST:PORT" to it, a service of kind "nameserver", '
                        "or PYRO_NS_HOST to env",
                    )


def _allowed(deployment: Deployment) -> Iterator[Problem]:
    for rule in deployment.allow:
        for user in rule.users:
            yield from _account(("manager", "allow"), "user", user, pwd.getpwnam, pwd.getpwall)
        for group in rule.groups:
            yield from _account(("manager", "allow"), "group", group, grp.getgrnam, grp.getgrall)


def _of_service(
    path: Path, spec: ServiceSpec, directory: str, environ: Mapping[str, str]
) -> Iterator[Problem]:
    for table in (spec, spec.options):
        yield from _files(path, table)
    yield from _account((*path, "user"), "user", spec.user, pwd.getpwnam, pwd.getpwall)
    yield from _account((*path, "group"), "group", spec.group, grp.getgrnam, grp.getgrall)
    environ = {**environ, **spec.env}
    for key, program in _programs(spec):
        if any(words(program)):
            continue
        if not _is_program(program, spec.cwd or directory, environ.get("PATH", os.defpath)):
            where = "" if os.sep in program else " on PATH"
            yield Problem((*path, *key), f'there is no program "{program}"{where}')
    yield from _of_kind(path, spec, directory, environ)


def _of_kind(
    path: Path, spec: ServiceSpec, directory: str, environ: Mapping[str, str]
) -> Iterator[Problem]:
    options = spec.options
    if isinstance(options, ObjectOptions):
        own = environ.get("PYTHONPATH", "").split(os.pathsep)
        search = [*options.path, *filter(None, own), *filter(None, sys.path), directory]
        key = "object" if options.object is not None else "objects"
        for text in (options.object, *options.objects.values()):
            absent = _absent_module(text.partition(":")[0], search) if text is not None else None
            if absent is not None:
                hint = "path names further directories to search"
                yield Problem((*path, key), f"there is no module {absent}", hint)
    elif isinstance(options, NameServerOptions) and options.storage.startswith("sql:"):
        folder = os.path.dirname(options.storage.removeprefix("sql:"))
        if not os.path.isdir(folder):
            yield Problem((*path, "storage"), f"there is no directory {folder}")


def _account(
    path: Path,
    key: Literal["user", "group"],
    name: str | None,
    find: Callable[[str], object],
    everyone: Callable[[], Sequence[tuple[Any, ...]]],
) -> Iterator[Problem]:
    if name is None or name.isdecimal():
        return
    try:
        find(name)
    except KeyError:
        nearest = nearest_name(name, [entry[0] for entry in everyone()])
        hint = f'did you mean "{nearest}"?' if nearest else None
        yield Problem(path, f'there is no {key} "{name}" on this machine', hint)


def _files(path: Path, table: Any) -> Iterator[Problem]:
    """Find the files and directories that the keys of a table name and that aren't there."""
    for key in keys_of(type(table)):
        value = getattr(table, key.name)
        if key.type == "File" and value is not None and not any(words(value)):
            found, what = os.path.exists(value), "file"
            if key.name == "cwd":
                found, what = os.path.isdir(value), "directory"
            if not found:
                yield Problem((*path, key.name), f"there is no {what} {value}")
        elif key.type == "Files":
            for entry in value:
                if not os.path.exists(entry):
                    yield Problem((*path, key.name), f"there is no directory {entry}")


def _programs(spec: ServiceSpec) -> Iterator[tuple[Path, str]]:
    options = spec.options
    if isinstance(options, Program) and options.command[0] not in PYTHON_NAMES:
        yield ("command",), options.command[0]
    if isinstance(options, CommandOptions) and isinstance(options.ready, CommandReady):
        yield ("ready", "command"), options.ready.command[0]
    if spec.stop_command is not None and spec.stop_command[0] not in PYTHON_NAMES:
        yield ("stop_command",), spec.stop_command[0]
    if spec.watchdog is not None and spec.watchdog.command is not None:
        yield ("watchdog", "command"), spec.watchdog.command[0]


def _is_program(name: str, directory: str, path: str) -> bool:
    if os.sep in name:
        name = absolute(name, directory)
    return shutil.which(name, path=path) is not None


def _absent_module(name: str, search: Sequence[str]) -> str | None:
    """Return the first package or module of a dotted name that isn't there; imports nothing."""
    first, *inner = name.split(".")
    found = PathFinder.find_spec(first, list(search))
    if found is None and any(_finds(finder, first) for finder in sys.meta_path):
        return None  # an editable installation, or a part of Python itself
    whole = first
    for part in inner:
        if found is None or found.submodule_search_locations is None:
            break
        whole = f"{whole}.{part}"
        found = PathFinder.find_spec(whole, list(found.submodule_search_locations))
    return whole if found is None else None


def _finds(finder: Any, name: str) -> bool:
    find: Callable[..., object] | None = getattr(finder, "find_spec", None)
    return finder is not PathFinder and find is not None and find(name, None) is not None
