"""Numbers of the past, for plots."""

from __future__ import annotations

import time

from pyroctl.errors import UsageError
from pyroctl.web.api.call import Call, Reply

MOST_POINTS = 2000
LAST_HOUR = 3600.0
FOREVER = 1e12


async def series(call: Call) -> Reply:
    """Return a series between two times, at most so many points; null is no sample."""
    history = call.site.history
    if history is None:
        raise UsageError("this page keeps no history", hint='history = "7d" in its configuration')
    now = time.time()
    end = call.number("to", now, lowest=0, highest=FOREVER)
    start = call.number("from", end - LAST_HOUR, lowest=0, highest=end)
    points = int(call.number("points", 600, lowest=1, highest=MOST_POINTS))
    name = f"{call.query.get('service', '')}/{call.query.get('name', '')}"
    found = history.series.read(name, start, end, points)
    if found is None:
        raise UsageError(f"there is no series {name}", hint="GET api/v1/series/names lists them")
    data = {"from": found.start, "step": found.step, "mean": found.mean, "min": found.low}
    return Reply({**data, "max": found.high})


async def names(call: Call) -> Reply:
    """Return the series that there are, and how many have found no room."""
    history = call.site.history
    if history is None:
        return Reply({"names": [], "refused": 0})
    return Reply({"names": history.series.names, "refused": len(history.series.refused)})
