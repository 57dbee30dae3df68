"""An object's service from start to end: settings, daemon, name, and its manager."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from Pyro5 import config

from pyro_child import (
    AskRefused,
    CannotServe,
    ControlChannel,
    Notifier,
    StopReasons,
    serve_control,
)
from pyro_child.fork import after_fork
from pyro_child.inherited_socket import inherited_socket
from pyro_host import target
from pyro_host.address import open_listener
from pyro_host.daemon import STOP_TIMEOUT, HostDaemon
from pyro_host.force_exit import force_exit
from pyro_host.module import ModuleService
from pyro_host.names import Registration
from pyro_wire.daemon_limits import limit_daemons
from pyro_wire.tls.door import door_of

if TYPE_CHECKING:
    from pyro_host.options import Options

_log = logging.getLogger("pyro_host")


def run(options: Options) -> None:
    """Serve until there is a reason to stop. Raises CannotServe. For the main thread.

    Signals are handled only once the object exists: until then they end the process at once,
    whatever the module or the constructor is waiting for. Processes that the object forks, at any
    time, are ordinary ones.
    """
    configure_pyro(options)
    limit_daemons()
    manager, reasons = Manager(), StopReasons()
    abandon = [manager.abandon, reasons.abandon]
    after_fork(abandon)
    if options.object is not None and ":" not in options.object:
        try:
            ModuleService(options, reasons, manager).run()
        finally:
            reasons.close()
        return
    sys.path[:0] = options.path
    found = target.apart([target.find(each.text, options.wishes) for each in options.hosted])
    singles = [
        target.create_single(*pair)
        for pair in zip(found, (each.text for each in options.hosted), strict=True)
    ]
    configure_pyro(options)  # the deployment overrides the module
    reasons.on_signals(signal.SIGTERM, signal.SIGINT)
    try:
        service = HostService(options, found, singles, reasons, manager)
        abandon.append(service.abandon)
        service.run()
    finally:
        reasons.close()


def configure_pyro(options: Options) -> None:
    """Set Pyro5's configuration for the whole process, and show its warnings."""
    if config.LOGLEVEL is None:
        logging.getLogger("Pyro5").setLevel(logging.WARNING)
    config.SOCK_NODELAY = True
    config.SERVERTYPE = options.servertype
    config.THREADPOOL_SIZE = options.threadpool
    config.THREADPOOL_SIZE_MIN = min(config.THREADPOOL_SIZE_MIN, options.threadpool)
    optional: dict[str, Any] = {
        "SERIALIZER": options.serializer,
        "MAX_MESSAGE_SIZE": options.max_message_size,
        "COMMTIMEOUT": options.commtimeout,
        "SSL_SERVERCERT": options.ssl_servercert,
        "SSL_SERVERKEY": options.ssl_serverkey,
        "SSL_CACERTS": options.ssl_cacerts,
        "SSL_CLIENTCERT": options.ssl_clientcert,
        "SSL_CLIENTKEY": options.ssl_clientkey,
        "SSL_REQUIRECLIENTCERT": options.ssl_requireclientcert or None,
        "SSL": bool(options.ssl_servercert) or None,
    }
    for item, value in optional.items():
        if value is not None:
            setattr(config, item, value)


def _daemon_of(text: str | None) -> type[HostDaemon]:
    """Return our daemon, or one that is also of a class of the user's own."""
    if text is None:
        return HostDaemon
    theirs = target.daemon_class(text)
    return type("HostDaemon", (HostDaemon, theirs), {})


class Manager:
    """What the manager has passed on, taken before the module can start processes of its own."""

    def __init__(self) -> None:
        self.notifier = Notifier()
        self.channel = ControlChannel.from_environment()
        self.listener = inherited_socket()

    def abandon(self) -> None:
        """Leave all of it to the parent; for a forked child."""
        self.notifier.abandon()
        if self.channel is not None:
            self.channel.abandon()
        if self.listener is not None:
            self.listener.close()


class HostService:
    """Objects, served by the main thread. Raises CannotServe.

    A separate thread stops it, so that a call that never returns can't prevent that.
    """

    def __init__(
        self,
        options: Options,
        found: list[Any],
        singles: list[Any],
        reasons: StopReasons,
        manager: Manager,
    ) -> None:
        self._options = options
        self._reasons = reasons
        self._started = time.monotonic()
        self._channel = manager.channel
        self._notifier = manager.notifier
        self._fault: CannotServe | None = None
        try:
            tls = door_of(options, os.environ)
        except (OSError, ValueError) as error:
            raise CannotServe(f"TLS can't be served: {error}", permanent=True) from None
        listener = open_listener(manager.listener, options.host, options.port)
        try:
            place = options.host, options.nathost, options.natport
            self._daemon = _daemon_of(options.daemon)(listener, *place, tls)
        except TypeError as error:
            listener.close()
            if options.daemon is None:
                raise
            message = f"{options.daemon} can't be used: {error}; it must take Daemon's arguments"
            raise CannotServe(message, permanent=True) from None
        except BaseException:
            listener.close()
            raise
        self._names: list[Registration] = []
        self._uris: list[str] = []
        for each, served, single in zip(options.hosted, found, singles, strict=True):
            uri = str(self._daemon.register(served, each.id))
            self._daemon.keep_single(served, single)
            self._uris.append(uri)
            known = (self._daemon.incarnation, options.ns, options.metadata)
            self._names += [Registration(name, uri, *known) for name in each.names]
        self.uri = self._uris[0]
        """The address of the first object for clients."""
        self._name_lock = threading.Lock()
        self._served = threading.Event()
        self._stopping = False

    def run(self) -> None:
        """Serve until there is a reason to stop."""
        channel = self._channel
        if channel is not None:
            serve_control(channel, self._answer, lambda: self._reasons.put("the manager is gone"))
        threading.Thread(target=self._begin, name="begin", daemon=True).start()
        stopper = threading.Thread(target=self._await_stop, name="stop", daemon=True)
        stopper.start()
        self._serve()
        stopper.join()
        if channel is not None:
            channel.close()
        if self._fault is not None:
            raise self._fault

    def abandon(self) -> None:
        """Leave the address and the clients to the parent; for a forked child."""
        self._daemon.abandon()

    def _serve(self) -> None:
        try:
            self._daemon.run()
        except Exception:  # noqa: BLE001 - the service has ended
            _log.exception("the daemon's loop failed")
            self._fail(CannotServe("the daemon's loop failed"))
        self._served.set()
        if not self._daemon.finish():
            _log.warning("calls that took longer than %g s were cut off", STOP_TIMEOUT)

    def _begin(self) -> None:
        """Register the name, and report that the object can be called."""
        where = "not registered"
        try:
            for registration in self._names:
                with self._name_lock:
                    if self._stopping:
                        return
                    registration.register()
            if self._names:
                known, place = ", ".join(each.name for each in self._names), self._names[0].where
                where = f"registered as {known} in the name server at {place}"
        except CannotServe as fault:
            self._fail(fault)
            return
        try:
            print(f"{self.uri} is ready, {where}", flush=True)  # noqa: T201 - the program's output
        except (OSError, ValueError):  # no reader, or the module has closed it
            _log.info("%s is ready, %s", self.uri, where)
        self._notifier.ready(uri=self.uri, status=where)

    def _fail(self, fault: CannotServe) -> None:
        if not self._stopping:  # while stopping it is expected
            self._fault = self._fault or fault
        self._reasons.put(str(fault))

    def _await_stop(self) -> None:
        """Wait for a reason to stop, and make sure that everything ends soon."""
        reason = self._reasons.get()
        self._stopping = True
        if self._fault is None:
            _log.info("stopping: %s", reason)
        self._notifier.stopping()
        self._daemon.stop()
        self._remove_name()
        if not self._served.wait(STOP_TIMEOUT):  # multiplex server, during a call
            _log.warning("a call that took longer than %g s was cut off", STOP_TIMEOUT)
            force_exit(0)

    def _remove_name(self) -> None:
        if not self._names:
            return
        if self._name_lock.acquire(timeout=STOP_TIMEOUT):
            for registration in self._names:
                registration.remove()
            self._name_lock.release()
        else:
            _log.warning("the name server takes too long; the name may remain registered")

    def _answer(self, ask: str, parameters: dict[str, object]) -> object:
        """Answer a request of the manager."""
        if ask == "statistics":
            return self._statistics()
        if ask == "reload":  # at once, and not with the next client
            if self._daemon.tls is not None:
                self._daemon.tls.reload()
            return {}
        if ask == "register":
            where = parameters.get("ns")
            return self._register(str(where) if where else None)
        raise AskRefused(f"unknown request {ask!r}; ask for statistics")

    def _statistics(self) -> dict[str, object]:
        return {
            "uri": self.uri,
            "object": self._options.object or list(self._options.objects),
            "registered": next((each.where for each in self._names if each.held), None),
            "connections": self._daemon.connections,
            "refused": self._daemon.refused,
            "tls_refused": self._daemon.tls.refused if self._daemon.tls else 0,
            "uptime_s": round(time.monotonic() - self._started, 3),
        }

    def _register(self, where: str | None) -> dict[str, object]:
        """Register again, with a name server that came back empty or has moved."""
        if not self._names:
            raise AskRefused("the object has no name")
        try:
            with self._name_lock:
                for registration in self._names:
                    registration.register(where)
        except CannotServe as fault:
            raise AskRefused(str(fault)) from None
        return {"registered": self._names[0].where}
