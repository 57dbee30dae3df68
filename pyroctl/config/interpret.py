"""What a document means: a deployment, or everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from pyroctl.config.check import check
from pyroctl.config.convert import absolute, to_deployment
from pyroctl.config.envfile import parse_variables
from pyroctl.config.expand import expand
from pyroctl.config.mistakes import Mistake
from pyroctl.config.read import UnreadableError, read_text
from pyroctl.config.validate import validate
from pyroctl.errors import ConfigError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyroctl.config.mistakes import Path
    from pyroctl.config.models import Service
    from pyroctl.config.read import Document
    from pyroctl.core.spec import Deployment

    Lines = dict[Path, tuple[str, int]]


def interpret(document: Document, environ: Mapping[str, str]) -> tuple[Deployment, Lines]:
    """Give the deployment, and for each variable from an env file its path, file and line.

    Raises ConfigError with all faults, in the order of the file.
    """
    directory = str(FilePath(document.file).parent)
    data, unexpanded = expand(document.data, environ)
    validated, mistakes = validate(data)
    files = _EnvFiles(directory)
    for name, service in validated.services.items():
        files.read(name, service)
    services = data.get("services")
    between = check(services if isinstance(services, dict) else {}, validated.services)
    mistakes = _not_caused_by(unexpanded, [*mistakes, *between, *files.mistakes])
    faults = [document.fault(mistake) for mistake in (*unexpanded, *mistakes)]
    faults.sort(key=lambda fault: (fault.line or 0, fault.column or 0))
    if faults or files.faults:
        raise ConfigError([*faults, *files.faults])
    return to_deployment(validated, files.variables, document.file, directory), files.lines


def _not_caused_by(causes: Iterable[Mistake], mistakes: Iterable[Mistake]) -> list[Mistake]:
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
        self.mistakes: list[Mistake] = []
        self.faults: list[Fault] = []

    def read(self, name: str, service: Service) -> None:
        """Read the files of one service; a later file has the last word."""
        for written in service.env_file:
            file = absolute(written, self.directory)
            try:
                text = read_text(file)
            except UnreadableError as error:
                self.mistakes.append(Mistake(("services", name, "env_file"), f"{file} {error}"))
                continue
            variables, faults = parse_variables(text, file)
            self.faults += faults
            for variable in variables:
                self.variables.setdefault(name, {})[variable.name] = variable.value
                self.lines["services", name, "env", variable.name] = file, variable.line
