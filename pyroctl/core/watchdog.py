"""When a service that doesn't answer counts as hung. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroctl.core.spec import WatchdogSpec

GRACE = 1.0
"""Seconds: a time-out that we notice later than that says more about us than about the service."""


def count_missed(missed: int, waited: float, spec: WatchdogSpec, *, answered: bool) -> int:
    """Give how many questions in a row are unanswered now, `missed` before this one.

    `waited` is how long, in seconds, this one was open until we noticed that there is no answer.
    If that is much longer than the time-out, we were stopped ourselves, with the whole machine
    probably: nobody can be blamed for that time, and everybody begins anew.
    """
    if answered or waited > spec.timeout + GRACE:
        return 0
    return missed + 1


def verdict(missed: int, spec: WatchdogSpec) -> str | None:
    """Say why the service is to be ended, or None if it isn't."""
    if missed < spec.failures:
        return None
    return f"did not answer {missed} ping{'s' if missed > 1 else ''}"
