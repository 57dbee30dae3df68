"""The configuration: shown with origins, checked, and changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pyroctl.errors import Reported, UsageError
from pyroctl.web.api.call import Reply
from pyroctl.web.programs import run_json
from pyroctl.web.versions import etag, file_id

if TYPE_CHECKING:
    from pyroctl.web.api.call import Call
    from pyroctl.web.api.models import Check, Write

EDITOR = "configure"
WORKER = "pyroctl.web.config_worker"


async def show(call: Call) -> Reply:
    """Return the files, and all values with their origins; values of env are masked.

    Clients that may not change the files see them with masked values, too.
    """
    found = await _show(call)
    pending: list[Any] = []
    if call.site.watch.alive and call.principal.role == EDITOR:
        plan = await call.site.link.ask("reload", {"services": [], "dry_run": True})
        pending = plan["data"]["plan"] if plan["data"] else []
    return Reply({**found, "pending": pending})


async def file(call: Call) -> Reply:
    """Return a file with its ETag; `versions=1` lists older ones, `version=N` returns one."""
    one = await _file(call)
    older = call.site.versions
    if call.query.get("versions"):
        return Reply(await asyncio.to_thread(older.list, one["path"]))
    if call.query.get("version"):
        if call.principal.role != EDITOR:
            raise UsageError("only who may change the files may see older versions")
        text = await asyncio.to_thread(older.read, one["path"], call.query["version"])
        return Reply({**one, "text": text})
    return Reply(one, headers={"etag": one["etag"]})


async def check(call: Call) -> Reply:
    """Return all faults that the configuration would have with these texts, and what it changes."""
    body: Check = call.body
    return Reply(await _check(call, body.files))


async def write(call: Call) -> Reply:
    """Write a file, if the whole configuration is valid with it and If-Match names its ETag.

    The version before is kept: `undo` is its number.
    """
    body: Write = call.body
    expected = call.headers.get("if-match")
    if expected is None:
        raise UsageError("If-Match is missing", hint="the ETag of the version that was edited")
    one = await _file(call)
    found = await _check(call, {one["id"]: body.text})
    if found["faults"]:
        raise Reported(found["faults"], 6)
    path = one["path"]
    write_ = call.site.versions.write
    undo = await asyncio.to_thread(write_, path, body.text, expected, call.principal)
    call.site.audit(call.principal, f"changed {path}")
    tag = etag(path)
    return Reply({**found, "etag": tag, "undo": undo}, headers={"etag": tag})


async def of_service(call: Call, name: str) -> list[dict[str, Any]]:
    """Return the settings of a service with their origins."""
    found = await _show(call)
    return [
        {"key": each["key"], "value": each["value"], "origin": each["origin"]}
        for each in found["values"]
        if each["service"] == name
    ]


async def _show(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = await _ask(
        call, {"do": "show", "masked": call.principal.role != EDITOR}
    )
    for each in found["files"]:
        each |= {"id": file_id(each["path"]), "etag": etag(each["path"])}
    return found


async def _file(call: Call) -> dict[str, Any]:
    found = await _show(call)
    for each in found["files"]:
        if each["id"] == call.path["id"]:
            one: dict[str, Any] = each
            return one
    raise UsageError("there is no such file in the configuration")


async def _check(call: Call, files: dict[str, str]) -> dict[str, Any]:
    known = {each["id"]: each["path"] for each in (await _show(call))["files"]}
    unknown = [each for each in files if each not in known]
    if unknown:
        raise UsageError(f"there is no file {unknown[0]} in the configuration")
    instead = {known[each]: text for each, text in files.items()}
    found: dict[str, Any] = await _ask(call, {"do": "check", "instead": instead})
    return found


async def _ask(call: Call, request: dict[str, Any]) -> Any:
    settings = call.site.settings
    places = {"file": settings.config, "directory": settings.directory}
    async with call.site.workers:
        return await run_json([WORKER], {**places, **request}, settings.directory)
