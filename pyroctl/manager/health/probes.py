"""The ways of asking a running service whether it is alive: each is asked once, and answers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

from pyroctl.core.spec import ObjectOptions
from pyroctl.core.watchdog import AskCheck, CommandCheck, PortCheck, PyroCheck
from pyroctl.manager.health import pyro_ping
from pyroctl.manager.process.control_link import RequestRefused
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pyroctl.core.watchdog import Check
    from pyroctl.manager.process.probe_command import HelperRunner
    from pyroctl.manager.process.service_process import ServiceProcess

    Probe = Callable[[float], Awaitable[bool]]

DEFAULT_NAME_SERVER = "localhost:9090"
"""Where Pyro5 looks for one first."""


def probe_for(
    check: Check | None,
    run: ServiceProcess,
    bound: tuple[str, int] | None,
    busy: Callable[[], bool],
) -> Probe | None:
    """Give what asks one run of a service, None if nobody does.

    `bound` is where it listens, if the manager holds its socket; `busy` tells that it has a reason
    not to answer.
    """
    match check:
        case AskCheck():
            return lambda patience: _ask(run, patience, busy)
        case PortCheck(host, port):
            return lambda patience: _connect(host, port, patience)
        case CommandCheck(command):
            return lambda patience: succeeds(run.beside, command, patience)
        case PyroCheck(None):
            return _own_object(run, bound)
        case PyroCheck(name) if name is not None:
            return _NamedObject(name, run.ns or DEFAULT_NAME_SERVER)
    return None


async def _ask(run: ServiceProcess, patience: float, busy: Callable[[], bool]) -> bool:
    """Ask over the control socket; a refusal is a sign of life."""
    try:
        answer = await run.child.ask("ping", patience)
    except (RequestRefused, ConnectionError):  # the latter: its end is noticed by others
        return True
    except OSError:
        return busy()
    return not isinstance(answer, dict) or answer.get("alive") is not False


async def _connect(host: str, port: int, patience: float) -> bool:
    with contextlib.suppress(OSError):
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
    return False


async def succeeds(beside: HelperRunner, command: Sequence[str], patience: float) -> bool:
    """Run a program; tell whether it exits with 0 in time. Nothing of it is left afterwards."""
    try:
        process = beside.start(command)
    except OSError:  # no more processes at the moment: that isn't the service's fault
        return True
    ended = asyncio.Event()
    watch = ProcessWatch(process.pid, ended.set)
    try:
        async with asyncio.timeout(patience):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        watch.cancel()
        code = beside.end(process)
    return code == 0


def _own_object(run: ServiceProcess, bound: tuple[str, int] | None) -> Probe | None:
    """Ping the object that the service has told us; where it listens, not where a router sends."""
    if run.uri is None:
        return None
    place = pyro_ping.place_of(run.uri)
    if bound is not None:
        place = place._replace(host=bound[0], port=bound[1])
    tls = _tls(run.spec.options)
    return lambda patience: pyro_ping.ping(place, patience, tls)


def _tls(options: object) -> ssl.SSLContext | None:
    """Give what it takes to talk to an object over TLS; who it is doesn't matter here."""
    if not isinstance(options, ObjectOptions) or options.ssl_servercert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if options.ssl_clientcert is not None:
        with contextlib.suppress(OSError):  # without it we are refused, which is an answer
            context.load_cert_chain(options.ssl_clientcert, options.ssl_clientkey)
    return context


class _NamedObject:
    """Pings the object that has a name; looks it up again when it didn't answer.

    A name server that doesn't say where it is says nothing about the object.
    """

    def __init__(self, name: str, ns: str) -> None:
        self._name = name
        host, _, port = ns.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._place: pyro_ping.Place | None = None

    async def __call__(self, patience: float) -> bool:
        place = self._place
        if place is None:
            place = await pyro_ping.look_up(self._name, self._host, self._port, patience)
        if place is None:
            return True
        alive = await pyro_ping.ping(place, patience)
        self._place = place if alive else None
        return alive
