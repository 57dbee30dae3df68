"""What changes something: start, stop, restart, reload; and what that would cost."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pyroctl.errors import PyroctlError, UsageError
from pyroctl.view.costs import describe_cost, losers, sum_up
from pyroctl.web.api.call import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.web.api.call import Call
    from pyroctl.web.api.models import Action, Foresee, Reload

WAYS = {"plain": "notify"}
"""Words of the page for ways of the manager."""


class WouldBeLost(PyroctlError):
    """An action would cost clients something that nobody was shown."""

    code = "would-lose"


async def foresee(call: Call) -> Reply:
    """Return who would lose what by a stop or a restart."""
    body: Foresee = call.body
    return Reply(await _cost(call, body.do, body.services, body.how))


async def start(call: Call) -> Reply:
    """Begin to start a service, and what it needs."""
    name = call.path["name"]
    return _begin(call, "start", [name], {"services": [name]})


async def stop(call: Call) -> Reply:
    """Begin to stop a service; 409 and what it costs if `seen` doesn't name that."""
    return await _careful(call, "stop")


async def restart(call: Call) -> Reply:
    """Begin to restart a service; 409 and what it costs if `seen` doesn't name that."""
    return await _careful(call, "restart")


async def _careful(call: Call, do: str) -> Reply:
    body: Action = call.body
    name = call.path["name"]
    cost = await _cost(call, do, [name], body.how)
    lost = [entry for entry in cost["costs"] if losers(entry)]
    if lost and (body.safe or body.seen != cost["seen"]):
        error = WouldBeLost(sum_up(lost), hint="see what it costs, and confirm that")
        return Reply(cost, 409, error.entries())
    args: dict[str, Any] = {"services": [name]}
    if body.how is not None and do == "restart":
        args["how"] = WAYS.get(body.how, body.how)
    return _begin(call, do, [name], args)


async def operation(call: Call) -> Reply:
    """Return the progress of an operation, or its result."""
    found = call.site.operations.find(call.path["id"])
    if found is None:
        raise UsageError("there is no such operation, or not any more")
    return Reply(found)


async def reload(call: Call) -> Reply:
    """Read the configuration again, and apply what changed; with `dry_run` return the plan."""
    body: Reload = call.body
    if body.dry_run:
        return Reply(await call.site.link.data("reload", {"services": [], "dry_run": True}))
    return _begin(call, "reload", [], {"services": []})


def _begin(call: Call, do: str, names: Sequence[str], args: dict[str, Any]) -> Reply:
    begun = call.site.operations.begin(do, names, args, call.principal)
    return Reply({"operation": begun["id"]}, 202)


async def _cost(call: Call, do: str, names: Sequence[str], how: str | None) -> dict[str, Any]:
    args: dict[str, Any] = {"services": list(names), "command": do}
    if how is not None and do == "restart":
        args["how"] = WAYS.get(how, how)
    found = await call.site.link.data("foresee", args)
    costs = [{**entry, "lines": describe_cost(entry)} for entry in found["consequences"]]
    text = json.dumps([[entry["service"], list(losers(entry))] for entry in costs], sort_keys=True)
    seen = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"costs": costs, "handover": found["handover"], "seen": seen}


ACTIONS = {"start": start, "stop": stop, "restart": restart}
