"""What bad neighbours cost a healthy pair: `python -m benchmarks.events.neighbours`.

A publisher and a subscriber exchange 200 events a second, beside nobody and, in turn, beside
subscribers of the same events that are stopped (SIGSTOP), killed, slow, or come and go; and beside
new ones, again and again, that kill or stop themselves at their first event; and beside a stranger
that begins up to 1,000 TLS handshakes a second. The delay of an event counts from when it was due,
so that a publisher that had to wait is seen, too.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import socket
import ssl
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from Pyro5.client import Proxy

from benchmarks.events.certificates import make_certificates
from benchmarks.events.processes import Broker, first_line, program
from pyro_events import Publisher, Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from pyro_events import Event
    from pyro_events.types import GapNotice

RATE = 200
"""Events a second."""
SUBJECT = "lab.reading"
QUEUE = 100
"""Of the neighbours, so that their queues are full soon."""
STUCK = 6
SETTLE = 2.0
"""Seconds until the neighbours' queues are full, and publishers' patience is spent."""
HANDSHAKES = 1000
"""A second, if the processor is that fast."""
NEWCOMERS_PAUSE = 0.2
"""Seconds from the end of one to the next."""
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Delays:
    """Milliseconds from when events were due until `event` had them."""

    median: float
    p99: float
    longest: float
    missed: int
    gave_up: int
    """How often the event service stopped to wait for a full queue."""


class Neighbour(Subscriber):
    """Takes some seconds for each event."""

    pause = 0.0

    def event(self, event: Event) -> None:  # noqa: ARG002 - what it is doesn't matter
        """Take the time."""
        time.sleep(self.pause)

    def gap(self, notice: GapNotice) -> None:
        """Don't care."""


class Ends(Subscriber):
    """Ends at its first event, with a full queue."""

    with_signal = signal.SIGKILL

    def event(self, event: Event) -> None:  # noqa: ARG002 - the same
        """Kill or stop this process."""
        os.kill(os.getpid(), self.with_signal)


class Pair(Subscriber):
    """The healthy subscriber."""

    def _prepare(self) -> None:
        super()._prepare()
        self.delays: list[tuple[float, float]] = []
        self.missed = 0

    def event(self, event: Event) -> None:
        """Note how late it is."""
        self.delays.append((event.msg, time.monotonic() - event.msg))

    def gap(self, notice: GapNotice) -> None:
        """Count, as nothing may be missed."""
        self.missed += notice["missed"] or 1


def receive(uri: str, pipe: Connection) -> None:
    """Receive, and send what was seen so far whenever told to."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with Pair(uri) as sub:
        sub.subscribe(SUBJECT)
        pipe.send("ready")
        _when_told(pipe, lambda: (list(sub.delays), sub.missed), sub.abort)
        sub.listen()


def _when_told(pipe: Connection, look: Callable[[], Any], stop: Callable[[], None]) -> None:
    import threading  # noqa: PLC0415 - in a process of its own

    def wait() -> None:
        with contextlib.suppress(EOFError, OSError):
            while pipe.recv():
                pipe.send(look())
        stop()

    threading.Thread(target=wait, daemon=True).start()


def send(uri: str, pipe: Connection) -> None:
    """Publish at the rate, whatever happened to the event before, until told to stop."""
    with Publisher(uri) as publisher:
        pipe.send("ready")
        due = time.monotonic()
        while not pipe.poll(max(0.0, due - time.monotonic())):
            publisher.publish(SUBJECT, due)
            due += 1 / RATE


def listen(uri: str, pipe: Connection, pause: float) -> None:
    """Handle events, each for so long."""
    with Neighbour(uri, queue_size=QUEUE) as sub:
        sub.pause = pause
        sub.subscribe(SUBJECT)
        pipe.send("ready")
        sub.listen()


def come_and_go(uri: str, pipe: Connection) -> None:
    """Attach, and leave after a second, again and again."""
    pipe.send("ready")
    while True:
        with Neighbour(uri, queue_size=QUEUE) as sub:
            sub.subscribe(SUBJECT)
            _abort_after(sub, 1.0)
            sub.listen()


def attach_and_end(uri: str, pipe: Connection) -> None:
    """Attach with the smallest queue, and end, in one process after the other."""
    pipe.send("ready")
    for number in itertools.count():
        child = os.fork()
        if child == 0:
            with Ends(uri, queue_size=1) as sub:
                sub.with_signal = signal.SIGSTOP if number % 2 else signal.SIGKILL
                sub.subscribe(SUBJECT)
                sub.listen()
        os.waitpid(child, os.WUNTRACED)
        time.sleep(NEWCOMERS_PAUSE)
        if number % 2:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _abort_after(sub: Subscriber, seconds: float) -> None:
    import threading  # noqa: PLC0415 - the same

    timer = threading.Timer(seconds, sub.abort)
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def actor(work: Callable[..., None], *arguments: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """Run `work` in a process that is killed at the end; it is ready when the context begins."""
    ours, theirs = _SPAWN.Pipe()
    uri, *rest = arguments
    process = _SPAWN.Process(target=work, args=(uri, theirs, *rest), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


@contextlib.contextmanager
def neighbours(uri: str) -> Iterator[None]:
    """Surround the pair with bad neighbours."""
    with contextlib.ExitStack() as stack:
        for _ in range(STUCK):
            process, _ = stack.enter_context(actor(listen, uri, 0.0))
            assert process.pid is not None
            os.kill(process.pid, signal.SIGSTOP)
        killed, _ = stack.enter_context(actor(listen, uri, 0.0))
        stack.enter_context(actor(listen, uri, 0.1))
        stack.enter_context(actor(come_and_go, uri))
        killed.kill()
        time.sleep(SETTLE)
        yield


@contextlib.contextmanager
def newcomers(uri: str) -> Iterator[None]:
    """Make new subscribers, one after the other, until they end."""
    with actor(attach_and_end, uri):
        time.sleep(SETTLE)
        yield


def begin_handshakes(uri: str, pipe: Connection) -> None:
    """Send one ClientHello after the other, each over its own connection, and wait for answers."""
    session = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    session.check_hostname, session.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        session.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    hello, port = out.read(), int(uri.rpartition(":")[2])
    pipe.send("ready")
    due, count = time.monotonic(), 0
    while not pipe.poll(max(0.0, due - time.monotonic())):
        due = max(due + 1 / HANDSHAKES, time.monotonic() - 0.1)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(hello)
            sock.recv(1 << 16)
            count += 1
    pipe.recv()
    pipe.send(count)


@contextlib.contextmanager
def handshakes(uri: str) -> Iterator[None]:
    """Add a stranger that begins TLS handshakes."""
    with actor(begin_handshakes, uri) as (_, pipe):
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        pipe.send("stop")
        print(f"{pipe.recv() / seconds:.0f} handshakes a second", file=sys.stderr)


@contextlib.contextmanager
def event_service(*arguments: str) -> Iterator[Broker]:
    """Run one with these arguments, and with TLS for those who want it."""
    argv = [sys.executable, "-m", "pyro_events", "-N", "-p", "0", "-q", "--tls=both", *arguments]
    with tempfile.TemporaryDirectory() as directory:
        argv.append(f"--tls-certificate={make_certificates(Path(directory))}/cert.pem")
        with program(argv, Path(directory)) as es:
            yield Broker(first_line(es).split()[0], es.pid)


def measure(seconds: float, surround: Callable[[str], Any]) -> Delays:
    """Return the delays of a pair during the measurement."""
    with (
        event_service() as es,
        actor(receive, es.address) as (_, receiver),
        actor(send, es.address),
        surround(es.address),
        Proxy(es.address) as remote,
    ):
        before = remote.statistics()["gave_up"]
        began = time.monotonic()
        time.sleep(seconds)
        ended = time.monotonic()
        gave_up = remote.statistics()["gave_up"] - before
        receiver.send("seen")
        seen, missed = receiver.recv()
    late = sorted(1000 * delay for due, delay in seen if began <= due < ended - 0.5)
    return Delays(median(late), quantiles(late, n=100)[98], late[-1], missed, gave_up)


def main() -> None:
    """Measure in turn, and print Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.events.neighbours", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--only", metavar="NAMES", help="of the rows, separated by commas")
    options = parser.parse_args()
    chosen = {"quiet", *options.only.split(",")} if options.only else None
    beside: dict[str, Callable[[str], Any]] = {
        "quiet": lambda _: contextlib.nullcontext(),
        "bad neighbours": neighbours,
        "new ones that end": newcomers,
        "TLS handshakes": handshakes,
    }
    found: dict[str, list[Delays]] = {
        name: [] for name in beside if chosen is None or name in chosen
    }
    for _ in range(options.rounds):
        for name, rounds in found.items():
            rounds.append(measure(options.seconds, beside[name]))
        print(*(each[-1] for each in found.values()), file=sys.stderr)
    print(
        "| delay of an event | median | p99 | longest | missed |\n| --- | --- | --- | --- | --- |"
    )
    for name, rounds in found.items():
        middle = [median(getattr(each, key) for each in rounds) for key in ("median", "p99")]
        longest = max(each.longest for each in rounds)
        missed = sum(each.missed for each in rounds)
        print(f"| {name} | {middle[0]:.2f} ms | {middle[1]:.2f} ms | {longest:.1f} ms | {missed} |")
    print()
    quiet = found["quiet"]
    for name, rounds in list(found.items())[1:]:
        ratios = sorted(bad.p99 / calm.p99 for calm, bad in zip(quiet, rounds, strict=True))
        print(f"p99, {name}: {median(ratios):.2f} times the quiet one", end="")
        more = median(bad.p99 - calm.p99 for calm, bad in zip(quiet, rounds, strict=True))
        aim = "5 ms more" if name == "TLS handshakes" else "2 times"
        print(f" ({ratios[0]:.2f} to {ratios[-1]:.2f}), {more:+.2f} ms; the aim is at most {aim}")
    if options.json:
        plain = {name: [asdict(each) for each in rounds] for name, rounds in found.items()}
        options.json.write_text(json.dumps(plain, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
