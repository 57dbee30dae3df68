"""Facts that the name server and what it knows tell, over the network and in JSON."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.doctor.facts import NameFacts
from pyroctl.manager.health import pyro_ping

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

PATIENCE = 1.0
"""Seconds for each call."""
MOST_NAMES = 200
AT_ONCE = 20
QUESTION = b"GET_NSURI"
"""What Pyro5 broadcasts to find a name server, which answers with its URI."""


class Known(NamedTuple):
    """What a name server tells."""

    round_trip: float | None
    """Seconds; None: it doesn't answer."""
    names: tuple[NameFacts, ...]


def ask(where: str, ours: Collection[str]) -> Known:
    """Ask the name server at HOST:PORT for its names, and call at each of them.

    `ours` are the names of the deployment's services.
    """
    return asyncio.run(_ask(where, ours))


async def _ask(where: str, ours: Collection[str]) -> Known:
    place = pyro_ping.place_of(f"PYRO:{pyro_ping.NAME_SERVER}@{where}")
    began = time.monotonic()
    listed = await pyro_ping.call(place, "list", [], PATIENCE)
    if not isinstance(listed, dict):
        return Known(None, ())
    took = time.monotonic() - began
    turn = asyncio.Semaphore(AT_ONCE)

    async def state(name: str, uri: str) -> NameFacts:
        async with turn:
            try:
                found = await pyro_ping.probe(pyro_ping.place_of(uri), PATIENCE)
            except ValueError:
                found = "closed"
        return NameFacts(name=name, uri=uri, state=found, outside=name not in ours)

    names = [(str(n), str(u)) for n, u in listed.items() if n != pyro_ping.NAME_SERVER]
    return Known(took, tuple(await asyncio.gather(*(state(*each) for each in names[:MOST_NAMES]))))


def broadcasters(
    ours: Iterable[str], port: int = 9091, address: str = "<broadcast>", wait: float = 0.5
) -> tuple[str, ...]:
    """Return the name servers that answer a broadcast, except those at one of our HOST:PORT."""
    found: dict[str, None] = {}
    known = {where.rpartition(":")[2] for where in ours}
    with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(QUESTION, (address, port))
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            text = sock.recv(1000).decode(errors="replace")
            if text.startswith("PYRO:") and text.rpartition(":")[2] not in known:
                found[text] = None
    return tuple(found)
