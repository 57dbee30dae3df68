"""Where a deployment keeps its socket, its lock and its logs.

The place follows from the configuration file's path alone, never from what is in it: so every
command finds a running manager even while the file is broken.
"""

from __future__ import annotations

import os.path
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Paths(NamedTuple):
    """The directories of one deployment, absolute."""

    run: str
    """Lock, control socket, notification sockets: mode 0700."""
    logs: str

    @property
    def socket(self) -> str:
        """The control socket."""
        return os.path.join(self.run, "control.sock")

    @property
    def lock(self) -> str:
        """The file whose lock makes a process the manager; it holds the manager's pid."""
        return os.path.join(self.run, "manager.lock")

    @property
    def guard_lock(self) -> str:
        """The file that a guard has locked until it has ended what its manager had started."""
        return os.path.join(self.run, "guard.lock")

    @property
    def keeper(self) -> str:
        """The socket of the process that keeps what services need to outlive the manager."""
        return os.path.join(self.run, "keeper.sock")

    @property
    def keeper_lock(self) -> str:
        """The file that the keeper has locked as long as it lives."""
        return os.path.join(self.run, "keeper.lock")

    @property
    def notify(self) -> str:
        """The directory of the services' notification sockets."""
        return os.path.join(self.run, "notify")

    def state(self, service: str = "") -> str:
        """Give a service's directory for what outlives its process, or the parent of all those."""
        return os.path.join(self.run, "state", service)

    @property
    def manager_log(self) -> str:
        """What a background manager says itself; no service's name starts with an underscore."""
        return os.path.join(self.logs, "_manager.log")

    def service_log(self, service: str) -> str:
        """Give the current log file of a service."""
        return os.path.join(self.logs, f"{service}.log")

    def service_errors(self, service: str) -> str:
        """Give where the stderr of a service goes that keeps it apart."""
        return os.path.join(self.logs, f"{service}.err")


def deployment_paths(config: str | None, root: str | None, environ: Mapping[str, str]) -> Paths:
    """Give the paths for a configuration file (absolute; None: the built-in deployment).

    `root` puts everything below that directory. Otherwise the socket is in the user's runtime
    directory if there is one, and everything else in the user's state directory (XDG).
    """
    if root is not None:
        base = os.path.abspath(root)
        return Paths(os.path.join(base, "run"), os.path.join(base, "logs"))
    identity = _identity(config)
    state_home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    state = os.path.join(state_home, "pyroctl", identity)
    runtime_home = environ.get("XDG_RUNTIME_DIR")
    run = os.path.join(runtime_home, "pyroctl", identity) if runtime_home else None
    return Paths(run or os.path.join(state, "run"), os.path.join(state, "logs"))


def _identity(config: str | None) -> str:
    """Tell deployments apart that use the same file name in different directories."""
    if config is None:
        return "default"
    stem = os.path.splitext(os.path.basename(config))[0]
    return f"{stem}-{zlib.crc32(os.fsencode(config)):08x}"
