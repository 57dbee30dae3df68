"""The name server from start to end: storage, daemon, cleaner, broadcasts, and its manager."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import socket
import sys
import time
from typing import TYPE_CHECKING

from Pyro5 import config
from Pyro5.client import Proxy
from Pyro5.core import NAMESERVER_NAME
from Pyro5.errors import NamingError, PyroError
from Pyro5.errors import TimeoutError as PyroTimeout
from Pyro5.nameserver import BroadcastServer, NameServer

from pyro_child.inherited_socket import inherited_socket
from pyro_child.protocol import (
    PERMANENT_FAILURE,
    AskRefused,
    ControlChannel,
    Notifier,
    serve_control,
)
from pyro_names.cleaner import Cleaner
from pyro_names.daemon import NameDaemon
from pyro_names.storage import StorageError, open_storage

if TYPE_CHECKING:
    from pyro_child.stop import StopReasons
    from pyro_names.options import Options

MOST_CLIENTS = 1000
"""Each costs a thread; Pyro5's default is 80."""

LARGEST_MESSAGE = 16 << 20
"""Bytes; a list of 100,000 names fits. Pyro5's default is 1 GiB."""

PROBE_PATIENCE = 5.0
"""Seconds for the name server to answer itself."""

PING_PATIENCE = 1.5
"""Seconds; a manager waits two for the answer."""

_log = logging.getLogger("pyro_names")


class CannotServe(Exception):
    """The name server can't serve as asked; `exit_code` says whether it is worth another try."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run(options: Options, reasons: StopReasons) -> None:
    """Serve until a reason to stop comes; raises CannotServe. For the main thread.

    Anything put into `reasons` stops it, whatever it has to finish included, within a second.
    """
    configure_pyro()
    notifier = Notifier()
    with contextlib.ExitStack() as stack:
        channel = ControlChannel.from_environment()
        if channel is not None:
            stack.callback(channel.close)
        service = NameService(options, reasons)
        stack.callback(service.stop)
        if channel is not None:
            serve_control(channel, service.answer, lambda: reasons.put("the manager is gone"))
        service.start()
        try:
            print(service.uri, flush=True)  # noqa: T201 - the one line of output
        except OSError:  # nobody reads it, and the flush at exit must not fail for it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        notifier.ready(uri=service.uri)
        reason = reasons.get()
        _log.info("stopping: %s", reason)
        notifier.stopping()
        if reason == NameService.DIED:
            raise CannotServe(reason)


def configure_pyro() -> None:
    """Set what Pyro5 keeps for the whole process; without it, it hides its warnings."""
    if config.LOGLEVEL is None:
        logging.getLogger("Pyro5").setLevel(logging.WARNING)
    config.SERVERTYPE = "thread"
    config.SOCK_NODELAY = True
    config.MAX_MESSAGE_SIZE = min(config.MAX_MESSAGE_SIZE, LARGEST_MESSAGE)
    config.THREADPOOL_SIZE = max(config.THREADPOOL_SIZE, min(MOST_CLIENTS, _affordable_clients()))


def _affordable_clients() -> int:
    """Raise the limit of open files as far as needed; a client may need two, with a storage."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CLIENTS + 100
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return (limit - 100) // 2


class NameService:
    """A name server with all that belongs to it; raises CannotServe.

    `start` and `stop` are for one thread, `answer` for any.
    """

    DIED = "the name server's loop ended by itself"

    def __init__(self, options: Options, reasons: StopReasons) -> None:
        self._options = options
        self._started = time.monotonic()
        self._broadcast: BroadcastServer | None = None
        self._cleaner: Cleaner | None = None
        try:
            self._names = NameServer(open_storage(options.storage))
        except StorageError as error:
            raise _unusable(error) from None
        self._daemon = self._listen(reasons)
        self.uri = str(self._daemon.uriFor(NAMESERVER_NAME, nat=False))
        """For clients inside; the registered one is for those outside, if there is NAT."""

    def _listen(self, reasons: StopReasons) -> NameDaemon:
        options = self._options
        nat = (options.nathost, options.natport or 0) if options.nathost is not None else None
        address = (options.host, options.port)
        try:
            return NameDaemon(
                self._names, address, nat, lambda: reasons.put(self.DIED), inherited_socket()
            )
        except (OSError, UnicodeError) as error:  # the latter: a host name that can't be one
            raise _refused(f"port {options.port} on {options.host}", error) from None

    def start(self) -> None:
        """Serve, and return once the name server has answered."""
        uri = self._daemon.uriFor(NAMESERVER_NAME)
        try:
            self._names.register(
                NAMESERVER_NAME, uri, metadata={"class:Pyro5.nameserver.NameServer"}
            )
        except NamingError as error:
            raise _unusable(StorageError(self._options.storage, error)) from None
        self._daemon.start()
        try:
            with Proxy(self.uri) as proxy:
                proxy._pyroTimeout = PROBE_PATIENCE  # noqa: SLF001 - Pyro5's interface
                proxy.ping()
        except PyroError as error:
            raise CannotServe(f"the name server at {self.uri} doesn't answer: {error}") from None
        if self._options.broadcast:
            self._answer_broadcasts()
        if self._options.autoclean:
            self._cleaner = Cleaner(self._names, self._options.autoclean)
            self._cleaner.start()

    def _answer_broadcasts(self) -> None:
        options, own = self._options, self._daemon.sock
        if own.family != socket.AF_INET:
            raise CannotServe(
                "there is no broadcast in IPv6; use --no-broadcast", PERMANENT_FAILURE
            )
        host = own.getsockname()[0]
        if options.bc_host is None and not host.startswith("127."):
            host = ""  # from everywhere, as in Pyro5
        uri = self._daemon.uriFor(NAMESERVER_NAME, nat=False)
        try:
            self._broadcast = BroadcastServer(uri, options.bc_host or host, options.bc_port)
        except OSError as error:
            where = f"broadcast port {options.bc_port or config.NS_BCPORT} on {host or 'any host'}"
            raise _refused(where, error) from None
        self._broadcast.runInThread()
        _log.info("broadcasts are answered on %s", self._broadcast.locationStr)

    def stop(self) -> None:
        """Stop within a second; also what has only begun to start."""
        if self._cleaner is not None:
            self._cleaner.stop()
        if self._broadcast is not None:
            self._broadcast.close()
        self._daemon.stop()
        self._names.storage.close()

    def answer(self, ask: str, parameters: dict[str, object]) -> object:
        """Answer the manager."""
        if ask == "statistics":
            return {
                "uri": self.uri,
                "names": self._names.count(),
                "storage": self._options.storage,
                "uptime_s": round(time.monotonic() - self._started, 3),
                "connections": self._daemon.connections,
                "refused": self._daemon.refused,
                "cleaned": self._cleaner.removed if self._cleaner else 0,
            }
        if ask == "names":
            return self._names.list()
        if ask == "registrations":
            return self._registrations(parameters.get("names"))
        if ask == "restore":
            return self._restore(parameters.get("names"))
        if ask == "ping":
            return self._ping()
        raise AskRefused(f"a name server knows no {ask!r}; ask for statistics or names")

    def _registrations(self, names: object) -> dict[str, tuple[str, list[str]]]:
        """Give address and metadata of those of the names that are registered."""
        if not isinstance(names, list):
            raise AskRefused("names must be a list")
        known = self._names.list(return_metadata=True)
        return {name: (known[name][0], sorted(known[name][1])) for name in names if name in known}

    def _restore(self, names: object) -> list[str]:
        """Register what is missing of `registrations`; give the names that were."""
        if not isinstance(names, dict):
            raise AskRefused("names must be what registrations gave")
        missing = [name for name in names if name not in self._names.list()]
        for name in missing:
            uri, metadata = names[name]
            self._names.register(name, uri, safe=True, metadata=set(metadata))
        return missing

    def _ping(self) -> dict[str, bool]:
        """Say whether we answer clients: this thread lives on when those that do so are stuck."""
        try:
            with Proxy(self.uri) as proxy:
                proxy._pyroTimeout = PING_PATIENCE  # noqa: SLF001 - Pyro5's interface
                proxy.ping()
        except PyroTimeout as error:
            _log.warning("no answer at our own address: %s", error)
            return {"alive": False}
        except PyroError as error:  # no room for another client: that is an answer, too
            _log.info("a ping to our own address was turned away: %s", error)
        return {"alive": True}


def _unusable(error: StorageError) -> CannotServe:
    return CannotServe(str(error), PERMANENT_FAILURE if error.permanent else 1)


def _refused(where: str, error: OSError | UnicodeError) -> CannotServe:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return CannotServe(
            f"{where} is taken by another program; stop what listens there or choose another port"
        )
    if number == errno.EACCES:
        return CannotServe(
            f"{where} needs more rights; choose a port from 1024 on", PERMANENT_FAILURE
        )
    return CannotServe(f"{where} can't be used: {error}; is the host's name right?")
