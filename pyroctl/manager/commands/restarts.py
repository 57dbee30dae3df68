"""The two ways of giving an event service a fresh process: tell its subscribers, or hand over.

notify                                 handover
------                                 --------
ask who is subscribed                  ask the old process to offer everything at a socket
let it retire: it tells the aware,     start the new process beside it, which takes over
  and leaves the rest to the next      the old one ends, told by nobody, and nobody noticed
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

from pyroctl.control.client import LONGEST_PATH
from pyroctl.core.spec import EventServiceOptions
from pyroctl.core.state import Restart, State, is_usable
from pyroctl.errors import ServiceFailed
from pyroctl.manager.commands import impact
from pyroctl.manager.deployment import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyroctl.core.outcome import Outcome
    from pyroctl.core.spec import OnRestart
    from pyroctl.core.state import ServiceState
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.process.service_process import ServiceProcess

    Progress = Callable[[Unit], None]

ANSWER_TIMEOUT = 2.0
"""Seconds for what an event service answers at once."""
RETIRE_TIMEOUT = 5.0
"""Seconds that it has to leave its work to the next process."""
RETURN_TIMEOUT = 5.0
"""Seconds that aware subscribers have to come back."""
IN_BETWEEN = frozenset({State.STARTING, State.STOPPING})

log = logging.getLogger(__name__)


def way(unit: Unit, wanted: OnRestart | None) -> OnRestart | None:
    """Tell how the unit is restarted, None for what has no subscribers.

    What the command has `wanted` is done, or fails; a hand-over that is only configured isn't tried
    when there is nothing to hand over, or when the address has changed.
    """
    options = unit.spec.options
    if not isinstance(options, EventServiceOptions):
        return None
    if unit.state is not State.RUNNING:
        return "notify"
    return wanted or (options.on_restart if unit.keeps_address() else "notify")


async def fresh_process(supervisor: Supervisor, unit: Unit, progress: Progress) -> None:
    """End the process, if there is one, and start another; raises ServiceFailed."""
    unit.send(Restart())
    await await_ready(unit, progress)
    await supervisor.settle()


async def await_ready(unit: Unit, progress: Progress) -> None:
    """Wait until a service that is on its way up is ready; raises ServiceFailed, NotEnded."""
    life = await stopping.wait_until(unit, lambda life: life.state not in IN_BETWEEN)
    if not is_usable(life):
        raise _not_ready(unit, life)
    progress(unit)


def _not_ready(unit: Unit, life: ServiceState) -> ServiceFailed:
    if life.state is State.STOPPED:
        return ServiceFailed(
            f"{unit.name} was stopped before it was ready",
            service=unit.name,
            hint="somebody else gave a command meanwhile",
        )
    return ServiceFailed(
        f"{unit.name} did not become ready: {life.reason}",
        service=unit.name,
        hint=f"all it said: pyroctl logs {unit.name}",
        output=unit.log.last_lines(),
    )


# --- notify -------------------------------------------------------------------------------------


async def notify(supervisor: Supervisor, unit: Unit, progress: Progress) -> dict[str, object]:
    """Restart an event service, telling those that can be told; raises ServiceFailed.

    Gives the facts for the user: who lost what, how many were told, and how many are back.
    """
    subscribers = await impact.subscribers_of(unit)
    told = await _retire(unit)
    await fresh_process(supervisor, unit, progress)
    notified = subscribers.aware if told is None else told
    back = await _await_return(unit) if notified else 0
    return {
        "how": "notify",
        "lost": subscribers.plain,
        "carried": 0,
        "notified": notified,
        "resubscribed": min(back, notified),
    }


async def _retire(unit: Unit) -> int | None:
    """Let it leave its work to the next process; give how many it told, None if it can't."""
    if unit.state is not State.RUNNING:
        return None
    try:
        left = await unit.ask("retire", RETIRE_TIMEOUT, reason="restart")
        return int(left["aware"])
    except (OSError, LookupError, TypeError, ValueError) as error:
        log.warning("%s leaves nothing to its successor: %r; it is restarted all the same",
                    unit.name, error)  # fmt: skip
        return None


async def _await_return(unit: Unit) -> int:
    """Wait, for a bounded time, until the aware are back, and give how many are."""
    try:
        patience = RETURN_TIMEOUT + ANSWER_TIMEOUT
        answer = await unit.ask("returned", patience, wait=RETURN_TIMEOUT)
        return int(answer["back"])
    except (OSError, LookupError, TypeError, ValueError) as error:
        log.warning("%s doesn't say who is back: %r", unit.name, error)
        return (await impact.subscribers_of(unit)).aware


# --- handover -----------------------------------------------------------------------------------


async def hand_over(unit: Unit, progress: Progress) -> dict[str, object]:
    """Let a new process take over from the one that runs; raises ServiceFailed.

    After an error the old one goes on serving, unless the error says otherwise.
    """
    old = unit.run
    assert old is not None
    if not unit.keeps_address():
        raise ServiceFailed(
            f"{unit.name} can't hand over: its address has changed; nothing was done",
            service=unit.name,
            hint=_without_handover(unit),
        )
    subscribers = await impact.subscribers_of(unit)
    incarnation = await _incarnation(unit)
    with _meeting_place(unit) as path:
        await _offer(unit, path)
        trouble = await _take_over(unit, path)
    if unit.run is old and unit.state is State.RUNNING:
        with contextlib.suppress(OSError):
            await unit.ask("withdraw_handover", ANSWER_TIMEOUT)
        raise ServiceFailed(
            f"{unit.name} was not handed over: {trouble}; process {old.pid} goes on serving",
            service=unit.name,
            hint=_without_handover(unit),
            output=unit.log.last_lines(),
        )
    await _see_off(old, unit)
    await await_ready(unit, progress)
    now = await _incarnation(unit)
    if None not in {incarnation, now} and now != incarnation:
        raise ServiceFailed(
            f"the old process of {unit.name} ended before the new one had everything;"
            " the new one serves, as after a crash",
            service=unit.name,
            hint=f"pyroctl status {unit.name} names the subscribers that were lost",
        )
    log.info("%s: process %s has taken over from %s", unit.name, unit.pid, old.pid)
    unit.log.note(f"process {unit.pid} has taken over from {old.pid}")
    carried = len(subscribers.plain) + subscribers.aware
    nobody: dict[str, object] = {"lost": [], "carried": carried, "notified": 0, "resubscribed": 0}
    return {"how": "handover", **nobody}


def _without_handover(unit: Unit) -> str:
    return f"pyroctl restart {unit.name} --notify tells the subscribers, and they come back"


async def _incarnation(unit: Unit) -> Any:
    try:
        return (await unit.ask("ping", ANSWER_TIMEOUT))["incarnation"]
    except (OSError, LookupError, TypeError):
        return None


async def _offer(unit: Unit, path: str) -> None:
    try:
        await unit.ask("offer_handover", ANSWER_TIMEOUT, path=path)
    except OSError as error:
        why = str(error) or "it doesn't answer"
        raise ServiceFailed(
            f"{unit.name} can't hand over: {why}; nothing was changed",
            service=unit.name,
            hint=_without_handover(unit),
        ) from None


async def _take_over(unit: Unit, path: str) -> str:
    """Start the new process, and wait until it is ready or nothing comes of it; then give why."""
    try:
        successor = unit.spawn_successor({"PYROCTL_TAKE_OVER": path})
    except (OSError, ValueError) as error:
        return f"the new process can't be started: {error}"
    try:
        async with asyncio.timeout(unit.spec.start_timeout):
            end: Outcome | None = await asyncio.shield(successor.first_sign)
    except TimeoutError:
        if successor is unit.successor:
            successor.child.kill()
            await successor.gone.wait()
        return f"the new process was not ready within {unit.spec.start_timeout:g} s"
    if end is None:
        return "it was stopped meanwhile"
    await successor.gone.wait()
    return f"the new process ended: {end.describe()}"


async def _see_off(old: ServiceProcess, unit: Unit) -> None:
    """Wait for the end of the process that has handed over; it has nothing left to do."""
    try:
        async with asyncio.timeout(unit.spec.stop_timeout):
            await old.gone.wait()
    except TimeoutError:
        log.warning("%s: the old process %d doesn't end: killed", unit.name, old.pid)
        old.child.kill()
        await old.gone.wait()


@contextlib.contextmanager
def _meeting_place(unit: Unit) -> Iterator[str]:
    """Give a path for the socket where the two meet, in a directory that only they may enter."""
    path = os.path.join(unit.holdings.state_directory(unit.spec), "handover")
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
