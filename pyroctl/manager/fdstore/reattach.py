"""How a manager goes on with the services of the one before it."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from pyroctl.core import record as records
from pyroctl.core.outcome import UNKNOWN
from pyroctl.core.record import RunRecord, UnitRecord
from pyroctl.core.state import Exited, Restart, ServiceState, SessionEmpty, Start, State
from pyroctl.manager.process.identity import start_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.fdstore.client import FdStoreClient, StoredState
    from pyroctl.manager.fdstore.packets import Message
    from pyroctl.manager.process.service_process import ServiceProcess

CHANGED = "its configuration has changed while no manager was there"

log = logging.getLogger(__name__)


def keep(keeping: FdStoreClient, unit: Unit) -> None:
    """Let the keeper have what it takes to go on with the unit."""
    uids = {f"{unit.name}/{run.pid}/notify": sorted(run.uids) for run in unit.runs}
    keeping.sync(unit.name, belongings(unit), uids, record(unit))


def belongings(unit: Unit) -> dict[str, int]:
    """Give the descriptors that it takes to go on with the unit, by name."""
    fds = {f"{unit.name}/{name}": fd for name, fd in unit.holdings.descriptors().items()}
    for run in unit.runs:
        for name, fd in run.descriptors().items():
            fds[f"{unit.name}/{run.pid}/{name}"] = fd
    return fds


def record(unit: Unit) -> Message:
    """Give what is known of a unit, as JSON has it."""
    return records.to_json(_record_of(unit))


def _record_of(unit: Unit) -> UnitRecord:
    return UnitRecord(
        life=unit.life,
        due=unit.timer.when() if unit.timer is not None else None,
        last_end=unit.last_end,
        history=unit.history,
        listens=unit.holdings.listens,
        directory=unit.holdings.directory,
        runs=tuple(map(_run_record, unit.runs)),
        run=unit.pid,
        successor=unit.successor.pid if unit.successor is not None else None,
    )


def _run_record(run: ServiceProcess) -> RunRecord:
    return RunRecord(
        pid=run.pid,
        started=run.started,
        notify_path=run.notify_path,
        stamp=run.stamp,
        uri=run.uri,
        status_text=run.status_text,
        ready_since=run.ready_since,
        ns=run.ns,
        apart=run.apart,
    )


def read(found: Mapping[str, Message]) -> dict[str, UnitRecord]:
    """Read the records that can be read; the others are logged."""
    read = {}
    for service, table in found.items():
        try:
            read[service] = records.from_json(table)
        except (ValueError, TypeError, LookupError) as error:
            log.warning("what is known of %s can't be read: %r", service, error)
    return read


def is_meant(run: RunRecord) -> bool:
    """Tell whether its pid, if there is such a process, means it: pids are used again."""
    return start_time(run.pid) in {None, run.started}


def resume(
    units: Mapping[str, Unit], known: Mapping[str, UnitRecord], inheritance: StoredState
) -> None:
    """Put every unit back to where it was, and let go on what was going on.

    For the event loop's thread, before anything else happens to the units.
    """
    for name, unit in units.items():
        if name in known:
            _put_back(unit, known[name], inheritance)
    for name, unit in units.items():
        if name in known:
            _go_on(unit, known[name], inheritance)
    inheritance.decline()


def _put_back(unit: Unit, record: UnitRecord, inheritance: StoredState) -> None:
    unit.last_end, unit.history = record.last_end, record.history
    listener = inheritance.take(f"{unit.name}/listen").get("")
    address = unit.address()
    if listener is not None and str(address) != record.listens:
        os.close(listener)  # it is to listen elsewhere from now on
        listener = None
    unit.holdings.resume(address, listener, record.directory)
    for entry in record.runs:
        fds = inheritance.take(f"{unit.name}/{entry.pid}/")
        if is_meant(entry):
            run = unit.take_over(entry, fds)
            if entry.pid == record.run:
                unit.run = run
            elif entry.pid == record.successor:
                unit.successor = run
        else:
            inheritance.fds |= {f"{unit.name}/{entry.pid}/{name}": fd for name, fd in fds.items()}
    unit.life = record.life


def _go_on(unit: Unit, record: UnitRecord, inheritance: StoredState) -> None:
    busy = {State.STARTING, State.RUNNING, State.STOPPING}
    if record.life.state is State.STARTING and record.run is None:  # it was waiting for a need
        unit.life = ServiceState(since=record.life.since, restarts=record.life.restarts)
        unit.send(Start())
        return
    due = record.due
    now = asyncio.get_running_loop().time()
    unit.put_back(record.life, None if due is None else max(due, now))
    if record.life.state in busy and unit.run is None:
        unit.last_end = None
        unit.send(Exited(UNKNOWN))
        unit.send(SessionEmpty())
        return
    for run in unit.runs:
        run.hear(inheritance.said.get(f"{unit.name}/{run.pid}/notify", {}))
        unit.log.note(f"process {run.pid} is taken over from the manager before")
    if unit.run is not None and unit.run.stamp != records.stamp(unit.spec):
        unit.send(Restart(CHANGED))
