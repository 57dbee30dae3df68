"""What restarts of the event service cost its clients: `python -m benchmarks.events.restarts`.

Runs a deployment of its own below a temporary directory, with the installed `pyroctl`.

* `--rounds` restarts under a publisher at full speed and ten helper subscribers, planned and by
  kill -9: lost, duplicated and reordered events, and the longest pause between two events.
* `--crowd` aware subscribers, all idle: how long until all are back, and for how long a handover
  serves nobody.
* What the roster costs while subscribers come and go: processor time of the service for each of
  them, with a state directory and without, in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
from Pyro5.client import Proxy
from Pyro5.errors import CommunicationError

from benchmarks.events.processes import Broker, environment, first_line, free_port, program
from benchmarks.events.sockets import open_idle
from pyro_events._client.calls import encode_call
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Iterator

_PYROCTL = Path(sys.executable).with_name("pyroctl")
_FLOWING = 0.3
"""Seconds of traffic between two restarts."""
_BLACKOUT = re.compile(r"clients were not served for ([\d.]+) ms")
_QUIET = 2.0
_PATIENCE = 60.0
_HERD = 50
"""Helpers in one process of the crowd."""


class Deployment:
    """A manager with an event service, and the commands that are run on it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        names = free_port()
        (root / "pyroctl.toml").write_text(
            f'[services.ns]\nkind = "nameserver"\nport = {names}\nbroadcast = false\n'
            '[services.es]\nkind = "eventservice"\nport = 0\nneeds = ["ns"]\n'
            "start_limit = 1000\nrestart_delay = 0.05\nrestart_max_delay = 0.05\n",
            encoding="utf-8",
        )
        self.pyroctl("start")

    def pyroctl(self, *arguments: str) -> dict[str, Any]:
        """Run a command, and give its data."""
        done = subprocess.run(
            [_PYROCTL, "--root", self._root, *arguments, "--json"],
            check=True,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        return dict(json.loads(done.stdout)["data"] or {})

    def service(self) -> dict[str, Any]:
        """Return the event service's row of the status."""
        return dict(self.pyroctl("status", "es")["services"][0])

    def restart(self, *how: str) -> float:
        """Restart as planned; returns the seconds until the command had finished."""
        began = time.monotonic()
        (done,) = self.pyroctl("restart", "es", *how)["restarts"]
        if done["how"] == "notify" and done["resubscribed"] != done["notified"]:
            raise RuntimeError(f"not everybody came back: {done}")
        return time.monotonic() - began

    def blackouts(self, expected: int) -> list[float]:
        """Return the milliseconds of each handover in which no client was served.

        They begin when the old process stops serving its clients, before it saves its state for the
        next one, and end when that one has taken everything and serves them.
        """
        lines = self.pyroctl("logs", "es", "-n", "10000")["lines"]
        found = [float(match[1]) for line in lines if (match := _BLACKOUT.search(line["text"]))]
        if len(found) != expected:
            raise RuntimeError(f"the log tells of {len(found)} handovers, not of {expected}")
        return found

    def kill(self, expected: int) -> float:
        """Kill -9; returns the seconds until `expected` subscribers are connected again."""
        service = self.service()
        os.kill(service["pid"], signal.SIGKILL)
        killed = time.monotonic()
        while _connected(service["uri"]) < expected:
            if time.monotonic() > killed + _PATIENCE:
                raise RuntimeError("not everybody came back")
            time.sleep(0.02)
        return time.monotonic() - killed


def _connected(uri: str) -> int:
    with contextlib.suppress(CommunicationError), Proxy(uri) as service:
        service._pyroTimeout = 5.0  # noqa: SLF001 - Pyro5's public name for it
        return sum(each["state"] == "connected" for each in service.subscriptions())
    return 0


@contextlib.contextmanager
def deployment() -> Iterator[Deployment]:
    """Run one while the context lasts."""
    with tempfile.TemporaryDirectory() as directory:
        made = Deployment(Path(directory))
        try:
            yield made
        finally:
            made.pyroctl("shutdown")


@contextlib.contextmanager
def worker(role: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run one of the clients below, in a process of its own, up to its first line."""
    command = [sys.executable, "-m", __spec__.name, role, *arguments]
    with tempfile.TemporaryDirectory() as directory, program(command, Path(directory)) as process:
        first_line(process)
        yield process


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait until a client ends, and return what it prints."""
    process.send_signal(signal.SIGUSR1)
    return dict(json.loads(first_line(process)))


def under_load(rounds: int, how: str, subscribers: int = 10) -> dict[str, Any]:
    """Restart while events flow; `how` is `notify`, `handover` or `kill`."""
    took = []
    with deployment() as made, contextlib.ExitStack() as stack:
        uri = made.service()["uri"]
        readers = [stack.enter_context(worker("read", uri)) for _ in range(subscribers)]
        writer = stack.enter_context(worker("write", uri))
        for _ in range(rounds):
            time.sleep(_FLOWING)
            if how == "kill":
                took.append(made.kill(subscribers))
            else:
                took.append(made.restart(*(["--handover"] if how == "handover" else [])))
        count = finish(writer)["count"]
        found = [finish(reader) for reader in readers]
        blackouts = made.blackouts(rounds if how == "handover" else 0)
    return {
        "events": count,
        "lost": sum(count - each["events"] - each["missed"] for each in found),
        "reported as missed": sum(each["missed"] for each in found),
        "duplicated": sum(each["doubled"] for each in found),
        "reordered": sum(each["disordered"] for each in found),
        "longest pause, s": round(max(each["pause"] for each in found), 3),
        "command, s (median)": round(statistics.median(took), 3),
        **({"nobody served, ms": _blackout(blackouts)} if blackouts else {}),
    }


def crowd(number: int, rounds: int) -> dict[str, str]:
    """Restart with `number` idle helpers, and measure until all are back, or served again."""
    with deployment() as made, contextlib.ExitStack() as stack:
        uri = made.service()["uri"]
        for _ in range(number // _HERD):
            stack.enter_context(worker("crowd", uri, str(_HERD)))
        planned = [made.restart() for _ in range(rounds)]
        killed = [made.kill(number) for _ in range(rounds)]
        for _ in range(rounds):
            made.restart("--handover")
        blackouts = _blackout(made.blackouts(rounds))
    return {
        "planned, s": _spread(planned),
        "kill -9, s": _spread(killed),
        "handed over, nobody served, ms": blackouts,
    }


def churn(visitors: int, rounds: int) -> dict[str, str]:
    """Attach and detach subscribers, with a roster and without; returns its µs for each."""
    costs: dict[str, list[float]] = {"with a roster": [], "without": []}
    for number in range(rounds + 1):
        for name, found in costs.items():
            cost = _visits(visitors, roster=name == "with a roster")
            if number:  # the first round warms up
                found.append(cost * 1e6)
    return {name: _spread(found, 1) for name, found in costs.items()}


def _visits(visitors: int, *, roster: bool) -> float:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pyro_events", "-N", "-q", "-p", "0"]
        if roster:
            command = ["/usr/bin/env", f"PYROCTL_STATE_DIR={directory}", *command]
        with program(command, Path(directory)) as process:
            port = int(first_line(process).split()[0].rpartition(":")[2])
            broker = Broker(str(port), process.pid)
            before = broker.cpu()
            for visitor in range(0, visitors, 100):
                requests = [_visit(visitor + each) for each in range(100)]
                for sock in open_idle(port, requests, _is_over):
                    sock.close()
            return (broker.cpu() - before) / visitors


def _visit(number: int) -> bytes:
    """Return what a stream sends that is attached and detached at once."""
    greeting = {"pyro_events": 2, "role": "subscriber"}
    hello = msgpack.packb({"handshake": greeting, "object": EVENTSERVICE_NAME})
    params = [f"visitor {number}", [f"visits.{number}"], [], {}]
    return (
        framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, hello)
        + encode_call(1, EVENTSERVICE_NAME, "attach", params)
        + encode_call(2, EVENTSERVICE_NAME, "detach", [])
    )


def _is_over(answer: bytes) -> bool:
    reader = framing.FrameReader(1 << 20)
    reader.feed(answer)
    return len(list(reader)) == 3


def _spread(values: list[float], digits: int = 2) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}]"


def _blackout(values: list[float]) -> str:
    """Show the spread and the 99th percentile, which of few values is the largest."""
    ordered = sorted(values)
    p99 = ordered[math.ceil(0.99 * len(ordered)) - 1]
    return f"{_spread(values, 1)}, p99 {p99:.1f}"


# The clients, each a process of its own.


def read(uri: str) -> None:
    """Subscribe, and check what arrives: numbers from 0 on, each once, in order."""
    from pyro_events import Subscriber  # noqa: PLC0415 - only the clients need it

    class Reader(Subscriber):
        last, events, missed, doubled, disordered = -1, 0, 0, 0, 0
        at, pause = 0.0, 0.0

        def event(self, event: Any) -> None:
            now = time.monotonic()
            self.events += 1
            self.doubled += event.msg == self.last
            self.disordered += event.msg < self.last
            if self.at:
                self.pause = max(self.pause, now - self.at)
            self.last, self.at = event.msg, now

        def gap(self, notice: dict[str, Any]) -> None:
            self.missed += notice["missed"] or 0

    with Reader(uri) as reader:
        reader.subscribe("flood")
        signal.signal(signal.SIGUSR1, lambda *_: reader.abort())
        print("ready", flush=True)
        reader.listen()
        deadline = time.monotonic() + _QUIET
        signal.signal(signal.SIGALRM, lambda *_: reader.abort())
        while time.monotonic() < max(deadline, reader.at + _QUIET):  # what is still on its way
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            reader.listen()
        names = ("events", "missed", "doubled", "disordered", "pause")
        print(json.dumps({name: getattr(reader, name) for name in names}), flush=True)
        signal.pause()


def write(uri: str) -> None:
    """Publish numbers as fast as the slowest subscriber takes them until told to end; flush."""
    from pyro_events import Publisher  # noqa: PLC0415 - the same

    stop: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: stop.append(number))
    count = 0
    with Publisher(uri, timeout=30, patience=None) as publisher:
        print("ready", flush=True)
        while not stop:
            publisher.post("flood", count)
            count += 1
        publisher.flush(_PATIENCE)
        print(json.dumps({"count": count}), flush=True)
        signal.pause()


def herd(uri: str, number: str) -> None:
    """Run as `number` idle subscribers."""
    from pyro_events import Event, Subscriber  # noqa: PLC0415 - the same

    class Idle(Subscriber):
        def event(self, event: Event) -> None:
            """Do nothing: none comes."""

    with contextlib.ExitStack() as stack:
        for each in range(int(number)):
            stack.enter_context(Idle(uri)).subscribe(f"idle {each}")
        print("ready", flush=True)
        signal.pause()


CLIENTS = {"read": read, "write": write, "crowd": herd}


def main() -> None:
    """Measure and print, or run as a client."""
    if len(sys.argv) > 1 and sys.argv[1] in CLIENTS:
        CLIENTS[sys.argv[1]](*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events.restarts")
    add = parser.add_argument
    add("--rounds", type=int, default=20, help="restarts under load (default: %(default)s)")
    add("--crowd", type=int, default=500, help="idle subscribers (default: %(default)s)")
    add("--how", default="notify,kill", help="kinds under load; also handover")
    add("--visitors", type=int, default=5000, help="who come and go (default: %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # lets every context end its programs
    for how in options.how.split(","):
        _print(f"{options.rounds} × {how} at full speed", under_load(options.rounds, how))
    _print(f"{options.crowd} subscribers back after", crowd(options.crowd, 3))
    _print("µs of processor time for one that comes and goes", churn(options.visitors, 5))


def _print(title: str, figures: dict[str, Any]) -> None:
    print(f"\n### {title}\n")
    for name, value in figures.items():
        print(f"* {name}: {value}", flush=True)


if __name__ == "__main__":
    main()
