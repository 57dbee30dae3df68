"""Probes: each checks once whether a running process is alive."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

from pyroctl.core.names import name_server_of
from pyroctl.core.spec import ObjectOptions
from pyroctl.core.watchdog import AskCheck, CallCheck, CommandCheck, PortCheck, PyroCheck
from pyroctl.manager.health import pyro_ping
from pyroctl.manager.process.control_link import RequestRefused
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pyroctl.core.watchdog import Check
    from pyroctl.manager.process.probe_command import HelperRunner
    from pyroctl.manager.process.service_process import ServiceProcess

    Probe = Callable[[float], Awaitable[bool]]


def probe_for(
    check: Check | None,
    process: ServiceProcess,
    bound: tuple[str, int] | None,
    busy: Callable[[], bool],
) -> Probe | None:
    """Return the probe for a process, None if there is no check.

    `bound` is where it listens, if the manager holds its socket; `busy` returns whether it has a
    reason not to answer.
    """
    match check:
        case AskCheck():
            return lambda max_wait: _ask(process, max_wait, busy)
        case PortCheck(host, port):
            return lambda max_wait: _connect(host, port, max_wait)
        case CommandCheck(command):
            return lambda max_wait: succeeds(process.helpers, command, max_wait)
        case CallCheck():
            return CallProbe.of(check, process, bound)
        case PyroCheck(name):
            return _own_object(process, bound) if name is None else _named_object(name, process)
    return None


async def _ask(process: ServiceProcess, max_wait: float, busy: Callable[[], bool]) -> bool:
    """Ask over the control socket; a refusal is a sign of life."""
    control = process.handle.control
    if control is None:
        return busy()
    try:
        answer = await control.ask("ping", max_wait)
    except (RequestRefused, ConnectionError):  # the latter: others notice its end
        return True
    except OSError:
        return busy()
    return not isinstance(answer, dict) or answer.get("alive") is not False


async def _connect(host: str, port: int, max_wait: float) -> bool:
    with contextlib.suppress(OSError):
        async with asyncio.timeout(max_wait):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
    return False


async def succeeds(helpers: HelperRunner, command: Sequence[str], max_wait: float) -> bool:
    """Return whether a program exits with 0 in time. Nothing of it is left afterwards."""
    try:
        process = helpers.start(command)
    except OSError:  # no more processes at the moment: not the service's fault
        return True
    ended = asyncio.Event()
    watch = ProcessWatch(process.pid, ended.set)
    try:
        async with asyncio.timeout(max_wait):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        watch.cancel()
        code = helpers.end(process)
    return code == 0


def _own_object(process: ServiceProcess, bound: tuple[str, int] | None) -> Probe | None:
    """Ping the object that the process has reported."""
    place = _own_place(process, bound)
    if place is None:
        return None
    tls = _tls(process.spec.options)
    return lambda max_wait: pyro_ping.ping(place, max_wait, tls)


def _own_place(process: ServiceProcess, bound: tuple[str, int] | None) -> pyro_ping.Place | None:
    """Return where the object is that the process has reported: there itself, not at a router."""
    if process.record.uri is None:
        return None
    place = pyro_ping.place_of(process.record.uri)
    return place if bound is None else place._replace(host=bound[0], port=bound[1])


def _tls(options: object) -> ssl.SSLContext | None:
    """Return a context to talk to an object over TLS; its identity doesn't matter here."""
    if not isinstance(options, ObjectOptions):
        return None
    if options.ssl_servercert is None and options.tls != "required":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if options.ssl_clientcert is not None:
        with contextlib.suppress(OSError):  # refused without it, which is an answer too
            context.load_cert_chain(options.ssl_clientcert, options.ssl_clientkey)
    return context


def _named_object(name: str, process: ServiceProcess) -> _NamedObject | None:
    ns = process.record.ns
    if ns is not None and ns == process.tls_only_ns:
        return None  # we can't look it up there
    return _NamedObject(name, ns or name_server_of({}))


class _NamedObject:
    """Pings the object with a name; looks the name up again after a missing answer.

    A name server that doesn't find it says nothing about the object.
    """

    def __init__(self, name: str, ns: str) -> None:
        self._name = name
        host, _, port = ns.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._place: pyro_ping.Place | None = None

    async def __call__(self, max_wait: float) -> bool:
        place = await self.find(max_wait)
        if place is None:
            return True
        alive = await pyro_ping.ping(place, max_wait)
        self.note(alive=alive)
        return alive

    async def find(self, max_wait: float) -> pyro_ping.Place | None:
        """Return where the object is; None if the name server doesn't say."""
        if self._place is None:
            self._place = await pyro_ping.look_up(self._name, self._host, self._port, max_wait)
        return self._place

    def note(self, *, alive: bool) -> None:
        """Look the name up again after a missing answer."""
        if not alive:
            self._place = None


class CallProbe:
    """Calls a method of an object, and compares what it returns."""

    def __init__(
        self,
        check: CallCheck,
        place: pyro_ping.Place | None,
        named: _NamedObject | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._check = check
        self._place = place
        self._named = named
        self._tls = tls
        self.said = ""
        """What was wrong with the last answer."""

    @classmethod
    def of(
        cls, check: CallCheck, process: ServiceProcess, bound: tuple[str, int] | None
    ) -> CallProbe | None:
        """Return the probe for a process; None if its object can't be found."""
        if check.name is None:
            place = _own_place(process, bound)
            tls = _tls(process.spec.options)
            return None if place is None else cls(check, place, None, tls)
        named = _named_object(check.name, process)
        return None if named is None else cls(check, None, named, None)

    async def __call__(self, max_wait: float) -> bool:
        """Return whether the method answered as expected; a name that isn't found says nothing."""
        place = self._place if self._named is None else await self._named.find(max_wait)
        if place is None:
            return True
        try:
            answer = await pyro_ping.call(place, self._check.method, max_wait, tls=self._tls)
            self.said = self._check.complaint(answer)
        except pyro_ping.CallFailed as error:
            self.said = str(error)
        if self._named is not None:
            self._named.note(alive=not self.said)
        return not self.said
