"""The command `es`: runs the event service alone, or as the child of a service manager."""

from __future__ import annotations

import argparse
import contextlib
import logging
import queue
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pyro_events.engine.faults import ServiceFault
from pyro_events.engine.settings import MIB, SMALLEST_MESSAGE, Settings
from pyro_events.mailbox import WhenFull
from pyro_events.service import EventService, version
from pyro_host.child import PERMANENT_FAILURE, AskRefused, ControlChannel, Notifier, serve_control

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DEFAULTS = Settings()
_SPARE_DESCRIPTORS = 200
_MAX_PORT = 65535
_log = logging.getLogger("pyro_events")


def entry() -> None:
    """Run the command line of this process, and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop; gives the exit status."""
    options = parser().parse_args(arguments)
    _set_up_logging(verbose=options.verbose, quiet=options.quiet)
    try:
        ident = read_ident(options)
    except (OSError, ValueError) as error:
        return _fail(f"the identification can't be read: {error}", None, PERMANENT_FAILURE)
    service = EventService(
        options.host,
        options.port,
        register=not options.no_ns,
        ns=options.ns,
        ident=ident,
        queue_size=options.queue_size,
        when_full=options.when_full,
        block_timeout=options.block_timeout,
        max_message_size=options.max_message_size,
    )
    return serve(service, Notifier(), ControlChannel.from_environment())


def serve(service: EventService, notifier: Notifier, channel: ControlChannel | None) -> int:
    """Run the service until a signal, or until the manager is gone; gives the exit status."""
    reasons: queue.SimpleQueue[str] = queue.SimpleQueue()
    _stop_on_signals(reasons)
    _raise_descriptor_limit()
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


def read_ident(options: argparse.Namespace) -> str | None:
    """Give the identification from the command line or its file; OSError or ValueError."""
    if options.ident_file is None:
        return options.ident or None
    ident = Path(options.ident_file).read_text(encoding="utf-8").strip()
    if not ident:
        raise ValueError(f"{options.ident_file} is empty")
    return ident


def parser() -> argparse.ArgumentParser:
    """Give the command line's grammar."""
    text = argparse.ArgumentParser(
        prog="es",
        description="Run the Pyro5 event service: publishers send it events, and it sends them on "
        "to everybody who subscribed to their subjects.",
        epilog="Stops on TERM and INT. Exit status: 0 stopped, 1 failed, 2 wrong usage, "
        "125 starting again is pointless.",
        allow_abbrev=False,
    )
    add = text.add_argument
    add("-n", "--host", default="localhost", help="where to listen (default: %(default)s)")
    add("-p", "--port", type=_port, default=0, help="0 takes any free port (default: %(default)s)")
    add("-N", "--no-ns", action="store_true", help="do without a name server")
    add("--ns", metavar="HOST:PORT", help="where the name server is (default: Pyro5's NS_HOST)")
    ident = text.add_mutually_exclusive_group()
    ident.add_argument(
        "-i", "--ident", metavar="TEXT", help="identification that clients must present"
    )
    ident.add_argument(
        "--ident-file", metavar="FILE", help="the same from a file, hidden from other users"
    )
    add(
        "--queue-size",
        type=_at_least(1),
        metavar="N",
        default=_DEFAULTS.queue_size,
        help="events that may wait for one subscriber (default: %(default)s)",
    )
    add(
        "--when-full",
        choices=get_args(WhenFull),
        default=_DEFAULTS.when_full,
        help="what happens to further events (default: %(default)s)",
    )
    add(
        "--block-timeout",
        type=_seconds,
        metavar="SECONDS",
        default=_DEFAULTS.block_timeout,
        help="how long a publisher is held before an event is dropped (default: %(default)s)",
    )
    add(
        "--max-message-size",
        type=_at_least(SMALLEST_MESSAGE),
        metavar="BYTES",
        default=16 * MIB,
        help="larger messages are refused (default: %(default)s)",
    )
    volume = text.add_mutually_exclusive_group()
    volume.add_argument("-v", "--verbose", action="store_true", help="log every connection")
    volume.add_argument("-q", "--quiet", action="store_true", help="log only warnings and errors")
    add("--version", action="version", version=f"%(prog)s {version()}")
    return text


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


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _DEFAULTS.max_connections + _SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to {_MAX_PORT}")
    return int(text)


def _at_least(lowest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text!r} is no number of at least {lowest}")
        return int(text)

    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds
