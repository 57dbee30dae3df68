"""What a process does to its helpers: it forks, and it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from pyro_events.errors import Forked, Unreachable

if TYPE_CHECKING:
    import socket


class Member(Protocol):
    """A helper, as its process sees it."""

    def _after_fork(self, inherited: Inherited) -> None:
        """Put `inherited` in the place of everything that belongs to the parent process."""

    def _at_exit(self, began: float) -> None:
        """Finish what can't wait: the interpreter has been ending since `began`."""


class Inherited:
    """Stands, in a forked child, for what belongs to the parent.

    Using it raises `Forked`; closing it does nothing, so that a `with` block can end.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def close(self, **_options: object) -> None:
        """Do nothing: the parent will close what is its own."""

    def __getattr__(self, _name: str) -> Any:
        raise Forked(
            f"this {self._owner} belongs to the process that made it; "
            "make another one after the fork"
        )

    def __enter__(self) -> Any:
        return self.enter  # which raises

    def __exit__(self, *raised: object) -> None:
        """Do nothing: there was no way in."""


def check_threads() -> None:
    """Raise Unreachable if the interpreter has stopped all other threads: they may hold any lock.

    Not logged, since a log handler has a lock, too.
    """
    if sys.is_finalizing():
        raise Unreachable("the interpreter is ending and has stopped its threads: it is too late")


class Process:
    """Knows the helpers of this process, and their sockets. Any thread may add some."""

    def __init__(self) -> None:
        # By id: a program's subclass need not be hashable.
        self._helpers: weakref.WeakValueDictionary[int, Member] = weakref.WeakValueDictionary()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._ending = False
        self._in_worker = False
        """Whether we are told of the end by multiprocessing, whose workers skip `atexit`."""

    def add(self, helper: Member) -> None:
        """Notify this helper of a fork, and of the end."""
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None and not self._in_worker:
            self._in_worker = sys.modules["multiprocessing.process"].parent_process() is not None
            if self._in_worker:
                multiprocessing.Finalize(None, self.ended, exitpriority=0)
        self._helpers[id(helper)] = helper
        if self._ending:
            helper._at_exit(time.monotonic())  # noqa: SLF001 - a subclass may use any public name

    def add_socket(self, sock: socket.socket) -> None:
        """Close this socket in forked children, which would keep the connection open."""
        self._sockets.add(sock)

    def forked(self) -> None:
        """Leave to the parent, in a child, what is the parent's. No thread but this one exists."""
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.close()
        for helper in list(self._helpers.values()):
            helper._after_fork(Inherited(type(helper).__name__))  # noqa: SLF001 - the same
        self.__init__()  # type: ignore[misc] # a new process

    def ended(self) -> None:
        """Finish the helpers before the interpreter freezes all daemon threads."""
        self._ending, began = True, time.monotonic()
        for helper in list(self._helpers.values()):
            helper._at_exit(began)  # noqa: SLF001 - the same


process = Process()
os.register_at_fork(after_in_child=process.forked)
atexit.register(process.ended)
