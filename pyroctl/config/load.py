"""Load a deployment, and remember where its values came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pyroctl.config.mistakes import dotted
from pyroctl.config.settings import settings
from pyroctl.core.spec import Deployment, builtin_deployment
from pyroctl.errors import ConfigError, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.config.mistakes import Path
    from pyroctl.config.read import Document


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from; without a file it is a default."""

    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return "default" if self.file is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Loaded:
    """A deployment without faults."""

    deployment: Deployment
    document: Document | None = None
    """What it was read from; None for the built-in deployment."""
    variables: Mapping[Path, tuple[str, int]] = field(default_factory=dict)
    """File and line of the environment variables that came from env files."""

    @cached_property
    def origins(self) -> Mapping[str, Origin]:
        """Where each value came from, by its dotted key."""
        return {dotted(path): self._origin(path) for path, _ in settings(self.deployment)}

    def _origin(self, path: Path) -> Origin:
        if self.document is not None and self.document.has(path):
            return Origin(self.document.file, *self.document.place(path))
        if path in self.variables:
            return Origin(*self.variables[path])
        return Origin()


def load(path: str | None, environ: Mapping[str, str], cwd: str) -> Loaded:
    """Load the deployment of a file; without one, the built-in deployment.

    `environ` is what `${VAR}` means, `cwd` where a relative path starts. Raises ConfigError with
    all faults. Any thread may call it.
    """
    if path is None:
        return Loaded(builtin_deployment(cwd))
    from pyroctl.config.convert import absolute
    from pyroctl.config.interpret import interpret
    from pyroctl.config.read import read_document

    document = read_document(absolute(path, cwd))
    try:
        deployment, variables = interpret(document, environ)
    except RecursionError as error:
        raise ConfigError([Fault("nested too deeply", file=document.file)]) from error
    return Loaded(deployment, document, variables)
