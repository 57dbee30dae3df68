"""All checks, in their order. Each has a number and a title; numbers are never used again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyroctl.doctor.checks import (
    addresses,
    capacity,
    configuration,
    events,
    life,
    names,
    place,
    programs,
    trust,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding


class Check(NamedTuple):
    """One check."""

    number: int
    title: str
    find: Callable[[Facts], Iterator[Finding]]


CHECKS = (
    Check(1, "versions", programs.versions),
    Check(2, "PYRO_ variables", programs.variables),
    Check(3, "Pyro5's log", programs.logging_variables),
    Check(4, "the host's own name", addresses.own_name),
    Check(5, "registered addresses", addresses.unreachable_uris),
    Check(6, "nathost and natport", addresses.translated),
    Check(7, "taken ports", addresses.taken_ports),
    Check(8, "odd ports", addresses.odd_ports),
    Check(9, "other name servers", addresses.other_broadcasters),
    Check(10, "the name server", addresses.name_server),
    Check(11, "dead names", names.dead_names),
    Check(12, "overwritten names", names.overwritten),
    Check(13, "storage of names", names.storage),
    Check(14, "autoclean", names.cleaner),
    Check(15, "threads for clients", capacity.clients),
    Check(16, "serializers", programs.packages),
    Check(17, "certificates", trust.certificates),
    Check(18, "the configuration", configuration.faults),
    Check(19, "programs and files", configuration.surroundings),
    Check(20, "buffered output", programs.buffered_output),
    Check(21, "background programs", configuration.background),
    Check(22, "undeclared needs", configuration.undeclared),
    Check(23, "crashes", life.crashes),
    Check(24, "time-outs", life.starts_and_stops),
    Check(25, "time to stop", configuration.grace),
    Check(26, "doubles", place.doubles),
    Check(27, "directories", place.directories),
    Check(28, "disks", capacity.disks),
    Check(29, "limits", capacity.limits),
    Check(30, "the clock", capacity.clock),
    Check(31, "start at boot", place.boot),
    Check(32, "subscribers", events.subscribers),
    Check(33, "subjects", events.unheard),
    Check(34, "costs of a restart", events.costs),
    Check(35, "the page", trust.page),
    Check(36, "process 1", place.first_process),
)


def run(facts: Facts) -> Iterator[tuple[Check, list[Finding]]]:
    """Yield each check with what it has found."""
    for check in CHECKS:
        yield check, list(check.find(facts))
