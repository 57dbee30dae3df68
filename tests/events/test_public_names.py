"""`__all__` of the public modules, the API page, and the modules that names belong to."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import pyro_events

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text()
MODULES = [
    f"pyro_events.{found.name}"
    for found in pkgutil.iter_modules(pyro_events.__path__)
    if not found.name.startswith("_")
]


def documented() -> set[str]:
    """Return each name on the page; a module stands for all its names."""
    names = set()
    for place, members in re.findall(
        r"^::: (pyro_events\S*)(?:\n    options:\n      members: \[(.*)\])?", PAGE, re.MULTILINE
    ):
        *_, last = place.split(".")
        chosen = members.split(", ") if members else []
        if not chosen and f"{place}" in MODULES:
            chosen = importlib.import_module(place).__all__
        names |= set(chosen) if place in ("pyro_events", *MODULES) else {last}
    return names


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_on_the_page(module: str) -> None:
    """A public module lists its public names."""
    assert set(importlib.import_module(module).__all__) <= documented()


@pytest.mark.parametrize("name", pyro_events.__all__)
def test_the_package_has_the_names_of_its_modules(name: str) -> None:
    """Their `__module__` is a public module."""
    found = getattr(pyro_events, name)
    assert name in documented()
    if isinstance(found, type):
        assert found.__module__ in ("pyro_events", *MODULES)


def test_errors_of_an_event_service_are_where_it_is() -> None:
    """Programs can catch them without a private import."""
    from pyro_events.reconnecting import LifeCycle
    from pyro_events.service import AddressUnusable, NameServerUnreachable, NameTaken, NotRunning

    assert LifeCycle.__module__ == "pyro_events.reconnecting"
    for error in (AddressUnusable, NameServerUnreachable, NameTaken, NotRunning):
        assert issubclass(error, Exception)
