"""Which services are connected with which: by TCP, as the kernel tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.manager.process.listeners import open_sockets, tcp_connections, tcp_listeners

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroctl.manager.deployment.unit import Unit


def connections(units: Iterable[Unit]) -> list[tuple[str, str]]:
    """Return pairs of services, the first of which is a client of the second."""
    owner = {
        inode: unit.name
        for unit in units
        for pid in unit.processes.pids()
        for inode in open_sockets(pid)
    }
    ports = {each.place[1] for each in tcp_listeners() if each.inode in owner}
    ends = {
        (each.local, each.remote): owner[each.inode]
        for each in tcp_connections()
        if each.inode in owner
    }
    found = {
        (client, ends[remote, local])
        for (local, remote), client in ends.items()
        if remote[1] in ports and (remote, local) in ends and ends[remote, local] != client
    }
    return sorted(found)
