"""Placeholders that mean nothing where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyroctl.config.source.diagnostics import Problem
from pyroctl.core.expansion.placeholders import FACTS, OWN, words
from pyroctl.core.expansion.texts import EVERYWHERE, HELD_NAMES, texts
from pyroctl.core.instances import MARK, common_name
from pyroctl.core.spec import NameReady
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pyroctl.config.source.diagnostics import Path
    from pyroctl.core.spec import ServiceSpec

LIKENESS = 0.7
"""How much like one of our own words another one must be to be taken for a typing error."""


class _Service(NamedTuple):
    """A service, the names of all others, and how many instances they have."""

    spec: ServiceSpec
    known: Collection[str]
    counts: Mapping[str, int]


def check_placeholders(
    known: Collection[str], services: Mapping[str, ServiceSpec], counts: Mapping[str, int]
) -> Iterator[Problem]:
    """Find placeholders without a value; `known` are the names of all services."""
    for name, spec in services.items():
        service = _Service(spec, known, counts)
        for path, text, own_only in _all_texts(spec):
            for word in words(text):
                found = _trouble(word, service, own_only=own_only)
                if found is not None:
                    yield Problem(("services", name, *path), *found)


def _all_texts(spec: ServiceSpec) -> Iterator[tuple[Path, str, bool]]:
    """Return the texts with their places, and whether only the service's own words may be there."""
    for path, text in texts(spec, EVERYWHERE):
        yield path, text, False
    for path, text in texts(spec.options, HELD_NAMES):
        yield path, text, True
    awaited = getattr(spec.options, "ready", None)
    if isinstance(awaited, NameReady):
        yield ("ready", "pyro_name"), awaited.pyro_name, True


def _trouble(word: str, service: _Service, *, own_only: bool) -> tuple[str, str | None] | None:
    """Return what is wrong with a word in braces, and a hint; None if nothing is."""
    literal = f"for the text itself write {{{{{word}}}}}"
    needed, dot, fact = word.rpartition(".")
    if not dot:
        if word == "instance" and service.spec.name not in service.counts:
            return "{instance} has no value: the service has no instances", "set instances"
        nearest = None if word in OWN else nearest_name(word, OWN, LIKENESS)
        message = f"there is no placeholder {{{word}}}"
        return (message, f"did you mean {{{nearest}}}? {literal}") if nearest else None
    if fact not in FACTS:
        if needed not in service.known:
            return None
        meant = f"{{{needed}.{nearest_name(fact, FACTS) or 'host'}}}"
        return f"there is no placeholder {{{word}}}", f"did you mean {meant}? {literal}"
    if own_only:
        return f"{{{word}}} can't be part of a name", "such as {name} or {instance}"
    return _trouble_with_need(needed, word, service, literal)


def _trouble_with_need(
    needed: str, word: str, service: _Service, literal: str
) -> tuple[str, str | None] | None:
    common, mark, number = needed.partition(MARK)
    count = service.counts.get(common)
    if common not in service.known:
        nearest = nearest_name(common, service.known)
        meant = f"did you mean {{{nearest}.{word.rpartition('.')[2]}}}? " if nearest else ""
        return f'{{{word}}}: there is no service "{common}"', meant + literal
    if common not in map(common_name, service.spec.needs):
        return f"{{{word}}}: the service doesn't need {common}", f'add "{common}" to needs'
    if count is not None and not (number.isdecimal() and 1 <= int(number) <= count):
        fact = word.rpartition(".")[2]
        hint = f"write {{{common}{MARK}1.{fact}}} for the first of its {count} instances"
        return f"{{{word}}}: {common} has several instances", hint
    if mark and count is None:
        return f"{{{word}}}: {common} has no instances", f"write {common} without {MARK}"
    return None
