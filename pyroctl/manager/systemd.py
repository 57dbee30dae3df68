"""Tells systemd how the manager is: sd_notify(3), the watchdog, and levels for the journal."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from typing import TYPE_CHECKING

from pyroctl.core.state import State, is_usable

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
    """Speaks for this process to whoever started it; says nothing when nobody listens.

    It takes its variables out of `environ`: they aren't meant for the services. Belongs to the
    event loop's thread.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self.environ = {name: environ[name] for name in VARIABLES if name in environ}
        """What another program in this process needs to do the same."""
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._said = ""
        period = environ.pop("WATCHDOG_USEC", "")
        process = environ.pop("WATCHDOG_PID", str(os.getpid()))
        meant = period.isdecimal() and process == str(os.getpid())
        self._half_period = int(period) / MICROSECONDS / 2 if meant else 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def listens(self) -> bool:
        """Whether anybody wants to know."""
        return bool(self._address)

    def ready(self) -> None:
        """Say that the manager and, as far as they can, its services are up."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends that."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Say in one line how things are, if that has changed."""
        if text != self._said:
            self._said = text
            self._send(f"STATUS={text}")

    def start_watchdog(self) -> None:
        """Give a sign of life twice in each period, if systemd wants one."""
        if self._half_period:
            self._send("WATCHDOG=1")
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._half_period, self.start_watchdog)

    def close(self) -> None:
        """Give no more signs of life."""
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
            log.warning("can't tell systemd %r: %s", message, error)


async def first_outcome(units: Sequence[Unit]) -> None:
    """Wait until all of the services are up, or one of them has failed.

    After that whoever waits for the manager shall wait no longer: its status says the rest.
    """

    async def all_up() -> None:
        for unit in units:
            await unit.wait_until(is_usable)

    async def failure(unit: Unit) -> None:
        await unit.wait_until(lambda life: life.state in FAILED)

    waiting = [asyncio.create_task(way) for way in (all_up(), *map(failure, units))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def summary(units: Iterable[Unit]) -> str:
    """Say how the services are: "2 of 3 services run; laser is failed"."""
    wanted = [unit for unit in units if unit.spec.enabled or unit.state is not State.STOPPED]
    running = sum(unit.state is State.RUNNING for unit in wanted)
    others = [f"{unit.name} is {unit.state}" for unit in wanted if unit.state is not State.RUNNING]
    return "; ".join([f"{running} of {len(wanted)} services run", *others])


def is_journal(stream: int, environ: Mapping[str, str]) -> bool:
    """Tell whether a descriptor goes to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalFormatter(logging.Formatter):
    """Puts the level before each line as the journal understands it; the time it knows itself."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Give the record's lines, each with its level."""
        level = next((number for least, number in LEVELS if record.levelno >= least), 7)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())
