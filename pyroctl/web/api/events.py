"""Event services: who is subscribed, which subjects flow, and publishing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pyroctl.errors import UsageError
from pyroctl.view.rates import subject_rates
from pyroctl.web.api.call import Reply

if TYPE_CHECKING:
    from pyroctl.web.api.call import Call
    from pyroctl.web.api.models import Publish

LONGEST_SUBJECT = 1000


async def subscriptions(call: Call) -> Reply:
    """Return the subscribers of an event service; `sort=queued` has the fullest queues first."""
    found = await call.site.link.data("subscriptions", _chosen(call))
    rows = found["subscriptions"]
    if call.query.get("sort") == "queued":
        rows = sorted(rows, key=lambda row: -row["queued"])
    return Reply(rows)


async def subjects(call: Call) -> Reply:
    """Return the subjects that flow, with rates; they are counted from the first look on."""
    found = await _looked(call)
    return Reply(found["subjects"])


async def publishers(call: Call) -> Reply:
    """Return who publishes."""
    found = await _looked(call)
    return Reply(found["publishers"])


async def publish(call: Call) -> Reply:
    """Publish a value of JSON."""
    body: Publish = call.body
    if not 0 < len(body.subject) <= LONGEST_SUBJECT:
        raise UsageError(f"a subject has 1 to {LONGEST_SUBJECT} characters")
    chosen = [body.service] if body.service else []
    args = {"services": chosen, "subject": body.subject, "msg": body.msg}
    data = await call.site.link.data("publish", args)
    call.site.audit(call.principal, f"published {body.subject}", data["service"])
    return Reply(data)


async def whole(call: Call) -> Reply:
    """Return all of a message that the tap has cut: `n` is its number."""
    number = int(call.number("n", 0, lowest=0, highest=1e15))
    text = await call.site.taps.whole(call.query.get("service", ""), number)
    if text is None:
        raise UsageError("that message is not kept any more")
    return Reply({"text": text})


def _chosen(call: Call) -> dict[str, Any]:
    name = call.query.get("service", "")
    return {"services": [name] if name else []}


async def _looked(call: Call) -> dict[str, Any]:
    """Return the inventory, with rates since the look before."""
    found: dict[str, Any] = await call.site.link.data("subjects", _chosen(call))
    looks = call.site.looks
    before, at = looks.get(found["service"], (None, 0.0))
    now = time.monotonic()
    if before is None or now - at >= 1:
        looks[found["service"]] = (found, now)
    rows = subject_rates(before or {**found, "subjects": [], "seconds": 0.0}, found)
    return {**found, "subjects": rows}
