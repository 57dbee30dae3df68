"""What the deployment runs: an object, and a command that prints numbers."""

from __future__ import annotations

import itertools
import time

from Pyro5.api import expose


class Counter:
    """Counts its calls."""

    def __init__(self) -> None:
        self._calls = itertools.count(1)

    @expose  # type: ignore[untyped-decorator] # Pyro5 ships no types
    def count(self) -> int:
        """Return the next number."""
        return next(self._calls)


def tick() -> None:
    """Print a line every 20 ms."""
    print("ticking", flush=True)
    for number in itertools.count():
        print(f"tick {number} {'-' * 60}", flush=True)
        time.sleep(0.02)  # sleep: this is its rate


if __name__ == "__main__":
    tick()
