"""Publishers and subscribers, each a process of its own that ends with us."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import Plan, Tally
from benchmarks.events.processes import cpu_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

    from benchmarks.events.system import System

READY, GO, DONE, REPORT = "ready", "go", "done", "report"
PATIENCE = 30.0
"""Seconds for a worker to come up."""
_QUIET = 1.5
"""Seconds without a message after which what is missing counts as lost."""

# Forked from a process that has imported everything: a worker starts in milliseconds.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["benchmarks.events.preload"])


@dataclass(frozen=True)
class Received:
    """What one subscriber got: `last` is the time of the last message, `cpu` seconds."""

    count: int
    jumps: int
    last: float
    cpu: float
    latencies: list[float]


@dataclass(frozen=True)
class Published:
    """When a publisher began and ended, in seconds."""

    began: float
    ended: float


class Worker:
    """A process and the pipe to it."""

    def __init__(self, target: Any, *args: Any) -> None:
        self.pipe, theirs = _context.Pipe()
        self._process: BaseProcess = _context.Process(target=target, args=(theirs, *args))
        self._process.start()
        theirs.close()

    def cpu(self) -> float:
        """Return the processor time of all its threads so far, in seconds."""
        assert self._process.pid is not None
        return cpu_time(self._process.pid)

    def expect(self, what: str, patience: float) -> Any:
        """Wait for word of the worker."""
        if not self.pipe.poll(patience):
            raise RuntimeError(f"a worker isn't {what} within {patience:g} s")
        try:
            word, value = self.pipe.recv()
        except EOFError:
            raise RuntimeError(f"a worker died before it was {what}") from None
        if word == "error":
            raise RuntimeError(f"a worker failed: {value}")
        assert word == what, word
        return value

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.pipe.close()


class Subscribers:
    """Some subscribers, each in its process."""

    def __init__(self, workers: list[Worker]) -> None:
        self._workers = workers

    @property
    def pids(self) -> list[int]:
        """Return their process numbers."""
        return [worker._process.pid or 0 for worker in self._workers]  # noqa: SLF001 - the same file

    def collect(self, deadline: float) -> list[Received]:
        """Wait until all have everything, or nothing comes any more."""
        waiting = {worker.pipe for worker in self._workers}
        before, since = -1, time.monotonic()
        while waiting and time.monotonic() < deadline:
            for pipe in wait(list(waiting), _QUIET / 2):
                assert isinstance(pipe, Connection)
                assert pipe.recv()[0] == DONE
                waiting.discard(pipe)
            if not waiting or time.monotonic() - since < _QUIET:
                continue
            count = sum(report.count for report in self._reports(waiting))
            if count == before:
                break
            before, since = count, time.monotonic()
        return self._reports(set())

    def _reports(self, waiting: set[Connection]) -> list[Received]:
        reports = []
        for worker in self._workers:
            worker.pipe.send(REPORT)
            word, value = worker.pipe.recv()
            while word != REPORT:  # it was just about to be done
                waiting.discard(worker.pipe)
                word, value = worker.pipe.recv()
            reports.append(value)
        return reports


@contextlib.contextmanager
def subscribers(
    system: System, address: str, number: int, count: int, *, timed: bool = False
) -> Iterator[Subscribers]:
    """Start subscribers that wait for `count` messages each, all of them subscribed."""
    with contextlib.ExitStack() as stack:
        workers = []
        for _ in range(number):
            worker = Worker(_subscribe, system, address, count, timed)
            stack.callback(worker.end)
            workers.append(worker)
        for worker in workers:
            worker.expect(READY, PATIENCE)
        yield Subscribers(workers)


@contextlib.contextmanager
def publisher(system: System, address: str, count: int, rate: float | None) -> Iterator[Worker]:
    """Start a connected publisher that waits for GO."""
    worker = Worker(_publish, system, address, count, rate)
    try:
        worker.expect(READY, PATIENCE)
        yield worker
    finally:
        worker.end()


@contextlib.contextmanager
def holder(system: System, method: str, address: str, number: int) -> Iterator[None]:
    """Start a process that has called `idle` or `patterns`, and keeps the result."""
    worker = Worker(_hold, system, method, address, number)
    try:
        worker.expect(READY, 2 * PATIENCE)
        yield
    finally:
        worker.end()


def _hold(pipe: Connection, system: System, method: str, address: str, number: int) -> None:
    _end_with_parent()
    try:
        held = getattr(system, method)(address, number)
    except Exception as error:
        pipe.send(("error", f"{type(error).__name__}: {error}"))
        raise
    pipe.send((READY, None))
    pipe.poll(None)
    del held


def _end_with_parent() -> None:
    """End this process when the benchmark's is gone; the one that forked us outlives it."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _subscribe(pipe: Connection, system: System, address: str, count: int, timed: bool) -> None:
    _end_with_parent()
    lock = threading.Lock()

    def send(word: str, value: object = None) -> None:
        with lock:
            pipe.send((word, value))

    tally = Tally(count, lambda: send(DONE), timed=timed)
    cpu = 0.0

    def report() -> None:
        while True:
            assert pipe.recv() == REPORT
            used = time.process_time() - cpu
            send(REPORT, Received(*tally.counts(), used, list(tally.latencies)))

    def ready() -> None:
        nonlocal cpu
        cpu = time.process_time()
        threading.Thread(target=report, daemon=True).start()
        send(READY)

    try:
        system.subscribe(address, ready, tally.take)
    except Exception as error:
        send("error", f"{type(error).__name__}: {error}")
        raise


def _publish(
    pipe: Connection, system: System, address: str, count: int, rate: float | None
) -> None:
    _end_with_parent()

    def begin() -> None:
        pipe.send((READY, None))
        assert pipe.recv() == GO

    plan = Plan(count, rate, begin)
    try:
        system.publish(address, plan)
    except Exception as error:
        pipe.send(("error", f"{type(error).__name__}: {error}"))
        raise
    ended = time.perf_counter()
    pipe.send((DONE, Published(plan.began, ended)))
    pipe.poll(None)  # whatever else it holds ends with the process
