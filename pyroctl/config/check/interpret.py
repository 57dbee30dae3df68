"""What a configuration means: a deployment, or everything that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.config.check.convert import absolute, to_core, to_spec
from pyroctl.config.check.exposure import exposed
from pyroctl.config.check.models.service import ReplicatedTable
from pyroctl.config.check.rules import check, check_names
from pyroctl.config.check.schema_info import key_paths
from pyroctl.config.check.untrusted import untrusted_paths
from pyroctl.config.check.validate import validate
from pyroctl.config.source import interpolation
from pyroctl.config.source.defaults import DEFAULTS, inherit
from pyroctl.config.source.diagnostics import is_secret
from pyroctl.config.source.env_files import Checked, EnvFiles
from pyroctl.config.source.overrides import find_overrides, has_overrides
from pyroctl.config.source.text import read_text
from pyroctl.core.alerts.spec import AlertsSpec
from pyroctl.core.spec import Deployment
from pyroctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyroctl.config.source.diagnostics import Path, Problem
    from pyroctl.config.source.layers import Layers
    from pyroctl.config.source.overrides import Override
    from pyroctl.config.source.sources import Sources
    from pyroctl.errors import Diagnostic


class Meaning(NamedTuple):
    """What a valid configuration means, and where that comes from."""

    deployment: Deployment
    layers: Layers
    """The owner of each key."""
    env_files: EnvFiles
    checked: Checked
    secrets: bool
    """Whether the environment of services contains values of ours, which no file contains."""
    defaults: Mapping[str, Any]
    """The table of defaults, which the services have already."""


def interpret(
    sources: Sources, environ: Mapping[str, str], directory: str, file: str | None
) -> Meaning:
    """Return what the files mean; relative paths in them start at `directory`.

    Raises ConfigError with everything that is wrong, in the order of the files and their lines.
    If a file can't be read, only those problems in the others are reported that can't be its
    consequence.
    """
    layers = sources.layers()
    data, unexpanded = interpolation.expand(layers.data, environ)
    strangers: list[Diagnostic] = []
    overrides: list[Override] = []
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
    env_files = {
        name: tuple(absolute(file, directory) for file in table.env_file)
        for name, table in validated.services.items()
        if table.env_file
    }
    files = EnvFiles(read_text)
    if sources.diagnostics:
        problems = [problem for problem in problems if layers.owner(problem.path)]
    else:
        for name, written in env_files.items():
            files.read(name, written)
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
    deployment = to_core(
        Deployment,
        validated.manager,
        directory,
        services=specs,
        directory=directory,
        file=file,
        alerts=validated.alerts and to_core(AlertsSpec, validated.alerts, directory),
    )
    checked = Checked(deployment, counts, env_files)
    secrets = _asks(layers.data) or any(is_secret(override.path) for override in overrides)
    defaults = data.get(DEFAULTS, {})
    return Meaning(checked.complete(files.variables), layers, files, checked, secrets, defaults)


def _asks(data: Any, path: Path = ()) -> bool:
    """Return whether a secret value refers to a variable."""
    if isinstance(data, dict):
        return any(_asks(value, (*path, key)) for key, value in data.items())
    return isinstance(data, str) and is_secret(path) and "${" in data


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
