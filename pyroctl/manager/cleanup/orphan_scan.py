"""Finds the orphans of a deployment, by their environment: processes that no manager knows."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pyroctl.manager.process import procfs

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

VARIABLE = "PYROCTL_RUNTIME_DIR"
"""The environment variable that identifies the deployment of every process of a service."""


def find(run: str, spared: Container[str] = ()) -> dict[int, int]:
    """Return the living processes of the deployment with that runtime directory: pid to session.

    Processes of the `spared` services and of our own session are left out.
    """
    return {pid: sid for pid, sid, service in _scan(run) if service not in spared}


def services(run: str) -> dict[str, int]:
    """Return the services with a process in that deployment, and its pid."""
    return {service: pid for pid, sid, service in _scan(run) if service and pid == sid}


def _scan(run: str) -> Iterator[tuple[int, int, str]]:
    """Return pid, session and service of each."""
    mark = os.fsencode(f"{VARIABLE}={run}")
    ours = os.getsid(0)
    for pid in procfs.pids():
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            sid = os.getsid(pid)
            environ = procfs.environ(pid)
            if sid != ours and mark in environ and procfs.is_alive(pid):
                yield pid, sid, _service(environ)


def _service(environ: list[bytes]) -> str:
    pairs = (entry.partition(b"=") for entry in environ)
    names = [value for name, _, value in pairs if name == b"PYROCTL_SERVICE"]
    return names[0].decode(errors="replace") if names else ""
