"""Where a deployment keeps its socket, its lock and its logs.

These places depend only on the path of the configuration file, not on its content, so every
command finds a running manager even while the file is broken.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from os.path import join
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.lockfile import lock_holder

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_PATH = 107
"""Maximum number of bytes in the path of a Unix socket (unix(7))."""


class Paths(NamedTuple):
    """The directories of one deployment, absolute, and whose they are."""

    run: str
    """Control socket, notification sockets: mode 0700. It may vanish while the manager lives."""
    state: str
    """Locks and what belongs to them: nobody cleans this directory."""
    logs: str
    owner: int | None = None
    """The user whose manager commands believe, besides that of root and their own."""

    @property
    def socket(self) -> str:
        """The control socket."""
        return os.path.join(self.run, "control.sock")

    @property
    def lock(self) -> str:
        """Locked by the manager; it contains the manager's pid."""
        return os.path.join(self.state, "manager.lock")

    @property
    def run_is_elsewhere(self) -> bool:
        """Whether `run` is not below the root, since its path is too long for a socket there."""
        root = os.path.dirname(self.logs)
        return os.path.dirname(self.state) == root != os.path.dirname(self.run)

    def former(self, path: str) -> str:
        """Return where earlier versions have that lock or socket; one may still be running."""
        return os.path.join(self.run, os.path.basename(path))

    @property
    def cleanup_lock(self) -> str:
        """Locked by the cleanup process until everything that its manager started has ended."""
        return os.path.join(self.state, "guard.lock")

    @property
    def fdstore_socket(self) -> str:
        """The socket of the descriptor store, by which services outlive the manager."""
        return os.path.join(self.state, "keeper.sock")

    @property
    def fdstore_lock(self) -> str:
        """Locked by the descriptor store as long as it runs."""
        return os.path.join(self.state, "keeper.lock")

    @property
    def notify(self) -> str:
        """The directory of the services' notification sockets."""
        return os.path.join(self.run, "notify")

    def service_state(self, service: str = "") -> str:
        """Return a service's directory for state that outlives its process, or their parent.

        Not in the runtime directory: a service that restarts after that was removed would find
        nothing, and an event service would forget its subscribers.
        """
        return os.path.join(self.state, "services", service)

    def page(self, service: str) -> str:
        """Return the directory of what a page keeps: its token, its sessions, older versions."""
        return os.path.join(self.state, "web", service)

    def page_token(self, service: str) -> str:
        """Return the file with the token of a page."""
        return os.path.join(self.page(service), "token")

    def history(self, service: str) -> str:
        """Return the directory in which a page keeps numbers of the past: beside the logs."""
        return os.path.join(os.path.dirname(self.logs), "history", service)

    @property
    def manager_log(self) -> str:
        """The log of a background manager; no service's name starts with an underscore."""
        return os.path.join(self.logs, "_manager.log")

    def service_log(self, service: str) -> str:
        """Return the current log file of a service."""
        return os.path.join(self.logs, f"{service}.log")

    def service_errors(self, service: str) -> str:
        """Return the log file for the stderr of a service that logs it separately."""
        return os.path.join(self.logs, f"{service}.err")


def deployment_paths(config: str | None, root: str | None, environ: Mapping[str, str]) -> Paths:
    """Return the paths for a configuration file (absolute; None: the built-in deployment).

    `root` puts everything below that directory. Otherwise the sockets are in the user's runtime
    directory if there is one, and everything else in the user's state directory (XDG). If the path
    of the runtime directory is too long for a socket, a short one replaces it. A living manager's
    runtime directory is where its lock file says: it may have been started with other variables.
    The deployment's owner is that of the file, or else of the directory `root`.
    """
    runtime_home = environ.get("XDG_RUNTIME_DIR")
    base = os.path.abspath(root or "")
    if root is not None:
        paths = Paths(join(base, "run"), join(base, "state"), join(base, "logs"))
    else:
        identity = _identity(config)
        state = os.path.join(_state_home(environ), identity)
        run = os.path.join(runtime_home, "pyroctl", identity) if runtime_home else None
        run = run or os.path.join(state, "run")
        paths = Paths(run, state, os.path.join(state, "logs"))
    if not _fits(paths.socket):
        paths = paths._replace(run=_short_run(paths.run, runtime_home))
    with contextlib.suppress(OSError):
        holder = lock_holder(paths.lock)
        if holder is not None and os.path.isabs(holder.run):
            paths = paths._replace(run=holder.run)
    with contextlib.suppress(OSError):
        if config is not None or root is not None:
            paths = paths._replace(owner=os.stat(config or base).st_uid)
    return paths


def short_home() -> str:
    """Return the directory for runtime directories whose own path is too long for a socket."""
    return f"/tmp/pyroctl-{os.geteuid()}"  # noqa: S108 - checked before use, see directories.py


def _short_run(run: str, runtime_home: str | None) -> str:
    """Return a runtime directory that replaces the one whose path is too long."""
    import hashlib

    name = hashlib.sha256(os.fsencode(run)).hexdigest()[:16]
    homes = [os.path.join(runtime_home, "pyroctl")] if runtime_home else []
    found = [Paths(os.path.join(home, name), "", "") for home in (*homes, short_home())]
    return next(paths.run for paths in found if _fits(paths.socket))


def _fits(path: str) -> bool:
    return len(os.fsencode(path)) <= LONGEST_PATH


def registry_directory(environ: Mapping[str, str]) -> str:
    """Return the directory in which the user's managers record that they run."""
    return os.path.join(_state_home(environ), "running")


def certs_directory(root: str | None, environ: Mapping[str, str]) -> str:
    """Return the directory of a site's certificates, which belong to no single deployment."""
    if root is not None:
        return join(os.path.abspath(root), "certs")
    home = environ.get("XDG_DATA_HOME")
    if not home and os.geteuid() == 0:
        return "/var/lib/pyroctl/certs"
    return join(home or os.path.expanduser("~/.local/share"), "pyroctl", "certs")


def _state_home(environ: Mapping[str, str]) -> str:
    home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "pyroctl")


def _identity(config: str | None) -> str:
    """Return a name that distinguishes files of the same name in different directories."""
    if config is None:
        return "default"
    stem = os.path.splitext(os.path.basename(config))[0]
    return f"{stem}-{zlib.crc32(os.fsencode(config)):08x}"


def log_versions(path: str) -> list[str]:
    """Return the log file and its rotated versions (`es.log.1`, `es.log.2.gz`), newest first."""
    current = [path] if os.path.exists(path) else []
    return current + [name for _, name in rotated_logs(path)]


def rotated_logs(path: str) -> list[tuple[int, str]]:
    """Return number and name of a log's rotated files, newest first.

    If both a plain and a compressed file have a number, the writer died before removing the plain
    one, and only the compressed one counts.
    """
    directory, base = os.path.split(path)
    found: dict[int, str] = {}
    try:
        entries = os.listdir(directory or ".")
    except (FileNotFoundError, NotADirectoryError):
        return []
    for entry in entries:
        if entry.startswith(base + "."):
            number = entry[len(base) + 1 :].removesuffix(".gz")
            if number.isdecimal() and (entry.endswith(".gz") or int(number) not in found):
                found[int(number)] = os.path.join(directory, entry)
    return sorted(found.items())
