"""The manager's end of its keeper: see `pyroctl.manager.fdstore.server`."""

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
from pyroctl.manager.cleanup.orphan_scan import MARK
from pyroctl.manager.fdstore.packets import PacketLink, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.manager.fdstore.packets import Message
    from pyroctl.manager.fdstore.remote_log import RemoteLog
    from pyroctl.paths import Paths

PATIENCE = 5.0
"""Seconds that the keeper has to say what it has."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class StoredState:
    """What the manager before us has left to us."""

    keeper: int = 0
    """The pid of the keeper."""
    since: float | None = None
    """When it was gone, in seconds of the epoch; None if there was none."""
    records: dict[str, Any] = field(default_factory=dict)
    fds: dict[str, int] = field(default_factory=dict)
    """By name; whoever takes one takes it out."""
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    """What services have told their notification sockets meanwhile."""

    def take(self, prefix: str) -> dict[str, int]:
        """Take the descriptors whose names begin like that, by the rest of the name."""
        names = [name for name in self.fds if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.fds.pop(name) for name in names}

    def decline(self) -> None:
        """Close what nobody has taken."""
        while self.fds:
            os.close(self.fds.popitem()[1])


class UnusableStore(Exception):
    """There is a keeper, but we can't go on with what it has; the text says why."""


class FdStoreClient:
    """Gives the keeper what it has to keep, and starts another one when it ends.

    `start` comes first and blocks; all the rest belongs to the event loop's thread.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._link: PacketLink | None = None
        self._known: dict[str, tuple[int, int]] = {}
        self._drains: dict[int, Callable[[], None]] = {}
        self._last_number = 0
        self._on_lost: Callable[[], None] = lambda: None
        self.logs: dict[str, RemoteLog] = {}
        """By service."""
        self.lines: dict[str, Callable[[bytes], None]] = {}
        """Who wants the lines of a run, by `SERVICE/PID`."""

    def start(self) -> StoredState:
        """Connect to the keeper that is there, or to a new one; raises Unusable or OSError."""
        try:
            return self._connect()
        except (FileNotFoundError, ConnectionError):
            self.launch()
            return self._connect()

    def launch(self) -> None:
        """Start a keeper; raises OSError."""
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
            _for_errors(self._paths.manager_log) as errors,
            open(lock.take(self._paths.fdstore_lock)) as held,
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
                env={**os.environ, MARK: self._paths.run},
                pass_fds=(listener.fileno(), held.fileno()),
            )

    def attach(self, on_lost: Callable[[], None]) -> None:
        """Go on in the event loop; `on_lost` has to `sync` everything with another keeper."""
        assert self._socket is not None
        self._on_lost = on_lost
        self._link = PacketLink(self._socket, self._told, self._keeper_ended)
        for kept in self.logs.values():
            kept.begin()

    def sync(
        self,
        service: str,
        fds: Mapping[str, int],
        uids: Mapping[str, list[int]],
        record: Message | None,
    ) -> None:
        """Let it have exactly these descriptors of a service, and this record.

        `uids` says whose messages count at a notification socket.
        """
        for name in [n for n in self._known if n.startswith(f"{service}/") and n not in fds]:
            del self._known[name]
            self.tell("drop", name=name)
        for name, fd in fds.items():
            identity = _identity(fd)
            if self._known.get(name) != identity:
                self._known[name] = identity
                more = {"uids": uids[name]} if name in uids else {}
                self.tell("hold", fd, name=name, **more)
        self.tell("record", service=service, value=record)

    def forget(self, service: str) -> None:
        """Let it forget a service that is none any more."""
        self.sync(service, {}, {}, None)

    def tell(self, do: str, *fds: int, **message: object) -> None:
        """Send it a message, and descriptors."""
        if self._link is not None:
            self._link.send({"do": do, **message}, fds=fds)

    def drain(self, name: str, then: Callable[[], None]) -> None:
        """Call `then` when all that a run, `SERVICE/PID`, has said so far is in its log."""
        if self._link is None:
            then()
            return
        self._last_number += 1
        self._drains[self._last_number] = then
        self.tell("drain", name=name, number=self._last_number)

    async def flush(self) -> None:
        """Wait until it has all that was sent, if that is soon."""
        if self._link is not None and self._link.backlog:
            sent = asyncio.Event()
            self._link.on_sent = sent.set
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sent.wait(), PATIENCE)

    def stop(self) -> None:
        """End it: nothing is left to be kept."""
        with contextlib.suppress(OSError):
            os.unlink(self._paths.fdstore_socket)
        self.tell("end")
        if self._link is not None:
            self._link.close()
            self._link = None
        try:
            os.close(lock.take(self._paths.fdstore_lock))
        except BlockingIOError:
            log.warning("the keeper doesn't end")
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    # --- what it says -----------------------------------------------------------------------------

    def _connect(self) -> StoredState:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.settimeout(PATIENCE)
            with SocketAddress(self._paths.fdstore_socket) as address:
                sock.connect(address)
            found = self._take_all(sock)
        except BaseException as error:
            sock.close()
            if isinstance(error, TimeoutError | BlockingIOError):
                raise UnusableStore("it doesn't answer") from None
            raise
        self._socket = sock
        return found

    def _take_all(self, sock: socket.socket) -> StoredState:
        """Read what it has. Raises Unusable, OSError."""
        found = StoredState()
        try:
            while (packet := receive(sock)) is not None:
                message, _, fds = packet
                if "keeper" in message:
                    _check(message["keeper"], peer_uid(sock))
                    found.keeper, found.since = message["pid"], message["since"]
                if "record" in message:
                    found.records[message["record"]] = message["value"]
                if "held" in message:
                    (found.fds[message["held"]],) = fds
                if "said" in message:
                    found.said[message["said"]] = message["fields"]
                if "all" in message:
                    self._known = {name: _identity(fd) for name, fd in found.fds.items()}
                    return found
        except BaseException:
            found.decline()
            raise
        found.decline()
        raise ConnectionResetError("it is about to end")

    def _told(self, message: Message, data: bytes, _: list[int]) -> None:
        if "lines" in message:
            self.lines.get(message["lines"], _ignore)(data)
        elif "warning" in message:
            log.warning("%s", message["warning"])
        elif message.get("service") in self.logs:
            self.logs[message["service"]].hear(message)
        if "drained" in message:
            then = self._drains.pop(message["drained"], None)
            if then is not None:
                then()

    def _keeper_ended(self) -> None:
        self._link = None
        code = self._process.wait() if self._process is not None else "unknown"
        log.warning("the keeper process ended (code %s): starting another", code)
        waiting, self._drains = list(self._drains.values()), {}
        self.launch()
        self._connect().decline()
        self.attach(self._on_lost)
        self._known = {}
        self._on_lost()
        for then in waiting:
            then()


def _for_errors(path: str) -> IO[bytes]:
    """Open our log for what a keeper may say on its way down; on a read-only disk nothing hears."""
    try:
        return open(path, "ab")
    except OSError:
        return open(os.devnull, "ab")


def _ignore(_: bytes) -> None:
    """Hear what comes late, of a run that is gone."""


def _check(version: int, uid: int) -> None:
    """Raise Unusable if we can't trust it, or don't understand it."""
    if uid not in {0, os.geteuid()}:
        raise UnusableStore("it belongs to somebody else")
    if version != VERSION:
        raise UnusableStore(f"it speaks version {version}, and we {VERSION}")


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
