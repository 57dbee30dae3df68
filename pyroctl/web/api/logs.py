"""The logs of services: searched on the server, all of them, whether the services run or not."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from pyroctl.errors import UsageError
from pyroctl.log_reader.search import (
    Query,
    decode_cursor,
    search_newer,
    search_older,
)
from pyroctl.log_reader.sources import sources
from pyroctl.web.api.call import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import regex
    from starlette.responses import Response

    from pyroctl.log_reader.files import Source
    from pyroctl.log_reader.search import Found
    from pyroctl.web.api.call import Call

MOST_LINES = 5000
SEARCH_SECONDS = 2.0
DOWNLOAD_STEP = 5000
LONGEST_PATTERN = 1000
MOST_SEARCHES = 4
"""At one time."""


async def logs(call: Call) -> Reply | Response:
    """Return lines in order of time: the newest, those before or after a cursor, or a download.

    A search takes two seconds at most; then `complete` is false, and `older` continues it.
    """
    site = call.site
    chosen = sources(site.settings.paths, call.query.getlist("service"), call.query.get("stream"))
    query = _query(call)
    if "text/plain" in call.headers.get("accept", ""):
        return StreamingResponse(_download(chosen, query), media_type="text/plain; charset=utf-8")
    before, after = call.query.get("before"), call.query.get("after")
    async with site.searches:
        if after:
            found = await asyncio.to_thread(search_newer, chosen, query, decode_cursor(after))
        else:
            place = decode_cursor(before) if before else None
            found = await asyncio.to_thread(search_older, chosen, query, place)
    return Reply(_data(found))


def _query(call: Call) -> Query:
    return Query(
        pattern=_pattern(call),
        since=_time(call, "since", 0.0),
        until=_time(call, "until", float("inf")),
        limit=int(call.number("limit", 500, lowest=1, highest=MOST_LINES)),
        seconds=SEARCH_SECONDS,
    )


def _pattern(call: Call) -> regex.Pattern[str] | None:
    text = call.query.get("grep", "")
    if not text:
        return None
    if len(text) > LONGEST_PATTERN:
        raise UsageError(f"grep is longer than {LONGEST_PATTERN} characters")
    import regex

    try:
        return regex.compile(text, 0 if call.query.get("case") == "1" else regex.IGNORECASE)
    except (regex.error, RecursionError, OverflowError) as error:
        raise UsageError(f"grep {text!r} is not a regular expression: {error}") from None


def _time(call: Call, name: str, default: float) -> float:
    text = call.query.get(name, "")
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        hint = "seconds since the epoch, or 2026-01-31T12:00:00+01:00"
        raise UsageError(f"{name} {text!r} is not a time", hint=hint) from None


def _data(found: Found) -> dict[str, object]:
    lines = [{**line._asdict(), "cursor": cursor} for line, cursor in found.lines]
    return {
        "lines": lines,
        "older": found.older,
        "newer": found.newer,
        "truncated": found.older is not None,
        "complete": found.complete,
        "searched_until": found.searched_until,
    }


def _download(chosen: Sequence[Source], query: Query) -> Iterator[str]:
    """Return all lines that match, oldest first, with their services if there are several."""
    place = decode_cursor(_BEGINNING)
    several = len({each.service for each in chosen}) > 1
    while True:
        part = Query(query.pattern, query.since, query.until, DOWNLOAD_STEP, SEARCH_SECONDS)
        found = search_newer(chosen, part, place)
        for line, _ in found.lines:
            name = f"{line.service} | " if several else ""
            yield f"{line.time} {name}{line.text}\n"
        following = decode_cursor(found.newer)
        if following == place:
            return
        place = following


_BEGINNING = "e30"  # {}
