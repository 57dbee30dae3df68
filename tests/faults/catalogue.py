"""All faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import clock, disk, fuzz, names, network, processes, resources, state

if TYPE_CHECKING:
    from tests.faults.fault import Fault

FAULTS: list[Fault] = [
    *processes.FAULTS,
    *disk.FAULTS,
    *state.FAULTS,
    *resources.FAULTS,
    *fuzz.FAULTS,
    *network.FAULTS,
    *names.FAULTS,
    *clock.FAULTS,
]
