"""The command `es`: runs the event service alone, or as the child of a service manager."""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import sys
from typing import TYPE_CHECKING

from pyro_events.descriptors import provide
from pyro_events.engine.faults import ServiceFault
from pyro_events.options import parser, settings_of
from pyro_events.service import EventService
from pyro_host.child import PERMANENT_FAILURE, AskRefused, ControlChannel, Notifier, serve_control

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger("pyro_events")


def entry() -> None:
    """Run the command line of this process, and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop; gives the exit status."""
    options = parser().parse_args(arguments)
    _set_up_logging(verbose=options.verbose, quiet=options.quiet)
    try:
        wanted = settings_of(options)
    except (OSError, ValueError) as error:
        return _fail(f"the identification can't be read: {error}", None, PERMANENT_FAILURE)
    settings = provide(wanted)
    service = EventService(
        options.host,
        options.port,
        register=not options.no_ns,
        ns=options.ns,
        ident=settings.ident,
        queue_size=settings.queue_size,
        queue_bytes=settings.queue_bytes,
        when_full=settings.when_full,
        block_timeout=settings.block_timeout,
        max_message_size=settings.max_message_size,
        max_connections=settings.max_connections,
        max_connections_per_peer=settings.max_connections_per_peer,
        max_subscribers=settings.max_subscribers,
        max_subscriptions=settings.max_subscriptions,
        handshake_timeout=settings.handshake_timeout,
        socket_mode=settings.socket_mode,
        trusted=settings.trusted,
    )
    return serve(service, Notifier(), ControlChannel.from_environment())


def serve(service: EventService, notifier: Notifier, channel: ControlChannel | None) -> int:
    """Run the service until a signal, or until the manager is gone; gives the exit status."""
    reasons: queue.SimpleQueue[str] = queue.SimpleQueue()
    _stop_on_signals(reasons)
    try:
        service.start()
        service.ended.add_done_callback(lambda _: reasons.put(""))
        if channel is not None:
            serve_control(
                channel, answerer(service), gone=lambda: reasons.put("the manager is gone")
            )
        _announce(service, notifier)
        reason = reasons.get()
        if reason:
            _log.info("stopping: %s", reason)
        notifier.stopping()
        service.stop(reason)
    except ServiceFault as fault:
        return _fail(fault.message, fault.hint, 1)
    finally:
        if channel is not None:
            channel.close()
    return 0 if reason else 1


def answerer(service: EventService) -> Callable[[str, dict[str, object]], object]:
    """Give what answers a manager's questions."""

    def answer(ask: str, parameters: dict[str, object]) -> object:
        if ask == "statistics":
            return service.statistics()
        if ask == "subscriptions":
            return service.subscriptions()
        if ask == "register":
            where = parameters.get("ns")
            try:
                service.register(str(where) if where else None)
            except ServiceFault as fault:
                raise AskRefused(str(fault)) from None
            return {"registered": service.registered}
        raise AskRefused(f"an event service can't be asked for {ask!r}")

    return answer


def _announce(service: EventService, notifier: Notifier) -> None:
    where = service.registered
    name = f"registered in the name server at {where}" if where else "not registered"
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"{service.uri} is ready, {name}", flush=True)  # noqa: T201 - the command's output
    notifier.ready(uri=service.uri, status=name)
    _log.info("ready at %s, %s", service.uri, name)


def _stop_on_signals(reasons: queue.SimpleQueue[str]) -> None:
    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # the second one ends it at once
        reasons.put(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _set_up_logging(*, verbose: bool, quiet: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING
    )
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    _log.setLevel(level)


def _fail(message: str, hint: str | None, status: int) -> int:
    lines = [f"es: {message}"] + ([f"    {hint}"] if hint else [])
    print("\n".join(lines), file=sys.stderr)  # noqa: T201 - the command's output
    return status
