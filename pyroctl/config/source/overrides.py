"""Settings from the environment: `PYROCTL_SERVICES_ES_PORT=9000`.

A variable is `PYROCTL_` and the setting's key in capitals, with an underscore for every character
other than a letter or digit; several underscores count as one. Which setting it means follows from
the services and keys that exist, so `PYROCTL_SERVICES_ES_STOP_TIMEOUT` can only be
`services.es.stop_timeout`. A variable that matches none, or more than one, is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.config.source.diagnostics import OPEN, Origin, dotted
from pyroctl.config.source.interpolation import Expanded
from pyroctl.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyroctl.config.source.diagnostics import Path, Problem

PREFIXES = ("PYROCTL_SERVICES_", "PYROCTL_MANAGER_")
_WORDS = re.compile(r"[A-Za-z0-9]+")


class Override(NamedTuple):
    """One value from the environment."""

    path: Path
    value: Any
    variable: str

    def origin(self, _: Path) -> Origin:
        """Return where the value came from."""
        return Origin(variable=self.variable)

    def locate(self, problem: Problem) -> Diagnostic:
        """Return the diagnostic for a problem with the value."""
        said = problem.message
        source = "" if self.variable in said else f" (from {self.variable})"
        return Diagnostic(said + source, key=dotted(problem.path), hint=problem.hint)


def has_overrides(environ: Mapping[str, str]) -> bool:
    """Return whether any setting comes from the environment."""
    return any(name.startswith(PREFIXES) for name in environ)


def find_overrides(
    environ: Mapping[str, str], known: Iterable[Path]
) -> tuple[list[Override], list[Diagnostic]]:
    """Return the settings in the environment, and diagnostics for other variables.

    `known` are the paths of all keys that could be set.
    """
    found: list[Override] = []
    diagnostics: list[Diagnostic] = []
    patterns = {path: _pattern(path) for path in known}
    for variable in sorted(name for name in environ if name.startswith(PREFIXES)):
        paths = list(_meant(variable, patterns))
        if len(paths) == 1:
            found.append(Override(paths[0], _value(environ[variable], variable), variable))
        elif paths:
            both = " and ".join(dotted(path) for path in paths)
            hint = "set it in the configuration: pyroctl config set"
            diagnostics.append(Diagnostic(f"{variable} could mean {both}", hint=hint))
        else:
            from pyroctl.suggestions import nearest_name

            names = [_variable(path) for path in patterns]
            nearest = nearest_name(variable, names)
            hint = f"did you mean {nearest}?" if nearest else "pyroctl config show lists the keys"
            diagnostics.append(
                Diagnostic(f"{variable} in the environment is not a known setting", hint=hint)
            )
    return found, diagnostics


def _meant(variable: str, patterns: Mapping[Path, re.Pattern[str]]) -> Iterator[Path]:
    for path, pattern in patterns.items():
        match = pattern.fullmatch(variable)
        if match:
            yield (*path[:-1], _open_key(path, match[1])) if path[-1] == OPEN else path


def _open_key(path: Path, name: str) -> str:
    """Return a key of the user's own: variables as written, limits in lower case."""
    return name if path[-2] == "env" else name.lower()


def _pattern(path: Path) -> re.Pattern[str]:
    parts = ["PYROCTL"]
    for part in path:
        parts += ["(.+)"] if part == OPEN else _WORDS.findall(str(part))
    return re.compile("_+".join(parts), re.IGNORECASE | re.DOTALL)


def _variable(path: Path) -> str:
    words = ["NAME"] if path[-1] == OPEN else []
    fixed = path[:-1] if path[-1] == OPEN else path
    return "_".join(["PYROCTL", *_WORDS.findall(dotted(fixed).upper()), *words])


def _value(text: str, variable: str) -> Any:
    """Read lists and inline tables as TOML; other text is converted when its type is known."""
    if text.lstrip().startswith(("[", "{")):
        import tomllib

        try:
            parsed = tomllib.loads(f"value = {text}")
        except (ValueError, RecursionError):
            pass
        else:
            if parsed.keys() == {"value"}:
                return parsed["value"]
    value = Expanded(text)
    value.source = variable
    return value
