"""Tells a name server whether a client is a process of one of our services."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from pyroctl.manager.process import listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.process.listeners import TcpPlace

REST = 4
"""How much longer than the processor time of a search the pause after it is: strangers can make us
search."""

K = TypeVar("K")

Question = tuple["Unit", "Mapping[str, Any]"]


class CallerCheck:
    """Answers the questions of name servers; `run` carries out work in the background.

    Lives in the event loop's thread.
    """

    def __init__(
        self,
        units: Callable[[], Mapping[str, Unit]],
        run: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self._units = units
        self._run = run
        self._questions: list[Question] = []
        self._busy = False

    def identify(self, name_server: Unit, question: Mapping[str, Any]) -> None:
        """Answer soon whether the socket at the client's end is one of ours."""
        self._questions.append((name_server, question))
        if not self._busy:
            self._busy = True
            self._run(self._work())

    async def _work(self) -> None:
        try:
            while self._questions:
                questions, self._questions = self._questions, []
                started = time.thread_time()
                ends = {
                    at: (each["client"], each["server"]) for at, (_, each) in enumerate(questions)
                }
                ours = self.ours(ends)
                for at, (unit, question) in enumerate(questions):
                    await unit.ask_or(None, "caller", number=question["number"], ours=at in ours)
                await asyncio.sleep(REST * (time.thread_time() - started))
        finally:
            self._busy = False

    def ours(self, connections: Mapping[K, Any]) -> set[K]:
        """Return those connections whose client is a process of a service.

        Each is given by its ends, the client's and that of the name server.
        """
        if not connections:
            return set()
        ends = {each: (_place(here), _place(there)) for each, (here, there) in connections.items()}
        inodes = listeners.connection_inodes(set(ends.values()))
        sockets = self._sockets()
        return {each for each, place in ends.items() if inodes.get(place) in sockets}

    def _sockets(self) -> set[str]:
        """Return the inodes of all sockets that processes of services have open."""
        return {
            inode
            for unit in self._units().values()
            for members in unit.processes.sessions().values()
            for pid in members
            for inode in listeners.open_sockets(pid)
        }


def _place(value: Any) -> TcpPlace:
    host, port = value
    return listeners.plain(str(host)), int(port)
