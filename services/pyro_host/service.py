"""An object's service from start to end: settings, daemon, name, and its manager."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from Pyro5 import config

from pyro_child.protocol import AskRefused, ControlChannel, Notifier, serve_control
from pyro_host import target
from pyro_host.address import open_listener
from pyro_host.daemon import STOP_PATIENCE, HostDaemon
from pyro_host.errors import CannotServe
from pyro_host.force_exit import force_exit
from pyro_host.names import Registration

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_child.stop import StopReasons
    from pyro_host.options import Options

_log = logging.getLogger("pyro_host")


def run(options: Options, make_reasons: Callable[[], StopReasons]) -> None:
    """Serve until a reason to stop comes; raises CannotServe. For the main thread.

    Signals are only taken once the object is there: until then they end the process at once,
    whatever the module or the constructor is waiting for.
    """
    configure_pyro(options)
    found = target.find(options.object, options.path)
    single = target.create_single(found, options.object)
    configure_pyro(options)  # the deployment's word counts more than the module's
    reasons = make_reasons()
    service = Service(options, found, single, reasons)
    try:
        service.run()
    finally:
        reasons.close()


def configure_pyro(options: Options) -> None:
    """Set what Pyro5 keeps for the whole process; without it, it hides its warnings."""
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


class Service:
    """One object, served by the main thread; raises CannotServe.

    Who stops it is a thread of its own, so that a call that never returns keeps nobody waiting.
    """

    def __init__(self, options: Options, found: Any, single: Any, reasons: StopReasons) -> None:
        self._options = options
        self._reasons = reasons
        self._started = time.monotonic()
        self._notifier = Notifier()
        self._fault: CannotServe | None = None
        listener = open_listener(options.host, options.port)
        try:
            self._daemon = HostDaemon(listener, options.host, options.nathost, options.natport)
        except BaseException:
            listener.close()
            raise
        self.uri = str(self._daemon.register(found, options.object_id))
        """Where clients find the object."""
        self._daemon.keep_single(found, single)
        self._names: Registration | None = None
        if options.name is not None:
            who = self._daemon.incarnation
            self._names = Registration(options.name, self.uri, options.metadata, options.ns, who)
        self._naming = threading.Lock()
        self._served = threading.Event()
        self._stopping = False

    def run(self) -> None:
        """Serve until a reason to stop comes."""
        channel = ControlChannel.from_environment()
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

    def _serve(self) -> None:
        try:
            self._daemon.run()
        except Exception:  # noqa: BLE001 - whatever it is, nobody serves any more
            _log.exception("the daemon's loop failed")
            self._fail(CannotServe("the daemon's loop failed"))
        self._served.set()
        if not self._daemon.finish():
            _log.warning("calls that took longer than %g s were cut off", STOP_PATIENCE)

    def _begin(self) -> None:
        """Register the name, and tell everybody that the object can be called."""
        where = "not registered"
        try:
            if self._names is not None:
                with self._naming:
                    if self._stopping:
                        return
                    self._names.register()
                name, place = self._names.name, self._names.where
                where = f"registered as {name} in the name server at {place}"
        except CannotServe as fault:
            self._fail(fault)
            return
        try:
            print(f"{self.uri} is ready, {where}", flush=True)  # noqa: T201 - the program's output
        except (OSError, ValueError):  # nobody reads it; the module may have closed it
            _log.info("%s is ready, %s", self.uri, where)
        self._notifier.ready(uri=self.uri, status=where)

    def _fail(self, fault: CannotServe) -> None:
        if not self._stopping:  # or it is no wonder
            self._fault = self._fault or fault
        self._reasons.put(str(fault))

    def _await_stop(self) -> None:
        """Wait for a reason to stop, and see to it that everything ends soon."""
        reason = self._reasons.get()
        self._stopping = True
        if self._fault is None:
            _log.info("stopping: %s", reason)
        self._notifier.stopping()
        self._daemon.stop()
        self._remove_name()
        if not self._served.wait(STOP_PATIENCE):  # server type multiplex, in the middle of a call
            _log.warning("a call that took longer than %g s was cut off", STOP_PATIENCE)
            force_exit(0)

    def _remove_name(self) -> None:
        if self._names is None:
            return
        if self._naming.acquire(timeout=STOP_PATIENCE):
            self._names.remove()
            self._naming.release()
        else:
            _log.warning("the name server takes too long; the name may still be there")

    def _answer(self, ask: str, parameters: dict[str, object]) -> object:
        """Answer the manager."""
        if ask == "statistics":
            return self._statistics()
        if ask == "register":
            where = parameters.get("ns")
            return self._register(str(where) if where else None)
        raise AskRefused(f"an object's host can't be asked for {ask!r}")

    def _statistics(self) -> dict[str, object]:
        return {
            "uri": self.uri,
            "object": self._options.object,
            "registered": self._names.where if self._names and self._names.held else None,
            "connections": self._daemon.connections,
            "refused": self._daemon.refused,
            "uptime_s": round(time.monotonic() - self._started, 3),
        }

    def _register(self, where: str | None) -> dict[str, object]:
        """Register again, for a name server that came back empty, or is elsewhere now."""
        if self._names is None:
            raise AskRefused("it has no name")
        try:
            with self._naming:
                self._names.register(where)
        except CannotServe as fault:
            raise AskRefused(str(fault)) from None
        return {"registered": self._names.where}
