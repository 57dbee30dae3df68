"""Where the event service's time goes: `python -m benchmarks.events.profiles`.

Runs it once with cProfile in the publisher's, the service's and a subscriber's busy thread, and
prints the functions that take most themselves. A profiler makes small functions look dear: read
the shares, and compare processor times with those of the benchmark proper.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.events import measure
from benchmarks.events.markdown import table
from benchmarks.events.processes import Broker, first_line, program
from benchmarks.events.systems.event_service import EventService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.events.message import Message, Plan
    from benchmarks.events.systems.event_service import Delivery

_SHOWN = 14
_SERVICE, _PUBLISHER, _SUBSCRIBER = "service", "publisher", "subscriber"


class Profiled(EventService):
    """The event service with a profiler in each process; their files go to `directory`."""

    def __init__(self, delivery: Delivery, count: int, directory: Path, *, acked: bool) -> None:
        super().__init__(delivery, acked=acked)
        self.count = count
        self.directory = directory

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        argv = [sys.executable, __file__, "--serve", str(self.directory / _SERVICE)]
        with program(argv, directory) as es:
            yield Broker(first_line(es).split(maxsplit=1)[0], es.pid)

    def publish(self, address: str, plan: Plan) -> None:
        with _profile(self.directory / _PUBLISHER):
            super().publish(address, plan)

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        profile = cProfile.Profile(time.thread_time)

        def watched(message: Message) -> None:
            if message["seq"] == 0:
                profile.enable()  # in the thread that calls us, whichever that is
            take(message)
            if message["seq"] == self.count - 1:
                profile.disable()
                profile.dump_stats(self.directory / _SUBSCRIBER)

        super().subscribe(address, ready, watched)


@contextlib.contextmanager
def _profile(file: Path) -> Iterator[None]:
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(file)


def serve(file: Path) -> None:
    """Run as the event service, with a profiler in its loop's thread."""
    from pyro_events._app import cli  # noqa: PLC0415 - only this process needs it
    from pyro_events._broker.engine import Engine  # noqa: PLC0415 - the same

    run = Engine.run

    def profiled(engine: Engine) -> None:
        with _profile(file):
            run(engine)

    Engine.run = profiled  # type: ignore[assignment,method-assign] # the only way in
    cli.main(["-N", "-p", "0", "-q"])


def functions(file: Path, count: int) -> str:
    """Return the functions that take most time themselves, with their share."""
    stats: Any = pstats.Stats(str(file))
    total = sum(own for _, _, own, _, _ in stats.stats.values())
    most = sorted(stats.stats.items(), key=lambda entry: -entry[1][2])[:_SHOWN]
    rows = [
        [
            f"`{_place(where)}`",
            f"{calls / count:.2f}",
            f"{own / count * 1e6:.2f}",
            f"{own / total:.0%}",
        ]
        for where, (_, calls, own, _, _) in most
    ]
    return table(["function", "calls a message", "own µs a message", "share"], rows)


def _place(where: tuple[str, int, str]) -> str:
    file, line, name = where
    if file == "~":
        return name
    parts = Path(file).parts
    for root in ("pyro_events", "Pyro5", "benchmarks"):
        if root in parts:
            return f"{'/'.join(parts[parts.index(root) :])}:{line} {name}"
    return f"{parts[-1]}:{line} {name}"


def main() -> None:
    """Profile one run and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events.profiles")
    add = parser.add_argument
    add("--fan-out", type=int, default=10)
    add("--delivery", choices=("stream", "callback", "stock"), default="stream")
    add("--messages", type=int, default=30_000)
    add("--publish", action="store_true", help="acknowledged one by one, instead of posted")
    add("--serve", metavar="FILE", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with tempfile.TemporaryDirectory() as directory:
        files = Path(directory)
        count = options.messages
        system = Profiled(options.delivery, count, files, acked=options.publish)
        flow = measure.flow(system, options.fan_out, count)
        print(f"{count} messages, 1→{options.fan_out}, {flow.lost} lost\n")
        for name in (_PUBLISHER, _SERVICE, _SUBSCRIBER):
            print(f"### {name}\n\n{functions(files / name, count)}")


if __name__ == "__main__":
    main()
