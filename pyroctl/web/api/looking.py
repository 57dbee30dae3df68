"""The state of the deployment, and the stream of what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from pyroctl.errors import UnknownService, UsageError
from pyroctl.web.api.call import Reply
from pyroctl.web.live.hub import MOST_TOPICS
from pyroctl.web.live.stream import parse_id

if TYPE_CHECKING:
    from starlette.responses import Response

    from pyroctl.web.api.call import Call
    from pyroctl.web.api.models import Topics

LONGEST_TOPIC = 500


async def status(call: Call) -> Reply:
    """Return all services and their states."""
    return Reply(call.site.status(call.principal.role))


async def service(call: Call) -> Reply:
    """Return one service: its row, who needs it, and its configuration with origins."""
    name = call.path["name"]
    found = call.site.status(call.principal.role)
    rows = {row["name"]: row for row in found["services"]}
    if name not in rows:
        raise UnknownService(name, rows)
    needed_by = [other for other, row in rows.items() if name in row["needs"]]
    return Reply({**rows[name], "needed_by": needed_by})


async def timeline(call: Call) -> Reply:
    """Return what has happened since a time, newest first."""
    since = call.number("since", 0, lowest=0, highest=1e12)
    return Reply(call.site.timeline.journal.since(since))


async def stream(call: Call) -> Response:
    """Send what changes, as server-sent events, until the browser leaves."""
    last = parse_id(call.headers.get("last-event-id") or call.query.get("last", ""))
    listener, first = call.site.hub.open(last, call.principal.role)
    return StreamingResponse(
        call.site.hub.serve(listener, first),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


async def choose_topics(call: Call) -> Reply:
    """Replace what a stream wants besides what everybody gets."""
    body: Topics = call.body
    if len(body.topics) > MOST_TOPICS or any(len(each) > LONGEST_TOPIC for each in body.topics):
        raise UsageError(f"at most {MOST_TOPICS} topics of {LONGEST_TOPIC} characters")
    if not call.site.hub.choose(call.path["id"], frozenset(body.topics)):
        raise UsageError("there is no such stream", hint="connect to api/v1/stream again")
    return Reply({"topics": body.topics})
