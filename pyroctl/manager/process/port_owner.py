"""Which process listens at a TCP port, as far as this user may see, for the error about it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
from typing import TYPE_CHECKING

from pyroctl.control import registry
from pyroctl.manager.process import listeners, procfs

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

PROMETHEUS = 9090
LONGEST_COMMAND = 100


def describe(port: int) -> str:
    """Return who listens there, such as `another program (pid 42: nginx -g ...)`."""
    sockets = _listeners(port)
    return _describe(port, sockets, list(_holders(set(sockets))))


def describe_other(port: int, own: Container[int]) -> str | None:
    """Return who listens there, unless nobody or one of the processes `own` does."""
    sockets = _listeners(port)
    pids = list(_holders(set(sockets)))
    if not sockets or any(pid in own for pid in pids):
        return None
    return _describe(port, sockets, pids)


def holders(port: int) -> list[int]:
    """Return the processes that listen there, as far as this user may see."""
    return list(_holders(set(_listeners(port))))


def _describe(port: int, sockets: Mapping[str, int], pids: Sequence[int]) -> str:
    deployments = {entry.pid: entry for entry in registry.running(os.environ)}
    for pid in pids:
        if pid == os.getpid():
            return "another service of this deployment"
        if pid in deployments:
            entry = deployments[pid]
            root = [] if entry.root is None else ["--root", entry.root]
            config = [] if root or entry.config is None else ["-c", entry.config]
            command = shlex.join(["pyroctl", *root, *config, "status"])
            return f"the pyroctl deployment {entry.name} (pid {pid}: {command})"
    if pids:
        known = f" (pid {pids[0]}: {_command(pids[0])})"
    else:
        known = "".join(f" (of user {_user(uid)})" for uid in sorted(set(sockets.values()))[:1])
    also = "; it is Prometheus's default port, too" if port == PROMETHEUS else ""
    return f"another program{known}{also}"


def _listeners(port: int) -> dict[str, int]:
    """Return the user of each socket that listens at a TCP port, by its inode."""
    return {
        each.inode: each.uid
        for each in listeners.tcp_listeners()
        if isinstance(each.place, tuple) and each.place[1] == port
    }


def _holders(inodes: set[str]) -> Iterator[int]:
    """Return the processes that have one of the sockets open, oldest first."""
    for pid in sorted(procfs.pids()) if inodes else ():
        if inodes & listeners.open_sockets(pid):
            yield pid


def _command(pid: int) -> str:
    """Return the command line of a process, shortened."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().removesuffix(b"\0").split(b"\0")
        text = shlex.join(word.decode(errors="replace") for word in words)
        return text if len(text) <= LONGEST_COMMAND else f"{text[:LONGEST_COMMAND]}..."
    return "?"


def _user(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)
