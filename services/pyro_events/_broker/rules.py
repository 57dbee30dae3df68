"""What each client may publish, hear and ask for: the first rule for a client decides. Pure.

Whether one pattern only matches what another one allows can't be decided. So a client may subscribe
to any pattern, and events that no rule allows it are left out when they are delivered.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyro_events._broker.principal import Principal
from pyro_events._protocol.patterns import Pattern, PatternTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANYONE: Final = "anyone"
RIGHTS: Final = frozenset({"callback", "subscriptions"})
"""To have the event service connect to a subscriber, and to see everybody's subscriptions."""
EVERYTHING: Final = ".*"
"""The usual pattern of all subjects."""
_CLIENT: Final = "{client}"
_USER: Final = "uid:"
_REMEMBERED: Final = 10_000
"""Subjects of a client whose answers are remembered."""


class NotAllowed(PermissionError):
    """Raised to refuse what no rule allows; the text names the client."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What some clients may do.

    `client` has names of certificates or secrets with wildcards, users such as "uid:1000",
    addresses or networks, or "anyone". In patterns of subjects, {client} stands for the client's
    name. `may` are rights that are not about subjects; None: all, but none for anyone.
    Raises ValueError for what can't be a rule.
    """

    client: tuple[str, ...]
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    may: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.client:
            raise ValueError("a rule needs a client")
        for text in (*self.publish, *self.subscribe):
            _pattern(text, "x")
        if unknown := (self.may or frozenset()) - RIGHTS:
            raise ValueError(f"there is no right {min(unknown)!r}: {', '.join(sorted(RIGHTS))}")

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Return the rule in a JSON object; raises ValueError."""
        table = json.loads(text)
        if not isinstance(table, dict):
            raise ValueError(f"a rule is a JSON object, not {text!r:.80}")  # noqa: TRY004 - as all
        return cls.of(table)

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Rule:
        """Return the rule of a table as in TOML; raises ValueError."""
        if unknown := table.keys() - set(cls.__slots__):
            raise ValueError(f"a rule has no {min(unknown)!r}; it has {', '.join(cls.__slots__)}")
        for key, value in table.items():
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                raise ValueError(f"{key} of a rule must be a list of texts, not {value!r:.80}")
        may = table.get("may")
        lists = {key: tuple(value) for key, value in table.items() if key != "may"}
        return cls(**{"client": (), **lists}, may=None if may is None else frozenset(may))

    def is_for(self, principal: Principal) -> bool:
        """Return whether the rule is for this client."""
        return any(_means(text, principal) for text in self.client)

    @property
    def rights(self) -> frozenset[str]:
        """The rights that are not about subjects."""
        if self.may is not None:
            return self.may
        return frozenset() if ANYONE in self.client else RIGHTS


class Verdict(NamedTuple):
    """Why a client may do something, or not."""

    allowed: bool
    pattern: str | None
    """The pattern that allows it, as the rule has it."""


class Permissions:
    """What one client may do. For the loop's thread."""

    def __init__(self, rule: Rule | None, number: int | None, client: str) -> None:
        self.number = number
        """Of the rule, from 1; None if there is none for the client."""
        self._rights = rule.rights if rule else frozenset()
        self._publish = _matchers(rule.publish if rule else (), client)
        self._subscribe = _matchers(rule.subscribe if rule else (), client)
        self.may_publish = partial(_remembered, {}, self._publish)
        """Returns whether the client may publish events about a subject."""
        self.may_hear = partial(_remembered, {}, self._subscribe)
        """Returns whether the client may get events about a subject."""

    def has(self, right: str) -> bool:
        """Return whether the client has one of the RIGHTS."""
        return right in self._rights

    def publishing(self, subject: str) -> Verdict:
        """Return why the client may publish events about a subject, or not."""
        return _verdict(self._publish, subject)

    def hearing(self, subject: str) -> Verdict:
        """Return why the client may get events about a subject, or not."""
        return _verdict(self._subscribe, subject)

    @property
    def heard(self) -> tuple[str, ...]:
        """The patterns of what it may get, with its name in them."""
        return tuple(pattern.text for _, pattern in self._subscribe)


class Rules:
    """The rules of an event service, in order. For the loop's thread."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._known: dict[Principal, Permissions] = {}

    def __bool__(self) -> bool:
        """Return whether there are any; without rules, everybody may do everything."""
        return bool(self._rules)

    def of(self, principal: Principal) -> Permissions:
        """Return what a client may do: nothing if no rule is for it."""
        known = self._known.get(principal)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[principal] = self._permissions(principal)
        return known

    def _permissions(self, principal: Principal) -> Permissions:
        for number, rule in enumerate(self._rules, 1):
            if rule.is_for(principal):
                return Permissions(rule, number, principal.name)
        return Permissions(None, None, principal.name)


def named(text: str) -> Principal:
    """Return the client that a text names: a user, an address, or else a certificate."""
    if text.startswith(_USER):
        return Principal("user", text)
    return Principal("certificate" if _network(text) is None else "address", text)


def _means(text: str, principal: Principal) -> bool:
    """Return whether a client of a rule is this one.

    What vouches for the client has to be of the kind that the text is about: a certificate in the
    name of "uid:0" makes nobody root.
    """
    if text == ANYONE:
        return True
    network = _network(text)
    match principal.evidence:
        case "user":
            return text in (principal.name, principal.name.partition("@")[0])
        case "address":
            address = _network(principal.name)
            same = network is not None and address is not None
            return same and network.version == address.version and address.subnet_of(network)
    return network is None and not text.startswith(_USER) and fnmatchcase(principal.name, text)


def _network(text: str) -> Any:
    try:
        return ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None


def _pattern(text: str, client: str) -> Pattern:
    return Pattern(text.replace(_CLIENT, re.escape(client)))


def _matchers(texts: Sequence[str], client: str) -> tuple[tuple[str, Pattern], ...]:
    return tuple((text, _pattern(text, client)) for text in texts)


def _verdict(patterns: Sequence[tuple[str, Pattern]], subject: str) -> Verdict:
    for text, pattern in patterns:
        try:
            if pattern.match(subject):
                return Verdict(allowed=True, pattern=text)
        except PatternTimeout:
            continue
    return Verdict(allowed=False, pattern=None)


def _remembered(
    memory: dict[str, bool], patterns: Sequence[tuple[str, Pattern]], subject: str
) -> bool:
    known = memory.get(subject)
    if known is None:
        if len(memory) >= _REMEMBERED:
            memory.clear()
        known = memory[subject] = _verdict(patterns, subject).allowed
    return known
