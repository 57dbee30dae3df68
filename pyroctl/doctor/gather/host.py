"""Facts about the machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import socket
from typing import TYPE_CHECKING

from pyroctl.doctor.facts import HostFacts
from pyroctl.manager.process import procfs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronized."""
TIMEX_SIZE = 512
CONTAINERS = ("/.dockerenv", "/run/.containerenv")
CONTAINER_GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL by Docker and Podman."""


INITS = frozenset({"tini", "docker-init", "catatonit", "dumb-init"})


def host_facts(manager: Mapping[str, Any] | None, unit_grace: float | None) -> HostFacts:
    """Return what is known of this machine; `manager` is the manager's part of a measurement."""
    name = socket.gethostname()
    systemd = os.path.isdir("/run/systemd/system")
    first = _first_process()
    stopped_with_container = first in INITS or (manager or {}).get("pid") == 1
    container = stopped_with_container and any(map(os.path.exists, CONTAINERS))
    return HostFacts(
        name=name,
        addresses=resolved(name),
        localhost=resolved("localhost"),
        port_range=_pair("/proc/sys/net/ipv4/ip_local_port_range", (32768, 60999)),
        lowest_free_port=_number("/proc/sys/net/ipv4/ip_unprivileged_port_start", 1024),
        privileged=os.geteuid() == 0,
        nofile=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        memory=_memory(),
        oom_kills=_oom_kills(),
        synchronized=_synchronized(),
        clock_step=float((manager or {}).get("clock_step", 0.0)),
        first_process=first,
        unreaped=_unreaped(),
        grace=unit_grace if unit_grace is not None else CONTAINER_GRACE if container else None,
        systemd=systemd,
    )


def resolved(name: str) -> tuple[str, ...]:
    """Return the addresses of a name, in order; empty if there are none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, _number("/sys/fs/cgroup/memory.max", total))


def _oom_kills() -> int:
    with contextlib.suppress(OSError), open("/sys/fs/cgroup/memory.events") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    return 0


def _synchronized() -> bool | None:
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(TIMEX_SIZE))
    return None if state < 0 else state != TIME_ERROR


def _first_process() -> str:
    with contextlib.suppress(OSError):
        return procfs.command_name(1)
    return "?"


def _unreaped() -> int:
    """Return how many dead processes wait for process 1."""
    stats = (procfs.stat(pid) for pid in procfs.pids())
    dead = (b"Z", b"1")
    return sum(1 for each in stats if each and (each[procfs.STATE], each[procfs.PARENT]) == dead)


def _pair(path: str, default: tuple[int, int]) -> tuple[int, int]:
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        low, high = map(int, file.read().split())
        return low, high
    return default


def _number(path: str, default: int) -> int:
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        return int(file.read())
    return default
