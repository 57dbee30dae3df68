"""Numbers for Prometheus, readiness for load balancers, findings of the doctor, and topology."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from pyroctl.errors import PyroctlError
from pyroctl.view.topology import topology as draw
from pyroctl.web.api.call import Reply
from pyroctl.web.programs import run_command, run_json

if TYPE_CHECKING:
    from pyroctl.view.metrics.text import Sample
    from pyroctl.web.api.call import Call

OTHER = "other"


async def metrics(call: Call) -> Response:
    """Return the numbers of all services in the text format of Prometheus."""
    from importlib.metadata import version

    from pyroctl.view.metrics.samples import samples
    from pyroctl.view.metrics.text import CONTENT_TYPE, render

    try:
        measured = await call.site.link.data("measure", {})
    except PyroctlError as error:
        return Response(f"# {error}\n", 503, media_type="text/plain")
    found = [
        *samples(measured, version("Pyro5")),
        *call.site.samples_of_page(),
        *await _subjects(call, [row["name"] for row in measured["services"] if row.get("es")]),
    ]
    return Response(render(found), headers={"content-type": CONTENT_TYPE})


async def _subjects(call: Call, services: list[str]) -> list[Sample]:
    """Return how often the subjects were published that have a label; others are one together."""
    templates = call.site.settings.options.metrics_labels.subjects
    found: list[Sample] = []
    for name in services if templates else ():
        counts = Counter(dict.fromkeys((*templates, OTHER), 0))
        with contextlib.suppress(PyroctlError):
            inventory = await call.site.link.data("subjects", {"services": [name]})
            for row in inventory["subjects"]:
                label = next((t for t in templates if _begins(t, row["subject"])), OTHER)
                counts[label] += row["count"]
        found += [("pyro_events_subject_published_total", (name, t), n) for t, n in counts.items()]
    return found


def _begins(template: str, subject: str) -> bool:
    return re.match(template, subject, re.IGNORECASE) is not None


async def ready(call: Call) -> Response:
    """Return 200 if all enabled services run, else 503 and the names of those that don't."""
    status = call.site.watch.status()
    down = [
        row["name"]
        for row in status["services"]
        if row["name"] in status["enabled"] and row["state"] not in {"running", "exited"}
    ]
    if not call.site.watch.alive:
        return JSONResponse({"ready": False, "error": call.site.watch.error}, 503)
    return JSONResponse({"ready": not down, "not_running": down}, 503 if down else 200)


async def openapi(call: Call) -> Response:
    """Return this description."""
    if call.site.openapi is None:
        found = await run_json(["pyroctl.web.openapi"])
        call.site.openapi = json.dumps(found, separators=(",", ":"))
    return Response(call.site.openapi, media_type="application/json")


async def doctor(call: Call) -> Reply:
    """Return what is wrong, or will be."""
    async with call.site.examining:
        found = await run_command(call.site.settings, "doctor")
    if found["data"] is None:
        return Reply(None, 409, found["errors"])
    return Reply(found["data"])


async def topology(call: Call) -> Reply:
    """Return services, clients, subscribers and publishers, and what connects them."""
    link = call.site.link
    rows = call.site.watch.status()["services"]
    services = [row["name"] for row in rows if row["kind"] == "eventservice"]
    observed = _or(await asyncio.gather(link.data("connections", {}), return_exceptions=True), [])
    inventories: dict[str, Any] = {}
    for name in services:
        args = {"services": [name]}
        found = await asyncio.gather(
            link.data("subscriptions", args), link.data("subjects", args), return_exceptions=True
        )
        inventories[name] = {
            "subscriptions": _or(found[:1], {"subscriptions": []})["subscriptions"],
            "subjects": _or(found[1:], {"edges": [], "seconds": 0}),
        }
    return Reply(draw(rows, observed, inventories))


def _or(found: Any, default: Any) -> Any:
    return default if isinstance(found[0], PyroctlError) else _raised(found[0])


def _raised(found: Any) -> Any:
    if isinstance(found, BaseException):
        raise found
    return found
