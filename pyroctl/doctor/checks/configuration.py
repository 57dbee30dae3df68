"""Checks 18, 19, 21, 22 and 25: the configuration, and whether it is what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.spec import EventServiceOptions, NameServerOptions
from pyroctl.doctor.finding import note, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

OTHERS = 0o077
BACKGROUND = "went into the background"
SURROUNDINGS = ("there is no ", "can't be read", "does not exist", "no user", "no group")
"""How `config check` begins to say that something isn't on this machine."""


def faults(facts: Facts) -> Iterator[Finding]:
    """Errors, warnings, and what a reload would change."""
    for entry in facts.faults:
        remedy = entry.get("hint") or "correct it: pyroctl config check"
        yield problem(entry["message"], _place(facts, entry), remedy, entry.get("service"))
    for entry in facts.doubts:
        if not _is_missing(entry):
            remedy = entry.get("hint") or "see pyroctl config check"
            yield warning(entry["message"], _place(facts, entry), remedy, entry.get("service"))
    if facts.manager_error is not None:
        remedy = "is it suspended? kill -CONT its pid; its log is _manager.log"
        yield problem(facts.manager_error, "the manager", remedy)
    if facts.pending:
        text = f"the configuration differs from what runs: {'; '.join(facts.pending[:3])}"
        yield note(text, facts.config or "the configuration", "pyroctl reload applies it")


def surroundings(facts: Facts) -> Iterator[Finding]:
    """Programs, directories, users and files that services need."""
    for entry in facts.doubts:
        if _is_missing(entry):
            remedy = entry.get("hint") or "install it, or correct the path"
            yield problem(entry["message"], _place(facts, entry), remedy, entry.get("service"))
    for file in facts.files:
        if file.what == "env_file" and file.mode is not None and file.mode & OTHERS:
            text = (
                f"{file.path}, which may have secrets, can be read by others (mode {file.mode:o})"
            )
            yield warning(text, file.path, f"chmod 600 {file.path}", file.service)


def background(facts: Facts) -> Iterator[Finding]:
    """Programs that fork and leave, which nobody supervises then."""
    for name, service in facts.services.items():
        said = [service.row.get("detail", ""), (service.row.get("exit") or {}).get("text", "")]
        if any(BACKGROUND in str(text) for text in said):
            text = f"{name} {BACKGROUND}, so it isn't supervised"
            yield problem(text, name, "run it in the foreground, such as with --no-daemon", name)


def undeclared(facts: Facts) -> Iterator[Finding]:
    """Services that use others without needing them start in the wrong order."""
    shared = (NameServerOptions, EventServiceOptions)
    for name, service in facts.services.items():
        for other in sorted(service.connects - {name} - _closure(facts, name)):
            if isinstance(facts.services[other].spec.options, shared):
                needs = ", ".join(f'"{each}"' for each in (*service.spec.needs, other))
                text = f"{name} is connected to {other}, and doesn't need it"
                yield warning(text, name, f"services.{name}.needs = [{needs}]", name)


def grace(facts: Facts) -> Iterator[Finding]:
    """Compare the time that a stop may take with what the system gives the manager."""
    limit = facts.host.grace
    if limit is None:
        return
    needed = _longest_stop(facts)
    if needed > limit:
        text = f"stopping may take {needed:g} s, and the system kills the manager after {limit:g}"
        remedy = (
            "TimeoutStopSec (pyroctl unit systemd has it), docker stop -t, or less stop_timeout"
        )
        yield warning(text, "stop_timeout", remedy)


def _longest_stop(facts: Facts) -> float:
    """Return the longest chain of services that stop one after the other."""
    needed_by: dict[str, list[str]] = {name: [] for name in facts.services}
    for name, service in facts.services.items():
        for need in service.spec.needs:
            needed_by.setdefault(need, []).append(name)
    done: dict[str, float] = {}

    def chain(name: str) -> float:
        if name not in done:
            done[name] = 0.0
            after = max(map(chain, needed_by.get(name, ())), default=0.0)
            done[name] = after + facts.services[name].spec.stop_timeout
        return done[name]

    return max(map(chain, facts.services), default=0.0)


def _closure(facts: Facts, name: str) -> set[str]:
    found: set[str] = set()
    pending = list(facts.services[name].spec.needs)
    while pending:
        each = pending.pop()
        if each not in found and each in facts.services:
            found.add(each)
            pending += facts.services[each].spec.needs
    return found


def _is_missing(entry: Mapping[str, object]) -> bool:
    return any(words in str(entry["message"]) for words in SURROUNDINGS)


def _place(facts: Facts, entry: Mapping[str, object]) -> str:
    parts = (entry.get("file") or facts.config, entry.get("line"))
    return ":".join(str(part) for part in parts if part) or "the configuration"
