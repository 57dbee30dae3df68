"""The manager's end of the descriptor store: see `pyroctl.manager.fdstore.server`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from pyroctl.control.client import SocketAddress, peer_uid
from pyroctl.core.record import VERSION
from pyroctl.manager import lock
from pyroctl.manager.cleanup.orphan_scan import VARIABLE
from pyroctl.manager.fdstore.packets import PacketLink, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.manager.fdstore.packets import Message
    from pyroctl.manager.fdstore.remote_log import RemoteLog
    from pyroctl.paths import Paths

STORE_TIMEOUT = 5.0
"""Seconds that the descriptor store has to send what it holds."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class StoredState:
    """What the previous manager has stored."""

    pid: int = 0
    """The pid of the descriptor store."""
    since: float | None = None
    """When the previous manager ended, in seconds since the epoch; None if there was none."""
    records: dict[str, Any] = field(default_factory=dict)
    fds: dict[str, int] = field(default_factory=dict)
    """Descriptors by name, to be closed by whoever removes them."""
    messages: dict[str, dict[str, str]] = field(default_factory=dict)
    """What services have sent to their notification sockets since then."""

    def pop(self, prefix: str) -> dict[str, int]:
        """Remove and return the descriptors with this prefix, by the rest of their names."""
        names = [name for name in self.fds if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.fds.pop(name) for name in names}

    def close(self) -> None:
        """Close the descriptors that are left."""
        while self.fds:
            os.close(self.fds.popitem()[1])


@dataclass(frozen=True, slots=True)
class LineReader:
    """What reads the lines of a process."""

    on_lines: Callable[[bytes], None]
    awaited: str | None
    """The pattern of a line that must not be missed."""
    on_earlier: Callable[[bytes], None]
    """Called with that line, or the last one, if it came while there was no manager."""


class UnusableStore(Exception):
    """There is a descriptor store, but this manager can't use it; the text says why."""


class FdStoreClient:
    """Sends the descriptor store what it has to hold, and starts another one when it ends.

    `start` comes first and blocks; everything else belongs to the event loop's thread.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._link: PacketLink | None = None
        self._stored: dict[str, tuple[int, int]] = {}
        self._drains: dict[int, Callable[[], None]] = {}
        self._last_number = 0
        self._on_lost: Callable[[], None] = lambda: None
        self.logs: dict[str, RemoteLog] = {}
        """By service."""
        self._readers: dict[str, LineReader] = {}

    def start(self) -> StoredState:
        """Connect to the existing or a new descriptor store; raise UnusableStore or OSError."""
        try:
            return self._connect()
        except (FileNotFoundError, ConnectionError):
            try:
                self.launch()
            except BlockingIOError:  # the lock of one that runs
                raise UnusableStore("nothing reaches it at its socket any more") from None
            return self._connect()

    def launch(self) -> None:
        """Start a descriptor store; raise OSError."""
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
            _open_for_errors(self._paths.manager_log) as errors,
            open(lock.lock_file(self._paths.fdstore_lock)) as store_lock,
        ):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._paths.fdstore_socket)
            with SocketAddress(self._paths.fdstore_socket) as address:
                listener.bind(address)
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pyroctl.manager.fdstore.server", str(listener.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                cwd="/",
                env={**os.environ, VARIABLE: self._paths.run, "PYROCTL_SERVICE": ""},
                pass_fds=(listener.fileno(), store_lock.fileno()),
            )

    def attach(self, on_lost: Callable[[], None]) -> None:
        """Continue in the event loop; `on_lost` has to `sync` everything with a new store."""
        assert self._socket is not None
        self._on_lost = on_lost
        self._link = PacketLink(self._socket, self._received, self._store_ended)
        for store_log in self.logs.values():
            store_log.open()
        for name, reader in self._readers.items():
            self._request(name, reader)

    def sync(
        self,
        service: str,
        fds: Mapping[str, int],
        uids: Mapping[str, list[int]],
        record: Message | None,
    ) -> None:
        """Store exactly these descriptors of a service, and this record.

        `uids` are the users whose messages count, by notification socket.
        """
        for name in [n for n in self._stored if n.startswith(f"{service}/") and n not in fds]:
            del self._stored[name]
            self.send("drop", name=name)
        for name, fd in fds.items():
            identity = _identity(fd)
            if self._stored.get(name) != identity:
                self._stored[name] = identity
                more = {"uids": uids[name]} if name in uids else {}
                self.send("hold", fd, name=name, **more)
        self.send("record", service=service, value=record)

    def remove(self, service: str) -> None:
        """Store nothing of a service any more."""
        self.sync(service, {}, {}, None)

    def send(self, do: str, *fds: int, **message: object) -> None:
        """Send a message with descriptors."""
        if self._link is not None:
            self._link.send({"do": do, **message}, fds=fds)

    def read_lines(self, name: str, reader: LineReader) -> None:
        """Request the lines of the process `SERVICE/PID`."""
        self._readers[name] = reader
        self._request(name, reader)

    def ignore_lines(self, name: str) -> None:
        """Ignore the lines of the process `SERVICE/PID` from now on."""
        self._readers.pop(name, None)

    def drain(self, name: str, then: Callable[[], None]) -> None:
        """Call `then` when all that the process `SERVICE/PID` has written so far is in its log."""
        if self._link is None:
            then()
            return
        self._last_number += 1
        self._drains[self._last_number] = then
        self.send("drain", name=name, number=self._last_number)

    async def flush(self) -> None:
        """Wait, for a bounded time, until everything was sent."""
        if self._link is not None and self._link.backlog:
            sent = asyncio.Event()
            self._link.on_sent = sent.set
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sent.wait(), STORE_TIMEOUT)

    def stop(self) -> None:
        """End the descriptor store: it holds nothing that is needed."""
        for path in (self._paths.fdstore_socket, self._paths.former(self._paths.fdstore_socket)):
            with contextlib.suppress(OSError):
                os.unlink(path)
        self.send("end")
        if self._link is not None:
            self._link.close()
            self._link = None
        try:
            os.close(lock.lock_file(self._paths.fdstore_lock))
        except BlockingIOError:
            log.warning("the descriptor store doesn't end")
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    # --- messages of the store --------------------------------------------------------------------

    def _connect(self) -> StoredState:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.settimeout(STORE_TIMEOUT)
            with SocketAddress(self._socket_path()) as address:
                sock.connect(address)
            stored = self._receive_all(sock)
        except BaseException as error:
            sock.close()
            if isinstance(error, TimeoutError | BlockingIOError):
                raise UnusableStore("it doesn't answer") from None
            raise
        self._socket = sock
        return stored

    def _socket_path(self) -> str:
        path = self._paths.fdstore_socket
        former = self._paths.former(path)
        return former if os.path.exists(former) and not os.path.exists(path) else path

    def _receive_all(self, sock: socket.socket) -> StoredState:
        """Return everything it holds; raise UnusableStore or OSError."""
        stored = StoredState()
        try:
            while (packet := receive(sock)) is not None:
                message, _, fds = packet
                if "keeper" in message:
                    _check(message["keeper"], peer_uid(sock))
                    stored.pid, stored.since = message["pid"], message["since"]
                if "record" in message:
                    stored.records[message["record"]] = message["value"]
                if "held" in message:
                    (stored.fds[message["held"]],) = fds
                if "said" in message:
                    stored.messages[message["said"]] = message["fields"]
                if "all" in message:
                    self._stored = {name: _identity(fd) for name, fd in stored.fds.items()}
                    return stored
        except BaseException:
            stored.close()
            raise
        stored.close()
        raise ConnectionResetError("it is about to end")

    def _request(self, name: str, reader: LineReader) -> None:
        self.send("copy", name=name, awaited=reader.awaited)

    def _received(self, message: Message, data: bytes, _: list[int]) -> None:
        if "lines" in message:
            reader = self._readers.get(message["lines"])
            if reader is not None:  # else its process is gone
                (reader.on_earlier if message.get("earlier") else reader.on_lines)(data)
        elif "warning" in message:
            log.warning("%s", message["warning"])
        elif message.get("service") in self.logs:
            self.logs[message["service"]].receive(message)
        if "drained" in message:
            then = self._drains.pop(message["drained"], None)
            if then is not None:
                then()

    def _store_ended(self) -> None:
        self._link = None
        code = self._process.wait() if self._process is not None else "unknown"
        log.warning("the descriptor store ended (code %s); starting another", code)
        waiting, self._drains = list(self._drains.values()), {}
        self.launch()
        self._connect().close()
        self.attach(self._on_lost)
        self._stored = {}
        self._on_lost()
        for then in waiting:
            then()


def _open_for_errors(path: str) -> IO[bytes]:
    """Open our log for the store's last words; on a read-only disk they are lost."""
    try:
        return open(path, "ab")
    except OSError:
        return open(os.devnull, "ab")


def _check(version: int, uid: int) -> None:
    """Raise UnusableStore if we can't trust or understand it."""
    if uid not in {0, os.geteuid()}:
        raise UnusableStore("it belongs to another user")
    if version != VERSION:
        raise UnusableStore(f"its protocol has version {version} instead of {VERSION}")


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
