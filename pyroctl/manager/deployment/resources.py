"""What the manager holds for a service while its processes come and go."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
from typing import TYPE_CHECKING

from pyroctl.core.spec import EventServiceOptions
from pyroctl.manager import state_directory
from pyroctl.manager.process.listening import HeldSocket
from pyroctl.manager.process.ring import HeldRing
from pyroctl.manager.process.spawn import Passed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds import ListenAddress


class ServiceResources:
    """The listening socket, the ring and the state directory of one service.

    `path` is where the directory is, or a link to it; `lent` is a socket that the manager's own
    manager holds for it, and which is never closed.
    """

    def __init__(self, path: str, lent: int | None = None) -> None:
        self._path = path
        self._lent = lent
        self._held: HeldSocket | None = None
        self._ring: HeldRing | None = None
        self.directory: str | None = None
        """The state directory, if there is one."""

    def passed(self, address: ListenAddress | None, spec: ServiceSpec) -> Passed:
        """Return what a process inherits. Raises AddressRefused, and OSError without memory."""
        return Passed(self.listen(address, spec), self._ring_for(spec))

    def listen(self, address: ListenAddress | None, spec: ServiceSpec) -> int | None:
        """Return the descriptor of the socket that listens there; bind it if there is none.

        None if the service itself listens. Raises AddressRefused.
        """
        if address is None:
            return None
        if self._lent is not None:
            return self._lent
        if self._held is not None and self._held.address != address:
            self.release_socket()
        if self._held is None:
            self._held = HeldSocket(address, _ids(spec))
        return self._held.fileno()

    def _ring_for(self, spec: ServiceSpec) -> int | None:
        """Return the descriptor of the service's ring; make it if there is none of that size."""
        options = spec.options
        size = None
        if isinstance(options, EventServiceOptions) and options.crash == "keep":
            size = options.ring_bytes
        if self._ring is not None and self._ring.size != size:
            self._release_ring()
        if self._ring is None and size is not None:
            self._ring = HeldRing.make(size)
        return None if self._ring is None else self._ring.fileno()

    @property
    def listens(self) -> str | None:
        """The address of the socket that is held, in words."""
        return None if self._held is None else str(self._held.address)

    def descriptors(self) -> dict[str, int]:
        """Return the descriptors of the socket and the ring, as far as they are held."""
        held = {"listen": self._held, "ring": self._ring}
        return {name: each.fileno() for name, each in held.items() if each is not None}

    def restore(
        self, address: ListenAddress | None, fds: Mapping[str, int], directory: str | None
    ) -> None:
        """Take what another manager has held."""
        self.directory = directory
        if "listen" in fds and address is not None:
            self._held = HeldSocket(address, fd=fds["listen"])
        if "ring" in fds:
            self._ring = HeldRing(fds["ring"])

    def holds(self, address: ListenAddress | None) -> bool:
        """Return whether a process that starts now gets the existing socket."""
        return self._lent is not None or (self._held is not None and self._held.address == address)

    def bound(self) -> tuple[str, int] | None:
        """Return host and port of the socket that we hold; None without a TCP socket."""
        fd = self._held.fileno() if self._lent is None and self._held is not None else self._lent
        if fd is None:
            return None
        with socket.socket(fileno=os.dup(fd)) as listener:
            if listener.family == socket.AF_UNIX:
                return None
            host, port, *_ = listener.getsockname()
            return host, port

    def release(self, *, keep_ring: bool) -> None:
        """Stop listening, and free the ring's memory unless the next process needs it."""
        self.release_socket()
        if not keep_ring:
            self._release_ring()

    def _release_ring(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def release_socket(self) -> None:
        """Stop listening: connections are refused from now on."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def state_directory(self, spec: ServiceSpec) -> str:
        """Return a directory that only the service may enter; it exists until `close`.

        A service that runs as another user can't enter ours, and gets a temporary directory.
        """
        if self.directory is None or not os.path.isdir(self.directory):
            if spec.user is None:
                os.makedirs(self._path, mode=0o700, exist_ok=True)
                self.directory = self._path
            else:
                self.directory = state_directory.make(self._path, *_ids(spec))
        return self.directory

    def close(self) -> None:
        """Release everything."""
        self.release(keep_ring=False)
        if self.directory is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self.directory)
            with contextlib.suppress(OSError):
                os.unlink(self._path)  # if it is a link
            self.directory = None


def _ids(spec: ServiceSpec) -> tuple[int, int]:
    """Return the user and group of the service, -1 for ours."""
    if spec.user is None:
        return -1, -1
    entry = pwd.getpwnam(spec.user)
    return entry.pw_uid, entry.pw_gid
