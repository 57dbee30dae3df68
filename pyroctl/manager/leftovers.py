"""Finds what a deployment has left, processes that no manager knows, by their environment."""

from __future__ import annotations

import contextlib
import os

from pyroctl.manager import guard

MARK = "PYROCTL_RUNTIME_DIR"
"""The variable that tells every process of a service which deployment it belongs to."""


def find(run: str) -> dict[int, int]:
    """Give the living processes of the deployment with that runtime directory: pid to session.

    Our own session is left out, whoever has started it.
    """
    mark = os.fsencode(f"{MARK}={run}")
    ours = os.getsid(0)
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # it ended, or is somebody else's
                sid = os.getsid(int(entry))
                if sid != ours and _is_marked(entry, mark) and guard.is_alive(int(entry)):
                    found[int(entry)] = sid
    return found


def services(run: str) -> dict[str, int]:
    """Give the services that have a process there, and its pid."""
    found = {}
    for pid, sid in find(run).items():
        if pid == sid:
            with contextlib.suppress(OSError):
                for entry in _environ(str(pid)):
                    name, _, value = entry.partition(b"=")
                    if name == b"PYROCTL_SERVICE":
                        found[value.decode(errors="replace")] = pid
    return found


def _is_marked(pid: str, mark: bytes) -> bool:
    return mark in _environ(pid)


def _environ(pid: str) -> list[bytes]:
    with open(f"/proc/{pid}/environ", "rb") as environ:
        return environ.read().split(b"\0")
