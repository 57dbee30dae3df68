"""The name server from start to end: storage, daemon, cleaner, broadcasts, and its manager."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, cast

from Pyro5 import config
from Pyro5.core import NAMESERVER_NAME, URI
from Pyro5.errors import NamingError, PyroError
from Pyro5.nameserver import BroadcastServer

from pyro_child import AskRefused, CannotServe, ControlChannel, Notifier, serve_control
from pyro_child.errors import describe
from pyro_child.inherited_socket import inherited_socket
from pyro_child.limits import raise_open_files
from pyro_names.cleaner import Cleaner
from pyro_names.daemon import NameDaemon
from pyro_names.guard import NameGuard
from pyro_names.reports import NameReports, WatchedNameServer
from pyro_names.storage import StorageError, open_storage
from pyro_wire.client import Client
from pyro_wire.daemon_limits import limit_daemons
from pyro_wire.tls.door import TlsDoor, door_of, files_of
from pyro_wire.tls.pinned import PinnedTls

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_child import StopReasons
    from pyro_names.options import Options

MOST_CLIENTS = 1000
"""Each costs a thread; Pyro5's default is 80."""

SPARE_FILES = 100
"""Descriptors for everything but clients."""

FEWEST_FILES = 16
"""Descriptors without which not even one client is served."""

LARGEST_MESSAGE = 16 << 20
"""Bytes; room for a list of 100,000 names. Pyro5's default is 1 GiB."""

PORT_OPTION = "-p PORT, or any free one with -p 0"

PROBE_TIMEOUT = 5.0
"""Seconds for the name server to answer its own call."""

PING_TIMEOUT = 1.5
"""The same for a health check, whose answer a manager awaits for two seconds."""

_log = logging.getLogger("pyro_names")


def run(options: Options, reasons: StopReasons) -> None:
    """Serve until there is a reason to stop. Raises CannotServe. For the main thread.

    It stops within a second of any reason, including all that it has to finish.
    """
    configure_pyro()
    limit_daemons()
    notifier = Notifier()
    with contextlib.ExitStack() as stack:
        channel = ControlChannel.from_environment()
        if channel is not None:
            stack.callback(channel.close)
        service = NameService(options, reasons, channel)
        stack.callback(service.stop)
        if channel is not None:
            serve_control(channel, service.answer, lambda: service.abandoned(reasons))
        service.start()
        try:
            print(service.uri, flush=True)  # noqa: T201 - the one line of output
        except OSError:  # no reader, which must not make the flush at exit fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        notifier.ready(uri=service.uri)
        reason = reasons.get()
        _log.info("stopping: %s", reason)
        notifier.stopping()
        if reason == NameService.DIED:
            raise CannotServe(reason)


def configure_pyro() -> None:
    """Set Pyro5's configuration for the whole process, and show its warnings."""
    if config.LOGLEVEL is None:
        logging.getLogger("Pyro5").setLevel(logging.WARNING)
    config.SERVERTYPE = "thread"
    config.SOCK_NODELAY = True
    config.MAX_MESSAGE_SIZE = min(config.MAX_MESSAGE_SIZE, LARGEST_MESSAGE)
    config.THREADPOOL_SIZE = max(config.THREADPOOL_SIZE, min(MOST_CLIENTS, _affordable_clients()))


def _affordable_clients() -> int:
    """Raise the limit of open files; a client may need two, with a storage."""
    granted = raise_open_files(2 * MOST_CLIENTS + SPARE_FILES)
    if granted < FEWEST_FILES:  # Pyro5 would fail to accept the first client
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return (granted - SPARE_FILES) // 2


class NameService:
    """A name server with daemon, storage, cleaner and broadcasts. Raises CannotServe.

    `start` and `stop` are for one thread, `answer` for any.
    """

    DIED = "the name server's loop ended by itself"

    def __init__(
        self, options: Options, reasons: StopReasons, channel: ControlChannel | None = None
    ) -> None:
        self._options = options
        self._channel = channel
        self._reports: NameReports | None = None
        self._started = time.monotonic()
        self._restored = 0
        self._broadcast: BroadcastServer | None = None
        self._cleaner: Cleaner | None = None
        self._guard = NameGuard(options.reserved)
        if channel is not None:
            self._guard.ask(channel)
        self._names = WatchedNameServer(open_storage(options.storage), self._guard)
        self._daemon = self._listen(reasons)
        self.uri = str(self._daemon.uriFor(NAMESERVER_NAME, nat=False))
        """For local clients; with NAT, the registered one is for those outside."""

    def _listen(self, reasons: StopReasons) -> NameDaemon:
        options = self._options
        nat = (options.nathost, options.natport or 0) if options.nathost is not None else None
        address = (options.host, options.port)
        try:
            return NameDaemon(
                *(self._names, address, nat, lambda: reasons.put(self.DIED), inherited_socket()),
                self._door(),
            )
        except (OSError, UnicodeError) as error:  # the latter: an invalid host name
            raise _refused(f"port {options.port} on {options.host}", PORT_OPTION, error) from None

    def _door(self) -> TlsDoor | None:
        try:
            return door_of(self._options, os.environ)
        except (OSError, ValueError) as error:
            raise CannotServe(f"TLS can't be served: {error}", permanent=True) from None

    def start(self) -> None:
        """Serve; return once the name server has answered."""
        uri = self._daemon.uriFor(NAMESERVER_NAME)
        try:
            self._names.register(
                NAMESERVER_NAME, uri, metadata={"class:Pyro5.nameserver.NameServer"}
            )
        except NamingError as error:
            raise StorageError(self._options.storage, error) from None
        self._daemon.start()
        try:
            self._call_ourselves(PROBE_TIMEOUT)
        except (OSError, PyroError) as error:
            raise CannotServe(
                f"the name server at {self.uri} doesn't answer: {describe(error)}"
            ) from None
        if self._options.broadcast:
            self._answer_broadcasts()
        if self._options.autoclean:
            self._cleaner = Cleaner(self._names, self._options.autoclean)
            self._cleaner.start()

    def _answer_broadcasts(self) -> None:
        options, own = self._options, self._daemon.sock
        if own.family != socket.AF_INET:
            raise CannotServe("there is no broadcast in IPv6; use --no-broadcast", permanent=True)
        host = own.getsockname()[0]
        if options.bc_host is None and not host.startswith("127."):
            host = ""  # on all addresses, as in Pyro5
        uri = self._daemon.uriFor(NAMESERVER_NAME, nat=False)
        try:
            self._broadcast = BroadcastServer(uri, options.bc_host or host, options.bc_port)
        except OSError as error:
            where = f"broadcast port {options.bc_port or config.NS_BCPORT} on {host or 'any host'}"
            raise _refused(where, "--bc-port", error) from None
        self._broadcast.runInThread()
        _log.info("broadcasts are answered on %s", self._broadcast.locationStr)

    def stop(self) -> None:
        """Stop within a second, also after a start that failed halfway."""
        if self._cleaner is not None:
            self._cleaner.stop()
        if self._broadcast is not None:
            self._broadcast.close()
        self._daemon.stop()
        self._names.storage.close()

    def abandoned(self, reasons: StopReasons) -> None:
        """React to the end of the manager."""
        self._guard.leave()
        reasons.put("the manager is gone")

    def answer(self, ask: str, parameters: dict[str, object]) -> object:
        """Answer a request of the manager."""
        get = parameters.get
        known: dict[str, Callable[[], object]] = {
            "statistics": self._statistics,
            "watch": self._watch,
            "seen": lambda: self._seen(int(str(get("number")))),
            "caller": lambda: self._guard.answer(int(str(get("number"))), ours=bool(get("ours"))),
            "protect": lambda: self._guard.protect(cast("list[str]", get("names"))),
            "reload": self._reload,
            "restore": lambda: self._restore(get("names")),
            "remove": lambda: self._remove(get("names"), get("before")),
            "ping": self._ping,
        }
        if ask not in known:
            raise AskRefused(f"unknown request {ask!r}; ask for statistics")
        return known[ask]()

    def _reload(self) -> dict[str, object]:
        """Read the files of TLS again, at once and not with the next client."""
        if self._daemon.tls is not None:
            self._daemon.tls.reload()
        return {}

    def _statistics(self) -> dict[str, object]:
        return {
            "uri": self.uri,
            "names": self._names.count(),
            "storage": self._options.storage,
            "uptime_s": round(time.monotonic() - self._started, 3),
            "connections": self._daemon.connections,
            "refused": self._daemon.refused,
            "guarded": self._guard.refused,
            "tls_refused": self._daemon.tls.refused if self._daemon.tls else 0,
            "lookups": self._names._lookups,  # noqa: SLF001 - clients may call what is public
            "restored": self._restored,
            "cleaned": self._cleaner.removed if self._cleaner else 0,
        }

    def _watch(self) -> int:
        """Report all names now, and each change from now on; return their number."""
        if self._channel is not None:
            self._reports = NameReports(self._channel)
            self._names._report_to(self._reports)  # noqa: SLF001 - clients may call what is public
        self._guard.complete()
        return int(self._names.count())

    def _seen(self, number: int) -> None:
        if self._reports is not None:
            self._reports.seen(number)

    def _restore(self, names: object) -> list[str]:
        """Register those names of services that are missing, and guard all; return the former."""
        if not isinstance(names, dict):
            raise AskRefused("names must be a table of name and [URI, metadata]")
        self._guard.protect(names)
        with self._names.lock:
            missing = [name for name in names if name not in self._names.storage]
            self._restored += len(missing)
            for name in missing:
                uri, metadata = names[name]
                self._names.storage[name] = uri, set(metadata)
        return missing

    def _remove(self, names: object, before: object) -> list[str]:
        """Remove those names that still have that URI; return them.

        It has to be done `before` a time of the monotonic clock: later, a new process may have
        registered the same again.
        """
        if not isinstance(names, dict) or not isinstance(before, int | float):
            raise AskRefused("names must be a table of name and URI, before a time")
        with self._names.lock:
            if time.monotonic() >= before:
                raise AskRefused("too late")
            known = self._names.list()
            removed = [name for name, uri in names.items() if known.get(name) == uri]
            for name in removed:
                self._names.remove(name)
        return removed

    def _ping(self) -> dict[str, bool]:
        """Report whether clients are answered; this thread runs even if those that do so hang."""
        try:
            self._call_ourselves(PING_TIMEOUT)
        except TimeoutError as error:
            _log.warning("no answer from our own address: %s", error)
            return {"alive": False}
        except (OSError, PyroError) as error:  # a refusal for too many clients is an answer
            _log.info("a ping to our own address was refused: %s", error)
        return {"alive": True}

    def _call_ourselves(self, timeout: float) -> None:
        tls = None
        if self._options.tls == "required":
            tls = PinnedTls(files_of(self._options, self._options.host, os.environ))
        with Client(URI(self.uri), timeout, tls=tls) as client:
            client.call("ping")


def _refused(where: str, option: str, error: OSError | UnicodeError) -> CannotServe:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return CannotServe(
            f"{where} is taken by another program; stop it, or choose another port with {option}"
        )
    if number == errno.EACCES:
        return CannotServe(
            f"{where} needs more privileges; choose a port above 1023", permanent=True
        )
    return CannotServe(f"{where} can't be used: {describe(error)}; check the host name")
