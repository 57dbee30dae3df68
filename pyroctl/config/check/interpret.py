"""What a configuration means: a deployment, or everything that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.config.check.convert import absolute, to_deployment
from pyroctl.config.check.rules import check
from pyroctl.config.check.validate import validate
from pyroctl.config.source.diagnostics import Problem
from pyroctl.config.source.envfile import parse_variables
from pyroctl.config.source.interpolation import expand
from pyroctl.config.source.overrides import find_overrides
from pyroctl.config.source.read import UnreadableError, read_text
from pyroctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyroctl.config.check.models import Service
    from pyroctl.config.source.diagnostics import Path
    from pyroctl.config.source.layers import Layers
    from pyroctl.config.source.sources import Sources
    from pyroctl.core.spec import Deployment
    from pyroctl.errors import Diagnostic

    Lines = dict[Path, tuple[str, int]]


def interpret(
    sources: Sources, environ: Mapping[str, str], directory: str, file: str | None
) -> tuple[Deployment, Layers, Lines]:
    """Give the deployment, who wrote what, and for each variable from an env file file and line.

    Relative paths start at `directory`. Raises ConfigError with all faults, in the order of the
    files and their lines. When a file can't be read, only such mistakes in the others are told
    that can't come from what is missing.
    """
    layers = sources.layers()
    data, unexpanded = expand(layers.data, environ)
    overrides, strangers = find_overrides(environ, data)
    for override in overrides:
        layers.put(data, override)
    unexpanded = [mistake for mistake in unexpanded if not layers.is_overridden(mistake.path)]
    validated, mistakes = validate(data)
    files = _EnvFiles(directory)
    if sources.faults:
        mistakes = [mistake for mistake in mistakes if layers.owner(mistake.path)]
    else:
        for name, service in validated.services.items():
            files.read(name, service)
        services = data.get("services")
        mistakes += check(services if isinstance(services, dict) else {}, validated.services)
    mistakes = _not_caused_by(unexpanded, [*mistakes, *files.mistakes])
    faults = [*sources.faults, *(layers.fault(mistake) for mistake in (*unexpanded, *mistakes))]
    if faults or strangers or files.faults:
        raise ConfigError([*_in_order(faults, sources.files), *strangers, *files.faults])
    return to_deployment(validated, files.variables, file, directory), layers, files.lines


def _in_order(faults: Iterable[Diagnostic], files: Iterable[str]) -> list[Diagnostic]:
    """Put faults in the order of the files, and of the lines in each."""
    rank = {file: number for number, file in enumerate(files)}

    def place(fault: Diagnostic) -> tuple[int, int, int]:
        return rank.get(fault.file or "", len(rank)), fault.line or 0, fault.column or 0

    return sorted(faults, key=place)


def _not_caused_by(causes: Iterable[Problem], mistakes: Iterable[Problem]) -> list[Problem]:
    """Leave out what is only wrong because a value, or one of a list, could not be expanded."""
    broken: set[Path] = set()
    for cause in causes:
        broken.add(cause.path)
        if isinstance(cause.path[-1], int):
            broken.add(cause.path[:-1])
    return [mistake for mistake in mistakes if mistake.path not in broken]


class _EnvFiles:
    """The variables of all services' env files, and what is wrong with the files."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.variables: dict[str, dict[str, str]] = {}
        self.lines: Lines = {}
        self.mistakes: list[Problem] = []
        self.faults: list[Diagnostic] = []

    def read(self, name: str, service: Service) -> None:
        """Read the files of one service; a later file has the last word."""
        for written in service.env_file:
            file = absolute(written, self.directory)
            try:
                text = read_text(file)
            except UnreadableError as error:
                self.mistakes.append(Problem(("services", name, "env_file"), f"{file} {error}"))
                continue
            variables, faults = parse_variables(text, file)
            self.faults += faults
            for variable in variables:
                self.variables.setdefault(name, {})[variable.name] = variable.value
                self.lines["services", name, "env", variable.name] = file, variable.line
