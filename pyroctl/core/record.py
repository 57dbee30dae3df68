"""What is known of a service, as a value that outlives the manager: to JSON and back. Pure.

Times are monotonic seconds, which count from the start of the machine and so mean the same to every
manager of one boot.
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
from pyroctl.core.state import AfterStop, ServiceState, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.history import History

VERSION = 1
"""Of the format; another one isn't read."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One process of a service."""

    pid: int
    started: int
    """When the kernel has started it, in ticks since the machine's start: tells pids apart."""
    notify_path: str
    stamp: int
    """Of the specification that it was started with."""
    uri: str | None = None
    status_text: str = ""
    ready_since: float | None = None
    ns: str | None = None
    apart: bool = False
    """Whether its stderr has a pipe of its own."""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """One service."""

    life: ServiceState
    due: float | None = None
    """When the next Timeout of its life is to happen."""
    last_end: tuple[Outcome, datetime] | None = None
    history: History = ()
    listens: str | None = None
    """The address of the listening socket that is held for it."""
    directory: str | None = None
    """Its state directory."""
    runs: tuple[RunRecord, ...] = ()
    run: int | None = None
    """The pid of the process that is the service."""
    successor: int | None = None


def stamp(spec: ServiceSpec) -> int:
    """Give a number that is another one if a service must be started anew for its specification.

    Keys that have their default value don't count, so a new version of the program may have new
    ones.
    """
    needed = {f.name: None for f in fields(spec.options) if f.default is MISSING}
    make: Any = type(spec.options)
    blank = ServiceSpec("", make(**needed))
    changes = {change.key: change.new for change in service_changes(blank, spec) if not change.live}
    return zlib.crc32(repr((spec.kind, sorted(changes.items()))).encode())


def to_json(record: UnitRecord) -> dict[str, Any]:
    """Give what JSON can carry."""
    table = asdict(record)
    if record.last_end is not None:
        table["last_end"] = [asdict(record.last_end[0]), record.last_end[1].isoformat()]
    for ending in table["history"]:
        ending["time"] = ending["time"].isoformat()
    return {"version": VERSION, **table}


def from_json(table: Mapping[str, Any]) -> UnitRecord:
    """Read it again; raises ValueError, TypeError or LookupError if it is none."""
    if table["version"] != VERSION:
        raise ValueError(f"a record of version {table['version']}")
    life = dict(table["life"])
    life |= {"state": State(life["state"]), "then": AfterStop(life["then"])}
    life |= {"outcome": _outcome(life["outcome"]), "starts": tuple(life["starts"])}
    end = table["last_end"]
    return UnitRecord(
        life=ServiceState(**_known(ServiceState, life)),
        due=table["due"],
        last_end=None if end is None else (Outcome(**end[0]), datetime.fromisoformat(end[1])),
        history=tuple(map(_ending, table["history"])),
        listens=table["listens"],
        directory=table["directory"],
        runs=tuple(RunRecord(**_known(RunRecord, run)) for run in table["runs"]),
        run=table["run"],
        successor=table["successor"],
    )


def _known(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what another version may know more."""
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in table.items() if key in names}


def _outcome(table: Mapping[str, Any] | None) -> Outcome | None:
    return None if table is None else Outcome(**table)


def _ending(table: Mapping[str, Any]) -> Ending:
    then = table["then"]
    more = {
        "time": datetime.fromisoformat(table["time"]),
        "outcome": Outcome(**table["outcome"]),
        "then": None if then is None else State(then),
    }
    return Ending(**_known(Ending, {**table, **more}))
