"""Times of the day on chosen days, such as `mon,thu 03:00`. Pure.

They are local times. A time that the clock skips, when summer time begins, is the moment of the
change; one that the clock shows twice is the first of the two.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import tzinfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LAST = "last"
"""The last day of a month."""
FORMS = 'such as "03:00", "mon-fri 03:00", "mon,thu 03:00" or "1,15,last 03:00"'
LONGEST_MONTH = 31
HORIZON = 64
"""Days until the next time at the latest: a month may lack the day."""
_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)


class ScheduleError(ValueError):
    """A time that can't be; `hint` says how times are written."""

    def __init__(self, message: str, hint: str = FORMS) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class DayTime:
    """A time of the day on the days that are chosen; without any, every day."""

    time: time
    weekdays: frozenset[int] = frozenset()
    """0 is Monday."""
    days: frozenset[int] = frozenset()
    """Of the month; 0 is the last one."""

    def falls_on(self, day: date) -> bool:
        """Return whether a day is one of those that are chosen."""
        if self.days:
            is_last = day.day == monthrange(day.year, day.month)[1]
            return day.day in self.days or (0 in self.days and is_last)
        return not self.weekdays or day.weekday() in self.weekdays


def parse(text: str) -> DayTime:
    """Read one time. Raises ScheduleError."""
    *chosen, clock = text.lower().split() or [""]
    if len(chosen) > 1:
        raise ScheduleError(f'"{text}" is not a time')
    items = chosen[0].split(",") if chosen else []
    numbers = [number for item in items for number in _days(item, text)]
    weekdays = frozenset(number - LONGEST_MONTH - 1 for number in numbers if number > LONGEST_MONTH)
    days = frozenset(number for number in numbers if number <= LONGEST_MONTH)
    if weekdays and days:
        raise ScheduleError(f'"{text}" has days of the week and of the month: choose one of them')
    return DayTime(_clock(clock, text), weekdays, days)


def next_time(times: Iterable[DayTime], after: datetime, zone: tzinfo) -> datetime | None:
    """Return the first of these times after that one; None if there are no times."""
    first = after.astimezone(zone).date() - timedelta(days=1)
    return min((found for each in times for found in _next(each, first, after, zone)), default=None)


def _next(each: DayTime, first: date, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    for number in range(HORIZON):
        day = first + timedelta(days=number)
        if each.falls_on(day):
            moment = _moment(datetime.combine(day, each.time), zone)
            if moment > after:
                yield moment
                return


def _moment(local: datetime, zone: tzinfo) -> datetime:
    """Return when the clocks of a zone show a time."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)  # skipped: between these two
    offset = moment.astimezone(zone).utcoffset()
    while moment - before > timedelta(seconds=1):
        middle = before + (moment - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            moment = middle
        else:
            before = middle
    return moment.replace(microsecond=0)


def _clock(text: str, whole: str) -> time:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ScheduleError(f'"{whole}" is not a time')
    hour, minute, second = (int(part or 0) for part in match.groups())
    try:
        return time(hour, minute, second)
    except ValueError:
        hint = 'the day begins with "00:00"' if hour == 24 else FORMS  # noqa: PLR2004
        raise ScheduleError(f'"{whole}": there is no time {text}', hint) from None


def _days(item: str, whole: str) -> list[int]:
    """Return the numbers of days: of the month, or those of the week after the longest month."""
    first, dash, last = item.partition("-")
    begin, end = _day(first, whole), _day(last, whole) if dash else _day(first, whole)
    if dash and 0 in {begin, end}:
        raise ScheduleError(f'"{whole}": last can\'t be part of a range')
    if begin > LONGEST_MONTH and end > LONGEST_MONTH:
        length = (end - begin) % len(WEEKDAYS) + 1
        first_day = begin - LONGEST_MONTH - 1
        return [
            LONGEST_MONTH + 1 + (first_day + number) % len(WEEKDAYS) for number in range(length)
        ]
    if begin > end or end > LONGEST_MONTH:
        raise ScheduleError(f'"{whole}": {item} is not a range of days')
    return list(range(begin, end + 1))


def _day(text: str, whole: str) -> int:
    if text == LAST:
        return 0
    if text.isdecimal() and 1 <= int(text[:3]) <= LONGEST_MONTH:
        return int(text)
    for number, name in enumerate(WEEKDAYS):
        if text in {name, *_LONG_NAMES[name]}:
            return LONGEST_MONTH + 1 + number
    hint = f"days are {', '.join(WEEKDAYS)}, numbers from 1 to {LONGEST_MONTH}, and {LAST}"
    raise ScheduleError(f'"{whole}": there is no day "{text}"', hint)


_LONG_NAMES = {
    "mon": ("monday",),
    "tue": ("tues", "tuesday"),
    "wed": ("wednesday",),
    "thu": ("thurs", "thursday"),
    "fri": ("friday",),
    "sat": ("saturday",),
    "sun": ("sunday",),
}
