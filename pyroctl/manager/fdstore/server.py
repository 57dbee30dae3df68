"""Holds what services need to outlive the manager: `python -m pyroctl.manager.fdstore.server FD`.

With `orphans = "adopt"` this process instead of the manager reads the services' output and writes
their logs, so nothing changes for them when the manager is killed. It has copies of all sockets
that connect them with the manager, for listening, control and notification, and the manager's
records of them. The next manager connects to the listening socket FD and receives all of it;
`pyroctl.manager.fdstore.packets` describes the format of the messages.

From the manager: `hold` (a descriptor), `drop`, `record`, and for the logs `log`, `note`, `finish`,
`forget`, `reopen`, `close`, `copy`, `drain`; `end`. To the manager: first the contents, `held`,
`record`, `said`, `all`; then `lines`, `drained`, `lost`, `warning`. A newer manager may speak to an
older descriptor store, so these names are fixed, as is `keeper` for the version.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from pyroctl.control.client import peer_uid
from pyroctl.core.line_search import LineSearch
from pyroctl.core.record import VERSION
from pyroctl.core.spec import LogSpec
from pyroctl.manager.fdstore.packets import PacketLink, close_all
from pyroctl.manager.output.logs import ServiceLog
from pyroctl.manager.output.pipes import OutputPipe
from pyroctl.manager.process.notify import NotifySocket
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyroctl.manager.fdstore.packets import Message

LONGEST_SHOWN = 1000
"""Characters of a last line: all last lines together have to fit into a packet."""
_MOST_PIDS = 1 << 22
"""Of Linux."""
MOST_WAITING = 64
"""Packets queued for a manager that doesn't read; then services that it watches have to wait."""


class FdStore:
    """Holds descriptors by name, such as `SERVICE/listen` or `SERVICE/PID/control`."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._held: dict[str, int] = {}
        self._uids: dict[str, frozenset[int]] = {}
        self._pipes: dict[str, OutputPipe] = {}
        self._logs: dict[str, ServiceLog] = {}
        self._lost: dict[str, int] = {}
        self._records: dict[str, object] = {}
        self._copied: set[str] = set()
        self._searches: dict[str, LineSearch] = {}
        """For the lines that managers await, by process."""
        self._manager: PacketLink | None = None
        self._unattended: UnattendedMonitor | None = None
        self._done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._verbs: dict[str, Callable[[Message, list[int]], None]] = {
            "hold": self._hold,
            "drop": self._drop,
            "record": self._record,
            "log": self._open_log,
            "note": lambda message, _: self._log(message).note(message["text"]),
            "finish": lambda message, _: self._log(message).finish(),
            "forget": lambda message, _: self._log(message).begin_run(),
            "reopen": lambda message, _: self._log(message).reopen(),
            "close": lambda message, _: self._log(message).close(),
            "copy": self._copy,
            "drain": self._drain,
            "end": lambda *_: self._done.set(),
        }

    async def serve(self) -> None:
        """Serve until a manager ends it, or no process is left."""
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)
        await self._done.wait()
        for pipe in self._pipes.values():
            pipe.drain()
        for log in self._logs.values():
            log.finish()
            log.close()
        if self._manager is not None:
            self._manager.close()

    # --- managers ---------------------------------------------------------------------------------

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sock, _ = self._listener.accept()
            if peer_uid(sock) not in {0, os.geteuid()}:
                sock.close()
                return
            if self._manager is not None:  # there is only one: its end was not noticed yet
                self._manager.close()
                self._manager_ended()
            self._manager = PacketLink(sock, self._received, self._manager_ended)
            self._manager.on_sent = self._resume
            self._send_all(self._manager)

    def _send_all(self, manager: PacketLink) -> None:
        unattended, self._unattended = self._unattended, None
        since = None if unattended is None else unattended.since
        manager.send({"keeper": VERSION, "pid": os.getpid(), "since": since})
        for service, record in self._records.items():
            manager.send({"record": service, "value": record})
        outputs = {name: pipe.fd for name, pipe in self._pipes.items() if pipe.fd >= 0}
        for name, fd in {**self._held, **outputs}.items():
            manager.send({"held": name}, fds=[fd])
        if unattended is not None:
            unattended.stop()
            for name, fields in unattended.messages.items():
                if fields:
                    manager.send({"said": name, "fields": fields})
        manager.send({"all": True})

    def _manager_ended(self) -> None:
        self._manager = None
        self._copied.clear()
        self._resume()
        sockets = {name: (self._held[name], uids) for name, uids in self._uids.items()}
        pids = {pid for name in (*self._held, *self._pipes) if (pid := _pid_of(name))}
        self._unattended = UnattendedMonitor(sockets, pids, self._done.set)
        if self._unattended.empty:
            self._done.set()

    def _received(self, message: Message, _: bytes, fds: list[int]) -> None:
        verb = self._verbs.get(str(message.get("do")))
        if verb is None:  # from a newer manager
            close_all(fds)
            return
        try:
            verb(message, fds)
        except (LookupError, TypeError, ValueError) as error:
            close_all(fds)
            self._warn(f"the descriptor store got an invalid {message['do']}: {error!r}")

    # --- contents ---------------------------------------------------------------------------------

    def _hold(self, message: Message, fds: list[int]) -> None:
        name: str = message["name"]
        (fd,) = fds
        _pid_of(name)  # raises ValueError: a name has to mean something without a manager
        self._drop(message, [])
        if name.endswith(("/output", "/errors")):
            self._pipes[name] = OutputPipe(partial(self._write, name), fd)
            self._pipes[name].start()
        else:
            self._held[name] = fd
            if "uids" in message:
                self._uids[name] = frozenset(message["uids"])

    def _drop(self, message: Message, _: list[int]) -> None:
        name: str = message["name"]
        if name in self._held:
            os.close(self._held.pop(name))
            self._uids.pop(name, None)
        if name in self._pipes:
            self._pipes.pop(name).close()
            self._copied.discard(name.rpartition("/")[0])
            self._searches.pop(name.rpartition("/")[0], None)

    def _record(self, message: Message, _: list[int]) -> None:
        if message["value"] is None:
            self._records.pop(message["service"], None)
            if message["service"] in self._logs:
                self._logs.pop(message["service"]).close()
        else:
            self._records[message["service"]] = message["value"]

    # --- logs -------------------------------------------------------------------------------------

    def _open_log(self, message: Message, _: list[int]) -> None:
        known = LogSpec.__dataclass_fields__
        spec = LogSpec(**{key: value for key, value in message["spec"].items() if key in known})
        log = self._logs.get(message["service"])
        if log is None:
            path, errors = message["paths"]
            log = ServiceLog(path, errors, spec, warn=self._warn, later=self._loop.call_later)
            self._logs[message["service"]] = log
        else:
            log.use(spec)

    def _log(self, message: Message) -> ServiceLog:
        return self._logs[message["service"]]

    def _write(self, name: str, data: bytes) -> None:
        """Write output into the service's log, and send it to the manager if that watches it."""
        service, _, stream = name.partition("/")
        process = name.rpartition("/")[0]
        log = self._logs[service]
        write = log.write_errors if stream.endswith("errors") else log.write_output
        lines = write(data, process)
        if process in self._searches:
            self._searches[process].feed(lines)
        if self._manager is None:
            return
        if log.lost_bytes != self._lost.get(service, 0):
            self._lost[service] = log.lost_bytes
            lost = {"lines": log.lost_lines, "bytes": log.lost_bytes}
            self._send({"service": service, "lost": lost})
        if lines and process in self._copied:
            self._send({"lines": process}, lines)
            if self._manager is not None and self._manager.backlog > MOST_WAITING:
                self._loop.call_soon(self._pipes[name].pause)  # when this read is done

    def _copy(self, message: Message, _: list[int]) -> None:
        """Send the manager the lines of a process from now on.

        If it awaits one, begin with that, or else the last: the previous manager may not have read
        it.
        """
        process, awaited = message["name"], message.get("awaited")
        self._copied.add(process)
        if awaited is not None:
            search = self._searches.setdefault(process, LineSearch(awaited))
            if search.line:
                self._send({"lines": process, "earlier": True}, f"{search.line}\n".encode())

    def _resume(self) -> None:
        for pipe in self._pipes.values():
            pipe.start()

    def _drain(self, message: Message, _: list[int]) -> None:
        """Read the last output of a process now, and report that."""
        service, _, _ = message["name"].partition("/")
        for name, pipe in self._pipes.items():
            if name.rpartition("/")[0] == message["name"]:
                pipe.drain()
        last = self._logs[service].last_lines() if service in self._logs else []
        last = [line[:LONGEST_SHOWN] for line in last]
        self._send({"drained": message["number"], "service": service, "last": last})

    def _warn(self, text: str) -> None:
        self._loop.call_soon_threadsafe(self._send, {"warning": text})

    def _send(self, message: Message, data: bytes = b"") -> None:
        if self._manager is not None:
            self._manager.send(message, data)


class UnattendedMonitor:
    """Watches services from the end of one manager to the start of the next.

    `sockets` are the services' notification sockets with the users whose messages count: unread,
    the sockets would fill up and block the services. `on_empty` is called when no process of `pids`
    is left.
    """

    def __init__(
        self,
        sockets: Mapping[str, tuple[int, frozenset[int]]],
        pids: Iterable[int],
        on_empty: Callable[[], None],
    ) -> None:
        self.since = time.time()
        self.messages: dict[str, dict[str, str]] = {name: {} for name in sockets}
        """What has arrived, by socket; later values of a field replace earlier ones."""
        self._sockets = [
            NotifySocket("", uids, self.messages[name].update, fd=os.dup(fd))
            for name, (fd, uids) in sockets.items()
        ]
        self._on_empty = on_empty
        self._watches: dict[int, ProcessWatch] = {}
        for pid in pids:
            try:
                self._watches[pid] = ProcessWatch(pid, partial(self._ended, pid))
            except ProcessLookupError:
                continue

    @property
    def empty(self) -> bool:
        """Whether no process is left."""
        return not self._watches

    def stop(self) -> None:
        """Leave everything to a manager."""
        for sock in self._sockets:
            sock.detach()
        for watch in self._watches.values():
            watch.cancel()

    def _ended(self, pid: int) -> None:
        del self._watches[pid]
        if self.empty:
            self._on_empty()


def _pid_of(name: str) -> int:
    """Return the process of `SERVICE/PID/…`, 0 for `SERVICE/…`. Raises ValueError."""
    _, pid, *rest = name.split("/")
    if not rest:
        return 0
    if not 0 < int(pid) < _MOST_PIDS:
        raise ValueError(f"{pid} can't be a process")
    return int(pid)


def main() -> None:
    """Serve the managers that connect to the socket."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only a manager, or the last process, ends it
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the descriptors of all services
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        listener.set_inheritable(False)

        async def serve() -> None:
            await FdStore(listener).serve()

        asyncio.run(serve())


if __name__ == "__main__":
    main()
