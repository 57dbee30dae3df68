"""Checks 4 to 10: host names, ports, and the way to the name server."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from pyroctl.core.spec import NameServerOptions, ObjectOptions
from pyroctl.doctor.finding import note, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

EVERYWHERE = ("0.0.0.0", "::", "[::]")  # noqa: S104 - looked for, not bound
LOCAL = ("localhost", "127.0.0.1", "::1", "[::1]")
SLOW = 0.2
"""Seconds for a call to the name server on the way to slow."""


def own_name(facts: Facts) -> Iterator[Finding]:
    """Find services that bind the host's own name, and are reachable from this host only."""
    host = facts.host
    for name, service in facts.services.items():
        bound = getattr(service.spec.options, "host", None)
        if bound != host.name or bound in LOCAL:
            continue
        if not host.addresses:
            text = f"{name} binds {host.name}, which resolves to no address"
            yield problem(text, name, f"add {host.name} to DNS or /etc/hosts", name)
        elif all(_is_loopback(address) for address in host.addresses):
            text = f"{name} binds {host.name}, which is {host.addresses[0]} here: only this host"
            remedy = f"correct the line of {host.name} in /etc/hosts, or set host = an address"
            yield warning(text, name, remedy, name)


def unreachable_uris(facts: Facts) -> Iterator[Finding]:
    """Find registered addresses that mean nothing to clients elsewhere."""
    elsewhere = any(
        getattr(s.spec.options, "host", "localhost") not in LOCAL
        for s in facts.services.values()
        if isinstance(s.spec.options, NameServerOptions)
    )
    for each in facts.names:
        host = each.uri.rpartition("@")[2].rpartition(":")[0]
        if host in EVERYWHERE:
            text = f"{each.name} is registered as {each.uri}, where no client can reach it"
            yield problem(text, each.name, "set nathost = the host by which clients reach it")
        elif host in LOCAL and elsewhere and each.name != "Pyro.NameServer":
            text = f"{each.name} is registered as {each.uri}; clients on other hosts can't reach it"
            yield warning(text, each.name, "set host or nathost to this host's name")


def translated(facts: Facts) -> Iterator[Finding]:
    """Find addresses of `nathost` and `natport` where nobody answers."""
    at = {each.name: each for each in facts.names}
    for name, service in facts.services.items():
        options = service.spec.options
        if not isinstance(options, ObjectOptions) or options.nathost is None:
            continue
        found = at.get(options.pyro_name or "")
        if found is not None and found.state in {"closed", "silent"}:
            text = f"{name} tells clients to come to {found.uri}, where nobody answers"
            yield warning(text, name, "check the forwarding, or nathost and natport", name)


def taken_ports(facts: Facts) -> Iterator[Finding]:
    """Name who has a port that a service needs."""
    for each in facts.ports:
        if each.holder is None:
            continue
        text = f"port {each.port} of {each.service} is taken by {each.holder}"
        remedy = f"stop that program, or set services.{each.service}.port"
        if each.orphan:
            text += ", left over from this deployment"
            remedy = "end it: pyroctl start does so when no manager runs"
        yield problem(text, f"{each.host}:{each.port}", remedy, each.service)


def odd_ports(facts: Facts) -> Iterator[Finding]:
    """Find fixed ports that the system may give away, or that need rights."""
    low, high = facts.host.port_range
    for each in facts.ports:
        place = f"{each.host}:{each.port}"
        if low <= each.port <= high:
            text = f"port {each.port} of {each.service} is among those that the system gives away"
            remedy = f"take one below {low}, or add it to net.ipv4.ip_local_reserved_ports"
            yield warning(text, place, remedy, each.service)
        elif each.port < facts.host.lowest_free_port and not facts.host.privileged:
            text = f"port {each.port} of {each.service} needs a right that you don't have"
            remedy = f"take one from {facts.host.lowest_free_port} on, or start as root with user ="
            yield problem(text, place, remedy, each.service)


def other_broadcasters(facts: Facts) -> Iterator[Finding]:
    """Find other name servers, which clients may find by broadcast."""
    for uri in facts.broadcasters:
        text = f"another name server answers broadcasts: {uri}"
        remedy = "set PYRO_NS_HOST for the clients: pyroctl env prints it"
        yield warning(text, uri, remedy)


def name_server(facts: Facts) -> Iterator[Finding]:
    """Check that the name server answers, soon, and at the address that clients try first."""
    where = facts.name_server
    if where is None:
        return
    if facts.round_trip is None:
        remedy = "pyroctl status shows its state; is a firewall between?"
        yield problem(f"the name server at {where} does not answer", where, remedy)
    elif facts.round_trip > SLOW:
        text = f"the name server at {where} takes {facts.round_trip:.2f} s for a call"
        yield warning(text, where, "is its host overloaded, or its DNS slow?")
    first = next(iter(facts.host.localhost), "")
    if where.startswith("127.0.0.1:") and first == "::1":
        text = "clients try ::1 first for localhost, and the name server is at 127.0.0.1"
        remedy = 'set host = "localhost" for it, or PYRO_NS_HOST=127.0.0.1 for clients'
        yield note(text, where, remedy)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
