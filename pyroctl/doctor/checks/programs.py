"""Checks 1, 2, 3 and 16: versions, variables and packages of the programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyroctl.core.spec import CommandOptions, ObjectOptions
from pyroctl.doctor.finding import note, problem, warning
from pyroctl.doctor.pyro_variables import PYRO_VARIABLES
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

ON_THE_WIRE = ("Pyro5", "serpent", "msgpack")
FLAGS = frozenset({"0", "1", "true", "false", "yes", "no", "on", "off"})
LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


def versions(facts: Facts) -> Iterator[Finding]:
    """Compare what talks to each other; wire formats change with major versions."""
    if facts.place.running not in {None, facts.place.installed}:
        text = f"the manager is {facts.place.running}, this command {facts.place.installed}"
        yield warning(text, "the manager", "pyroctl reexec")
    for name, service in facts.services.items():
        if "Pyro4" in service.versions or any("Pyro4" in line for line in service.log):
            text = f"{name} uses Pyro4, which can't talk to Pyro5 (protocol 502)"
            yield problem(text, name, "port it to Pyro5: its upgrading guide lists what", name)
        for package in ON_THE_WIRE:
            ours, theirs = facts.versions.get(package), service.versions.get(package)
            if ours and theirs and ours.split(".")[0] != theirs.split(".")[0]:
                text = f"{name} has {package} {theirs}, everything else {ours}"
                yield problem(text, name, f"install {package} {ours} for its Python", name)


def variables(facts: Facts) -> Iterator[Finding]:
    """Find variables with which `import Pyro5` fails."""
    for place, service, environ in _environments(facts):
        for name, value in sorted(environ.items()):
            if not name.startswith("PYRO_"):
                continue
            if name not in PYRO_VARIABLES:
                near = nearest_name(name, PYRO_VARIABLES)
                remedy = f"unset {name}" + (f"; did you mean {near}?" if near else "")
                yield problem(f"with {name} set, import Pyro5 fails", place, remedy, service)
            elif not _fits(PYRO_VARIABLES[name], value):
                text = f"{name}={value} is not {PYRO_VARIABLES[name]}, so import Pyro5 fails"
                yield problem(text, place, f"set {name} to {PYRO_VARIABLES[name]}", service)


def logging_variables(facts: Facts) -> Iterator[Finding]:
    """Find settings of Pyro5's log that surprise."""
    for place, service, environ in _environments(facts):
        level = environ.get("PYRO_LOGLEVEL")
        if level is None:
            continue
        if level not in LEVELS:
            text = f"PYRO_LOGLEVEL={level} isn't a level, so import Pyro5 fails"
            yield problem(text, place, f"set it to {level.upper()}", service)
        elif "PYRO_LOGFILE" not in environ:
            file = os.path.join(facts.directory, "pyro5.log")
            text = f"Pyro5 logs into {file}, which nobody rotates"
            yield warning(text, place, 'PYRO_LOGFILE="{stderr}" sends it to the log', service)


def packages(facts: Facts) -> Iterator[Finding]:
    """Find serializers that are configured and not installed, and messages that need an extra."""
    for name, service in facts.services.items():
        options = service.spec.options
        own = options.serializer if isinstance(options, ObjectOptions) else None
        wanted = own or service.environ.get("PYRO_SERIALIZER")
        if wanted == "msgpack" and service.versions and "msgpack" not in service.versions:
            text = f"{name} serializes with msgpack, which its Python doesn't have"
            yield problem(text, name, "pip install msgpack", name)
        for line in service.log:
            if "numpy" in line and ("serialize" in line or "unsupported" in line):
                yield warning(
                    f"{name} sends numpy arrays without the codec for them: {line.strip()}",
                    *(name, "pip install 'pyroctl[numpy]', and register the codec"),
                    name,
                )
                break


def buffered_output(facts: Facts) -> Iterator[Finding]:
    """Check 20: find programs whose output arrives in the log late."""
    for name, service in facts.services.items():
        if service.buffered and isinstance(service.spec.options, CommandOptions):
            text = f"the output of {name} is buffered in blocks: its log lags behind"
            yield note(text, name, 'add -u after python, or env = { PYTHONUNBUFFERED = "1" }', name)


def _environments(facts: Facts) -> Iterator[tuple[str, str | None, Mapping[str, str]]]:
    """Yield place, service and variables; of services only those that are theirs alone."""
    yield "the environment of this command", None, facts.environ
    for name, service in facts.services.items():
        own = {k: v for k, v in service.environ.items() if facts.environ.get(k) != v}
        if "PYRO_LOGLEVEL" in own:
            own |= {k: v for k, v in service.environ.items() if k == "PYRO_LOGFILE"}
        yield f"the environment of {name}", name, own


def _fits(kind: str, value: str) -> bool:
    if kind == "a number":
        try:
            float(value)
        except ValueError:
            return False
    return kind != "yes or no" or value.lower() in FLAGS
