"""What a configuration means: a deployment, or everything that is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.config.check.convert import absolute, to_core, to_spec
from pyroctl.config.check.exposure import exposed
from pyroctl.config.check.models import ReplicatedTable
from pyroctl.config.check.rules import check, check_names
from pyroctl.config.check.schema_info import key_paths
from pyroctl.config.check.untrusted import untrusted_paths
from pyroctl.config.check.validate import validate
from pyroctl.config.source import interpolation
from pyroctl.config.source.defaults import DEFAULTS, inherit
from pyroctl.config.source.diagnostics import Problem
from pyroctl.config.source.envfile import parse_variables
from pyroctl.config.source.overrides import find_overrides, has_overrides
from pyroctl.config.source.read import UnreadableError, read_text
from pyroctl.core.alerts.spec import AlertsSpec
from pyroctl.core.instances import expand
from pyroctl.core.spec import Deployment
from pyroctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyroctl.config.check.models import ServiceTable
    from pyroctl.config.source.diagnostics import Path
    from pyroctl.config.source.layers import Layers
    from pyroctl.config.source.sources import Sources
    from pyroctl.errors import Diagnostic

    Lines = dict[Path, tuple[str, int]]


class Interpretation(NamedTuple):
    """A deployment, and where it came from."""

    deployment: Deployment
    layers: Layers
    """The owner of each key."""
    variables: Lines
    """File and line of each variable of an env file."""
    defaults: Mapping[str, Any]
    """The table of defaults, which the services have already."""


def interpret(
    sources: Sources, environ: Mapping[str, str], directory: str, file: str | None
) -> Interpretation:
    """Return what the documents mean together.

    Relative paths start at `directory`. Raises ConfigError with everything that is wrong, in the
    order of the files and their lines. If a file can't be read, only those problems in the others
    are reported that can't be its consequence.
    """
    layers = sources.layers()
    data, unexpanded = interpolation.expand(layers.data, environ)
    strangers: list[Diagnostic] = []
    if has_overrides(environ):
        overrides, strangers = find_overrides(environ, key_paths(data))
        for override in overrides:
            layers.put(data, override)
    unexpanded = [problem for problem in unexpanded if not layers.is_overridden(problem.path)]
    inherit(data, layers)
    validated, problems = validate(data)
    specs = {name: to_spec(name, table, directory) for name, table in validated.services.items()}
    counts = {
        name: table.instances
        for name, table in validated.services.items()
        if isinstance(table, ReplicatedTable) and table.instances is not None
    }
    files = _EnvFiles(directory)
    if sources.diagnostics:
        problems = [problem for problem in problems if layers.owner(problem.path)]
    else:
        for name, table in validated.services.items():
            files.read(name, table)
        problems += untrusted_paths(specs, directory)
        problems += exposed(specs) if validated.manager.strict else []
        tables = data.get("services")
        problems += check(tables if isinstance(tables, dict) else {}, specs, counts)
        told = validated.alerts.model_dump(include={"services"}) if validated.alerts else {}
        problems += check_names(("alerts", "services"), told.get("services", ()), specs)
    problems = _not_caused_by(unexpanded, [*problems, *files.problems], layers)
    located = [layers.locate(problem) for problem in (*unexpanded, *problems)]
    diagnostics = [*sources.diagnostics, *located]
    if diagnostics or strangers or files.diagnostics:
        diagnostics = _in_order(diagnostics, sources.files)
        raise ConfigError([*diagnostics, *strangers, *files.diagnostics])
    services = {
        name: replace(spec, env={**files.variables.get(name, {}), **spec.env})
        for name, spec in specs.items()
    }
    deployment = to_core(
        Deployment,
        validated.manager,
        directory,
        services=expand(services, counts),
        directory=directory,
        file=file,
        alerts=validated.alerts and to_core(AlertsSpec, validated.alerts, directory),
    )
    return Interpretation(deployment, layers, files.lines, data.get(DEFAULTS, {}))


def _in_order(diagnostics: Iterable[Diagnostic], files: Iterable[str]) -> list[Diagnostic]:
    """Return the diagnostics in the order of the files, and of the lines in each."""
    rank = {file: number for number, file in enumerate(files)}

    def place(diagnostic: Diagnostic) -> tuple[int, int, int]:
        file = rank.get(diagnostic.file or "", len(rank))
        return file, diagnostic.line or 0, diagnostic.column or 0

    return sorted(diagnostics, key=place)


def _not_caused_by(
    causes: Iterable[Problem], problems: Iterable[Problem], layers: Layers
) -> list[Problem]:
    """Leave out what is only wrong because a value, or one of a list, could not be expanded.

    What is wrong with a default is left out for all but the first service that has it.
    """
    broken: set[Path] = set()
    for cause in causes:
        broken.add(cause.path)
        if isinstance(cause.path[-1], int):
            broken.add(cause.path[:-1])
    found: dict[tuple[Path, str], Problem] = {}
    for problem in problems:
        found.setdefault((layers.source(problem.path), problem.message), problem)
    return [problem for (path, _), problem in found.items() if path not in broken]


class _EnvFiles:
    """The variables of all services' env files, and what is wrong with the files."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.variables: dict[str, dict[str, str]] = {}
        self.lines: Lines = {}
        self.problems: list[Problem] = []
        self.diagnostics: list[Diagnostic] = []

    def read(self, name: str, service: ServiceTable) -> None:
        """Read the files of one service; later files override earlier ones."""
        for written in service.env_file:
            file = absolute(written, self.directory)
            try:
                text = read_text(file)
            except UnreadableError as error:
                path = ("services", name, "env_file")
                self.problems.append(Problem(path, f"{file} {error}", error.hint))
                continue
            variables, diagnostics = parse_variables(text, file)
            for diagnostic in diagnostics:
                diagnostic.service = name
            self.diagnostics += diagnostics
            for variable in variables:
                self.variables.setdefault(name, {})[variable.name] = variable.value
                self.lines["services", name, "env", variable.name] = file, variable.line
