"""Loads a deployment, and remembers where its values came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyroctl.config.source.builtin import builtin
from pyroctl.config.source.diagnostics import Origin, dotted
from pyroctl.config.source.overrides import has_overrides
from pyroctl.core.instances import collapse
from pyroctl.errors import ConfigError, Diagnostic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.config.source.diagnostics import Path
    from pyroctl.config.source.env_files import Checked
    from pyroctl.config.source.inputs import AskedVariables, Inputs
    from pyroctl.config.source.layers import Layers
    from pyroctl.config.source.sources import Sources
    from pyroctl.core.spec import Deployment


@dataclass(frozen=True)
class Loaded:
    """A valid deployment."""

    deployment: Deployment
    files: tuple[str, ...] = ()
    """The files it was read from, in order; empty for the built-in deployment."""
    layers: Layers | None = None
    """The owner of each key; None for the built-in deployment without overrides."""
    variables: Mapping[Path, tuple[str, int]] = field(default_factory=dict)
    """File and line of the environment variables from env files."""
    memory: tuple[Checked, Inputs] | None = None
    """What `pyroctl.config.memory` may remember of it; None: nothing."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The table of defaults as it was written; the services of the deployment have them."""

    @cached_property
    def origins(self) -> Mapping[str, Origin]:
        """Where each value came from, by its dotted key."""
        from pyroctl.config.check.settings import settings

        return {dotted(path): self.origin(path) for path, _ in settings(self.deployment)}

    def doubtful(self, environ: Mapping[str, str] | None) -> list[Diagnostic]:
        """Return what is valid and can't be meant, in the order of the services.

        With an environment, also what the services would not find if they were started on this
        machine now, and clients that no file on it names.
        """
        from pyroctl.config.check.exposure import exposed
        from pyroctl.config.check.surroundings import client_names, missing
        from pyroctl.config.check.unused_rules import unused_rules

        if self.layers is None:
            return []
        services = {name: spec for name, (spec, _) in collapse(self.deployment.services).items()}
        names = {} if environ is None else client_names(services)
        found = [*exposed(services), *unused_rules(services, names)]
        if environ is not None:
            found += missing(self.deployment, environ)
        return [self.layers.locate(problem) for problem in found]

    def origin(self, path: Path) -> Origin:
        """Return where the value of a key came from."""
        owner = self.layers.owner(path) if self.layers is not None else None
        if owner is not None:
            return owner.origin(path)
        return Origin(*self.variables.get(path, ()))


def load(
    path: str | None,
    environ: Mapping[str, str],
    cwd: str,
    instead: Mapping[str, str | None] | None = None,
) -> Loaded:
    """Load the deployment of a file, or the built-in deployment if there is none.

    `environ` has the values of `${VAR}` and the settings `PYROCTL_…`; relative paths start at
    `cwd`; `instead` has texts to use in place of files, None for a file to treat as missing.
    Raises ConfigError with everything that is wrong. Any thread may call it.
    """
    if path is None and not has_overrides(environ):
        return Loaded(builtin(cwd))
    from pyroctl.config.check.convert import absolute
    from pyroctl.config.source.inputs import AskedVariables
    from pyroctl.config.source.sources import builtin_sources, read_sources

    asked = AskedVariables(environ)
    if path is None:
        return _interpreted(builtin_sources(), asked, cwd, None)
    file = absolute(path, cwd)
    sources = read_sources(file, asked, instead)
    return _interpreted(sources, asked, sources.directory, file)


def _interpreted(
    sources: Sources, environ: AskedVariables, directory: str, file: str | None
) -> Loaded:
    from pyroctl.config.check.interpret import interpret

    try:
        found = interpret(sources, environ, directory, file)
    except RecursionError as error:
        raise ConfigError([Diagnostic("nested too deeply", file=file)]) from error
    inputs = replace(sources.inputs, file=file, directory=directory, variables=environ.asked)
    inputs.contents.update(found.env_files.texts)
    return Loaded(
        found.deployment,
        tuple(sources.files),
        found.layers,
        found.env_files.lines,
        memory=None if found.secrets else (found.checked, inputs),
        defaults=found.defaults,
    )
