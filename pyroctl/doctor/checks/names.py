"""Checks 11 to 14: what the name server knows, and how it keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.names import name_here
from pyroctl.core.spec import NameServerOptions
from pyroctl.doctor.finding import note, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

DEAD = {"closed": "nobody listens there", "unknown": "there is no such object there"}


def dead_names(facts: Facts) -> Iterator[Finding]:
    """Names that lead nowhere."""
    for each in facts.names:
        if each.state in DEAD:
            text = f"the name {each.name} leads to {each.uri}: {DEAD[each.state]}"
            remedy = (
                f"remove it: pyro5-nsc remove {each.name}; or set autoclean for the name server"
            )
            yield warning(text, each.name, remedy)


def overwritten(facts: Facts) -> Iterator[Finding]:
    """Names of running services that lead elsewhere."""
    at = {each.name: each.uri for each in facts.names}
    for name, service in facts.services.items():
        uri = service.row.get("uri")
        own = name_here(service.spec.options)
        if not uri or own is None or own not in at:
            continue
        if _place(at[own]) != _place(uri):
            text = f"the name {own} of {name} leads to {at[own]}, and it is at {uri}"
            yield problem(text, own, f"pyroctl restart {name} registers it again", name)


def storage(facts: Facts) -> Iterator[Finding]:
    """How names outlive the name server."""
    outsiders = [each.name for each in facts.names if each.outside]
    for name, service in facts.services.items():
        options = service.spec.options
        if not isinstance(options, NameServerOptions):
            continue
        if options.storage == "memory" and outsiders:
            text = f"{name} keeps names in memory, and {len(outsiders)} belong to no service"
            remedy = f'services.{name}.storage = "sql:names.sqlite" keeps them'
            yield warning(f"{text}: {', '.join(outsiders[:3])}", name, remedy, name)
    for file in facts.files:
        if file.what == "names" and not file.writable:
            text = f"{file.service} can't write its names into {file.path}"
            yield problem(text, file.path, "make it, and its directory, writable", file.service)


def cleaner(facts: Facts) -> Iterator[Finding]:
    """Find names at Unix sockets beside `autoclean`, of which a stock cleaner thread dies."""
    for name, service in facts.services.items():
        options = service.spec.options
        if isinstance(options, NameServerOptions) and options.autoclean:
            unix = [each.name for each in facts.names if "@./u:" in each.uri]
            if unix:
                text = f"{name} cleans up, and {unix[0]} is at a Unix socket: others can't see it"
                remedy = "ours skips it; a stock pyro5-ns with autoclean would stop cleaning"
                yield note(text, name, remedy, name)


def _place(uri: str) -> str:
    place = uri.rpartition("@")[2]
    return place.replace("127.0.0.1:", "localhost:")
