"""Continues with the services of the previous manager, and stores what the next one needs."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pyroctl.core.outcome import UNKNOWN
from pyroctl.core.record import stamp, to_json
from pyroctl.core.spec import NameServerOptions
from pyroctl.core.state import Exited, Restart, ServiceState, SessionEmpty, Start, State
from pyroctl.manager.process import procfs

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from pyroctl.core.record import UnitRecord
    from pyroctl.core.state import Event
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.fdstore.client import FdStoreClient, StoredState

CHANGED = "its configuration has changed while no manager was running"
LOOK_AGAIN = 5.0
"""Seconds to find a process ready that is reattached while it starts: its time may be over."""
WITH_PROCESS = frozenset({State.STARTING, State.RUNNING, State.STOPPING})


def store(fdstore: FdStoreClient, unit: Unit) -> None:
    """Send the descriptor store everything that the next manager needs for the unit."""
    uids = {f"{unit.name}/{p.pid}/notify": sorted(p.uids) for p in unit.processes.all}
    fdstore.sync(unit.name, descriptors(unit), uids, to_json(unit.snapshot()))


def descriptors(unit: Unit) -> dict[str, int]:
    """Return the descriptors that the next manager needs for the unit, by name."""
    fds = {f"{unit.name}/{name}": fd for name, fd in unit.resources.descriptors().items()}
    for process in unit.processes.all:
        for name, fd in process.descriptors().items():
            fds[f"{unit.name}/{process.pid}/{name}"] = fd
    return fds


def reattach(
    units: Mapping[str, Unit], records: Mapping[str, UnitRecord], stored: StoredState
) -> None:
    """Restore all units that have a record, then apply what has happened since.

    Belongs to the event loop's thread, and has to come before any other event.
    """
    restored = {
        name: _restore(units[name], records[name], stored)
        for name in sorted(units, key=lambda name: not _is_name_server(units[name]))
        if name in records
    }
    for name, (due, events) in restored.items():
        _resume(units[name], due, events, stored)
    stored.close()


def decide(
    record: UnitRecord, present: Container[int], stamp_now: int
) -> tuple[UnitRecord, tuple[Event, ...]]:
    """Return the record to restore, and the events that have happened since. Pure.

    `present` are the pids that still mean the same processes; `stamp_now` is the stamp of the
    current specification.
    """
    state = record.state
    if state.state is State.STARTING and record.run is None:  # it was waiting for a need
        stopped = ServiceState(since=state.since, restarts=state.restarts)
        return replace(record, state=stopped, due=None), (Start(),)
    current = [run for run in record.runs if run.pid == record.run and run.pid in present]
    if state.state in WITH_PROCESS and not current:
        return replace(record, last_end=None), (Exited(UNKNOWN), SessionEmpty())
    if current and current[0].stamp != stamp_now:
        return record, (Restart(CHANGED),)
    return record, ()


def _restore(
    unit: Unit, record: UnitRecord, stored: StoredState
) -> tuple[float | None, tuple[Event, ...]]:
    found = {name: stored.pop(f"{unit.name}/{name}").get("") for name in ("listen", "ring")}
    held = {name: fd for name, fd in found.items() if fd is not None}
    if "listen" in held and str(unit.address()) != record.listens:
        os.close(held.pop("listen"))  # from now on it listens elsewhere
    present = [run.pid for run in record.runs if procfs.is_same(run.pid, run.started)]
    fds = {pid: stored.pop(f"{unit.name}/{pid}/") for pid in present}
    record, events = decide(record, present, stamp(unit.spec))
    unit.restore(record, held, fds)
    due = record.due
    if due is not None and record.state.state is State.STARTING:
        due = max(due, time.monotonic() + LOOK_AGAIN)
    return due, events


def _is_name_server(unit: Unit) -> bool:
    """Return whether others have to know its address when they are restored."""
    return isinstance(unit.spec.options, NameServerOptions)


def _resume(unit: Unit, due: float | None, events: tuple[Event, ...], stored: StoredState) -> None:
    unit.resume(due)
    for process in unit.processes.all if unit.process is not None else ():
        process.receive(stored.messages.get(f"{unit.name}/{process.pid}/notify", {}))
        unit.log.note(f"process {process.pid} was reattached")
    for event in events:
        unit.send(event)
