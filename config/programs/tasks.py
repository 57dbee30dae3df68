"""The list of tasks of a worker pool, as a Pyro object."""

import itertools
import queue

from Pyro5.api import behavior, current_context, expose

PATIENCE = 1.0
"""Seconds that a worker waits for a task in one call."""


@expose
@behavior(instance_mode="single")
class Tasks:
    """The waiting tasks, and those that workers have taken."""

    def __init__(self):
        self._numbers = itertools.count(1)
        self._waiting = queue.Queue()
        self._taken = {}

    def submit(self, argument):
        """Add a task and return its number. The event `pool.done.NUMBER` will have the result."""
        number = next(self._numbers)
        self._waiting.put((number, argument))
        return number

    def take(self):
        """Return a task, or None. The task comes back if the caller leaves without `done`."""
        try:
            task = self._waiting.get(timeout=PATIENCE)
        except queue.Empty:
            return None
        number, _ = task
        self._taken[number] = Taken(task, self._waiting)
        current_context.track_resource(self._taken[number])
        return task

    def done(self, number):
        """Report that a task taken over this connection is done."""
        current_context.untrack_resource(self._taken.pop(number))


class Taken:
    """A task in progress. Pyro5 closes it when the worker's connection is gone."""

    def __init__(self, task, waiting):
        self._task = task
        self._waiting = waiting

    def close(self):
        self._waiting.put(self._task)
