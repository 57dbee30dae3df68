"""Finds what a deployment has left, processes that no manager knows, by their environment."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pyroctl.manager.cleanup import cleanup_process

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

MARK = "PYROCTL_RUNTIME_DIR"
"""The variable that tells every process of a service which deployment it belongs to."""


def find(run: str, but: Container[str] = ()) -> dict[int, int]:
    """Give the living processes of the deployment with that runtime directory: pid to session.

    Those of the services `but` are left out, and our own session, whoever has started it.
    """
    return {pid: sid for pid, sid, service in _look(run) if service not in but}


def services(run: str) -> dict[str, int]:
    """Give the services that have a process there, and its pid."""
    return {service: pid for pid, sid, service in _look(run) if service and pid == sid}


def _look(run: str) -> Iterator[tuple[int, int, str]]:
    """Give pid, session and service of each."""
    mark = os.fsencode(f"{MARK}={run}")
    ours = os.getsid(0)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # it ended, or is somebody else's
                sid = os.getsid(int(entry))
                environ = _environ(entry)
                if sid != ours and mark in environ and cleanup_process.is_alive(int(entry)):
                    yield int(entry), sid, _service(environ)


def _service(environ: list[bytes]) -> str:
    pairs = (entry.partition(b"=") for entry in environ)
    names = [value for name, _, value in pairs if name == b"PYROCTL_SERVICE"]
    return names[0].decode(errors="replace") if names else ""


def _environ(pid: str) -> list[bytes]:
    with open(f"/proc/{pid}/environ", "rb") as environ:
        return environ.read().split(b"\0")
