"""Runs blocking work away from the loop, on a thread that lives only while there is some."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.net.loop import Loop

_Task = tuple["Callable[[], Any]", "Callable[[Future[Any]], None]"]


class SerialExecutor:
    """Runs one task after another, in order. `run` and `finish` belong to the loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._tasks: deque[_Task] = deque()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], Any], done: Callable[[Future[Any]], None]) -> None:
        """Run `work` on the thread, then `done` with its outcome in the loop, if that runs."""
        with self._lock:
            self._tasks.append((work, done))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="executor", daemon=True)
                self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a task is queued or running."""
        with self._lock:
            return self._thread is not None

    def finish(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until all tasks are done; return whether they are."""
        with self._lock:
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._tasks:
                    self._thread = None
                    return
                work, done = self._tasks.popleft()
            outcome: Future[Any] = Future()
            try:
                outcome.set_result(work())
            except Exception as error:  # noqa: BLE001 - `done` gets it
                outcome.set_exception(error)
            self._loop.call_soon(lambda done=done, outcome=outcome: done(outcome))  # type: ignore[misc] # bound now
