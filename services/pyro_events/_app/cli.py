"""The command `es`: runs the event service alone, or as the child of a service manager."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
from typing import TYPE_CHECKING

from pyro_child import PERMANENT_FAILURE, ControlChannel, Notifier
from pyro_child.errors import describe, shortage
from pyro_child.inherited_socket import inherited_socket
from pyro_child.log import LogHandler
from pyro_child.version import installed_version
from pyro_events._app.hidden_ident import start_again
from pyro_events._app.limits import provide
from pyro_events._app.options import options_of, parser
from pyro_events._app.process import EventServiceProcess
from pyro_events._broker.engine import Engine
from pyro_events._broker.errors import HandoverRefused, ServiceFault
from pyro_events._broker.recovery.handover import ReceivedHandover, receive
from pyro_events._broker.registration import Registration
from pyro_events._broker.settings import settings_of
from pyro_events._broker.snapshot.ring import Ring

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pyro_events._broker.settings import Settings

_GC_THRESHOLDS = (50_000, 20, 50)
"""An event under way is a few objects that live for milliseconds; with the usual thresholds an
eighth of the time is spent on looking at them."""


def entry() -> None:
    """Run the command line of this process, and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop; return the exit status. For the main thread."""
    options = parser().parse_args(arguments)
    if options.ident is not None:
        start_again(arguments, options.ident)
    _set_up_logging(options)
    try:
        settings = settings_of(options_of(options))
    except (OSError, ValueError) as error:
        return _fail(f"can't read the identification: {describe(error)}", None, PERMANENT_FAILURE)
    channel = ControlChannel.from_environment()
    try:
        _serve(options, provide(settings), channel)
    except HandoverRefused as fault:
        return _fail(fault.message, fault.hint, PERMANENT_FAILURE)
    except (ImportError, OSError, ServiceFault) as fault:
        lacking = shortage(fault)
        if lacking is not None:
            return _fail(lacking, None, 1)
        if not isinstance(fault, ServiceFault):
            raise
        return _fail(fault.message, fault.hint, 1)
    finally:
        if channel is not None:
            channel.close()
    return 0


def _serve(options: argparse.Namespace, settings: Settings, channel: ControlChannel | None) -> None:
    gc.set_threshold(*_GC_THRESHOLDS)
    path = os.environ.pop("PYROCTL_TAKE_OVER", None)
    listening = inherited_socket()
    version = installed_version()  # reads files; clients may wait from the next line on
    received = _inherit(path) if path else None
    with contextlib.ExitStack() as stack:
        ring = _ring()
        if ring is not None:
            stack.callback(ring.close)
        if received is not None:
            stack.callback(received.reader.close)
        with _handover_errors(received):
            engine = Engine(
                options.host,
                options.port,
                settings,
                version,
                listening=listening,
                state_dir=os.environ.get("PYROCTL_STATE_DIR") or None,
                received=received,
                ring=ring,
            )
        stack.callback(engine.close)
        names = _names(options, engine, received)
        program = EventServiceProcess(
            *(engine, names, Notifier(), channel, received), ident_file=options.ident_file
        )
        program.run()


def _ring() -> Ring | None:
    """Return the memory that the manager has passed on, for events that outlive the process."""
    descriptor = os.environ.pop("PYROCTL_RING_FD", "")
    return Ring(int(descriptor)) if descriptor else None


def _inherit(path: str) -> ReceivedHandover | None:
    """Receive the handover offered at `path`, with the garbage collector off until it is taken."""
    gc.freeze()
    gc.disable()
    received = receive(path)
    if received is None:
        gc.enable()
    return received


@contextlib.contextmanager
def _handover_errors(received: ReceivedHandover | None) -> Iterator[None]:
    """Report an error as one in the state that was handed over."""
    try:
        yield
    except (ArithmeticError, AssertionError, LookupError, OSError, TypeError, ValueError) as error:
        if received is None:
            raise
        raise HandoverRefused(
            f"the state of the old process is unusable here: {type(error).__name__}: {error}"
        ) from error


def _names(
    options: argparse.Namespace, engine: Engine, received: ReceivedHandover | None
) -> Registration | None:
    if received is not None:
        handed = received.reader.values["names"]
        return handed and Registration.restore(handed, engine.uri, engine.incarnation)
    if not options.register:
        return None
    return Registration(options.ns, engine.uri, engine.incarnation)


def _set_up_logging(options: argparse.Namespace) -> None:
    managed = "PYROCTL_SERVICE" in os.environ  # the manager adds the time to every line
    form = "%(levelname)s %(message)s" if managed else "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(handlers=[LogHandler(form)], level=logging.WARNING)
    level = logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO
    logging.getLogger("pyro_events").setLevel(level)


def _fail(message: str, hint: str | None, status: int) -> int:
    lines = [f"es: {message}"] + ([f"    {hint}"] if hint else [])
    print("\n".join(lines), file=sys.stderr)  # noqa: T201 - the command's output
    return status
