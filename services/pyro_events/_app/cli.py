"""The command `es`: runs the event service alone, or as the child of a service manager."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
from typing import TYPE_CHECKING

from pyro_child.inherited_socket import inherited_socket
from pyro_child.protocol import PERMANENT_FAILURE, ControlChannel, Notifier
from pyro_events._app.limits import provide
from pyro_events._app.options import parser, settings_of
from pyro_events._app.process import EventServiceProcess
from pyro_events._broker.engine import Engine
from pyro_events._broker.errors import HandoverRefused, ServiceFault
from pyro_events._broker.recovery.handover import ReceivedHandover, receive
from pyro_events._broker.registration import Registration
from pyro_events._version import version

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pyro_events._broker.settings import Settings


def entry() -> None:
    """Run the command line of this process, and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop; gives the exit status. For the main thread."""
    options = parser().parse_args(arguments)
    _set_up_logging(options)
    try:
        settings = settings_of(options)
    except (OSError, ValueError) as error:
        return _fail(f"the identification can't be read: {error}", None, PERMANENT_FAILURE)
    channel = ControlChannel.from_environment()
    try:
        _serve(options, provide(settings), channel)
    except HandoverRefused as fault:
        return _fail(fault.message, fault.hint, PERMANENT_FAILURE)
    except ServiceFault as fault:
        return _fail(fault.message, fault.hint, 1)
    finally:
        if channel is not None:
            channel.close()
    return 0


def _serve(options: argparse.Namespace, settings: Settings, channel: ControlChannel | None) -> None:
    path = os.environ.pop("PYROCTL_TAKE_OVER", None)
    listening = inherited_socket()
    our_version = version()  # reads files; from the next line on everybody may wait for us
    inheritance = _inherit(path) if path else None
    with contextlib.ExitStack() as stack:
        if inheritance is not None:
            stack.callback(inheritance.reader.close)
        with _intelligible(inheritance):
            engine = Engine(
                options.host,
                options.port,
                settings,
                our_version,
                listening=listening,
                state_dir=os.environ.get("PYROCTL_STATE_DIR") or None,
                received=inheritance,
            )
        stack.callback(engine.close)
        names = _names(options, engine, inheritance)
        program = EventServiceProcess(engine, names, Notifier(), channel, inheritance)
        program.run()


def _inherit(path: str) -> ReceivedHandover | None:
    """Take over what is offered there, without delays by the garbage collector until it is ours."""
    gc.freeze()
    gc.disable()
    inheritance = receive(path)
    if inheritance is None:
        gc.enable()
    return inheritance


@contextlib.contextmanager
def _intelligible(inheritance: ReceivedHandover | None) -> Iterator[None]:
    """Take an error for a fault of what was handed over."""
    try:
        yield
    except (ArithmeticError, AssertionError, LookupError, OSError, TypeError, ValueError) as error:
        if inheritance is None:
            raise
        raise HandoverRefused(
            f"what the old process hands over is of no use here: {type(error).__name__}: {error}"
        ) from error


def _names(
    options: argparse.Namespace, engine: Engine, inheritance: ReceivedHandover | None
) -> Registration | None:
    if inheritance is not None:
        handed = inheritance.reader.values["names"]
        return handed and Registration.take_over(handed, engine.uri, engine.incarnation)
    if options.no_ns:
        return None
    return Registration(options.ns, engine.uri, engine.incarnation)


def _set_up_logging(options: argparse.Namespace) -> None:
    managed = "PYROCTL_SERVICE" in os.environ  # the manager stamps every line itself
    form = "%(levelname)s %(message)s" if managed else "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, format=form, level=logging.WARNING)
    level = logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO
    logging.getLogger("pyro_events").setLevel(level)


def _fail(message: str, hint: str | None, status: int) -> int:
    lines = [f"es: {message}"] + ([f"    {hint}"] if hint else [])
    print("\n".join(lines), file=sys.stderr)  # noqa: T201 - the command's output
    return status
