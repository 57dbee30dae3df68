"""How the processes are doing, from time to time, and whether that grows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Sample:
    """`at` is seconds since the beginning, `answer` those that an event service took to answer."""

    at: float
    rss_kib: int
    pss_kib: int
    descriptors: int
    threads: int
    connections: int = 0
    subscribers: int = 0
    queued: int = 0
    held: int = 0
    published: int = 0
    delivered: int = 0
    dropped: int = 0
    answer: float = 0.0


_COUNTS = ("connections", "subscribers", "queued", "held", "published", "delivered", "dropped")


def take(pid: int, began: float, es: object = None) -> Sample:
    """Look at the process, and ask an event service over a proxy; raises what Pyro5 does."""
    asked = time.monotonic()
    counts = es.statistics() if es is not None else {}  # type: ignore[attr-defined] # as the object
    answer = time.monotonic() - asked
    rollup = _numbers(Path(f"/proc/{pid}/smaps_rollup"))
    return Sample(
        at=round(asked - began, 3),
        rss_kib=rollup["Rss"],
        pss_kib=rollup["Pss"],
        descriptors=descriptors(pid),
        threads=_numbers(Path(f"/proc/{pid}/status"))["Threads"],
        answer=round(answer, 4),
        **{key: counts[key] for key in _COUNTS if counts},
    )


def descriptors(pid: int) -> int:
    """Return how many the process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def cpu(pid: int) -> float:
    """Return the processor time of a process so far, in seconds (see clock_getres(2))."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:  # it has ended
        return 0.0


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the rise of y for each x by least squares; 0 for less than two points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def _numbers(path: Path) -> dict[str, int]:
    """Return the numbers of a file with lines `Key:  12 kB`."""
    found = {}
    for line in path.read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdecimal():
            found[key] = int(words[0])
    return found
