"""`[defaults]` and `[defaults.KIND]`: the keys of services that don't set them themselves."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import KIND_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.source.diagnostics import Origin, Path, Problem
    from pyroctl.config.source.layers import Layers, Owner
    from pyroctl.errors import Diagnostic

DEFAULTS = "defaults"
KINDS = frozenset(KIND_NAMES.values())
EACH_ITS_OWN = frozenset({"kind", "needs"})
"""Keys that all services have, and that have no common default."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """The owner of a service's key that was written as a default."""

    owner: Owner
    here: Path
    """The key of the service."""
    there: Path
    """The key as it was written."""

    def origin(self, path: Path) -> Origin:
        """Return where the value came from."""
        return self.owner.origin(self.source(path))

    def locate(self, problem: Problem) -> Diagnostic:
        """Return a problem with the service's key at the place of the default."""
        found = self.owner.locate(replace(problem, path=self.source(problem.path)))
        found.service = problem.service
        return found

    def source(self, path: Path) -> Path:
        """Return the key as it was written."""
        return (*self.there, *path[len(self.here) :])


def inherit(data: Mapping[str, Any], layers: Layers) -> None:
    """Add the defaults to the services in `data`, and their owners to `layers`.

    What a service sets itself comes first, then the defaults of its kind, then those of all
    services. Tables are merged, as those of several files are.
    """
    services, defaults = data.get("services"), data.get(DEFAULTS)
    if not isinstance(services, dict) or not isinstance(defaults, dict):
        return
    for name, table in services.items():
        if isinstance(table, dict):
            for source, found in _defaults_for(table.get("kind"), defaults):
                layers.fill(table, found, ("services", name), source)


def _defaults_for(kind: Any, defaults: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    own = defaults.get(kind) if isinstance(kind, str) and kind in KINDS else None
    if isinstance(own, dict):
        yield (DEFAULTS, kind), deepcopy(own)
    common = {key: value for key, value in defaults.items() if key not in (*KINDS, *EACH_ITS_OWN)}
    yield (DEFAULTS,), deepcopy(common)
