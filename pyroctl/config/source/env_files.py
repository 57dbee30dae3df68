"""The variables of services' env files, and a configuration that is complete but for them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyroctl.config.source.diagnostics import Problem
from pyroctl.config.source.envfile import parse_variables
from pyroctl.config.source.text import UnreadableError
from pyroctl.core.instances import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.config.source.diagnostics import Path
    from pyroctl.core.spec import Deployment
    from pyroctl.errors import Diagnostic


class EnvFiles:
    """The variables of all services' env files, and what is wrong with the files."""

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self.texts: dict[str, str] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.lines: dict[Path, tuple[str, int]] = {}
        self.problems: list[Problem] = []
        self.diagnostics: list[Diagnostic] = []

    def read(self, service: str, files: Sequence[str]) -> None:
        """Read the files of one service; later files override earlier ones."""
        for file in files:
            try:
                text = self.texts[file] = self._read(file)
            except UnreadableError as error:
                path = ("services", service, "env_file")
                self.problems.append(Problem(path, f"{file} {error}", error.hint))
                continue
            variables, diagnostics = parse_variables(text, file)
            for diagnostic in diagnostics:
                diagnostic.service = service
            self.diagnostics += diagnostics
            for variable in variables:
                self.variables.setdefault(service, {})[variable.name] = variable.value
                self.lines["services", service, "env", variable.name] = file, variable.line


@dataclass(frozen=True, slots=True)
class Checked:
    """A valid configuration, before the variables of env files and the instances are added."""

    deployment: Deployment
    counts: Mapping[str, int] = field(default_factory=dict)
    """The numbers of instances of services that have several."""
    env_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Those of each service that has any, absolute."""

    def complete(self, variables: Mapping[str, Mapping[str, str]]) -> Deployment:
        """Return the deployment; a service's own `env` overrides the variables of its files."""
        services = {
            name: replace(spec, env={**variables[name], **spec.env}) if name in variables else spec
            for name, spec in self.deployment.services.items()
        }
        return replace(self.deployment, services=expand(services, self.counts))
