"""What blocks, kept away from the loop: it runs on a thread that lives only meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.net.loop import Loop

Work = tuple["Callable[[], Any]", "Callable[[Future[Any]], None]"]


class SerialExecutor:
    """Runs one errand after the other, in order. `run` and `finish` belong to the loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._todo: deque[Work] = deque()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], Any], done: Callable[[Future[Any]], None]) -> None:
        """Run `work` on the thread, then `done` with its outcome in the loop if that still runs."""
        with self._lock:
            self._todo.append((work, done))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="errands", daemon=True)
                self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        with self._lock:
            return self._thread is not None

    def finish(self, patience: float) -> bool:
        """Wait until everything is done, at most so many seconds; False if it takes longer."""
        with self._lock:
            thread = self._thread
        if thread is None:
            return True
        thread.join(patience)
        return not thread.is_alive()

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._todo:
                    self._thread = None
                    return
                work, done = self._todo.popleft()
            outcome: Future[Any] = Future()
            try:
                outcome.set_result(work())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever sent us
                outcome.set_exception(error)
            self._loop.call_soon(lambda done=done, outcome=outcome: done(outcome))  # type: ignore[misc] # bound now
