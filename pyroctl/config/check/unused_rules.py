"""Rules of event services to which no client comes: valid, and certainly not meant. Pure."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from pyroctl.config.check.exposure import is_loopback
from pyroctl.config.source.diagnostics import Problem
from pyroctl.core.key_types import UNIX
from pyroctl.core.spec import EventServiceOptions
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pyroctl.core.spec import ServiceSpec

_ANYONE: Final = "anyone"
_USER: Final = "uid:"
_WILD: Final = frozenset("*?[")


def unused_rules(
    services: Mapping[str, ServiceSpec], names: Mapping[str, Collection[str]]
) -> Iterator[Problem]:
    """Yield what is wrong with rules that are never used, or not for one of their clients.

    `names` are those of the clients that services know by certificate or secret, as far as that
    can be told, and "" if there is a secret without a name. The first rule for a client decides,
    so what comes later about it means nothing.
    """
    for service, spec in services.items():
        options = spec.options
        if not isinstance(options, EventServiceOptions):
            continue
        before: list[tuple[int, str]] = []
        for number, rule in enumerate(options.allow, 1):
            path = ("services", service, "allow", number - 1, "client")
            for client in rule.client:
                why, hint = _nobody(client, options, names.get(service))
                if why is None:
                    why = _decided(client, before)
                if why is not None:
                    message = f'"{client}" in rule {number} matches nobody: {why}'
                    yield Problem(path, message, hint)
            before += [(number, client) for client in rule.client]


def _nobody(
    client: str, options: EventServiceOptions, names: Collection[str] | None
) -> tuple[str | None, str | None]:
    """Return why there is no such client, and a hint."""
    why = hint = None
    network = _network(client)
    if client == _ANYONE:
        pass
    elif network is None and not client.startswith(_USER):
        if options.tls == "off" and options.ident_file is None:
            why = "without tls or ident_file, clients have no names"
        elif names is not None and not any(fnmatchcase(name, client) for name in names if name):
            why = "no certificate or secret that the service knows has such a name"
            nearest = nearest_name(client, names)
            hint = f'did you mean "{nearest}"?' if nearest else None
    elif options.tls == "required" and not options.host.startswith(UNIX):
        why = 'with tls = "required", clients have the names of their certificates'
    elif options.ident_file is not None and names is not None and "" not in names:
        why = "each secret in ident_file has a name, and clients have the names of their secrets"
        hint = "name such a client here, or add a secret without a name"
    elif network is not None and (is_loopback(options.host) or network.is_loopback):
        why, hint = "clients on this machine are users", "write uid:1000 for a user"
    return why, hint


def _decided(client: str, before: Collection[tuple[int, str]]) -> str | None:
    """Return which earlier rule decides about a client, if one does."""
    for number, other in before:
        if other == _ANYONE or _covers(other, client):
            return f'rule {number} is for "{other}", and the first one decides'
    return None


def _covers(one: str, other: str) -> bool:
    """Return whether all clients that `other` means are meant by `one`, as far as it shows."""
    if one == other:
        return True
    if one.startswith(_USER) or other.startswith(_USER):
        return other.partition("@")[0] == one
    if other == _ANYONE:
        return False
    networks = _network(one), _network(other)
    if None in networks:
        return networks == (None, None) and _covers_name(one, other)
    first, second = networks
    return first.version == second.version and bool(second.subnet_of(first))


def _covers_name(pattern: str, name: str) -> bool:
    if not _WILD & set(name):
        return fnmatchcase(name, pattern)
    prefix = pattern.removesuffix("*")
    return prefix != pattern and not _WILD & set(prefix) and name.startswith(prefix)


def _network(text: str) -> Any:
    try:
        return ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None
