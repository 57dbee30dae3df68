"""The client of the control channel: blocking, with a deadline on everything.

Every command imports this module, so it imports only what it needs.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import TYPE_CHECKING

from pyroctl.accounts import describe_user
from pyroctl.control.protocol import ALIVE_INTERVAL, Decoder, Message, encode, request
from pyroctl.errors import ManagerExited, ManagerNotRunning, NoAnswer, NotPermitted
from pyroctl.lockfile import lock_holder
from pyroctl.paths import LONGEST_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.lockfile import LockOwner
    from pyroctl.paths import Paths

ANSWER_TIMEOUT = 4 * ALIVE_INTERVAL
"""Seconds of silence after which the manager counts as frozen."""
SOCKET_TIMEOUT = 2.0
"""Seconds that a manager has to make its socket: it is starting, or the socket was removed."""


def call(
    paths: Paths,
    do: str,
    args: Message,
    on_event: Callable[[Message], None] | None = None,
) -> Message:
    """Send the manager a request and return its reply (`data`, `errors`, `exit_code`).

    Raises ManagerNotRunning, NotPermitted, or NoAnswer when the manager is silent for
    `ANSWER_TIMEOUT` seconds.
    """
    with connect(paths) as sock:
        try:
            sock.sendall(encode(request(do, args)))
            decoder = Decoder()
            while data := sock.recv(65536):
                for message in decoder.feed(data):
                    if "reply" in message:
                        reply: Message = message["reply"]
                        return reply
                    if on_event is not None:
                        on_event(message["event"])
        except TimeoutError:
            raise no_answer(paths) from None
        except ConnectionError:
            pass
    raise ManagerExited("the manager exited before it answered", hint=log_hint(paths))


def connect(paths: Paths) -> socket.socket:
    """Connect to the manager; raises like `call`."""
    deadline = time.monotonic() + SOCKET_TIMEOUT
    while True:
        try:
            return _connect(paths)
        except (FileNotFoundError, ConnectionRefusedError):
            if manager_pid(paths) is None:
                raise ManagerNotRunning(
                    "no manager is running", hint="pyroctl start starts one"
                ) from None
            if time.monotonic() > deadline:
                raise no_answer(paths) from None
            time.sleep(0.02)  # no event announces the socket
        except PermissionError:
            raise _not_permitted(paths) from None
        except OSError:  # also TimeoutError
            raise no_answer(paths) from None


def _connect(paths: Paths) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(ANSWER_TIMEOUT)
        with SocketAddress(paths.socket) as address:
            sock.connect(address)
        _check_owner(sock, paths)
    except BaseException:
        sock.close()
        raise
    return sock


def manager_pid(paths: Paths) -> int | None:
    """Return the pid of the process that holds the deployment's lock, or None if there is none.

    0 if it is unknown. Raises NotPermitted when the lock belongs to another user whose manager
    accepts no connection of ours.
    """
    try:
        holder = _holder(paths, paths.lock)
    except PermissionError:
        return _peer_pid(paths)
    return None if holder is None else holder.pid


def _peer_pid(paths: Paths) -> int:
    """Return the pid of a manager that is shared: its socket is, and its lock is not."""
    try:
        with _connect(paths) as sock:
            return _credentials(sock)[0]
    except OSError:
        raise _not_permitted(paths) from None


def crashed_manager(paths: Paths) -> int | None:
    """Return the pid of the last manager if it ended without shutting down, else None.

    A manager that shuts down leaves its lock's file empty. Raises NotPermitted.
    """
    if manager_pid(paths) is not None:
        return None
    try:
        with open(paths.lock, "rb") as file:
            content = file.read(32).split()
    except FileNotFoundError:
        return None
    return int(content[0]) if content and content[0].isdigit() else None


def services_await_manager(paths: Paths) -> bool:
    """Return whether services of an ended manager wait for the next (`orphans = "adopt"`).

    Raises NotPermitted.
    """
    return manager_pid(paths) is None and _holder(paths, paths.fdstore_lock) is not None


def _holder(paths: Paths, lock: str) -> LockOwner | None:
    return lock_holder(lock) or lock_holder(paths.former(lock))


class SocketAddress:
    """The address of a Unix socket, however long its path is.

    A path that is too long is reached through a descriptor of its directory, which is open inside
    the context.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= LONGEST_PATH:
            return self._path
        directory, name = os.path.split(self._path)
        self._fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{name}"

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)


def peer_uid(sock: socket.socket) -> int:
    """Return the user ID of the process at the other end (SO_PEERCRED)."""
    return _credentials(sock)[1]


def _credentials(sock: socket.socket) -> tuple[int, int, int]:
    """Return process, user and group at the other end, as the kernel attests them."""
    size = struct.calcsize("3i")
    pid, uid, gid = struct.unpack(
        "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return pid, uid, gid


def _check_owner(sock: socket.socket, paths: Paths) -> None:
    """Raise NotPermitted unless the manager is that of this user, root or the deployment's owner.

    That holds for root, too: what a stranger's process answers must not lead its commands.
    """
    uid = peer_uid(sock)
    if uid not in {0, os.geteuid(), paths.owner}:
        raise _not_permitted(paths, uid)


def no_answer(paths: Paths) -> NoAnswer:
    """Return the error about a manager that is silent."""
    pid = manager_pid(paths)
    process = f" (pid {pid})" if pid else ""
    return NoAnswer(
        f"the manager{process} does not answer",
        hint=f"if it is suspended: kill -CONT {pid or 'PID'}; otherwise {log_hint(paths)}",
    )


def log_hint(paths: Paths) -> str:
    """Return where the manager has written what happened."""
    return f"see {paths.manager_log}"


def _not_permitted(paths: Paths, uid: int | None = None) -> NotPermitted:
    owner = "" if uid is None else f", {describe_user(uid)}"
    return NotPermitted(
        f"the manager of {paths.run} belongs to another user{owner}",
        hint="run the command as the user who started it, or as root"
        if os.geteuid()
        else "run the command as that user",
    )
