"""Settings from the environment: `PYROCTL_SERVICES_ES_PORT=9000`.

A variable is `PYROCTL_` and the setting's key in capitals, with an underscore for every character
that is no letter or digit. Which setting that is follows from the services and keys that there
are, so `PYROCTL_SERVICES_ES_STOP_TIMEOUT` can only be `services.es.stop_timeout`. Several
underscores count as one. What fits nothing, or two settings, is a fault.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.config.source.diagnostics import OPEN, dotted
from pyroctl.config.source.interpolation import Expanded
from pyroctl.config.source.origin import Origin
from pyroctl.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.source.diagnostics import Path, Problem

PREFIXES = ("PYROCTL_SERVICES_", "PYROCTL_MANAGER_")
_WORDS = re.compile(r"[A-Za-z0-9]+")


class Override(NamedTuple):
    """One value from the environment."""

    path: Path
    value: Any
    variable: str

    def origin(self, _: Path) -> Origin:
        """Give where the value came from."""
        return Origin(variable=self.variable)

    def fault(self, mistake: Problem) -> Diagnostic:
        """Make the fault of a mistake in the value."""
        said = mistake.message
        source = "" if self.variable in said else f" (from {self.variable})"
        return Diagnostic(said + source, key=dotted(mistake.path), hint=mistake.hint)


def has_overrides(environ: Mapping[str, str]) -> bool:
    """Tell whether any setting comes from the environment."""
    return any(name.startswith(PREFIXES) for name in environ)


def find_overrides(
    environ: Mapping[str, str], data: Mapping[str, Any]
) -> tuple[list[Override], list[Diagnostic]]:
    """Give the settings in the environment, and the variables that are none.

    `data` is the configuration without them.
    """
    if not has_overrides(environ):
        return [], []
    from pyroctl.config.check.schema_info import key_paths

    found: list[Override] = []
    faults: list[Diagnostic] = []
    patterns = {path: _pattern(path) for path in key_paths(data)}
    for variable in sorted(name for name in environ if name.startswith(PREFIXES)):
        paths = list(_meant(variable, patterns))
        if len(paths) == 1:
            found.append(Override(paths[0], _value(environ[variable], variable), variable))
        elif paths:
            both = " and ".join(dotted(path) for path in paths)
            hint = "set it in the configuration: pyroctl config set"
            faults.append(Diagnostic(f"{variable} could mean {both}", hint=hint))
        else:
            from pyroctl.suggestions import nearest_name

            names = [_variable(path) for path in patterns]
            nearest = nearest_name(variable, names)
            hint = f"did you mean {nearest}?" if nearest else "pyroctl config show lists the keys"
            faults.append(Diagnostic(f"{variable} in the environment is no setting", hint=hint))
    return found, faults


def _meant(variable: str, patterns: Mapping[Path, re.Pattern[str]]) -> Iterator[Path]:
    for path, pattern in patterns.items():
        match = pattern.fullmatch(variable)
        if match:
            yield (*path[:-1], _open_key(path, match[1])) if path[-1] == OPEN else path


def _open_key(path: Path, name: str) -> str:
    """Give the key in a table with keys of people's own: variables as written, limits in small."""
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
    """Read lists and inline tables as TOML; what is wanted where text stands is seen later."""
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
