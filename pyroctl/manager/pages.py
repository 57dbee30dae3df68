"""The control sockets of pages: each page has one of its own, which permits what its role does.

A page that was taken over can look, and do what its configuration permits, but never end the
manager. The socket is in the page's state directory as long as the page may run.
"""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from pyroctl.control.server import ControlServer
from pyroctl.core.access import page_may
from pyroctl.core.options.page import WebOptions
from pyroctl.core.state import SETTLED
from pyroctl.errors import NotPermitted

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterable

    from pyroctl.control.server import Handler
    from pyroctl.core.state import State
    from pyroctl.manager.deployment.unit import Unit

SOCKET = "control.sock"

log = logging.getLogger(__name__)


class Pages:
    """Opens a socket when a page starts, and closes it when the page is down.

    Lives in the event loop's thread. `handler` answers the requests.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._servers: dict[Unit, ControlServer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, units: Iterable[Unit]) -> None:
        """Open the sockets of pages that run already."""
        for unit in units:
            self._follow(unit)

    def changed(self, unit: Unit, old: State) -> None:
        """Follow a change of a unit's state; an observer of the supervisor."""
        self._follow(unit)

    async def close(self) -> None:
        """Close all sockets."""
        for unit in list(self._servers):
            self._run(self._servers.pop(unit).stop())
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _follow(self, unit: Unit) -> None:
        if unit.state in SETTLED:
            if unit in self._servers:
                self._run(self._servers.pop(unit).stop())
        elif isinstance(unit.spec.options, WebOptions) and unit not in self._servers:
            path = os.path.join(unit.resources.state_directory(unit.spec), SOCKET)
            server = ControlServer(path, self._handler, partial(permit, unit))
            self._servers[unit] = server
            self._run(self._open(unit, server))

    async def _open(self, unit: Unit, server: ControlServer) -> None:
        try:
            await server.start()
        except OSError as error:
            log.warning("%s has no control socket: %s", unit.name, error)
            self._servers.pop(unit, None)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def permit(unit: Unit, _user: int, _groups: Collection[int], do: str | None) -> None:
    """Raise NotPermitted unless a page may do that; the directory lets in no other user."""
    options = unit.spec.options
    role = options.access if isinstance(options, WebOptions) else None
    if role is None or (do is not None and not page_may(role, do)):
        raise NotPermitted(
            f"not permitted: {unit.name} has the role {role}, which doesn't include {do}",
            hint=f"access of {unit.name} sets the role; what ends the manager is for the command"
            " line only",
        )
