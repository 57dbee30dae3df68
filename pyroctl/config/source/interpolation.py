"""`${VAR}` and `${VAR:-default}` in the strings of a document; `$$` is a dollar."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyroctl.config.source.diagnostics import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.config.source.diagnostics import Path

_REFERENCE = re.compile(r"\$\$|\$\{([^}]*)\}?")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.ASCII | re.DOTALL)


class Expanded(str):
    """Text that came from a single `${…}`; it may stand for a number or a boolean."""

    __slots__ = ("source",)
    source: str


def expand(data: Any, environ: Mapping[str, str]) -> tuple[Any, list[Problem]]:
    """Return the document with all strings expanded, and the problems with others.

    Keys stay as they are, and so does a string that can't be expanded.
    """
    problems: list[Problem] = []
    return _expand(data, (), environ, problems), problems


def _expand(value: Any, path: Path, environ: Mapping[str, str], problems: list[Problem]) -> Any:
    match value:
        case str():
            try:
                return _text(value, environ)
            except UnresolvedReference as error:
                problems.append(Problem(path, error.message, error.hint))
                return value
        case dict():
            return {key: _expand(v, (*path, key), environ, problems) for key, v in value.items()}
        case list():
            return [_expand(v, (*path, i), environ, problems) for i, v in enumerate(value)]
    return value


class UnresolvedReference(Exception):
    """A reference that can't be replaced by a value."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _text(text: str, environ: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else _value(match, environ)

    expanded = _REFERENCE.sub(value, text)
    if "\0" in expanded:
        raise UnresolvedReference("contains a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in expanded):
        raise UnresolvedReference("contains bytes that are not UTF-8, from the environment")
    whole = _REFERENCE.fullmatch(text)
    if whole is None or text == "$$":
        return expanded
    result = Expanded(expanded)
    result.source = text
    return result


def _value(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if not match[0].endswith("}"):
        raise UnresolvedReference("${ without a closing }", "a dollar sign itself is written $$")
    inside = _INSIDE.fullmatch(match[1])
    if inside is None:
        hint = "the forms are ${VAR} and ${VAR:-default}; a dollar sign itself is written $$"
        raise UnresolvedReference(f"{match[0]} is not a reference to a variable", hint)
    name, default = inside[1], inside[2]
    if default is None:
        if name not in environ:
            hint = f"set it, or give a default: ${{{name}:-…}}"
            raise UnresolvedReference(f"the environment variable {name} is not set", hint)
        return environ[name]
    if "${" in default:
        raise UnresolvedReference("a default can't contain another ${…}")
    return environ.get(name) or default
