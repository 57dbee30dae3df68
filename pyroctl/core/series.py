"""Series of numbers in rings of fixed size: fine for minutes, coarse for days. Pure.

All series are in one buffer, which may be a mapped file: a process that is killed loses nothing,
and the next one continues. A cell without a sample is NaN, and is never joined with others.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Cells = memoryview


class Tier(NamedTuple):
    """A ring of cells: `points` of them, each for `step` seconds, with 1 or 3 numbers."""

    step: int
    points: int
    values: int

    @property
    def seconds(self) -> int:
        """How long ago the oldest cell is."""
        return self.step * self.points


class Window(NamedTuple):
    """A part of a series, as it is plotted; None is no sample."""

    start: int
    """The time of the first point, in seconds since the epoch."""
    step: int
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]


TIERS = (Tier(1, 600, 1), Tier(15, 720, 3), Tier(300, 2016, 3))
"""Ten minutes (means), three hours and seven days (mean, lowest, highest)."""
MOST_SERIES = 500
LONGEST_NAME = 120
"""Bytes."""
SHORT_GAP = 20
"""Seconds between samples that are no gap: seldom samples fill the fine cells between them."""
MAGIC = b"pyroctl series 1"
_HEAD = struct.Struct("16s3q")
_ENTRY = struct.Struct(f"{LONGEST_NAME}sd")
_ENTRIES = 64
_BLOCKS = _ENTRIES + MOST_SERIES * _ENTRY.size
_FLOATS = sum(tier.points * tier.values for tier in TIERS)
BLOCK = 4 * _FLOATS
"""Bytes of one series."""
SIZE = _BLOCKS + MOST_SERIES * BLOCK
"""Bytes of the buffer."""


def block_end(slot: int) -> int:
    """Return how many bytes of the buffer are used if that slot is the last one."""
    return _BLOCKS + (slot + 1) * BLOCK


class Series:
    """All series of a page. `buffer` has `SIZE` bytes; if it has another layout, it is emptied.

    `room` returns whether there is room for the bytes up to a place, when a series begins.
    """

    def __init__(self, buffer: memoryview, room: Callable[[int], bool] = lambda _: True) -> None:
        self._buffer = buffer
        self._room = room
        self._cells = buffer[_BLOCKS:SIZE].cast("f")
        self.fresh = bytes(buffer[: len(MAGIC)]) != MAGIC
        """Whether the buffer had nothing that could be read."""
        self.refused: set[str] = set()
        """Names for which there was no room."""
        self._counts: list[dict[int, int]] = [{} for _ in TIERS]
        """Samples in the newest cell of each series, by its slot."""
        if self.fresh:
            buffer[:_BLOCKS] = bytes(_BLOCKS)
            self._last = [0] * len(TIERS)
            self._write_head()
        else:
            self._last = list(_HEAD.unpack_from(buffer)[1:])
        self._slots = self._read_names()

    @property
    def names(self) -> list[str]:
        """The names of all series."""
        return list(self._slots)

    def add(self, time: float, values: Mapping[str, float | None]) -> None:
        """Add a sample of some series; `time` is in seconds since the epoch."""
        slots = {
            slot: value
            for name, value in values.items()
            if value is not None and (slot := self._slot(name, time)) is not None
        }
        for number, tier in enumerate(TIERS):
            index = int(time // tier.step)
            before = self._advance(number, tier, index)
            for slot, value in slots.items():
                if tier.values == 1:
                    first = before + 1 if 0 < index - before <= SHORT_GAP else index
                    for each in range(first, index + 1):
                        self._cells[self._place(slot, number, each)] = value
                else:
                    self._merge(slot, number, index, value, time)
        self._write_head()

    def read(self, name: str, start: float, end: float, points: int) -> Window | None:
        """Return at most so many points of a series between two times; None if there is none."""
        slot = self._slots.get(name)
        if slot is None:
            return None
        number = next(
            (n for n, t in enumerate(TIERS) if (self._last[n] + 1) * t.step - t.seconds <= start),
            len(TIERS) - 1,
        )
        tier = TIERS[number]
        first = max(int(start // tier.step), self._last[number] - tier.points + 1)
        last = min(int(end // tier.step), self._last[number])
        together = max(1, math.ceil((last - first + 1) / max(1, points)))
        first -= first % together
        window = Window(first * tier.step, tier.step * together, [], [], [])
        for index in range(first, last + 1, together):
            cells = range(
                max(index, self._last[number] - tier.points + 1), min(index + together, last + 1)
            )
            self._read_point(window, slot, number, cells)
        return window

    def _read_point(self, window: Window, slot: int, number: int, indexes: range) -> None:
        values = TIERS[number].values
        means, lows, highs = [], [], []
        for index in indexes:
            place = self._place(slot, number, index)
            mean = self._cells[place]
            if not math.isnan(mean):
                means.append(mean)
                lows.append(self._cells[place + 1] if values > 1 else mean)
                highs.append(self._cells[place + 2] if values > 1 else mean)
        window.mean.append(sum(means) / len(means) if means else None)
        window.low.append(min(lows, default=None))
        window.high.append(max(highs, default=None))

    def _advance(self, number: int, tier: Tier, index: int) -> int:
        """Make an index the newest one, and empty the cells between; return the one before."""
        last = self._last[number]
        if index != last:
            low, high = (last + 1, index) if index > last else (index + 1, last)
            for each in range(max(low, high - tier.points + 1), high + 1):
                for slot in self._slots.values():
                    place = self._place(slot, number, each)
                    for value in range(tier.values):
                        self._cells[place + value] = math.nan
            self._last[number] = index
            self._counts[number].clear()
        return last

    def _merge(self, slot: int, number: int, index: int, value: float, time: float) -> None:
        place = self._place(slot, number, index)
        mean, low, high = self._cells[place : place + 3]
        if math.isnan(mean):
            mean, low, high, count = value, value, value, 1
        else:
            passed = time - index * TIERS[number].step  # another process may have counted
            count = 1 + self._counts[number].get(slot, max(1, round(passed / TIERS[1].step)))
            mean += (value - mean) / count
            low, high = min(low, value), max(high, value)
        self._counts[number][slot] = count
        for each, number_ in enumerate((mean, low, high)):
            self._cells[place + each] = number_

    def _place(self, slot: int, number: int, index: int) -> int:
        tier = TIERS[number]
        before = sum(each.points * each.values for each in TIERS[:number])
        return slot * _FLOATS + before + index % tier.points * tier.values

    def _slot(self, name: str, time: float) -> int | None:
        slot = self._slots.get(name)
        if slot is None:
            slot = self._begin(name, time)
        if slot is not None:
            struct.pack_into("d", self._buffer, _ENTRIES + slot * _ENTRY.size + LONGEST_NAME, time)
        return slot

    def _begin(self, name: str, time: float) -> int | None:
        """Return a slot for a new series: a free one, or that of a series that has long ended."""
        text = name.encode()
        used = {slot: self._entry(slot)[1] for slot in self._slots.values()}
        free = next((slot for slot in range(MOST_SERIES) if slot not in used), None)
        if free is None:
            oldest = min(used, key=used.__getitem__)
            if used[oldest] < time - TIERS[-1].seconds:
                free = oldest
                self._slots = {n: slot for n, slot in self._slots.items() if slot != free}
        if free is None or len(text) > LONGEST_NAME or not self._room(block_end(free)):
            self.refused.add(name)
            return None
        self._cells[free * _FLOATS : (free + 1) * _FLOATS] = _EMPTY
        _ENTRY.pack_into(self._buffer, _ENTRIES + free * _ENTRY.size, text, time)
        self._slots[name] = free
        return free

    def _entry(self, slot: int) -> tuple[bytes, float]:
        text, time = _ENTRY.unpack_from(self._buffer, _ENTRIES + slot * _ENTRY.size)
        return text.rstrip(b"\0"), time

    def _read_names(self) -> dict[str, int]:
        found = {}
        for slot in range(MOST_SERIES):
            text, _ = self._entry(slot)
            if text:
                found[text.decode(errors="replace")] = slot
        return found

    def _write_head(self) -> None:
        _HEAD.pack_into(self._buffer, 0, MAGIC, *self._last)


_EMPTY = memoryview(struct.pack("f", math.nan) * _FLOATS).cast("f")
