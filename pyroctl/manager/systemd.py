"""Reports to systemd: sd_notify(3), the watchdog, and levels for the journal."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from typing import TYPE_CHECKING

from pyroctl.core.state import USABLE, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    from pyroctl.manager.deployment.unit import Unit

FAILED = frozenset({State.BACKOFF, State.FAILED})
MICROSECONDS = 1_000_000
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
LEVELS = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
"""Python's levels and the journal's, which are syslog's (sd-daemon(3))."""

log = logging.getLogger(__name__)


class SystemNotifier:
    """Reports on this process to the program that started it, if that listens.

    It removes its variables from `environ`, because they are not meant for services. Belongs to the
    event loop's thread.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self.environ = {name: environ[name] for name in VARIABLES if name in environ}
        """The variables that it has removed, for the next program in this process."""
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""
        period = environ.pop("WATCHDOG_USEC", "")
        process = environ.pop("WATCHDOG_PID", str(os.getpid()))
        meant = period.isdecimal() and process == str(os.getpid())
        self._half_period = int(period) / MICROSECONDS / 2 if meant else 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def listens(self) -> bool:
        """Whether the starter listens."""
        return bool(self._address)

    def ready(self) -> None:
        """Report that the manager and, as far as possible, its services are up."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Report that the configuration is being reloaded; `ready` ends that."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """Report that the manager is stopping."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Report a one-line status, if it has changed."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def start_watchdog(self) -> None:
        """Send a heartbeat twice in each period, if systemd wants one."""
        if self._half_period:
            self._send("WATCHDOG=1")
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._half_period, self.start_watchdog)

    def close(self) -> None:
        """Stop the heartbeat."""
        if self._timer is not None:
            self._timer.cancel()

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(message.encode(), self._address)
        except OSError as error:
            log.warning("cannot send %r to systemd: %s", message, error)


async def first_outcome(units: Sequence[Unit]) -> None:
    """Wait until all of the services are up, or one of them has failed.

    Whoever waits for the manager then has its answer: the status has the details.
    """

    async def all_up() -> None:
        for unit in units:
            await unit.wait_until(USABLE)

    async def failure(unit: Unit) -> None:
        await unit.wait_until(FAILED)

    waiting = [asyncio.create_task(either) for either in (all_up(), *map(failure, units))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def summary(units: Iterable[Unit]) -> str:
    """Return a summary such as "2 of 3 services run; laser is failed"."""
    wanted = [unit for unit in units if unit.spec.enabled or unit.state is not State.STOPPED]
    wanted = [unit for unit in wanted if unit.state is not State.EXITED]
    running = sum(unit.state is State.RUNNING for unit in wanted)
    others = [f"{unit.name} is {unit.state}" for unit in wanted if unit.state is not State.RUNNING]
    return "; ".join([f"{running} of {len(wanted)} services run", *others])


def is_journal(stream: int, environ: Mapping[str, str]) -> bool:
    """Return whether a descriptor is connected to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalFormatter(logging.Formatter):
    """Prefixes each line with its level for the journal, which adds the time."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record, each with its level."""
        level = next((number for least, number in LEVELS if record.levelno >= least), 7)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())
