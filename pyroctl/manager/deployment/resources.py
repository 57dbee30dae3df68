"""What the manager keeps for a service while its processes come and go."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import tempfile
from typing import TYPE_CHECKING

from pyroctl.manager.process.listening import HeldSocket

if TYPE_CHECKING:
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds.address import ListenAddress
    from pyroctl.manager.process.listening import LentSocket
    from pyroctl.paths import Paths


class ServiceResources:
    """The listening socket and the state directory of one service.

    `lent` is a socket that our own manager holds for it, which is then never ours to close.
    """

    def __init__(self, paths: Paths, lent: LentSocket | None = None) -> None:
        self._paths = paths
        self._lent = lent
        self._held: HeldSocket | None = None
        self._directory: str | None = None

    def listen(self, address: ListenAddress | None, spec: ServiceSpec) -> int | None:
        """Give the descriptor of the socket that listens there, which is bound when there is none.

        None when the service sees to that itself. Raises AddressRefused.
        """
        if address is None:
            return None
        if self._lent is not None:
            return self._lent.fileno()
        if self._held is not None and self._held.address != address:
            self.release_socket()
        if self._held is None:
            self._held = HeldSocket(address, _ids(spec))
        return self._held.fileno()

    @property
    def listens(self) -> str | None:
        """The address of the socket that is held, in words."""
        return None if self._held is None else str(self._held.address)

    @property
    def directory(self) -> str | None:
        """The state directory, if there is one."""
        return self._directory

    def descriptors(self) -> dict[str, int]:
        """Give the socket that is held, if there is one."""
        return {} if self._held is None else {"listen": self._held.fileno()}

    def resume(self, address: ListenAddress | None, fd: int | None, directory: str | None) -> None:
        """Go on with what another manager has held."""
        self._directory = directory
        if fd is not None and address is not None:
            self._held = HeldSocket(address, fd=fd)

    def holds(self, address: ListenAddress | None) -> bool:
        """Tell whether a process that is started now gets the socket that is there."""
        return self._lent is not None or (self._held is not None and self._held.address == address)

    def bound(self) -> tuple[str, int] | None:
        """Give host and port where the socket that we hold listens; None without one of TCP."""
        held = self._lent or self._held
        if held is None:
            return None
        with socket.socket(fileno=os.dup(held.fileno())) as listener:
            if listener.family == socket.AF_UNIX:
                return None
            host, port, *_ = listener.getsockname()
            return host, port

    def release_socket(self) -> None:
        """Listen no longer: who connects now is refused."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def state_directory(self, spec: ServiceSpec) -> str:
        """Give a directory that only the service may enter; it stays as long as we do.

        A service that runs as another user can't enter ours: its directory is a temporary one.
        """
        if self._directory is None:
            if spec.user is None:
                path = self._paths.state(spec.name)
                os.makedirs(path, mode=0o700, exist_ok=True)
            else:
                path = tempfile.mkdtemp(prefix=f"pyroctl-{spec.name}-")
                os.chown(path, *_ids(spec))
            self._directory = path
        return self._directory

    def close(self) -> None:
        """Let go of everything."""
        self.release_socket()
        if self._directory is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._directory)
            self._directory = None


def _ids(spec: ServiceSpec) -> tuple[int, int]:
    """Give the user and group of the service, -1 for those that are ours."""
    if spec.user is None:
        return -1, -1
    entry = pwd.getpwnam(spec.user)
    return entry.pw_uid, entry.pw_gid
