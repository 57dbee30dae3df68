"""All faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.fuzz import channels, handshakes, helpers, remote, servers
from tests.faults.kinds import clock, disk, names, network, processes, resources, state, tls

if TYPE_CHECKING:
    from tests.faults.fault import Fault

FAULTS: list[Fault] = [
    *processes.FAULTS,
    *disk.FAULTS,
    *state.FAULTS,
    *resources.FAULTS,
    *servers.FAULTS,
    *handshakes.FAULTS,
    *channels.FAULTS,
    *remote.FAULTS,
    *helpers.FAULTS,
    *network.FAULTS,
    *names.FAULTS,
    *clock.FAULTS,
    *tls.FAULTS,
]
