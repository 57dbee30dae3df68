"""How soon a name server and an event service can serve."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from benchmarks.manager.processes import WAIT, Cost, cpu_time, environment

if TYPE_CHECKING:
    from collections.abc import Sequence

import subprocess


def until_ready(argv: Sequence[str]) -> Cost:
    """Measure a service from nothing until it says READY=1, then end it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"pyroctl-bench-{os.getpid()}"
        sock.bind("\0" + name)
        sock.settimeout(WAIT)
        started = time.perf_counter()
        devnull = subprocess.DEVNULL
        environ = environment() | {"NOTIFY_SOCKET": "@" + name}
        with subprocess.Popen(argv, env=environ, stdout=devnull, stderr=devnull) as service:
            try:
                while b"READY=1" not in sock.recv(4096):
                    pass
                wall = time.perf_counter() - started
                return Cost(wall, cpu_time(service.pid))
            finally:
                service.terminate()
                service.wait(WAIT)
