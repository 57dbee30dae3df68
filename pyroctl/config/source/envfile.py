"""Files of environment variables: `KEY=VALUE` lines, `#` comments, quotes."""

from __future__ import annotations

import re
from typing import NamedTuple

from pyroctl.errors import Diagnostic

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_QUOTED = re.compile(
    r""" "((?:[^"\\]|\\.)*)"(?:\s*|\s+\#.*) | '([^']*)'(?:\s*|\s+\#.*) """, re.VERBOSE
)
_COMMENT = re.compile(r"\s#.*")
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Variable(NamedTuple):
    """One variable, and the line that sets it."""

    name: str
    value: str
    line: int


def parse_variables(text: str, file: str) -> tuple[list[Variable], list[Diagnostic]]:
    r"""Parse the text of such a file; the diagnostics have line and column.

    Values are literal: nothing is expanded. In double quotes `\n`, `\t` and `\r` are escapes, and a
    backslash before any other character makes it literal; outside quotes, ` #` begins a comment.
    """
    variables: list[Variable] = []
    diagnostics: list[Diagnostic] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            variables.append(Variable(*_assignment(stripped), number))
        except ValueError as error:
            column = len(line) - len(line.lstrip()) + 1
            diagnostics.append(Diagnostic(str(error), file=file, line=number, column=column))
    return variables, diagnostics


def _assignment(line: str) -> tuple[str, str]:
    name, equals, value = line.removeprefix("export ").partition("=")
    name = name.strip()
    if not equals:
        raise ValueError("expected KEY=VALUE")
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" can\'t be the name of an environment variable')
    if "\0" in value:
        raise ValueError("contains a NUL character")
    if value.lstrip()[:1] not in {'"', "'"}:
        return name, _COMMENT.sub("", value).strip()
    match = _QUOTED.fullmatch(value.strip())
    if match is None:
        raise ValueError("the closing quote is missing, or something follows it")
    if match[2] is not None:
        return name, match[2]
    return name, _ESCAPED.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), match[1])
