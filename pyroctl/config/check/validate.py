"""Checks a document against the models: all its problems at once, each in our words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args

from pydantic import ValidationError

from pyroctl.config.check.foreign import (
    duration_hint,
    foreign_key,
    gone_choice,
    gone_key,
    size_hint,
)
from pyroctl.config.check.models.base import PARTIAL, Table
from pyroctl.config.check.models.kinds import KINDS, default_keys
from pyroctl.config.check.models.manager import AlertsTable, ManagerTable
from pyroctl.config.check.models.service import ServiceTable
from pyroctl.config.check.validators import NAME_HINT, is_name
from pyroctl.config.source.defaults import DEFAULTS
from pyroctl.config.source.diagnostics import Problem, is_secret, quoted, show, show_number
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from pyroctl.config.source.diagnostics import Path

_TOP = ("manager", "defaults", "alerts", "services", "include")
_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
_FEW = 8
_SERVICE_KEY = len(("services", "NAME", "KEY"))
_SENTENCES = {
    "missing": "is missing",
    "string_too_short": "must not be empty",
    "finite_number": "must be a finite number",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "greater_than": ("more than", "gt"),
}


T = TypeVar("T", bound=Table)


class Validated(NamedTuple):
    """The valid tables of a document."""

    manager: ManagerTable
    services: dict[str, ServiceTable]
    alerts: AlertsTable | None


def validate(data: Mapping[str, Any]) -> tuple[Validated, list[Problem]]:
    """Return the tables that are valid by themselves, and the problems of all others."""
    problems = [_unknown(key, (key,), _TOP) for key in data if key not in _TOP]
    manager = _table(ManagerTable, data.get("manager", {}), ("manager",), problems)
    _check_defaults(data.get(DEFAULTS, {}), problems)
    services: dict[str, ServiceTable] = {}
    for name, table in _service_tables(data, problems).items():
        service = _service(table, ("services", name), problems)
        if service is not None:
            services[name] = service
    alerts = data.get("alerts")
    told = None if alerts is None else _table(AlertsTable, alerts, ("alerts",), problems)
    return Validated(manager or ManagerTable(), services, told), problems


def _check_defaults(table: Any, problems: list[Problem]) -> None:
    """Check the defaults by themselves: each key belongs to all services, or to those of a kind."""
    path = (DEFAULTS,)
    if not isinstance(table, dict):
        problems.append(Problem(path, f"expected a table, got {show(table)}"))
        return
    common = {key: value for key, value in table.items() if key not in KINDS}
    _check_partial(ServiceTable, common, path, problems)
    for kind, model in KINDS.items():
        if isinstance(table.get(kind, {}), dict):
            _check_partial(model, table.get(kind, {}), (*path, kind), problems)
        else:
            hint = f"these are tables of their own: [defaults.{kind}]"
            problems.append(
                Problem((*path, kind), f"expected a table, got {show(table[kind])}", hint)
            )


def _check_partial(
    model: type[ServiceTable], table: dict[str, Any], path: Path, problems: list[Problem]
) -> None:
    known = default_keys(model)
    fit = {key: value for key, value in table.items() if key in known}
    found: list[Problem] = []
    for key in (key for key in table if key not in known):
        kinds = [kind for kind, other in KINDS.items() if key in default_keys(other)]
        problem = _unknown(key, (*path, key), [*known, *(KINDS if path == (DEFAULTS,) else ())])
        if key in model.model_fields:
            hint: str | None = "each service has its own"
        elif kinds:
            hint = f"write it into {' and '.join(f'[defaults.{kind}]' for kind in kinds)}"
        else:
            hint = problem.hint
        found.append(replace(problem, hint=hint))
    _table(model, {**fit, "kind": ""}, path, found, partial=True)
    problems += found


def _service_tables(data: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    tables = data.get("services", {})
    path = ("services",)
    if not isinstance(tables, dict):
        hint = "each service is a table of its own: [services.NAME]"
        problems.append(Problem(path, f"expected a table, got {show(tables)}", hint))
        return {}
    if not tables:
        hint = "a service is a table [services.NAME]; pyroctl init writes a starting deployment"
        problems.append(Problem(path, "there is no service", hint))
    problems += [
        Problem((*path, name), "is not a valid service name", NAME_HINT)
        for name in tables
        if not is_name(name)
    ]
    return tables


def _service(table: Any, path: Path, problems: list[Problem]) -> ServiceTable | None:
    if not isinstance(table, dict):
        hint = f"a service is a table of its own: [services.{path[-1]}]"
        problems.append(Problem(path, f"expected a table, got {show(table)}", hint))
        return None
    kind = table.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is not None:
        return _table(model, table, path, problems)
    _unknown_kind(table, path, problems)
    common = {key: value for key, value in table.items() if key in ServiceTable.model_fields}
    _table(ServiceTable, {**common, "kind": ""}, path, problems)
    every = [key for kind in KINDS.values() for key in kind.model_fields]
    problems += [
        _unknown(key, (*path, key), every, value)
        for key, value in table.items()
        if key not in every
    ]
    return None


def _unknown_kind(table: Mapping[str, Any], path: Path, problems: list[Problem]) -> None:
    kind = table.get("kind")
    known = ", ".join(f'"{name}"' for name in KINDS)
    if kind is None:
        problems.append(Problem((*path, "kind"), "is missing", f"one of {known}"))
    elif isinstance(kind, str):
        nearest = nearest_name(kind, KINDS)
        hint = f'did you mean "{nearest}"?' if nearest else f"one of {known}"
        problems.append(Problem((*path, "kind"), f'there is no kind "{kind}"', hint))
    else:
        message = f"expected a string, got {show(kind)}"
        problems.append(Problem((*path, "kind"), message, f"one of {known}"))


def _table(
    model: type[T], table: Any, path: Path, problems: list[Problem], *, partial: bool = False
) -> T | None:
    """Return a table if it is valid; with `partial`, a key may lack others that it requires."""
    try:
        return model.model_validate(table, context={PARTIAL: partial})
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems += [
            _problem(detail, model, path)
            for detail in details
            if not (partial and detail["type"] == "missing" and len(detail["loc"]) == 1)
        ]
        return None


def _problem(detail: ErrorDetails, model: type[Table], table: Path) -> Problem:
    """Translate one of pydantic's errors."""
    loc: Path = tuple(part for part in detail["loc"] if part != "[key]")
    path = (*table, *loc)
    value, context = detail["input"], detail.get("ctx", {})
    found: tuple[str, str | None]
    match detail["type"]:
        case "refused":
            found = context["message"], context["hint"]
        case "extra_forbidden":
            return _unknown(str(loc[-1]), path, _keys_at(model, loc[:-1]), value)
        case "literal_error":
            found = _no_choice(value, context["expected"])
        case kind if kind in _EXPECTED and is_secret(path):
            found = f"expected {_EXPECTED[kind]}", "in quotes" if loc[1:] else None
        case kind if kind in _EXPECTED:
            found = f"expected {_EXPECTED[kind]}, got {show(value)}", _type_hint(kind, value)
        case kind if kind in _BOUNDS:
            words, bound = _BOUNDS[kind]
            got = value if isinstance(value, str) else show_number(value)
            found = f"must be {words} {show_number(context[bound])}, got {got}", None
        case kind:
            found = _SENTENCES.get(kind, detail["msg"]), None
    return Problem(path, *found)


def _unknown(key: str, path: Path, known: Sequence[str], value: Any = None) -> Problem:
    nearest = nearest_name(key, known)
    kinds = [f'"{kind}"' for kind, model in KINDS.items() if key in model.model_fields]
    hint: str | None
    if isinstance(value, dict) and "kind" in value:
        hint = f'a name with a dot needs quotes: [services."{path[-2]}.{key}"]'
    elif gone := gone_key(key):
        hint = gone
    elif len(path) == _SERVICE_KEY and kinds:
        hint = f"it is a key of kind {' and '.join(kinds)}"
    elif nearest := foreign_key(key, known) or nearest:
        hint = f"did you mean {nearest}?"
    else:
        hint = f"known here: {', '.join(known)}" if len(known) <= _FEW else None
    return Problem(path, "unknown key", hint)


def _keys_at(model: type[Table], loc: Path) -> tuple[str, ...]:
    """Return the keys that a table within a model's table may have."""
    for part in (part for part in loc if not isinstance(part, int)):
        annotation = model.model_fields[str(part)].annotation
        inner = (annotation, *get_args(annotation))
        model = next(t for t in inner if isinstance(t, type) and issubclass(t, Table))
    return tuple(model.model_fields)


def _no_choice(value: Any, expected: str) -> tuple[str, str | None]:
    choices = re.findall(r"'([^']*)'", expected)
    nearest = nearest_name(value, choices) if isinstance(value, str) else None
    hint = gone_choice(value) or (f'did you mean "{nearest}"?' if nearest else None)
    expected = expected.replace("'", '"')
    return f"expected {expected}, got {show(value)}", hint


def _type_hint(kind: str, value: Any) -> str | None:
    match kind, value:
        case "list_type", str():
            return f"in brackets: [{quoted(value)}]"
        case "string_type", bool() | int() | float():
            return f'in quotes: "{show_number(value)}"'
        case "int_type" | "float_type", str() if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            return f"without quotes: {value}"
        case "int_type" | "float_type", str():
            return size_hint(value) if kind == "int_type" else duration_hint(value)
        case "bool_type", "true" | "false":
            return f"without quotes: {value}"
    return None
