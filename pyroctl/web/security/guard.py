"""The one place that every request passes: limits, host, identity, role, and changes."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.routing import Match

from pyroctl.web.security.headers import with_security
from pyroctl.web.security.policy import (
    LONGEST_BODY,
    Head,
    Principal,
    Refusal,
    check_change,
    check_host,
    check_length,
    check_role,
    cookies_of,
    identify,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.routing import Route
    from starlette.types import Message, Receive, Scope, Send

    from pyroctl.web.security.policy import Policy
    from pyroctl.web.security.refusals import Refusals
    from pyroctl.web.security.sessions import Sessions

BODY_TIMEOUT = 10.0
"""Seconds that a client has to send a body."""
ANSWER_TIMEOUT = 60.0
"""Seconds that an answer may take, with a client that reads slowly; a stream has no end."""
OPEN = ""
"""The role of what everybody may ask for who knows our name."""

log = logging.getLogger(__name__)


class Guard:
    """The application: lets requests in, has a route answer, and adds the headers to all answers.

    `roles` has the role that each route needs, by its name, or `OPEN`; `endless` are the names of
    routes that stream.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        roles: Mapping[str, str],
        policy: Policy,
        sessions: Sessions,
        refusals: Refusals,
        *,
        endless: frozenset[str] = frozenset(),
    ) -> None:
        self._routes = routes
        self._roles = roles
        self._policy = policy
        self._sessions = sessions
        self._refusals = refusals
        self._endless = endless

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        answer = _Answer(send)
        head = _head(scope, self._policy.cookie)
        try:
            route, principal, body = await self._admit(scope, receive, head)
            scope["principal"], scope["body"] = principal, body
            limit = None if route.name in self._endless else ANSWER_TIMEOUT
            async with asyncio.timeout(limit):
                await route.handle(scope, receive, answer.send)
        except Refusal as refusal:
            self._refusals.add(refusal.reason, refusal.message, head.peer, time.monotonic())
            await answer.refuse(refusal)
        except TimeoutError:
            self._refusals.add("slow", "it took too long", head.peer, time.monotonic())
            await answer.refuse(Refusal(408, "slow", "it took too long"))
        except Exception as error:
            log.exception("the request %s %s failed", head.method, scope["path"])
            await answer.refuse(Refusal(500, "internal", f"internal error: {error!r}"))

    async def _admit(
        self, scope: Scope, receive: Receive, head: Head
    ) -> tuple[Route, Principal | None, bytes]:
        """Return who answers, who asks, and the body; raise Refusal."""
        check_length(head)
        check_host(self._policy, head)
        route, found = self._match(scope)
        needed = self._roles[route.name] if route is not None else None
        principal = None
        if needed != OPEN:
            principal = identify(self._policy, head, self._sessions, time.time())
        if route is None:
            raise Refusal(404, "path", f"there is nothing at {scope['path']}")
        if found is Match.PARTIAL:
            raise Refusal(405, "method", f"{head.method} is not possible there")
        if principal is not None and needed:
            check_role(principal, needed)
        check_change(head, by_token=principal is not None and principal.by_token)
        body = await _read_body(receive) if head.method not in {"GET", "HEAD"} else b""
        return route, principal, body

    def _match(self, scope: Scope) -> tuple[Route | None, Match]:
        partial = None
        for route in self._routes:
            found, more = route.matches(scope)
            if found is Match.FULL:
                scope.update(more)
                return route, found
            if found is Match.PARTIAL:
                partial = partial or route
        return partial, Match.PARTIAL


class _Answer:
    """Adds our headers to an answer, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            message = {**message, "headers": with_security(list(message["headers"]))}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        if self._begun:
            raise ConnectionAbortedError(refusal.message)
        text = json.dumps(refused(refusal)).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(text)),
            (b"connection", b"close"),  # its body may not be read
        ]
        if refusal.status == 401:  # noqa: PLR2004
            headers.append((b"www-authenticate", b"Bearer"))
        start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
        await self.send(start)
        await self._send({"type": "http.response.body", "body": text})


def refused(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal as the envelope of an answer."""
    entry = {
        "code": refusal.reason,
        "message": refusal.message,
        "hint": refusal.hint,
        "service": None,
        "file": None,
        "line": None,
    }
    return {
        "pyroctl": 1,
        "command": ["web"],
        "status": "error",
        "exit_code": 4,
        "data": None,
        "errors": [entry],
    }


def _head(scope: Scope, cookie: str) -> Head:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        text = value.decode("latin-1")
        key = name.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    client = scope.get("client")
    peer = f"{client[0]}:{client[1]}" if client else "the socket"
    return Head(scope["method"], headers, cookies_of(headers.get("cookie", ""), {cookie}), peer)


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    async with asyncio.timeout(BODY_TIMEOUT):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refusal(400, "body", "the client has left")
            part = message.get("body", b"")
            size += len(part)
            if size > LONGEST_BODY:
                raise Refusal(413, "size", f"the body is longer than {LONGEST_BODY} bytes")
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)
