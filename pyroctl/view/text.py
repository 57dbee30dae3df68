"""Numbers and durations as people read them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 subscriber` or `2 subscribers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Return a duration in its largest unit, such as `5 min`."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def bytes_text(number: float | None) -> str:
    """Return a number of bytes in megabytes, such as `24 MB`."""
    return "-" if number is None else f"{number / 1e6:.0f} MB"


def percent(number: float | None) -> str:
    """Return a load in percent of one processor."""
    return "-" if number is None else f"{number:.1f} %"


def rate(number: float | None) -> str:
    """Return a count, or events per second, in three digits, such as `12.4 k`."""
    if number is None:
        return "-"
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"
