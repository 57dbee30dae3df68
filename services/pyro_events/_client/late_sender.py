"""Sends what is pending when nobody closes the publisher: the program ends, or has dropped it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from pyro_events._client.process import process
from pyro_events._client.rejections import events
from pyro_events._client.sender import Sender
from pyro_events.errors import EventServiceError

if TYPE_CHECKING:
    from pyro_events._client.outbox import Entry

_log = logging.getLogger("pyro_events")


class LateSender(Sender):
    """A sender that says how much is lost when it runs out of time."""

    _left = 0.0
    _leaving: threading.Thread | None = None

    def finish(self, deadline: float) -> None:
        """Flush until the deadline, since the interpreter ends, and log what is lost.

        What is posted later, by exit handlers, is published, as long as that time isn't used up.
        """
        self._left = max(0.0, deadline - time.monotonic())
        self.post = self._post_late  # type: ignore[method-assign] # `post` itself has to be quick
        self._flush_or_log(self._left, "when the program ended")
        self._left = max(0.0, deadline - time.monotonic())

    def leave(self, timeout: float) -> None:
        """Flush and close in a thread, since the publisher was dropped; for a finalizer."""
        if not self.pending:
            self.close(wait=False)
            return
        # Not one that the interpreter waits for: starting that takes a lock, maybe ours already.
        self._leaving = threading.Thread(
            target=self._flush_and_close, args=(timeout,), name="pyro_events flush", daemon=True
        )
        try:
            self._leaving.start()
        except RuntimeError:  # there are too many, or the interpreter ends
            self._leaving = None
            self._flush_and_close(timeout)
        else:
            process.add(self)

    def _at_exit(self, began: float) -> None:  # noqa: ARG002 - the thread knows its time
        if self._leaving is not None:
            self._leaving.join()

    def _after_fork(self, inherited: object) -> None:
        """Do nothing: the thread goes on in the parent."""

    def _flush_and_close(self, timeout: float) -> None:
        try:
            self._flush_or_log(timeout, "since the publisher was dropped without close()")
        finally:
            self.close(wait=False)

    def _flush_or_log(self, timeout: float, when: str) -> None:
        try:
            self.flush(timeout)
        except BaseException as error:
            if lost := self.pending:
                reason = str(error) or type(error).__name__
                _log.error("%s lost %s: %s", events(lost), when, reason)
            if not isinstance(error, EventServiceError):
                raise

    def _post_late(self, entry: Entry, timeout: float) -> None:  # noqa: ARG002 - as `post`
        end = time.monotonic() + self._left
        try:
            self.publish(entry, self._left)
        finally:
            self._left = max(0.0, end - time.monotonic())
