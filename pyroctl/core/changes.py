"""What a watcher of the services sees, and how one picture becomes the next. Pure.

A picture is a dict for JSON: `manager` and each row of `services`, by name, have fields; all other
entries, such as `operations`, are values. A delta has only what changed, and `removed`, the names
of services that are gone. A delta that isn't sent would leave a viewer with a wrong picture, so
each has a number, and a viewer that finds one missing needs a whole picture: see `control` `watch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Picture = dict[str, Any]
Delta = dict[str, Any]


def compare(before: Picture, after: Picture) -> Delta:
    """Return what changed; an empty dict if nothing did."""
    rows = {
        name: changed
        for name, row in after["services"].items()
        if (changed := _fields(before["services"].get(name, {}), row))
    }
    removed = [name for name in before["services"] if name not in after["services"]]
    manager = _fields(before["manager"], after["manager"])
    plain = {
        key: value
        for key, value in after.items()
        if key not in {"services", "manager"} and before.get(key) != value
    }
    found = {"services": rows, "removed": removed, "manager": manager}
    return {**{key: value for key, value in found.items() if value}, **plain}


def apply(before: Picture, delta: Delta) -> Picture:
    """Return the picture after a delta; `before` is not changed."""
    gone = delta.get("removed", ())
    services = {name: row for name, row in before["services"].items() if name not in gone}
    for name, changed in delta.get("services", {}).items():
        services[name] = {**services.get(name, {}), **changed}
    plain = {key: value for key, value in delta.items() if key not in {"services", "removed"}}
    manager = {**before["manager"], **plain.pop("manager", {})}
    return {**before, **plain, "manager": manager, "services": services}


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in after.items() if key not in before or before[key] != value}
