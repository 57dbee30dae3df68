"""A deployment as settings: every key with its value in effect, as it would stand in TOML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.core.instances import collapse
from pyroctl.core.keys import set_keys, written_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.source.diagnostics import Path
    from pyroctl.core.spec import Deployment


def settings(deployment: Deployment) -> Iterator[tuple[Path, Any]]:
    """Return path and value of every key that has one, in the order of the configuration.

    Written as `key = value` lines, they make the same deployment again.
    """
    yield from leaves(written_table(deployment), ("manager",))
    if deployment.alerts is not None:
        yield from leaves(set_keys(deployment.alerts), ("alerts",))
    for name, (spec, instances) in collapse(deployment.services).items():
        count = {} if instances is None else {"instances": instances}
        table = {"kind": spec.kind, **written_table(spec.options), **count, **written_table(spec)}
        yield from leaves(table, ("services", name))


def leaves(table: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    """Return path and value of everything in a table that is at `path`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif value is not None:
            yield (*path, key), value
