"""Checks 15 and 28 to 30: clients, disks, descriptors, memory and the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.spec import EventServiceOptions, ObjectOptions
from pyroctl.doctor.finding import note, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.doctor.facts import DiskFacts, Facts
    from pyroctl.doctor.finding import Finding

FULL = 0.8
"""The part of a limit from which it is worth a warning."""
FEW_INODES = 1000
HOURS = 24
STEP = 1.0
"""Seconds by which a clock may be corrected without a word."""


def clients(facts: Facts) -> Iterator[Finding]:
    """Find threaded servers with nearly as many clients as `threadpool` allows."""
    for name, service in facts.services.items():
        options = service.spec.options
        if not isinstance(options, ObjectOptions) or options.servertype != "thread":
            continue
        if service.clients >= FULL * options.threadpool:
            text = f"{name} has {service.clients} clients, and threads for {options.threadpool}"
            remedy = f'raise services.{name}.threadpool, or servertype = "multiplex"'
            yield warning(text, name, remedy, name)


def disks(facts: Facts) -> Iterator[Finding]:
    """Check that the disk has room for logs up to their bounds."""
    for disk in facts.disks:
        yield from _disk(disk)
    for name, service in facts.services.items():
        streams = service.measured.get("log", {}).get("streams", {})
        lost = sum(each.get("unwritten", 0) for each in streams.values())
        if lost:
            text = f"{lost} lines of {name} could not be written to its log"
            yield problem(
                text, name, "make room on its disk; the manager's log has the error", name
            )


def _disk(disk: DiskFacts) -> Iterator[Finding]:
    if disk.inodes < FEW_INODES:
        text = f"{disk.path} has only {disk.inodes} inodes left: no more files can be made soon"
        yield problem(text, disk.path, "remove many small files there")
    if disk.free < disk.needed:
        text = (
            f"{disk.path} has {disk.free / 1e6:.0f} MB left, logs may take {disk.needed / 1e6:.0f}"
        )
        if disk.rate > 0 and disk.free / disk.rate < HOURS * 3600:
            hours = disk.free / disk.rate / 3600
            text += f"; at the present rate it is full in {hours:.1f} h"
            yield problem(text, disk.path, "make room, or lower log.max_bytes or log.keep")
        else:
            yield warning(text, disk.path, "make room, or lower log.max_bytes or log.keep")


def limits(facts: Facts) -> Iterator[Finding]:
    """Descriptors for all clients, and memory for all limits."""
    for name, service in facts.services.items():
        options, allowed = service.spec.options, service.nofile
        if not isinstance(options, EventServiceOptions) or allowed is None:
            continue
        if options.max_connections > allowed:
            text = f"{name} may have {options.max_connections} connections, and {allowed} files"
            remedy = f"services.{name}.limits = {{ nofile = {2 * options.max_connections} }}"
            yield warning(text, name, remedy, name)
    total = sum(s.spec.max_rss or 0 for s in facts.services.values())
    if total > facts.host.memory:
        has = facts.host.memory / 1e9
        text = f"the services may take {total / 1e9:.1f} GB, and the host has {has:.1f}"
        yield warning(text, "max_rss", "lower max_rss of some services")


def clock(facts: Facts) -> Iterator[Finding]:
    """Check the clock, from which events and logs have their times."""
    if abs(facts.host.clock_step) > STEP:
        text = f"the clock was set by {facts.host.clock_step:+.1f} s since the manager started"
        yield warning(text, "the clock", "let chrony or systemd-timesyncd slew it")
    if facts.host.synchronized is False:
        text = "the clock follows no time server"
        yield note(text, "the clock", "install chrony or enable systemd-timesyncd")
