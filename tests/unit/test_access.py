"""Roles, and what each verb needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyroctl.core.access import NEEDED, ROLES, Grant, role_of, suffices
from pyroctl.manager.commands import requests

GRANTS = (
    Grant("view", groups=(100, 200)),
    Grant("operate", users=(7,)),
    Grant("configure", users=(8,), groups=(300,)),
)


@pytest.mark.parametrize(
    ("user", "groups", "role"),
    [
        (1, (), None),
        (1, (1, 2), None),
        (100, (), None),
        (1, (5, 200), "view"),
        (7, (), "operate"),
        (7, (100,), "operate"),
        (7, (300,), "configure"),
        (8, (), "configure"),
    ],
)
def test_a_user_has_the_highest_role_granted(
    user: int, groups: tuple[int, ...], role: str | None
) -> None:
    """In whatever order the rules are, and by any of the groups."""
    assert role_of(GRANTS, user, groups) == role
    assert role_of(GRANTS[::-1], user, groups) == role


def test_every_verb_has_a_role() -> None:
    """The table has exactly the verbs that the manager answers; others need the highest role."""
    source = Path(requests.__file__).read_text()
    answered = set(re.findall(r'^ {12}"(\w+)": (?:self\._[\w.]+,|partial)', source, re.MULTILINE))
    assert answered == set(NEEDED)
    assert set(NEEDED.values()) == set(ROLES)
    for verb, needed in NEEDED.items():
        may = [role for role in ROLES if suffices(role, verb)]
        assert may == [*ROLES[ROLES.index(needed) :]]
    assert [role for role in ROLES if suffices(role, "invented")] == ["configure"]
