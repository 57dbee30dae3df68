"""The two ways to restart an event service: notify its subscribers, or hand over.

notify                                 handover
------                                 --------
ask who is subscribed                  ask the old process to offer everything at a socket
let it retire: it notifies the aware   start the new process beside it, which takes over
  and leaves the rest to the next      the old one ends; clients notice nothing
end it, start the next                 until then every failure leaves the old one serving
wait until the aware are back
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import EventServiceOptions, TaskOptions
from pyroctl.core.state import USABLE, Restart, State
from pyroctl.errors import ServiceFailed, describe
from pyroctl.manager.commands import impact
from pyroctl.manager.deployment import stopping
from pyroctl.manager.process.control_link import ANSWER_TIMEOUT
from pyroctl.paths import LONGEST_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyroctl.core.key_types import OnRestart
    from pyroctl.core.outcome import Outcome
    from pyroctl.core.state import ServiceState
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.process.service_process import ServiceProcess

    Progress = Callable[[Unit], None]

RETIRE_TIMEOUT = 5.0
"""Seconds that it has to save its work for the next process."""
RETURN_TIMEOUT = 5.0
"""Seconds that aware subscribers have to come back."""
IN_BETWEEN = frozenset({State.STARTING, State.STOPPING})
AT_REST = frozenset(State) - IN_BETWEEN

log = logging.getLogger(__name__)


def way_of(unit: Unit, wanted: OnRestart | None) -> OnRestart | None:
    """Return how the unit is restarted, None if it has no subscribers.

    What the command has `wanted` is done, or fails. A handover that is only configured isn't tried
    if there is nothing to hand over, or if the address has changed.
    """
    options = unit.spec.options
    if not isinstance(options, EventServiceOptions):
        return None
    if unit.state is not State.RUNNING:
        return "notify"
    return wanted or (options.on_restart if _keeps_address(unit) else "notify")


def can_hand_over(unit: Unit) -> bool:
    """Return whether a handover of the unit is possible now."""
    is_es = isinstance(unit.spec.options, EventServiceOptions)
    return is_es and unit.state is State.RUNNING and _keeps_address(unit)


def _keeps_address(unit: Unit) -> bool:
    """Return whether a process started now listens where the current one does."""
    return unit.resources.holds(unit.address())


async def replace_process(supervisor: Supervisor, unit: Unit, progress: Progress) -> None:
    """End the process, if there is one, and start another; raise ServiceFailed."""
    unit.send(Restart())
    await await_ready(unit, progress)
    await supervisor.settle()


async def await_ready(unit: Unit, progress: Progress) -> None:
    """Wait until a service that is coming up is ready; raise ServiceFailed or NotEnded.

    A task is ready when it has ended well.
    """
    task = isinstance(unit.spec.options, TaskOptions)
    found = await stopping.wait_until(unit, AT_REST - {State.RUNNING} if task else AT_REST)
    if found.state in USABLE:
        progress(unit)
    else:
        raise failure(unit, found)


def failure(unit: Unit, found: ServiceState) -> ServiceFailed:
    """Return the error for a service that was found in this state instead of ready."""
    if found.state is State.STOPPED:
        return ServiceFailed(
            f"{unit.name} was stopped before it was ready",
            service=unit.name,
            hint="another command stopped it",
        )
    task = isinstance(unit.spec.options, TaskOptions)
    return ServiceFailed(
        f"{unit.name} {'failed' if task else 'did not become ready'}: {found.reason}",
        service=unit.name,
        hint=f"full output: pyroctl logs {unit.name}",
        output=unit.log.last_lines(),
    )


# --- notify -------------------------------------------------------------------------------------


async def notify(supervisor: Supervisor, unit: Unit, progress: Progress) -> dict[str, object]:
    """Restart an event service, and notify its aware subscribers; raise ServiceFailed.

    Return the facts for the user: who lost what, how many were notified, and how many are back.
    """
    subscribers = await impact.subscribers_of(unit)
    notified = await _retire(unit)
    await replace_process(supervisor, unit, progress)
    if notified is None:
        notified = subscribers.aware
    back = await _await_return(unit) if notified else 0
    return {
        "how": "notify",
        "lost": subscribers.plain,
        "carried": 0,
        "notified": notified,
        "resubscribed": min(back, notified),
    }


async def _retire(unit: Unit) -> int | None:
    """Make it save its work for the next process; return how many it notified, None on failure."""
    if unit.state is not State.RUNNING:
        return None
    try:
        left = await unit.ask("retire", RETIRE_TIMEOUT, reason="restart")
        return int(left["aware"])
    except (OSError, LookupError, TypeError, ValueError) as error:
        log.warning("%s saves nothing for its next process, but restarts: %r", unit.name, error)
        return None


async def _await_return(unit: Unit) -> int:
    """Wait, for a bounded time, until the aware subscribers are back; return how many are."""
    try:
        max_wait = RETURN_TIMEOUT + ANSWER_TIMEOUT
        answer = await unit.ask("returned", max_wait, wait=RETURN_TIMEOUT)
        return int(answer["back"])
    except (OSError, LookupError, TypeError, ValueError) as error:
        log.warning("%s doesn't report who is back: %r", unit.name, error)
        return (await impact.subscribers_of(unit)).aware


# --- handover -----------------------------------------------------------------------------------


async def handover(unit: Unit, progress: Progress) -> dict[str, object]:
    """Start a new process that takes over from the current one; raise ServiceFailed.

    After an error the old process continues to serve, unless the error reports otherwise.
    """
    old = unit.process
    assert old is not None
    if not _keeps_address(unit):
        raise ServiceFailed(
            f"{unit.name} can't hand over: its address has changed; nothing was changed",
            service=unit.name,
            hint=_without_handover(unit),
        )
    subscribers = await impact.subscribers_of(unit)
    incarnation = await _incarnation(unit)
    with _handover_path(unit) as path:
        await _offer(unit, path)
        trouble = await _start_successor(unit, path)
    if unit.process is old and unit.state is State.RUNNING:
        await unit.ask_or(None, "withdraw_handover")
        raise ServiceFailed(
            f"{unit.name} was not handed over: {trouble}; process {old.pid} continues to serve",
            service=unit.name,
            hint=_without_handover(unit),
            output=unit.log.last_lines(),
        )
    await _await_end(old, unit)
    await await_ready(unit, progress)
    now = await _incarnation(unit)
    if None not in {incarnation, now} and now != incarnation:
        raise ServiceFailed(
            f"the old process of {unit.name} ended before the new one had received everything;"
            " the new one serves, as after a crash",
            service=unit.name,
            hint=f"pyroctl status {unit.name} lists the lost subscribers",
        )
    log.info("%s: process %s has taken over from %s", unit.name, unit.pid, old.pid)
    unit.log.note(f"process {unit.pid} has taken over from {old.pid}")
    carried = len(subscribers.plain) + subscribers.aware
    return {"how": "handover", "lost": [], "carried": carried, "notified": 0, "resubscribed": 0}


def _without_handover(unit: Unit) -> str:
    return f"pyroctl restart {unit.name} --notify notifies the subscribers, which come back"


async def _incarnation(unit: Unit) -> Any:
    try:
        return (await unit.ask("ping"))["incarnation"]
    except (OSError, LookupError, TypeError):
        return None


async def _offer(unit: Unit, path: str) -> None:
    try:
        await unit.ask("offer_handover", path=path)
    except OSError as error:
        why = str(error) or "it doesn't answer"
        raise ServiceFailed(
            f"{unit.name} can't hand over: {why}; nothing was changed",
            service=unit.name,
            hint=_without_handover(unit),
        ) from None


async def _start_successor(unit: Unit, path: str) -> str:
    """Start the new process, and wait until it is ready or has failed; return why it has."""
    try:
        successor = unit.spawn_successor({"PYROCTL_TAKE_OVER": path})
    except (OSError, ValueError) as error:
        return f"the new process can't be started: {describe(error)}"
    try:
        async with asyncio.timeout(unit.spec.start_timeout):
            end: Outcome | None = await asyncio.shield(successor.ready_or_ended)
    except TimeoutError:
        if successor is unit.processes.successor:
            successor.handle.kill()
            await successor.gone.wait()
        return f"the new process was not ready within {unit.spec.start_timeout:g} s"
    if end is None:
        return "it was stopped"
    await successor.gone.wait()
    return f"the new process ended: {end.describe()}"


async def _await_end(old: ServiceProcess, unit: Unit) -> None:
    """Wait for the end of the process that has handed over; kill it if that takes too long."""
    try:
        async with asyncio.timeout(unit.spec.stop_timeout):
            await old.gone.wait()
    except TimeoutError:
        log.warning("%s: the old process %d doesn't end: killed", unit.name, old.pid)
        old.handle.kill()
        await old.gone.wait()


@contextlib.contextmanager
def _handover_path(unit: Unit) -> Iterator[str]:
    """Return a path for the socket of the handover, in a directory that only the two may enter."""
    path = os.path.join(unit.resources.state_directory(unit.spec), "handover")
    directory = None
    if len(os.fsencode(path)) > LONGEST_PATH:
        directory = tempfile.mkdtemp(prefix="pyroctl-")
        if unit.spec.user is not None:
            entry = pwd.getpwnam(unit.spec.user)
            os.chown(directory, entry.pw_uid, entry.pw_gid)
        path = os.path.join(directory, "handover")
    try:
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
