"""When a service uses more memory or processor time than it may, for too long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.spec import ServiceSpec

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
SAMPLES_PER_WINDOW = 5
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class UsageSample:
    """What the processes of a service used at one time."""

    at: float
    """Monotonic seconds."""
    rss: int
    """Bytes of memory, all processes together."""
    cpu: Mapping[int, float]
    """Seconds of processor time since its start, for each process."""


@dataclass(frozen=True, slots=True)
class Excess:
    """Since when every sample has exceeded a limit; None: the last one didn't."""

    rss_since: float | None = None
    cpu_since: float | None = None


def is_limited(spec: ServiceSpec) -> bool:
    """Return whether its usage has to be sampled."""
    return spec.max_rss is not None or spec.max_cpu is not None


def pause(window: float) -> float:
    """Return the seconds between two samples."""
    return min(max(window / SAMPLES_PER_WINDOW, SHORTEST_PAUSE), LONGEST_PAUSE)


def load(before: UsageSample, now: UsageSample) -> float:
    """Return the processor time between two samples, in percent of one processor."""
    spent = sum(seconds - before.cpu.get(pid, 0.0) for pid, seconds in now.cpu.items())
    lived = now.at - before.at
    return 100 * spent / lived if lived > 0 else 0.0


def compare(spec: ServiceSpec, excess: Excess, before: UsageSample, now: UsageSample) -> Excess:
    """Return the excess after another sample; one within the limit resets it."""
    too_big = spec.max_rss is not None and now.rss > spec.max_rss
    too_busy = spec.max_cpu is not None and load(before, now) > spec.max_cpu
    rss_since = now.at if excess.rss_since is None else excess.rss_since
    cpu_since = before.at if excess.cpu_since is None else excess.cpu_since
    return Excess(rss_since if too_big else None, cpu_since if too_busy else None)


def cause(reason: str) -> str:
    """Return which limit a verdict is about, as in `core.counters.RESTARTS`."""
    return "cpu" if "max_cpu" in reason else "memory"


def verdict(spec: ServiceSpec, excess: Excess, before: UsageSample, now: UsageSample) -> str | None:
    """Return why the service must be restarted, or None."""
    if excess.rss_since is not None and now.at - excess.rss_since >= spec.window:
        assert spec.max_rss is not None
        used, allowed = now.rss / MEGABYTE, spec.max_rss / MEGABYTE
        return f"used {used:.1f} MB of memory, more than max_rss ({allowed:.1f} MB)"
    if excess.cpu_since is not None and now.at - excess.cpu_since >= spec.window:
        assert spec.max_cpu is not None
        return (
            f"used {load(before, now):.0f} % of a processor, more than max_cpu ({spec.max_cpu:g} %)"
        )
    return None
