"""The texts of a service's specification in which placeholders are replaced."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any

from pyroctl.core.expansion.placeholders import OWN, fill, is_placeholder, words
from pyroctl.core.key_types import UNIX
from pyroctl.core.spec import CommandOptions, NameReady, ObjectOptions, PortReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyroctl.core.spec import Options, ServiceSpec

    Path = tuple[str | int, ...]

EVERYWHERE = ("command", "env", "cwd", "stop_command", "args", "kwargs")
"""Keys with all placeholders."""
HELD_NAMES = ("pyro_name", "names")
"""Keys of names that an object has in a name server."""
WITHIN = ("options", "ready", "watchdog")
"""Tables with such keys."""


def map_texts(core: Any, keys: tuple[str, ...], change: Callable[[str], str]) -> Any:
    """Return a specification, or a part of one, with the texts of these keys changed."""
    found = {}
    for name in core.__dataclass_fields__:
        value = getattr(core, name)
        if name in keys:
            found[name] = _mapped(value, change)
        elif name in WITHIN and is_dataclass(value) and keys is EVERYWHERE:
            found[name] = map_texts(value, keys, change)
    return replace(core, **{k: new for k, new in found.items() if new != getattr(core, k)})


def texts(core: Any, keys: tuple[str, ...], path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Return the texts of these keys, with their places in the configuration."""
    for name in core.__dataclass_fields__:
        value = getattr(core, name)
        if name in keys:
            yield from _texts(value, (*path, name))
        elif name in WITHIN and is_dataclass(value):
            yield from texts(value, keys, path if name == "options" else (*path, name))


def own_values(name: str, instance: int | None) -> dict[str, str]:
    """Return what a service says of itself; `name` is without the number of an instance."""
    return {"name": name} if instance is None else {"name": name, "instance": str(instance)}


def facts(name: str, uri: str | None, options: Options) -> dict[str, str]:
    """Return what is known of the address of a service that another one needs."""
    ready = getattr(options, "ready", None)
    place = (uri or "").rpartition("@")[2]
    if not place and isinstance(ready, PortReady):
        place = f"{ready.host}:{ready.port}"
    found = {} if uri is None else {f"{name}.uri": uri}
    if place and not place.startswith(UNIX):
        host, _, port = place.rpartition(":")
        found |= {f"{name}.host": host.strip("[]"), f"{name}.port": port}
    return found


def filled(spec: ServiceSpec, values: Mapping[str, str]) -> ServiceSpec:
    """Return the specification with the placeholders replaced that have a value."""
    done: ServiceSpec = map_texts(spec, EVERYWHERE, lambda text: fill(text, values))
    return done


def without_value(spec: ServiceSpec, values: Mapping[str, str]) -> str | None:
    """Return the first placeholder of the specification that has no value."""
    return next((word for word in used(spec) if word not in values), None)


def used(spec: ServiceSpec) -> list[str]:
    """Return the placeholders of the specification that say something of other services."""
    found = [word for _, text in texts(spec, EVERYWHERE) for word in words(text)]
    return [word for word in found if is_placeholder(word) and word not in OWN]


def named(options: Options, values: Mapping[str, str], number: str) -> Options:
    """Return options with the names of one service; `number` ends those that don't have it."""

    def name(text: str) -> str:
        own = number if number and "instance" not in words(text) else ""
        return fill(text, values) + own

    found: Options = map_texts(options, HELD_NAMES, name)
    if isinstance(found, ObjectOptions) and found.objects:
        objects = {name(own): text for own, text in found.objects.items()}
        found = found if objects == found.objects else replace(found, objects=objects)
    return _with_awaited(found, values)


def _with_awaited(options: Options, values: Mapping[str, str]) -> Options:
    if isinstance(options, CommandOptions) and isinstance(options.ready, NameReady):
        name = fill(options.ready.pyro_name, values)
        return replace(options, ready=replace(options.ready, pyro_name=name))
    return options


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case tuple() | list():
            return type(value)(_mapped(each, change) for each in value)
        case dict():
            return {key: _mapped(each, change) for key, each in value.items()}
    return value


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    match value:
        case str():
            yield path, value
        case tuple() | list():
            for index, each in enumerate(value):
                yield from _texts(each, (*path, index))
        case dict():
            for key, each in value.items():
                yield from _texts(each, (*path, key))
