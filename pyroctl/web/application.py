"""The application: the routes of the API and of the page's files, behind the guard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pyroctl.errors import (
    EXIT_CONFIG,
    EXIT_NO_ANSWER,
    EXIT_NO_MANAGER,
    EXIT_NO_SUCH_SERVICE,
    EXIT_USAGE,
    PyroctlError,
)
from pyroctl.web.api.call import Call, Reply, read_body
from pyroctl.web.api.table import ENDPOINTS
from pyroctl.web.assets import FOREVER
from pyroctl.web.security.guard import OPEN, Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyroctl.web.api.call import Endpoint
    from pyroctl.web.assets import Assets
    from pyroctl.web.site import Site

HTTP_STATUS = {
    EXIT_USAGE: 400,
    EXIT_NO_ANSWER: 503,
    EXIT_NO_SUCH_SERVICE: 404,
    EXIT_CONFIG: 422,
    EXIT_NO_MANAGER: 503,
}
"""The status of an error by its exit code; all others are 409."""


def application(site: Site, assets: Assets) -> Guard:
    """Return the application."""
    routes = [
        Route(each.path, _answering(site, each), methods=[each.method], name=each.name)
        for each in ENDPOINTS
    ]
    roles = {each.name: each.role for each in ENDPOINTS}
    for path, handler in _files(assets).items():
        routes.append(Route(path, handler, methods=["GET"], name=path))
        roles[path] = OPEN
    endless = frozenset(each.name for each in ENDPOINTS if each.endless)
    return Guard(routes, roles, site.policy, site.sessions, site.refusals, endless=endless)


def _answering(site: Site, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            body = request.scope["body"]
            call = Call(
                site=site,
                principal=request.scope["principal"],
                path=request.path_params,
                query=request.query_params,
                headers=request.headers,
                body=read_body(endpoint.body, body) if endpoint.body is not None else None,
                receive=request.receive,
            )
            found = await endpoint.handler(call)
        except PyroctlError as error:
            status = HTTP_STATUS.get(error.exit_code, 409)
            return _envelope(endpoint, None, error.entries(), status, error.exit_code)
        if isinstance(found, Reply):
            return _envelope(
                endpoint, found.data, found.errors, found.status, 0, dict(found.headers)
            )
        response: Response = found
        return response

    return handle


def _envelope(
    endpoint: Endpoint,
    data: Any,
    errors: Any,
    status: int,
    code: int,
    headers: dict[str, str] | None = None,
) -> Response:
    word = "success" if not errors else "error" if data is None else "partial"
    value = {
        "pyroctl": 1,
        "command": ["web", endpoint.name],
        "status": word,
        "exit_code": code or (1 if errors else 0),
        "data": data,
        "errors": list(errors),
    }
    text = json.dumps(value, separators=(",", ":"), default=str)
    return Response(text, status, headers, media_type="application/json")


def _files(assets: Assets) -> dict[str, Callable[[Request], Awaitable[Response]]]:
    async def page(_: Request) -> Response:
        return Response(assets.page, media_type="text/html")

    async def icon(_: Request) -> Response:
        return Response(assets.icon, media_type="image/svg+xml")

    async def file(request: Request) -> Response:
        found = assets.files.get(request.path_params["path"])
        if found is None:
            return Response("there is no such file\n", 404, media_type="text/plain")
        headers = {"cache-control": FOREVER, "content-type": found.type}
        return Response(found.content, headers=headers)

    async def healthy(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    return {"/": page, "/favicon.ico": icon, "/static/{path:path}": file, "/healthz": healthy}
