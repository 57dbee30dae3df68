"""The roles of a manager's users, and the one that each verb of the control channel needs. Pure.

A role includes those before it. The manager's own user and root have every role.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

ROLES = ("view", "operate", "configure")

NEEDED: Mapping[str, str] = {
    "status": "view",
    "watch": "view",
    "measure": "view",
    "foresee": "view",
    "subscriptions": "view",
    "subjects": "view",
    "may": "view",
    "eventservice": "view",
    "reexecuted": "view",
    "publish": "operate",
    "start": "operate",
    "stop": "operate",
    "restart": "operate",
    "reload": "operate",
    "reexec": "configure",
    "shutdown": "configure",
}
"""The role that each verb needs. A reload is for operators: what it applies is in files that only
their owners write. After a shutdown only the manager's user can start it again."""

PAGE_NEEDED: Mapping[str, str | None] = {
    **NEEDED, "foresee": "view", "reload": "configure", "reexec": None, "shutdown": None,
}  # fmt: skip
"""The role that each verb needs from a page; None: no page has it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for users and groups, by their numbers, and for clients on other hosts."""

    role: str
    users: Collection[int] = ()
    groups: Collection[int] = ()
    clients: Collection[str] = ()
    """Names in certificates; * stands for any text."""


def role_of(grants: Iterable[Grant], user: int, groups: Collection[int]) -> str | None:
    """Return the highest role that is granted to a user in these groups; None without any."""
    return _highest(
        grant.role
        for grant in grants
        if user in grant.users or not set(groups).isdisjoint(grant.groups)
    )


def role_of_client(grants: Iterable[Grant], name: str) -> str | None:
    """Return the highest role of the client whose certificate has this name; None without any."""
    return _highest(
        grant.role
        for grant in grants
        if any(fnmatchcase(name, _escaped(pattern)) for pattern in grant.clients)
    )


def _highest(roles: Iterable[str]) -> str | None:
    return max(roles, key=ROLES.index, default=None)


def _escaped(pattern: str) -> str:
    """Return a pattern in which only * has a meaning."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def suffices(role: str, do: str) -> bool:
    """Return whether the role is enough for a verb; an unknown verb needs the highest."""
    return ROLES.index(role) >= ROLES.index(NEEDED.get(do, ROLES[-1]))


def page_may(role: str, do: str) -> bool:
    """Return whether a page with that role may use a verb."""
    needed = PAGE_NEEDED.get(do)
    return needed is not None and ROLES.index(role) >= ROLES.index(needed)
