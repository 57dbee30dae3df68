"""Facts about the processes of services, from /proc."""

from __future__ import annotations

import contextlib
import glob
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.manager.process import listeners, procfs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PACKAGES = ("Pyro5", "Pyro4", "serpent", "msgpack", "pyroctl")
SHOWN = ("PYRO_", "PYTHONUNBUFFERED")
"""Beginnings of the variables that are looked at; no other leaves the process."""


class Sockets(NamedTuple):
    """The connections between services."""

    ports: Mapping[int, str]
    """The service that listens at a port."""
    connections: tuple[listeners.Connection, ...]

    def of(self, inodes: Collection[str]) -> tuple[frozenset[str], int]:
        """Return to which services these sockets are connected, and how many clients they have."""
        mine = [each for each in self.connections if each.inode in inodes]
        connected = {self.ports[each.remote[1]] for each in mine if each.remote[1] in self.ports}
        clients = sum(1 for each in mine if each.local[1] in self.ports)
        return frozenset(connected), clients


def members(sid: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for pid in procfs.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == sid and procfs.is_alive(pid):
                found.append(pid)
    return found


def sockets_of(pids: Collection[int]) -> set[str]:
    """Return the inodes of the sockets of processes."""
    return {inode for pid in pids for inode in listeners.open_sockets(pid)}


def variables(pid: int) -> dict[str, str]:
    """Return the variables of a process that Pyro5 and Python look at."""
    found = {}
    with contextlib.suppress(OSError):
        for entry in procfs.environ(pid):
            name, _, value = entry.decode(errors="replace").partition("=")
            if name.startswith(SHOWN):
                found[name] = value
    return found


def command_line(pid: int) -> list[str]:
    """Return the words of a process's command line; empty if they can't be read."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return [word.decode(errors="replace") for word in file.read().split(b"\0")[:-1]]
    return []


def is_buffered(pid: int, environ: Mapping[str, str]) -> bool | None:
    """Return whether a process is a Python program whose output to a pipe is buffered."""
    words = command_line(pid)
    if not words or not os.path.basename(words[0]).startswith("python"):
        return None
    options: list[str] = []
    for word in words[1:]:
        if not word.startswith("-") or word in {"-m", "-c"}:
            break
        options.append(word)
    unbuffered = any("u" in word.lstrip("-") for word in options if not word.startswith("--"))
    return not unbuffered and "PYTHONUNBUFFERED" not in environ and _is_pipe(pid)


def versions(pid: int) -> dict[str, str]:
    """Return the versions of the packages that a Python program finds; executes nothing."""
    words = command_line(pid)
    if not words or not os.path.basename(words[0]).startswith("python"):
        return {}
    return installed(os.path.dirname(os.path.dirname(words[0])))


def installed(prefix: str) -> dict[str, str]:
    """Return the versions of packages below a prefix; those of this program for its own."""
    if os.path.realpath(prefix) == os.path.realpath(sys.prefix):
        return own_versions()
    found = {}
    for place in glob.glob(f"{glob.escape(prefix)}/lib/python*/site-packages/*.dist-info"):
        name, _, version = os.path.basename(place).removesuffix(".dist-info").partition("-")
        for package in PACKAGES:
            if name.lower() == package.lower():
                found[package] = version
    return found


def own_versions() -> dict[str, str]:
    """Return the versions that this program has."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def open_files_limit(pid: int) -> int | None:
    """Return how many descriptors a process may have."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/limits") as file:
        for line in file:
            if line.startswith("Max open files"):
                return int(line.split()[3])
    return None


def _is_pipe(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/fd/1").startswith(("pipe:", "socket:"))
    return False
