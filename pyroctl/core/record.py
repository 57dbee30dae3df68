"""What the manager knows of a service, as a value that outlives it: to JSON and back. Pure.

Times are monotonic seconds since boot, so they mean the same to every manager of one boot.
"""

from __future__ import annotations

import zlib
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyroctl.core.diff import service_changes
from pyroctl.core.history import Ending
from pyroctl.core.outcome import Outcome
from pyroctl.core.spec import ServiceSpec
from pyroctl.core.state import AfterStop, ServiceState, State, StopStage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.history import History

VERSION = 1
"""The version of the format; other versions are not read."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One process of a service."""

    pid: int
    started: int
    """When the kernel started it, in ticks since boot: distinguishes uses of a pid."""
    notify_path: str
    stamp: int
    """The stamp of the specification that it was started with."""
    uri: str | None = None
    status_text: str = ""
    ready_since: float | None = None
    ns: str | None = None
    apart: bool = False
    """Whether its stderr has a pipe of its own."""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """One service."""

    state: ServiceState
    """Its key in JSON is `life`."""
    due: float | None = None
    """When its next `Timeout` is due."""
    last_end: tuple[Outcome, datetime] | None = None
    history: History = ()
    listens: str | None = None
    """The address of the listening socket that the manager holds for it."""
    directory: str | None = None
    """Its state directory."""
    runs: tuple[RunRecord, ...] = ()
    run: int | None = None
    """The pid of the process that is the service."""
    successor: int | None = None


def stamp(spec: ServiceSpec) -> int:
    """Return a number that changes whenever a changed specification needs a new process.

    Keys that have their default value don't count, so that a new version may add keys.
    """
    needed = {f.name: None for f in fields(spec.options) if f.default is MISSING}
    make: Any = type(spec.options)
    blank = ServiceSpec("", make(**needed))
    changes = {change.key: change.new for change in service_changes(blank, spec) if not change.live}
    return zlib.crc32(repr((spec.kind, sorted(changes.items()))).encode())


def to_json(record: UnitRecord) -> dict[str, Any]:
    """Return the record as JSON can carry it."""
    table = asdict(record)
    table["life"] = table.pop("state")
    if record.last_end is not None:
        table["last_end"] = [asdict(record.last_end[0]), record.last_end[1].isoformat()]
    for ending in table["history"]:
        ending["time"] = ending["time"].isoformat()
    return {"version": VERSION, **table}


def from_json(table: Mapping[str, Any]) -> UnitRecord:
    """Return the record; raise ValueError, TypeError or LookupError if it is not one."""
    if table["version"] != VERSION:
        raise ValueError(f"a record of version {table['version']}")
    state = dict(table["life"])
    state |= {"state": State(state["state"]), "then": AfterStop(state["then"])}
    state |= {"stage": StopStage(state.get("stage", StopStage.SESSION))}
    outcome = None if state["outcome"] is None else _outcome(state["outcome"])
    state |= {"outcome": outcome, "starts": tuple(state["starts"])}
    end = table["last_end"]
    return UnitRecord(
        state=ServiceState(**_known(ServiceState, state)),
        due=table["due"],
        last_end=None if end is None else (_outcome(end[0]), datetime.fromisoformat(end[1])),
        history=tuple(map(_ending, table["history"])),
        listens=table["listens"],
        directory=table["directory"],
        runs=tuple(RunRecord(**_known(RunRecord, run)) for run in table["runs"]),
        run=table["run"],
        successor=table["successor"],
    )


def _known(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out keys that only another version knows."""
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in table.items() if key in names}


def _outcome(table: Mapping[str, Any]) -> Outcome:
    return Outcome(**_known(Outcome, table))


def _ending(table: Mapping[str, Any]) -> Ending:
    then = table["then"]
    more = {
        "time": datetime.fromisoformat(table["time"]),
        "outcome": _outcome(table["outcome"]),
        "then": None if then is None else State(then),
    }
    return Ending(**_known(Ending, {**table, **more}))
